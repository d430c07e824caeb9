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
    /// The store has them, or is told so by what is in `gone_from_cut`.
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

    fn len(&self) -> usize {
        self.added.len() + self.cut.len() + self.stored.len()
    }

    fn live(&self) -> impl Iterator<Item = &Timer> {
        self.added.iter().chain(&self.cut).chain(&self.stored)
    }

    fn first(&self) -> Option<&Timer> {
        [&self.added, &self.cut, &self.stored].into_iter().filter_map(BTreeSet::first).min()
    }

    fn take_due(&mut self, now: i64) -> Vec<Timer> {
        let (mut due, mut keys) = (Vec::new(), HashSet::new());
        while due.len() < DUE_LIMIT
            && let Some(first) = self.first().filter(|first| first.0 <= now).cloned()
            && keys.insert(first.1.clone())
        {
            self.remove(&first);
            due.push(first);
        }
        due
    }

    fn is_handed_over(&self) -> bool {
        self.cut.is_empty() && self.removed_at_cut.is_empty() && self.gone_from_cut.is_empty()
    }

    fn cut(&mut self) {
        assert!(self.is_handed_over());
        self.cut = std::mem::take(&mut self.added);
        self.removed_at_cut = std::mem::take(&mut self.removed);
    }

    /// The store was told that it has these more, and these no more.
    fn handed_over(&mut self, set: &[Timer], removed: &[Timer]) {
        for timer in set {
            match self.cut.take(timer) {
                Some(timer) => assert!(self.stored.insert(timer)),
                None => assert!(self.gone_from_cut.remove(timer), "{timer:?} was not set at the cut"),
            }
        }
        for timer in removed {
            assert!(self.removed_at_cut.remove(timer), "{timer:?} was not removed at the cut");
            self.bytes -= bytes(&timer.1);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Register(Vec<Timer>),
    Delete(Vec<Timer>),
    /// Removes every so many of the timers that are set.
    Thin(usize),
    Due(i64),
    HandOver(usize),
    Cut,
}

/// A key of two bytes, or a longer one; some are longer than a chunk, and one than 64 KiB. Several have the same beginning.
fn key(number: u16) -> Vec<u8> {
    let length = match number % 100 {
        99 => 70_000 * usize::from(number == 99),
        98 => 5_000,
        97 => 2_000,
        96 => 253,
        digits @ 80.. => usize::from(digits - 80),
        _ => 0,
    };
    [&vec![7; length], &number.to_be_bytes()[..]].concat()
}

fn timer(times: i64, keys: u16) -> impl Strategy<Value = Timer> {
    let tag = prop_oneof![4 => Just(0), 1 => 0..3u64, 1 => Just(u64::MAX)];
    (0..times, 0..keys, tag).prop_map(move |(time, number, tag)| (time - 2, key(number), tag))
}

fn steps(times: i64, keys: u16, at_once: usize, steps: usize) -> impl Strategy<Value = Vec<(bool, Step)>> {
    let timers = || proptest::collection::vec(timer(times, keys), 1..at_once);
    let in_order = timers().prop_map(|mut timers| {
        timers.sort();
        timers
    });
    let step = prop_oneof![
        4 => timers().prop_map(Step::Register),
        2 => in_order.prop_map(Step::Register),
        2 => timers().prop_map(Step::Delete),
        1 => (2..5usize).prop_map(Step::Thin),
        1 => (-2..times).prop_map(Step::Due),
        2 => (1..at_once * 2).prop_map(Step::HandOver),
        1 => Just(Step::Cut),
    ];
    proptest::collection::vec((prop::bool::weighted(0.8), step), 1..steps)
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
            assert!(self.naive.values().all(Naive::is_handed_over), "something is left");
            return false;
        };
        let (set, removed) = (timers(&changes.set), timers(&changes.removed));
        assert!((1..=limit).contains(&(set.len() + removed.len())));
        self.naive(domain).handed_over(&set, &removed);
        set.into_iter().for_each(|timer| assert!(self.stored.insert((domain, timer)), "set twice"));
        removed.into_iter().for_each(|timer| assert!(self.stored.remove(&(domain, timer)), "not there"));
        true
    }

    fn delete(&mut self, domain: TimeDomain, timers: &[Timer]) {
        self.queue.delete(domain, &batch(timers));
        timers.iter().for_each(|timer| self.naive(domain).remove(timer));
    }

    fn step(&mut self, domain: TimeDomain, step: &Step) {
        match step {
            Step::Register(timers) => {
                self.queue.register(domain, &batch(timers));
                timers.iter().for_each(|timer| self.naive(domain).register(timer));
            }
            Step::Delete(timers) => self.delete(domain, timers),
            Step::Thin(each) => {
                let timers: Vec<Timer> = self.naive(domain).live().step_by(*each).cloned().collect();
                self.delete(domain, &timers);
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
        assert_eq!(self.queue.len(), self.naive.values().map(Naive::len).sum::<usize>());
        assert_eq!(self.queue.bytes(), self.naive.values().map(|naive| naive.bytes).sum::<usize>());
        assert_eq!(self.queue.head(domain), self.naive(domain).first().map(|first| first.0));
    }

    fn run(steps: &[(bool, Step)]) {
        let mut both = Both::default();
        steps.iter().for_each(|(event, step)| both.step(if *event { EventTime } else { ProcessingTime }, step));
        // A queue of what is stored in the end has the same timers.
        let mut restored = TimerQueue::default();
        [Step::Cut, Step::Cut].iter().for_each(|step| both.step(EventTime, step));
        assert_eq!(both.stored, both.live());
        for domain in [EventTime, ProcessingTime] {
            let stored: Vec<Timer> = (both.stored.iter().filter(|of| of.0 == domain)).map(|of| of.1.clone()).collect();
            restored.restore(domain, &batch(&stored));
        }
        assert_eq!((restored.len(), restored.bytes()), (both.queue.len(), both.queue.bytes()));
        for domain in [EventTime, ProcessingTime] {
            while both.queue.head(domain).is_some() {
                assert_eq!(both.queue.take_due(domain, 5), restored.take_due(domain, 5));
                both.naive(domain).take_due(5);
                both.step(domain, &Step::Due(i64::MAX));
                restored.take_due(domain, i64::MAX);
            }
        }
        // What fired goes from the store, and then nothing is held any more.
        [Step::Cut, Step::Cut].iter().for_each(|step| both.step(EventTime, step));
        assert_eq!((both.stored.len(), both.queue.bytes(), restored.len()), (0, 0, 0));
    }
}

proptest! {
    /// Few timers, so that each is set, removed, fired and handed over in every order.
    #[test]
    fn few_timers_are_those_of_the_naive_queue(steps in steps(4, 3, 6, 80)) {
        Both::run(&steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// So many that chunks split, join and make room of what is gone.
    #[test]
    fn many_timers_are_those_of_the_naive_queue(steps in steps(30, 400, 600, 25)) {
        Both::run(&steps);
    }
}
