//! Decides when an entry expires.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    backend::TimeDomain,
    batch::NO_TIME,
    bindings::wasmill::operator::{description::TimeToLive, types::Call as CallTime},
};

/// How long an entry lives after it was written last. A list's elements and a map's entries live each on its own.
///
/// In event time it is written at the time of its record or timer, or at the watermark if that is higher, and expires when
/// the watermark has come to the end of its life; at the end of a bounded input all has expired. What is written before there
/// is any event time does not expire before that end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    pub(crate) milliseconds: u64,
    pub(crate) domain: TimeDomain,
}

impl Ttl {
    /// In processing time; at least a millisecond.
    pub fn processing_time(life: Duration) -> Ttl {
        Ttl::new(life, TimeDomain::ProcessingTime)
    }

    /// In event time; at least a millisecond.
    pub fn event_time(life: Duration) -> Ttl {
        Ttl::new(life, TimeDomain::EventTime)
    }

    fn new(life: Duration, domain: TimeDomain) -> Ttl {
        Ttl { milliseconds: u64::try_from(life.as_millis()).unwrap_or(u64::MAX), domain }
    }

    pub(crate) fn described(self) -> TimeToLive {
        TimeToLive { milliseconds: self.milliseconds, domain: self.domain }
    }
}

/// What time it is, for all states of an operator. The numbers are shared, and set by one thread.
#[derive(Debug)]
pub(crate) struct Clock {
    watermark: AtomicI64,
    processing_time: AtomicI64,
    /// The time of the record or timer that is being processed.
    row: AtomicI64,
}

impl Default for Clock {
    fn default() -> Clock {
        let time = || AtomicI64::new(NO_TIME);
        Clock { watermark: time(), processing_time: time(), row: time() }
    }
}

impl Clock {
    /// A call begins.
    pub(crate) fn begin(&self, time: CallTime) {
        self.watermark.store(time.watermark, Relaxed);
        self.processing_time.store(time.processing_time, Relaxed);
        self.row.store(NO_TIME, Relaxed);
    }

    /// A record or timer begins.
    #[inline(always)]
    pub(crate) fn at(&self, row: i64) {
        self.row.store(row, Relaxed);
    }
}

/// The time to live of one state, and what time it is.
#[derive(Debug, Clone)]
pub(crate) struct Lifetime {
    milliseconds: i64,
    domain: TimeDomain,
    clock: Arc<Clock>,
}

impl Lifetime {
    pub(crate) fn new(ttl: Ttl, clock: Arc<Clock>) -> Lifetime {
        let milliseconds = i64::try_from(ttl.milliseconds).unwrap_or(i64::MAX);
        Lifetime { milliseconds, domain: ttl.domain, clock }
    }

    /// What expires at this time or before has expired.
    pub(crate) fn now(&self) -> i64 {
        match self.domain {
            TimeDomain::EventTime => self.clock.watermark.load(Relaxed),
            TimeDomain::ProcessingTime => self.clock.processing_time.load(Relaxed),
        }
    }

    /// When an entry expires that is written now.
    pub(crate) fn expiry(&self) -> i64 {
        let written = match self.domain {
            TimeDomain::EventTime => self.now().max(self.clock.row.load(Relaxed)),
            TimeDomain::ProcessingTime => self.now(),
        };
        if written == NO_TIME { i64::MAX } else { written.saturating_add(self.milliseconds) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_expires_after_its_life() {
        let clock = Arc::new(Clock::default());
        let lifetime = |ttl| Lifetime::new(ttl, clock.clone());
        let event = lifetime(Ttl::event_time(Duration::from_secs(1)));
        let processing = lifetime(Ttl::processing_time(Duration::from_secs(2)));
        clock.begin(CallTime { watermark: NO_TIME, processing_time: 50 });
        assert_eq!((event.expiry(), processing.expiry()), (i64::MAX, 2_050));
        clock.at(7);
        assert_eq!((event.expiry(), processing.expiry()), (1_007, 2_050));
        clock.begin(CallTime { watermark: 100, processing_time: 50 });
        clock.at(7);
        assert_eq!((event.now(), event.expiry()), (100, 1_100));
        let endless = lifetime(Ttl::event_time(Duration::MAX));
        assert_eq!(endless.expiry(), i64::MAX);
    }
}
