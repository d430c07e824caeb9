//! Keeps timers in order and decides which are due.

use std::collections::BTreeSet;

use crate::batch;

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
#[derive(Debug, Default)]
pub struct TimerQueue {
    event: BTreeSet<Timer>,
    processing: BTreeSet<Timer>,
    bytes: usize,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    time: i64,
    key: Box<[u8]>,
    tag: u64,
}

/// Memory of one timer beside its key, roughly: the entry and its share of the tree.
const TIMER_BYTES: usize = 64;

/// Due timers to call an operator with.
pub type DueTimers = TimerBatch;

impl TimerQueue {
    fn of(&mut self, domain: TimeDomain) -> &mut BTreeSet<Timer> {
        match domain {
            TimeDomain::EventTime => &mut self.event,
            TimeDomain::ProcessingTime => &mut self.processing,
        }
    }

    /// Sets timers.
    pub fn register(&mut self, domain: TimeDomain, timers: &TimerBatch) {
        for (i, (&time, &tag)) in timers.times.iter().zip(&timers.tags).enumerate() {
            let key: Box<[u8]> = timers.key(i).into();
            let bytes = key.len() + TIMER_BYTES;
            if self.of(domain).insert(Timer { time, key, tag }) {
                self.bytes += bytes;
            }
        }
    }

    /// Removes timers.
    pub fn delete(&mut self, domain: TimeDomain, timers: &TimerBatch) {
        for (i, (&time, &tag)) in timers.times.iter().zip(&timers.tags).enumerate() {
            let key: Box<[u8]> = timers.key(i).into();
            let bytes = key.len() + TIMER_BYTES;
            if self.of(domain).remove(&Timer { time, key, tag }) {
                self.bytes -= bytes;
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
        let timers = self.of(domain);
        let mut due = DueTimers::default();
        let mut keys = std::collections::HashSet::new();
        while due.times.len() < DUE_LIMIT {
            match timers.first() {
                Some(first) if first.time <= now && !keys.contains(&first.key) => {}
                _ => break,
            }
            let Some(timer) = timers.pop_first() else { break };
            due.push(timer.time, &timer.key, timer.tag);
            keys.insert(timer.key);
        }
        self.bytes -= due.keys.len() + due.times.len() * TIMER_BYTES;
        (!due.times.is_empty()).then_some(due)
    }

    /// Number of timers.
    pub fn len(&self) -> usize {
        self.event.len() + self.processing.len()
    }

    /// Whether there is no timer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory that the timers take, estimated, in bytes.
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
}
