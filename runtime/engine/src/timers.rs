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
    /// The quota that was gone over: no timer is set until that is told.
    over: Option<OverQuota>,
    /// What a call that may be undone sets (true) and removes.
    aside: Option<Vec<(TimeDomain, bool, TimerBatch)>>,
    /// Memory of what is kept aside, bytes.
    aside_bytes: usize,
    /// The domain in which no timer is set any more.
    closed: Option<TimeDomain>,
}

/// Timers that are handed over at a time.
const HAND_OVER: usize = 4_096;

/// Bytes of a timer kept aside, beside its key.
const BESIDE_KEY: usize = 20;

/// Bytes that the charge grows by at a time, so that it is not changed at every call.
const STEP: u64 = 64 * 1024;

impl Timers {
    pub(crate) fn new(quota: &Quota) -> Result<Timers, OverQuota> {
        let charge = quota.charge(Use::Timers, 0)?;
        let inner =
            Inner { queue: TimerQueue::default(), charge, over: None, aside: None, aside_bytes: 0, closed: None };
        Ok(Timers(Mutex::new(inner)))
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
        inner.aside_bytes = 0;
        if !keep {
            // What was too much is undone as well.
            inner.over = None;
        }
        for (domain, set, timers) in aside.into_iter().filter(|_| keep) {
            inner.change(domain, set, &timers);
        }
        inner.settle();
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
            // The attempt is about to fail: what would come on top of it is not held.
            _ if self.over.is_some() => return,
            (Some(aside), _) => {
                self.aside_bytes += timers.keys.len() + timers.times.len() * BESIDE_KEY;
                aside.push((domain, set, timers.clone()));
            }
            (None, true) if self.closed == Some(domain) => {}
            (None, true) => self.queue.register(domain, timers),
            (None, false) => self.queue.delete(domain, timers),
        }
        self.settle();
    }

    /// Charges what is held.
    fn settle(&mut self) {
        let held = self.queue.bytes() + self.aside_bytes;
        let wanted = (held as u64).next_multiple_of(STEP);
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

    fn batch(count: u64) -> TimerBatch {
        let mut batch = TimerBatch::default();
        (0..count).for_each(|i| batch.push(i as i64, &i.to_be_bytes(), 0));
        batch
    }

    /// A timer with a key of 8 bytes is charged 42 bytes.
    #[test]
    fn timers_are_charged_and_going_over_is_told() {
        let quota = Quota::new("job `j`", 200_000);
        let timers = Timers::new(&quota).unwrap();
        timers.register(TimeDomain::EventTime, &batch(1_000));
        assert_eq!((quota.used(), timers.over_quota().is_none()), (STEP, true));
        timers.register(TimeDomain::EventTime, &batch(2_000));
        assert_eq!((quota.used(), timers.over_quota().is_none()), (2 * STEP, true));
        timers.register(TimeDomain::ProcessingTime, &batch(3_000));
        // Nothing is held on top of what was too much, and nothing more is charged.
        timers.register(TimeDomain::ProcessingTime, &batch(1_000_000));
        assert_eq!(timers.lock().queue.len(), 5_000);
        let wanted =
            "131072 bytes of timers would exceed the memory quota of job `j`: 131072 of 200000 bytes are in use";
        assert_eq!(timers.over_quota().unwrap().to_string(), wanted);
        timers.delete(TimeDomain::EventTime, &batch(2_000));
        timers.delete(TimeDomain::ProcessingTime, &batch(3_000));
        assert!(timers.over_quota().is_none());
        assert_eq!((quota.used(), timers.head(TimeDomain::EventTime)), (0, None));
    }

    #[test]
    fn what_is_kept_aside_is_charged_until_the_call_ends() {
        let quota = Quota::new("job `j`", 200_000);
        let timers = Timers::new(&quota).unwrap();
        for keep in [false, true] {
            timers.begin_call();
            timers.register(TimeDomain::EventTime, &batch(2_000));
            timers.delete(TimeDomain::EventTime, &batch(1_000));
            assert_eq!((quota.used(), timers.head(TimeDomain::EventTime)), (2 * STEP, None), "3,000 times 28 bytes");
            timers.end_call(keep);
            let kept = if keep { (STEP, Some(1_000)) } else { (0, None) };
            assert_eq!((quota.used(), timers.head(TimeDomain::EventTime)), kept);
        }
        for keep in [false, true] {
            timers.begin_call();
            (0..1_000).for_each(|_| timers.register(TimeDomain::EventTime, &batch(1_000)));
            assert!(timers.lock().aside_bytes < 300_000, "a call cannot hold more than the quota has");
            timers.end_call(keep);
            assert_eq!(timers.over_quota().is_some(), keep, "what is undone was not too much");
        }
    }
}
