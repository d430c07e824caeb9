//! Decides whether a guest's memories and tables may grow.

use wasmill_core::{Charge, OperatorError, Quota, quota::Use};
use wasmtime::ResourceLimiter;

use crate::limits::Limits;

/// The linear memory and tables of one instance: against its limits, and charged to the job's quota until it is
/// dropped.
pub(crate) struct Memory {
    limit: u64,
    used: u64,
    /// What the last growth added, to be taken back when the system refuses it.
    last: u64,
    table_limit: u64,
    table_used: u64,
    instances: usize,
    charge: Option<Charge>,
}

impl Memory {
    /// Memory within `limits`, charged to `quota` where there is one.
    ///
    /// # Errors
    /// Never in practice: charging nothing fits.
    pub(crate) fn new(limits: &Limits, quota: Option<&Quota>) -> Result<Memory, OperatorError> {
        let charge = quota.map(|quota| quota.charge(Use::LinearMemory, 0)).transpose().map_err(over)?;
        Ok(Memory {
            limit: limits.memory,
            used: 0,
            last: 0,
            table_limit: u64::from(limits.tables),
            table_used: 0,
            instances: limits.instances as usize,
            charge,
        })
    }

    /// Bytes of linear memory.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    fn grow(&mut self, by: u64) -> Result<(), OperatorError> {
        let wanted = self.used.saturating_add(by);
        if wanted > self.limit {
            let message = format!(
                "the operator asked for {by} bytes more than the {} it has, {wanted} in all, and may have {}; let it \
                 keep less in memory, or raise the limit",
                self.used, self.limit
            );
            return Err(OperatorError::Limit { limit: "memory", message });
        }
        if let Some(charge) = &mut self.charge {
            charge.resize(wanted).map_err(over)?;
        }
        (self.used, self.last) = (wanted, by);
        Ok(())
    }
}

fn over(over: wasmill_core::quota::OverQuota) -> OperatorError {
    OperatorError::Limit { limit: "memory", message: over.to_string() }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.last = 0;
        // Over a maximum that the guest declared itself: it is told so by `memory.grow`.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current) as u64)?;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.used -= std::mem::take(&mut self.last);
        if let Some(charge) = &mut self.charge {
            charge.resize(self.used)?;
        }
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let wanted = self.table_used.saturating_add(desired.saturating_sub(current) as u64);
        if wanted > self.table_limit {
            let message = format!("the operator asked for {wanted} table entries and may have {}", self.table_limit);
            return Err(OperatorError::Limit { limit: "tables", message }.into());
        }
        self.table_used = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        self.instances
    }
}
