//! Tests the queue against a naive one, of a set for each thing that may have happened to a timer.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use proptest::prelude::*;

use super::*;
use crate::time::TimeDomain::{EventTime, ProcessingTime};

type Timer = (i64, Vec<u8>, u64);

/// The timers of one domain. A timer is in one of the first three sets.
#[derive(Default)]
struct Naive {
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
    bytes: usize,
}

impl Naive {
    fn register(&mut self, timer: &Timer) {
        if self.cut.contains(timer) || self.stored.contains(timer) {
        } else if self.removed.remove(timer) {
            self.stored.insert(timer.clone());
        } else if self.added.insert(timer.clone()) {
            self.bytes += bytes(&timer.1);
        }
    }

    fn remove(&mut self, timer: &Timer) {
        if self.added.remove(timer) {
            self.bytes -= bytes(&timer.1);
        } else if self.cut.remove(timer) {
            self.gone_from_cut.insert(timer.clone());
            self.removed.insert(timer.clone());
        } else if self.stored.remove(timer) {
            self.removed.insert(timer.clone());
        }
    }

    fn live(&self) -> impl Iterator<Item = &Timer> {
        self.added.iter().chain(&self.cut).chain(&self.stored)
    }

    fn take_due(&mut self, now: i64) -> Vec<Timer> {
        let (mut due, mut keys) = (Vec::new(), HashSet::new());
        while due.len() < DUE_LIMIT
            && let Some(first) = self.live().min().filter(|first| first.0 <= now).cloned()
            && keys.insert(first.1.clone())
        {
            self.remove(&first);
            due.push(first);
        }
        due
    }

    fn cut(&mut self) {
        assert!(self.cut.is_empty() && self.removed_at_cut.is_empty() && self.gone_from_cut.is_empty());
        self.cut = std::mem::take(&mut self.added);
        self.removed_at_cut = std::mem::take(&mut self.removed);
    }

    /// Up to `limit` changes, as many as the queue tells; how many.
    fn hand_over(&mut self, limit: usize) -> usize {
        for told in 0..limit {
            if let Some(timer) = self.cut.pop_first() {
                self.stored.insert(timer);
            } else if let Some(timer) = self.removed_at_cut.pop_first().filter(|_| self.gone_from_cut.pop_first().is_none()) {
                self.bytes -= bytes(&timer.1);
            } else {
                return told;
            }
        }
        limit
    }
}

#[derive(Debug, Clone)]
enum Step {
    Register(Vec<Timer>),
    Delete(Vec<Timer>),
    Due(i64),
    HandOver(usize),
    Cut,
}

fn timer(times: i64, keys: u16) -> impl Strategy<Value = Timer> {
    let long = |key: u16| [vec![key as u8; usize::from(key % 7) * usize::from(key % 60 / 9)], key.to_be_bytes().to_vec()].concat();
    (0..times, 0..keys, prop_oneof![4 => Just(0u64), 1 => 0..3u64, 1 => Just(u64::MAX)]).prop_map(move |(time, key, tag)| (time - 2, long(key), tag))
}

fn steps(times: i64, keys: u16, at_once: usize, steps: usize) -> impl Strategy<Value = Vec<(bool, Step)>> {
    let timers = || proptest::collection::vec(timer(times, keys), 1..at_once);
    let step = prop_oneof![
        4 => timers().prop_map(Step::Register),
        2 => timers().prop_map(Step::Delete),
        1 => (-2..times).prop_map(Step::Due),
        2 => (1..at_once * 2).prop_map(Step::HandOver),
        1 => Just(Step::Cut),
    ];
    proptest::collection::vec((any::<bool>(), step), 1..steps)
}

fn batch(timers: &[Timer]) -> TimerBatch {
    let mut batch = TimerBatch::default();
    timers.iter().for_each(|(time, key, tag)| batch.push(*time, key, *tag));
    batch
}

fn timers(batch: &TimerBatch) -> Vec<Timer> {
    (0..batch.times.len()).map(|i| (batch.times[i], batch.key(i).to_vec(), batch.tags[i])).collect()
}

/// A queue, the naive one, and a store that is told what is handed over.
#[derive(Default)]
struct Both {
    queue: TimerQueue,
    naive: BTreeMap<TimeDomain, Naive>,
    stored: BTreeSet<(TimeDomain, Timer)>,
    at_cut: BTreeSet<(TimeDomain, Timer)>,
}

impl Both {
    fn naive(&mut self, domain: TimeDomain) -> &mut Naive {
        self.naive.entry(domain).or_default()
    }

    fn live(&self) -> BTreeSet<(TimeDomain, Timer)> {
        self.naive.iter().flat_map(|(domain, naive)| naive.live().map(|timer| (*domain, timer.clone()))).collect()
    }

    /// One hand-over; false when there was nothing.
    fn hand_over(&mut self, limit: usize) -> bool {
        let Some((domain, changes)) = self.queue.hand_over(limit) else {
            let left = [EventTime, ProcessingTime].map(|domain| self.naive(domain).hand_over(1));
            assert_eq!(left, [0, 0], "something is left");
            return false;
        };
        let (set, removed) = (timers(&changes.set), timers(&changes.removed));
        assert!(set.len() + removed.len() <= limit);
        set.into_iter().for_each(|timer| assert!(self.stored.insert((domain, timer)), "set twice"));
        removed.into_iter().for_each(|timer| assert!(self.stored.remove(&(domain, timer)), "not there"));
        true
    }

    fn step(&mut self, domain: TimeDomain, step: &Step) {
        match step {
            Step::Register(timers) => {
                self.queue.register(domain, &batch(timers));
                timers.iter().for_each(|timer| self.naive(domain).register(timer));
            }
            Step::Delete(timers) => {
                self.queue.delete(domain, &batch(timers));
                timers.iter().for_each(|timer| self.naive(domain).remove(timer));
            }
            Step::Due(now) => {
                let due = self.queue.take_due(domain, *now).map_or_else(Vec::new, |due| timers(&due));
                assert_eq!(due, self.naive(domain).take_due(*now));
            }
            Step::HandOver(limit) => drop(self.hand_over(*limit)),
            Step::Cut => {
                while self.hand_over(7) {}
                assert_eq!(self.stored, self.at_cut, "the store has the timers at the cut");
                self.queue.cut();
                self.naive.values_mut().for_each(Naive::cut);
                self.at_cut = self.live();
            }
        }
        assert_eq!(self.queue.len(), self.live().len());
        assert_eq!(self.queue.bytes(), self.naive.values().map(|naive| naive.bytes).sum::<usize>());
        let head = self.naive(domain).live().min().map(|first| first.0);
        assert_eq!(self.queue.head(domain), head);
    }
}
