//! Keeps timers in order and decides which are due, and which of them a store does not have yet.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

use super::{
    TimeDomain, TimerBatch,
    chunk::{Mark, Timer, prefix},
    ordered::OrderedTimers,
};
use crate::state::TimerChanges;

/// The most timers that one call of an operator gets.
pub const DUE_LIMIT: usize = 4_096;

/// The timers of one subtask, in memory, in the order (time, key, tag) in each domain.
///
/// It also knows what of them a store does not have yet: after [`TimerQueue::cut`], [`TimerQueue::hand_over`] gives what
/// changed up to the cut, bit by bit, while timers go on being set and fired. A timer that comes and goes between two cuts
/// is never stored. What a hand-over costs depends on what changed, not on how many timers there are.
#[derive(Debug, Default)]
pub struct TimerQueue {
    event: Timers,
    processing: Timers,
    bytes: usize,
}

/// The timers of one domain. A timer is set, gone, or both: set anew while the store is still to be told that it is gone.
#[derive(Debug)]
struct Timers {
    /// Those that are set: [`STORED`], [`Timers::new`] or [`Timers::cut`].
    set: OrderedTimers,
    /// Those that are gone, and the store has them or must have them: [`Timers::new`] since the last cut, [`Timers::cut`]
    /// before it, or [`GONE_FROM_CUT`].
    gone: OrderedTimers,
    /// The mark of what changed since the last cut.
    new: Mark,
}

/// The store has it.
const STORED: Mark = 0;

/// Set before the last cut and gone since, not handed over yet: the store must have it at the cut, all the same.
const GONE_FROM_CUT: Mark = 3;

/// Due timers to call an operator with.
pub type DueTimers = TimerBatch;

/// Memory of a timer, estimated from above: it takes about 20 bytes beside its key, a third of a chunk may not be in use, and
/// where a chunk begins is a key as well.
pub(super) fn bytes(key: &[u8]) -> usize {
    key.len() * 9 / 4 + 24
}

fn timer(timers: &TimerBatch, i: usize) -> Timer<'_> {
    Timer { time: timers.times[i], key: timers.key(i), tag: timers.tags[i] }
}

fn push(timer: Timer<'_>, to: &mut TimerBatch) {
    to.push(timer.time, timer.key, timer.tag);
}

impl Default for Timers {
    fn default() -> Timers {
        Timers { set: OrderedTimers::default(), gone: OrderedTimers::default(), new: 1 }
    }
}

impl Timers {
    /// The mark of what changed before the last cut and is not handed over yet.
    fn cut(&self) -> Mark {
        3 - self.new
    }

    /// Bytes more that are held.
    fn register(&mut self, timer: &Timer<'_>) -> usize {
        let gone = if self.gone.len() == 0 { None } else { self.gone.mark(timer) };
        let mark = match gone {
            // Removed and set again between two cuts: for the store nothing happened.
            Some(mark) if mark == self.new => STORED,
            Some(GONE_FROM_CUT) => self.cut(),
            _ => return if self.set.insert(timer, self.new) { bytes(timer.key) } else { 0 },
        };
        self.gone.remove(timer);
        self.set.insert(timer, mark);
        0
    }

    /// Bytes fewer that are held.
    fn remove(&mut self, timer: &Timer<'_>) -> usize {
        match self.set.remove(timer) {
            Some(mark) => self.removed(timer, mark),
            None => 0,
        }
    }

    /// A timer with this mark is not set any more; bytes fewer that are held.
    fn removed(&mut self, timer: &Timer<'_>, mark: Mark) -> usize {
        if mark == self.new {
            return bytes(timer.key);
        }
        self.gone.insert(timer, if mark == STORED { self.new } else { GONE_FROM_CUT });
        0
    }

    fn take_due(&mut self, now: i64) -> (DueTimers, usize) {
        let (mut due, mut keys, mut freed) = (DueTimers::default(), HashSet::new(), 0);
        while due.times.len() < DUE_LIMIT
            // Two keys of one hash would end the call early, which changes nothing.
            && let Some(first) = self.set.first().filter(|first| first.time <= now)
            && keys.insert(xxh3_64(first.key))
        {
            push(first, &mut due);
            if let Some(mark) = self.set.remove_first() {
                freed += self.removed(&timer(&due, due.times.len() - 1), mark);
            }
        }
        (due, freed)
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
            self.bytes += self.of(domain).register(&timer(timers, i));
        }
    }

    /// Removes timers.
    pub fn delete(&mut self, domain: TimeDomain, timers: &TimerBatch) {
        for i in 0..timers.times.len() {
            self.bytes -= self.of(domain).remove(&timer(timers, i));
        }
    }

    /// Sets timers that the store has.
    pub fn restore(&mut self, domain: TimeDomain, timers: &TimerBatch) {
        // In order they take the least memory.
        let place = |i: usize| (timers.times[i], prefix(timers.key(i)), i as u32);
        let mut order: Vec<(i64, u64, u32)> = (0..timers.times.len()).map(place).collect();
        order.sort_unstable_by(|a, b| {
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| timer(timers, a.2 as usize).cmp(&timer(timers, b.2 as usize)))
        });
        for (.., i) in order {
            let timer = timer(timers, i as usize);
            if self.of(domain).set.insert(&timer, STORED) {
                self.bytes += bytes(timer.key);
            }
        }
    }

    /// When the first timer of `domain` is due.
    pub fn head(&self, domain: TimeDomain) -> Option<i64> {
        match domain {
            TimeDomain::EventTime => self.event.set.first(),
            TimeDomain::ProcessingTime => self.processing.set.first(),
        }
        .map(|timer| timer.time)
    }

    /// Takes timers due at `now` in order, until a key repeats or [`DUE_LIMIT`]; `None` when none is due. A caller asks
    /// again after it has called the operator, so that timers the operator set or removed meanwhile are obeyed.
    pub fn take_due(&mut self, domain: TimeDomain, now: i64) -> Option<DueTimers> {
        let (due, freed) = self.of(domain).take_due(now);
        self.bytes -= freed;
        (!due.times.is_empty()).then_some(due)
    }

    /// Cuts: what changed so far is to be handed over. All of the cut before must be handed over.
    pub fn cut(&mut self) {
        for timers in [&mut self.event, &mut self.processing] {
            let cut = timers.cut();
            debug_assert!(timers.set.count(cut) + timers.gone.count(cut) + timers.gone.count(GONE_FROM_CUT) == 0);
            timers.new = cut;
        }
    }

    /// About `limit` changes up to the cut that were not handed over yet; `None` when all were.
    pub fn hand_over(&mut self, limit: usize) -> Option<(TimeDomain, TimerChanges)> {
        for domain in [TimeDomain::EventTime, TimeDomain::ProcessingTime] {
            let (mut changes, mut freed, mut left) = (TimerChanges::default(), 0, limit.max(1));
            let timers = self.of(domain);
            let (new, cut) = (timers.new, timers.cut());
            left -= timers.set.take_marked(cut, Some(STORED), left, |timer| push(timer, &mut changes.set));
            left -= timers.gone.take_marked(GONE_FROM_CUT, Some(new), left, |timer| push(timer, &mut changes.set));
            timers.gone.take_marked(cut, None, left, |timer| {
                freed += bytes(timer.key);
                push(timer, &mut changes.removed);
            });
            self.bytes -= freed;
            if !changes.set.times.is_empty() || !changes.removed.times.is_empty() {
                return Some((domain, changes));
            }
        }
        None
    }

    /// Number of timers.
    pub fn len(&self) -> usize {
        self.event.set.len() + self.processing.set.len()
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
mod model;
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
