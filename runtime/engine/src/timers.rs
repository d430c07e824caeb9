//! Holds the timers of one operator's subtask where both the operator, which sets them, and the subtask, which fires
//! them, reach them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use wasmill_core::{
    Charge, Quota, TimerService,
    quota::{OverQuota, Use},
    state::TimerChanges,
    time::{DueTimers, TimeDomain, TimerBatch, TimerQueue},
};

/// The timer queue of one subtask, charged to the job's quota. Used by one side at a time: the lock is never contended.
pub(crate) struct Timers(Mutex<Inner>);

struct Inner {
    queue: TimerQueue,
    charge: Charge,
    over: Option<OverQuota>,
    /// What a call that may be undone sets (true) and removes.
    aside: Option<Vec<(TimeDomain, bool, TimerBatch)>>,
    /// The domain in which no timer is set any more.
    closed: Option<TimeDomain>,
}

/// Timers that are handed over at a time.
const HAND_OVER: usize = 4_096;

/// Bytes that the charge grows by at a time, so that it is not changed at every call.
const STEP: u64 = 64 * 1024;

impl Timers {
    pub(crate) fn new(quota: &Quota) -> Result<Timers, OverQuota> {
        let charge = quota.charge(Use::Timers, 0)?;
        Ok(Timers(Mutex::new(Inner { queue: TimerQueue::default(), charge, over: None, aside: None, closed: None })))
    }

    /// Sets timers that the store has.
    pub(crate) fn restore(&self, domain: TimeDomain, timers: &TimerBatch) -> Result<(), OverQuota> {
        let mut inner = self.lock();
        inner.queue.restore(domain, timers);
        inner.settle();
        inner.over.take().map_or(Ok(()), Err)
    }

    /// Cuts; see [`TimerQueue::cut`].
    pub(crate) fn cut(&self) {
        self.lock().queue.cut();
    }

    /// Some of what changed up to the cut; `None` when all is handed over.
    pub(crate) fn hand_over(&self) -> Option<(TimeDomain, TimerChanges)> {
        let mut inner = self.lock();
        let changes = inner.queue.hand_over(HAND_OVER);
        inner.settle();
        changes
    }

    /// Begins a call that may be undone: timers are kept aside until it ends.
    pub(crate) fn begin_call(&self) {
        self.lock().aside = Some(Vec::new());
    }

    /// Ends such a call; without `keep` its timers are forgotten.
    pub(crate) fn end_call(&self, keep: bool) {
        let mut inner = self.lock();
        let aside = inner.aside.take().unwrap_or_default();
        for (domain, set, timers) in aside.into_iter().filter(|_| keep) {
            inner.change(domain, set, &timers);
        }
    }

    /// Timers of a domain that are set from now on are dropped.
    pub(crate) fn close(&self, domain: TimeDomain) {
        self.lock().closed = Some(domain);
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
    fn change(&mut self, domain: TimeDomain, set: bool, timers: &TimerBatch) {
        match (&mut self.aside, set) {
            (Some(aside), _) => aside.push((domain, set, timers.clone())),
            (None, true) if self.closed == Some(domain) => {}
            (None, true) => self.queue.register(domain, timers),
            (None, false) => self.queue.delete(domain, timers),
        }
        self.settle();
    }

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
        self.lock().change(domain, true, timers);
    }

    fn delete(&self, domain: TimeDomain, timers: &TimerBatch) {
        self.lock().change(domain, false, timers);
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
