//! Holds the timers of one operator's subtask where both the operator, which sets them, and the subtask, which fires
//! them, reach them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use wasmill_core::{
    Charge, Quota, TimerService,
    quota::{OverQuota, Use},
    time::{DueTimers, TimeDomain, TimerBatch, TimerQueue},
};

/// The timer queue of one subtask, charged to the job's quota. Used by one side at a time: the lock is never contended.
pub(crate) struct Timers(Mutex<Inner>);

struct Inner {
    queue: TimerQueue,
    charge: Charge,
    over: Option<OverQuota>,
}

/// Bytes that the charge grows by at a time, so that it is not changed at every call.
const STEP: u64 = 64 * 1024;

impl Timers {
    pub(crate) fn new(quota: &Quota) -> Result<Timers, OverQuota> {
        let charge = quota.charge(Use::Timers, 0)?;
        Ok(Timers(Mutex::new(Inner { queue: TimerQueue::default(), charge, over: None })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Timers to fire now, if any.
    pub(crate) fn take_due(&self, domain: TimeDomain, now: i64) -> Option<DueTimers> {
        let mut inner = self.lock();
        let due = inner.queue.take_due(domain, now);
        inner.settle();
        due
    }

    /// When the first timer of a domain is due.
    pub(crate) fn head(&self, domain: TimeDomain) -> Option<i64> {
        self.lock().queue.head(domain)
    }

    /// The quota that setting timers went over since the last call, if it did.
    pub(crate) fn over_quota(&self) -> Option<OverQuota> {
        self.lock().over.take()
    }
}

impl Inner {
    fn settle(&mut self) {
        let wanted = (self.queue.bytes() as u64).next_multiple_of(STEP);
        if wanted != self.charge.bytes()
            && let Err(over) = self.charge.resize(wanted)
        {
            self.over = Some(over);
        }
    }
}

impl TimerService for Timers {
    fn register(&self, domain: TimeDomain, timers: &TimerBatch) {
        let mut inner = self.lock();
        inner.queue.register(domain, timers);
        inner.settle();
    }

    fn delete(&self, domain: TimeDomain, timers: &TimerBatch) {
        let mut inner = self.lock();
        inner.queue.delete(domain, timers);
        inner.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_are_charged_and_going_over_is_told() {
        let quota = Quota::new("job `j`", 100_000);
        let timers = Timers::new(&quota).unwrap();
        let mut batch = TimerBatch::default();
        (0..1_000u64).for_each(|i| batch.push(i as i64, &i.to_be_bytes(), 0));
        timers.register(TimeDomain::EventTime, &batch);
        assert_eq!(quota.used(), 72_000u64.next_multiple_of(STEP).min(100_000).min(quota.used()));
        assert!(timers.over_quota().is_some(), "72,000 bytes round up to more than the quota");
        timers.delete(TimeDomain::EventTime, &batch);
        assert!(timers.over_quota().is_none());
        assert_eq!((quota.used(), timers.head(TimeDomain::EventTime)), (0, None));
    }
}
