//! Tests watermarks under random interleavings of splits, batch cuts and idle moments, against a naive model.

use proptest::prelude::*;

use super::{END_OF_TIME, Inputs, NO_WATERMARK, SplitRules, SplitWatermarks, Splits, WatermarkStrategy};

/// Timestamps that are never more than `bound` behind the highest before them.
fn rows(bound: i64) -> impl Strategy<Value = Vec<i64>> {
    proptest::collection::vec((0..40i64, 0..=bound), 0..60).prop_map(|steps| {
        let mut highest = 0;
        let row = |(up, back): (i64, i64)| {
            // Every other row goes up; the others come behind.
            let row = if back % 2 == 0 { highest + up } else { highest - back };
            highest = highest.max(row);
            row
        };
        steps.into_iter().map(row).collect()
    })
}

/// What happens next: (which split, how many rows at most, milliseconds without any).
fn turns() -> impl Strategy<Value = Vec<(usize, usize, i64)>> {
    proptest::collection::vec((0..6usize, 1..9usize, prop_oneof![4 => Just(0i64), 1 => 1..80i64]), 0..300)
}

fn strategies() -> impl Strategy<Value = WatermarkStrategy> {
    prop_oneof![(0..30i64).prop_map(|bound| WatermarkStrategy::Bounded { bound }), Just(WatermarkStrategy::Monotonic)]
}

/// Splits that are read by turns; what is left at the end is read in order.
struct Reading {
    splits: Splits,
    rows: Vec<Vec<i64>>,
    next: Vec<usize>,
    idled: Vec<bool>,
}

/// A row that was read, and how its split was.
struct Read {
    split: usize,
    timestamp: i64,
    /// Whether the split has ever been idle.
    idled: bool,
}

impl Reading {
    fn new(rows: Vec<Vec<i64>>, rules: SplitRules) -> Reading {
        let count = rows.len();
        let splits = Splits::new(vec![SplitWatermarks::default(); count], rules, NO_WATERMARK);
        Reading { splits, rows, next: vec![0; count], idled: vec![false; count] }
    }

    /// Reads a batch as the engine does; the rows come before the watermark that [`Splits::advance`] then tells.
    fn read(&mut self, split: usize, most: usize) -> Vec<Read> {
        let left = &self.rows[split][self.next[split]..];
        let most = most.min(usize::try_from(self.splits.allowed()).unwrap()).min(left.len());
        let batch = left[..most].to_vec();
        self.next[split] += batch.len();
        if !batch.is_empty() {
            self.splits.observe(split, &batch, batch.len(), None);
        }
        batch.into_iter().map(|timestamp| Read { split, timestamp, idled: self.idled[split] }).collect()
    }

    fn pass(&mut self, milliseconds: i64) {
        self.splits.pass(milliseconds, None);
        for (split, idled) in self.idled.iter_mut().enumerate() {
            *idled |= self.splits.split(split).is_some_and(|(_, idle)| idle);
        }
    }
}

/// The watermark of a split after its first `count` rows, by the definition.
fn naive(rows: &[i64], count: usize, strategy: WatermarkStrategy, every: u64) -> i64 {
    let marked = count - count % every as usize;
    let bound = match strategy {
        WatermarkStrategy::Bounded { bound } => bound,
        _ => 0,
    };
    rows[..marked].iter().max().map_or(NO_WATERMARK, |highest| highest - bound - 1)
}

proptest! {
    /// Where a split's watermarks stand is a function of its rows alone, and that of the subtask one of how far they are.
    #[test]
    fn watermarks_stand_where_the_rows_say(
        rows in proptest::collection::vec(rows(50), 1..5), strategy in strategies(), every in 1u64..9, turns in turns()
    ) {
        let mut reading = Reading::new(rows.clone(), SplitRules { strategy, every, idle_after: None });
        let mut watermark = NO_WATERMARK;
        for (split, most, _) in turns {
            let split = split % rows.len();
            reading.read(split, most);
            let of = |split: usize| naive(&rows[split], reading.next[split], strategy, every);
            let mark = reading.splits.split(split).unwrap();
            prop_assert_eq!(mark, (of(split), false));
            watermark = reading.splits.advance().unwrap_or(watermark);
            prop_assert_eq!(watermark, (0..rows.len()).map(of).min().unwrap());
        }
    }

    /// A restored subtask tells the same watermarks as one that was never interrupted, wherever it is cut.
    #[test]
    fn a_cut_changes_nothing(rows in rows(50), strategy in strategies(), every in 1u64..9, cut in 0usize..60, most in 1usize..9) {
        let rules = SplitRules { strategy, every, idle_after: None };
        let told = |cut: usize| {
            let mut reading = Reading::new(vec![rows.clone()], rules);
            let mut told = Vec::new();
            while reading.next[0] < rows.len() {
                let (before, until) = (reading.next[0], if reading.next[0] < cut { cut } else { rows.len() });
                reading.read(0, most.min(until - before));
                if reading.next[0] == cut {
                    let state = reading.splits.state(0).unwrap();
                    reading.splits = Splits::new(vec![state], rules, reading.splits.watermark());
                }
                told.extend(reading.splits.advance().map(|watermark| (reading.next[0], watermark)));
            }
            told
        };
        prop_assert_eq!(told(cut), told(usize::MAX));
    }

    /// Subtasks with splits each, all into one operator: its watermark never goes back, and is never past a row of a split that
    /// was never idle.
    #[test]
    fn no_row_of_a_split_that_was_never_idle_is_late(
        subtasks in proptest::collection::vec(proptest::collection::vec(rows(20), 1..4), 1..4),
        every in 1u64..9, idle_after in proptest::option::of(1..200i64), turns in turns(), union: bool
    ) {
        let rules = SplitRules { strategy: WatermarkStrategy::Bounded { bound: 20 }, every, idle_after };
        let count = subtasks.len();
        let mut subtasks: Vec<Reading> = subtasks.into_iter().map(|rows| Reading::new(rows, rules)).collect();
        let numbers: Vec<u32> = (0..count as u32).map(|input| if union { 0 } else { input }).collect();
        let mut operator = Inputs::new(&numbers, NO_WATERMARK);
        let (mut watermark, mut idle) = (NO_WATERMARK, vec![false; count]);
        let rest = (0..count).map(|which| (which, 60, 0));
        let mut left: Vec<usize> = subtasks.iter().map(|subtask| subtask.rows.len()).collect();
        for (turn, (which, most, quiet)) in turns.into_iter().chain(rest.cycle().take(count * 400)).enumerate() {
            let subtask = &mut subtasks[which % count];
            let split = (most + turn / count) % subtask.rows.len();
            subtask.pass(quiet);
            for read in subtask.read(split, most) {
                prop_assert!(
                    read.idled || read.timestamp > watermark,
                    "the row at {} of split {} is late at {watermark}", read.timestamp, read.split
                );
            }
            if subtask.next[split] == subtask.rows[split].len() && subtask.splits.split(split).is_some() {
                subtask.splits.end(split);
                left[which % count] -= 1;
            }
            // As the head of a source tells it.
            let channel = which % count;
            let mut changes = Vec::new();
            let now = subtask.splits.is_idle();
            let advanced = if left[channel] == 0 { None } else { subtask.splits.advance() };
            if !now && std::mem::replace(&mut idle[channel], false) {
                changes.push(operator.set_idle(channel, false));
            }
            changes.extend(advanced.map(|advanced| operator.advance(channel, advanced)));
            if now && !std::mem::replace(&mut idle[channel], true) {
                changes.push(operator.set_idle(channel, true));
            }
            if left[channel] == 0 {
                changes.push(operator.end(channel));
            }
            for advanced in changes.into_iter().filter_map(|change| change.watermark) {
                prop_assert!(advanced > watermark, "{advanced} after {watermark}");
                watermark = advanced;
            }
            if idle_after.is_none() {
                let slowest = subtasks.iter().zip(&left).filter(|(_, left)| **left > 0);
                let slowest = slowest.map(|(subtask, _)| subtask.splits.watermark()).min().unwrap_or(END_OF_TIME);
                prop_assert_eq!(watermark, slowest);
            }
        }
        prop_assert_eq!(watermark, END_OF_TIME);
    }
}
