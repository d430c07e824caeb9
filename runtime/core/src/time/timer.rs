//! Keeps timers in order and decides which are due.

use std::collections::BTreeSet;

use crate::{batch, state::TimerChanges};

/// The most timers that one call of an operator gets.
pub const DUE_LIMIT: usize = 4_096;

/// The two times a timer can be set in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeDomain {
    /// Fires when the watermark reaches it.
    EventTime,
    /// Fires when the clock reaches it.
    ProcessingTime,
}

/// Timers as columns; the `timer-batch` record of the WIT contract.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TimerBatch {
    /// When each is due, milliseconds since the Unix epoch.
    pub times: Vec<i64>,
    /// End offset of each key in `keys`, bytes.
    pub key_ends: Vec<u32>,
    /// The keys.
    pub keys: Vec<u8>,
    /// A number the operator chose.
    pub tags: Vec<u64>,
}

/// Columns that do not describe timers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimerError {
    /// The columns have different numbers of rows, or the keys do not add up.
    #[error("timers are not valid: {0}")]
    Columns(String),
}

impl TimerBatch {
    /// Verifies that all columns have the same number of rows and that the keys are whole.
    ///
    /// # Errors
    /// [`TimerError::Columns`] with the column at fault.
    pub fn check(&self) -> Result<(), TimerError> {
        let rows = self.times.len();
        if self.tags.len() != rows || self.key_ends.len() != rows {
            let (keys, tags) = (self.key_ends.len(), self.tags.len());
            return Err(TimerError::Columns(format!("{rows} times, {keys} keys, {tags} tags")));
        }
        batch::check_ends("key-ends", &self.key_ends, self.keys.len(), rows)
            .map_err(|e| TimerError::Columns(e.to_string()))
    }

    /// The key of timer `i`.
    ///
    /// # Panics
    /// If `i` is out of bounds or the columns are not valid.
    pub fn key(&self, i: usize) -> &[u8] {
        batch::slice(&self.key_ends, &self.keys, i)
    }

    /// Adds one timer.
    pub fn push(&mut self, time: i64, key: &[u8], tag: u64) {
        self.times.push(time);
        self.keys.extend_from_slice(key);
        self.key_ends.push(self.keys.len() as u32);
        self.tags.push(tag);
    }
}

/// Sets and removes timers of one subtask's keys; what the host gives a guest. Keys were checked for ownership before.
pub trait TimerService: Send + Sync {
    /// Sets timers; the same one twice is one.
    fn register(&self, domain: TimeDomain, timers: &TimerBatch);
    /// Removes timers; one that does not exist is passed over.
    fn delete(&self, domain: TimeDomain, timers: &TimerBatch);
}

/// The timers of one subtask, in memory, in the order (time, key, tag) in each domain.
///
/// It also knows what of them a store does not have yet: after [`TimerQueue::cut`], [`TimerQueue::hand_over`] gives what
/// changed up to the cut, bit by bit, while timers go on being set and fired. A timer that comes and goes between two cuts
/// is never stored.
#[derive(Debug, Default)]
pub struct TimerQueue {
    event: Timers,
    processing: Timers,
    bytes: usize,
}

/// The timers of one domain. A timer is in one of the first three sets.
#[derive(Debug, Default)]
struct Timers {
    /// Set since the last cut: the store does not have them.
    added: BTreeSet<Timer>,
    /// Set before the last cut, and not handed over yet.
    cut: BTreeSet<Timer>,
    /// The store has them.
    stored: BTreeSet<Timer>,
    /// Gone since the last cut; the store has them, or will by the hand-over.
    removed: BTreeSet<Timer>,
    /// Gone before the last cut, and not handed over yet; the store has them.
    removed_at_cut: BTreeSet<Timer>,
    /// Were in `cut` and are gone since: the store must have them at the cut, all the same.
    gone_from_cut: BTreeSet<Timer>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    time: i64,
    key: Box<[u8]>,
    tag: u64,
}

/// Memory of one timer beside its key, roughly: the entry and its share of the tree.
const TIMER_BYTES: usize = 64;

/// Due timers to call an operator with.
pub type DueTimers = TimerBatch;

impl Timer {
    fn of(timers: &TimerBatch, i: usize) -> Timer {
        Timer { time: timers.times[i], key: timers.key(i).into(), tag: timers.tags[i] }
    }

    fn bytes(&self) -> usize {
        self.key.len() + TIMER_BYTES
    }
}

impl Timers {
    /// Bytes more that are held.
    fn register(&mut self, timer: Timer) -> usize {
        if self.cut.contains(&timer) || self.stored.contains(&timer) {
            return 0;
        }
        let bytes = timer.bytes();
        // Removed and set again between two cuts: for the store nothing happened.
        if self.removed.remove(&timer) {
            self.stored.insert(timer);
            return 0;
        }
        if self.added.insert(timer) { bytes } else { 0 }
    }

    /// Bytes fewer that are held.
    fn remove(&mut self, timer: &Timer) -> usize {
        if self.added.remove(timer) {
            return timer.bytes();
        }
        if self.cut.remove(timer) {
            self.gone_from_cut.insert(timer.clone());
            self.removed.insert(timer.clone());
        } else if self.stored.remove(timer) {
            self.removed.insert(timer.clone());
        }
        0
    }

    fn first(&self) -> Option<&Timer> {
        [self.added.first(), self.cut.first(), self.stored.first()].into_iter().flatten().min()
    }
}

impl TimerQueue {
    fn of(&mut self, domain: TimeDomain) -> &mut Timers {
        match domain {
            TimeDomain::EventTime => &mut self.event,
            TimeDomain::ProcessingTime => &mut self.processing,
        }
    }

    /// Sets timers.
    pub fn register(&mut self, domain: TimeDomain, timers: &TimerBatch) {
        for i in 0..timers.times.len() {
            self.bytes += self.of(domain).register(Timer::of(timers, i));
        }
    }

    /// Removes timers.
    pub fn delete(&mut self, domain: TimeDomain, timers: &TimerBatch) {
        for i in 0..timers.times.len() {
            self.bytes -= self.of(domain).remove(&Timer::of(timers, i));
        }
    }

    /// Sets timers that the store has.
    pub fn restore(&mut self, domain: TimeDomain, timers: &TimerBatch) {
        for i in 0..timers.times.len() {
            let timer = Timer::of(timers, i);
            let bytes = timer.bytes();
            if self.of(domain).stored.insert(timer) {
                self.bytes += bytes;
            }
        }
    }

    /// When the first timer of `domain` is due.
    pub fn head(&self, domain: TimeDomain) -> Option<i64> {
        match domain {
            TimeDomain::EventTime => self.event.first(),
            TimeDomain::ProcessingTime => self.processing.first(),
        }
        .map(|timer| timer.time)
    }

    /// Takes timers due at `now` in order, until a key repeats or [`DUE_LIMIT`]; `None` when none is due. A caller asks
    /// again after it has called the operator, so that timers the operator set or removed meanwhile are obeyed.
    pub fn take_due(&mut self, domain: TimeDomain, now: i64) -> Option<DueTimers> {
        let mut due = DueTimers::default();
        let mut keys = std::collections::HashSet::new();
        let mut freed = 0;
        let timers = self.of(domain);
        while due.times.len() < DUE_LIMIT {
            match timers.first() {
                Some(first) if first.time <= now && !keys.contains(&first.key) => {}
                _ => break,
            }
            let Some(timer) = timers.first().cloned() else { break };
            freed += timers.remove(&timer);
            due.push(timer.time, &timer.key, timer.tag);
            keys.insert(timer.key);
        }
        self.bytes -= freed;
        (!due.times.is_empty()).then_some(due)
    }

    /// Cuts: what changed so far is to be handed over. All of the cut before must be handed over.
    pub fn cut(&mut self) {
        for timers in [&mut self.event, &mut self.processing] {
            debug_assert!(timers.cut.is_empty() && timers.removed_at_cut.is_empty() && timers.gone_from_cut.is_empty());
            timers.cut = std::mem::take(&mut timers.added);
            timers.removed_at_cut = std::mem::take(&mut timers.removed);
        }
    }

    /// About `limit` changes up to the cut that were not handed over yet; `None` when all were.
    pub fn hand_over(&mut self, limit: usize) -> Option<(TimeDomain, TimerChanges)> {
        for domain in [TimeDomain::EventTime, TimeDomain::ProcessingTime] {
            let (mut changes, mut freed) = (TimerChanges::default(), 0);
            let timers = self.of(domain);
            while changes.set.times.len() + changes.removed.times.len() < limit.max(1) {
                if let Some(timer) = timers.cut.pop_first() {
                    changes.set.push(timer.time, &timer.key, timer.tag);
                    timers.stored.insert(timer);
                } else if let Some(timer) = timers.gone_from_cut.pop_first() {
                    changes.set.push(timer.time, &timer.key, timer.tag);
                } else if let Some(timer) = timers.removed_at_cut.pop_first() {
                    changes.removed.push(timer.time, &timer.key, timer.tag);
                    freed += timer.bytes();
                } else {
                    break;
                }
            }
            self.bytes -= freed;
            if !changes.set.times.is_empty() || !changes.removed.times.is_empty() {
                return Some((domain, changes));
            }
        }
        None
    }

    /// Number of timers.
    pub fn len(&self) -> usize {
        [&self.event, &self.processing].into_iter().map(|t| t.added.len() + t.cut.len() + t.stored.len()).sum()
    }

    /// Whether there is no timer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory that the timers take, with those that are gone and not handed over, estimated, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(timers: &[(i64, &str, u64)]) -> TimerBatch {
        let mut batch = TimerBatch::default();
        timers.iter().for_each(|(time, key, tag)| batch.push(*time, key.as_bytes(), *tag));
        batch
    }

    /// Worked by hand: ties by key, then tag; a key that repeats waits for the next call.
    #[test]
    fn due_timers_come_in_order_and_each_key_once_a_call() {
        use TimeDomain::EventTime;
        let mut queue = TimerQueue::default();
        queue.register(
            EventTime,
            &batch(&[(5, "b", 1), (5, "a", 2), (5, "a", 1), (9, "c", 0), (3, "b", 0), (5, "a", 1)]),
        );
        assert_eq!((queue.len(), queue.head(EventTime)), (5, Some(3)));
        assert_eq!(queue.take_due(EventTime, 5), Some(batch(&[(3, "b", 0), (5, "a", 1)])));
        // The operator removes one that was due and sets another: both are obeyed.
        queue.delete(EventTime, &batch(&[(5, "a", 2)]));
        queue.register(EventTime, &batch(&[(4, "d", 7)]));
        assert_eq!(queue.take_due(EventTime, 5), Some(batch(&[(4, "d", 7), (5, "b", 1)])));
        assert_eq!(queue.take_due(EventTime, 5), None);
        assert_eq!(queue.take_due(EventTime, i64::MAX), Some(batch(&[(9, "c", 0)])));
        assert_eq!((queue.is_empty(), queue.bytes()), (true, 0));
    }

    #[test]
    fn a_call_is_bounded() {
        let mut queue = TimerQueue::default();
        let mut many = TimerBatch::default();
        (0..5_000u64).for_each(|i| many.push(1, &i.to_be_bytes(), 0));
        queue.register(TimeDomain::ProcessingTime, &many);
        assert_eq!(queue.take_due(TimeDomain::ProcessingTime, 1).unwrap().times.len(), DUE_LIMIT);
        assert_eq!(queue.take_due(TimeDomain::ProcessingTime, 1).unwrap().times.len(), 5_000 - DUE_LIMIT);
    }

    /// A model that keeps the live set and the stored set apart, against random operations with cuts and partial hand-overs:
    /// the store always gets exactly the live set at the cut.
    #[test]
    fn what_is_handed_over_is_the_set_at_the_cut() {
        use std::collections::BTreeSet;

        use TimeDomain::{EventTime, ProcessingTime};
        let mut random = 7u64;
        let mut next = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut queue = TimerQueue::default();
        let (mut live, mut at_cut, mut stored) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let apply = |stored: &mut BTreeSet<(TimeDomain, i64, Vec<u8>)>, domain, changes: TimerChanges| {
            for i in 0..changes.set.times.len() {
                assert!(stored.insert((domain, changes.set.times[i], changes.set.key(i).to_vec())), "set twice");
            }
            for i in 0..changes.removed.times.len() {
                assert!(
                    stored.remove(&(domain, changes.removed.times[i], changes.removed.key(i).to_vec())),
                    "not there"
                );
            }
        };
        for step in 0..20_000 {
            let domain = if next(2) == 0 { EventTime } else { ProcessingTime };
            let (time, key) = (next(20) as i64, vec![b'a' + next(3) as u8]);
            let mut timers = TimerBatch::default();
            timers.push(time, &key, 0);
            match next(10) {
                0..=3 => {
                    queue.register(domain, &timers);
                    live.insert((domain, time, key));
                }
                4..=6 => {
                    queue.delete(domain, &timers);
                    live.remove(&(domain, time, key));
                }
                7 => {
                    if let Some(due) = queue.take_due(domain, next(4) as i64) {
                        for i in 0..due.times.len() {
                            assert!(live.remove(&(domain, due.times[i], due.key(i).to_vec())), "step {step}");
                        }
                    }
                }
                8 => {
                    if let Some((domain, changes)) = queue.hand_over(1 + next(5) as usize) {
                        apply(&mut stored, domain, changes);
                    }
                }
                _ => {
                    while let Some((domain, changes)) = queue.hand_over(3) {
                        apply(&mut stored, domain, changes);
                    }
                    assert_eq!(stored, at_cut, "step {step}");
                    at_cut = live.clone();
                    queue.cut();
                }
            }
            assert_eq!(queue.len(), live.len(), "step {step}");
        }
        queue.take_due(EventTime, 100);
    }
}
