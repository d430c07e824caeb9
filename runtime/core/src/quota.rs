//! Counts the memory that jobs use, against limits of the job and of whatever stands above it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What memory is used for; a refusal names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Linear memory of guests.
    LinearMemory,
    /// Batches in channels.
    Channels,
    /// State written and not yet stored.
    WriteBuffers,
    /// Timers.
    Timers,
    /// The page cache of the store.
    StoreCache,
}

impl Use {
    fn name(self) -> &'static str {
        match self {
            Use::LinearMemory => "linear memory",
            Use::Channels => "channels",
            Use::WriteBuffers => "write buffers",
            Use::Timers => "timers",
            Use::StoreCache => "store cache",
        }
    }
}

/// Over a quota.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} bytes of {} would exceed the memory quota of {name}: {used} of {limit} bytes are in use", r#use.name())]
pub struct OverQuota {
    /// What it was for.
    pub r#use: Use,
    /// Whose quota.
    pub name: String,
    /// Bytes asked for.
    pub wanted: u64,
    /// Bytes in use.
    pub used: u64,
    /// The limit, bytes.
    pub limit: u64,
}

/// A memory limit that is charged before memory is used. A quota may have a parent (a tenant's above a job's), which is
/// charged too. Cheap to clone; clones share the count.
#[derive(Debug, Clone)]
pub struct Quota(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    limit: u64,
    used: AtomicU64,
    parent: Option<Quota>,
}

impl Quota {
    /// A quota of `limit` bytes.
    pub fn new(name: impl Into<String>, limit: u64) -> Quota {
        Quota(Arc::new(Inner { name: name.into(), limit, used: AtomicU64::new(0), parent: None }))
    }

    /// A quota of `limit` bytes within this one.
    pub fn within(&self, name: impl Into<String>, limit: u64) -> Quota {
        Quota(Arc::new(Inner { name: name.into(), limit, used: AtomicU64::new(0), parent: Some(self.clone()) }))
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Charges `bytes`; they are given back when the charge is dropped.
    ///
    /// # Errors
    /// [`OverQuota`], and then nothing is charged.
    pub fn charge(&self, r#use: Use, bytes: u64) -> Result<Charge, OverQuota> {
        self.add(r#use, bytes)?;
        Ok(Charge { quota: self.clone(), r#use, bytes })
    }

    fn add(&self, r#use: Use, bytes: u64) -> Result<(), OverQuota> {
        let inner = &self.0;
        let fits = |used: u64| used.checked_add(bytes).filter(|&sum| sum <= inner.limit);
        if let Err(used) = inner.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            return Err(OverQuota { r#use, name: inner.name.clone(), wanted: bytes, used, limit: inner.limit });
        }
        if let Some(Err(over)) = inner.parent.as_ref().map(|parent| parent.add(r#use, bytes)) {
            inner.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(over);
        }
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(parent) = &self.0.parent {
            parent.give_back(bytes);
        }
    }
}

/// Bytes charged to a [`Quota`] until this is dropped.
#[derive(Debug)]
#[must_use = "the bytes are given back when the charge is dropped"]
pub struct Charge {
    quota: Quota,
    r#use: Use,
    bytes: u64,
}

impl Charge {
    /// Bytes charged.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Changes the charge to `bytes`.
    ///
    /// # Errors
    /// [`OverQuota`], and then the charge is what it was.
    pub fn resize(&mut self, bytes: u64) -> Result<(), OverQuota> {
        if bytes > self.bytes {
            self.quota.add(self.r#use, bytes - self.bytes)?;
        } else {
            self.quota.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.quota.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_quota_and_charges_nothing() {
        let tenant = Quota::new("tenant `t`", 100);
        let job = tenant.within("job `j`", 80);
        let mut charge = job.charge(Use::Channels, 60).unwrap();
        assert_eq!(job.charge(Use::Timers, 30).unwrap_err().name, "job `j`");
        let other = tenant.charge(Use::Channels, 30).unwrap();
        let over = charge.resize(75).unwrap_err();
        assert_eq!((over.name.as_str(), job.used(), tenant.used()), ("tenant `t`", 60, 90));
        assert_eq!(
            over.to_string(),
            "15 bytes of channels would exceed the memory quota of tenant `t`: 90 of 100 bytes are in use"
        );
        drop((charge, other));
        assert_eq!((job.used(), tenant.used()), (0, 0));
    }
}
