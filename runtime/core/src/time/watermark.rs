//! Decides where a source's watermarks stand: a function of the rows of each split alone, but for splits that are idle.

use super::{END_OF_TIME, NO_WATERMARK, WatermarkStrategy};

/// How far one split is: kept in every checkpoint, so that its watermarks stand at the same rows whatever crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitWatermarks {
    /// The highest timestamp seen, or the highest watermark that a row carried.
    pub highest: i64,
    /// The highest timestamp that the split's watermark counts: that at the last mark.
    pub marked: i64,
    /// Rows since the last mark.
    pub rows: u64,
}

impl Default for SplitWatermarks {
    fn default() -> SplitWatermarks {
        SplitWatermarks { highest: NO_WATERMARK, marked: NO_WATERMARK, rows: 0 }
    }
}

/// How the watermarks of a source are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitRules {
    /// What watermark a split has.
    pub strategy: WatermarkStrategy,
    /// Rows of a split between two marks, at least 1; of no meaning to strategies that do not count rows.
    pub every: u64,
    /// After how many milliseconds without a row a split is idle; `None` for never.
    pub idle_after: Option<i64>,
}

/// The watermark of one source subtask over its splits: the minimum, where a split not yet begun holds it back, and one that
/// ended or is idle does not. So the result does not depend on the order in which a subtask reads its splits.
///
/// The watermark of a split moves at *marks*, after every so many rows. A split without rows for long is idle, also one that
/// never had any. It is active again at its next row, and holds the minimum back again; the minimum never goes back, so rows
/// of the split that are behind it are late.
#[derive(Debug)]
pub struct Splits {
    /// `None` for one that ended.
    splits: Vec<Option<Split>>,
    rules: SplitRules,
    output: i64,
}

#[derive(Debug, Clone, Copy)]
struct Split {
    state: SplitWatermarks,
    /// Milliseconds without a row.
    quiet: i64,
    idle: bool,
    /// Whether it is kept from giving rows, so that its having none says nothing.
    paused: bool,
}

impl Splits {
    /// Splits as far as they are, none of them idle, whose common watermark was `watermark` before: it never goes behind it.
    pub fn new(splits: Vec<SplitWatermarks>, rules: SplitRules, watermark: i64) -> Splits {
        let rules = SplitRules { every: rules.every.max(1), ..rules };
        let splits =
            splits.into_iter().map(|state| Some(Split { state, quiet: 0, idle: false, paused: false })).collect();
        Splits { splits, rules, output: watermark }
    }

    /// Takes note of rows of a split, at most [`Splits::allowed`], of which the last carries the watermark `carried`, if the
    /// strategy asks for that; true when the split is at a mark or no longer idle, and the watermark may have moved. Rows
    /// without a timestamp say nothing.
    ///
    /// # Panics
    /// If there is no such split.
    pub fn observe(&mut self, split: usize, timestamps: &[i64], rows: usize, carried: Option<i64>) -> bool {
        let strategy = self.rules.strategy;
        let Some(Split { state, quiet, idle, .. }) = &mut self.splits[split] else { return false };
        *quiet = 0;
        let woken = std::mem::take(idle);
        let at_mark = match strategy {
            WatermarkStrategy::FromRecord => {
                state.highest = carried.map_or(state.highest, |carried| state.highest.max(carried));
                state.highest > state.marked
            }
            _ => {
                state.highest = timestamps.iter().fold(state.highest, |highest, &t| highest.max(t));
                state.rows = state.rows.saturating_add(rows as u64);
                state.rows >= self.rules.every
            }
        };
        if at_mark {
            (state.marked, state.rows) = (state.highest, 0);
        }
        at_mark || woken
    }

    /// The most rows that any split may give before its next mark.
    pub fn allowed(&self) -> u64 {
        if !self.rules.strategy.counts_rows() {
            return u64::MAX;
        }
        let left = |split: &Split| self.rules.every.saturating_sub(split.state.rows).max(1);
        self.splits.iter().flatten().map(left).min().unwrap_or(self.rules.every)
    }

    /// Marks all splits where they are: nothing is coming.
    pub fn linger(&mut self) {
        for split in self.splits.iter_mut().flatten() {
            split.state.marked = split.state.highest;
        }
    }

    /// Keeps a split from giving rows, or no longer: meanwhile it does not become idle.
    ///
    /// # Panics
    /// If there is no such split.
    pub fn pause(&mut self, split: usize, paused: bool) {
        if let Some(split) = &mut self.splits[split] {
            split.paused = paused;
        }
    }

    /// So many milliseconds passed in which rows could have come, and did of the split `gave` only; true when a split became
    /// idle, which is marked where it is.
    pub fn pass(&mut self, milliseconds: i64, gave: Option<usize>) -> bool {
        let Some(after) = self.rules.idle_after else { return false };
        let mut changed = false;
        for (number, split) in self.splits.iter_mut().enumerate() {
            let Some(split) = split.as_mut().filter(|split| !split.idle && !split.paused && gave != Some(number))
            else {
                continue;
            };
            split.quiet = split.quiet.saturating_add(milliseconds.max(0));
            if split.quiet >= after {
                split.idle = true;
                split.state.marked = split.state.highest;
                changed = true;
            }
        }
        changed
    }

    /// After how many further milliseconds without a row a split will be idle; `None` when none can be.
    pub fn until_idle(&self) -> Option<i64> {
        let after = self.rules.idle_after?;
        let waiting = self.splits.iter().flatten().filter(|split| !split.idle && !split.paused);
        waiting.map(|split| after - split.quiet).min()
    }

    /// Whether all splits that have not ended are idle, and there is one.
    pub fn is_idle(&self) -> bool {
        let mut open = self.splits.iter().flatten().peekable();
        open.peek().is_some() && open.all(|split| split.idle)
    }

    /// The split has no more rows; true when others have.
    ///
    /// # Panics
    /// If there is no such split.
    pub fn end(&mut self, split: usize) -> bool {
        self.splits[split] = None;
        self.splits.iter().any(Option::is_some)
    }

    /// How far a split is; `None` for one that ended.
    ///
    /// # Panics
    /// If there is no such split.
    pub fn state(&self, split: usize) -> Option<SplitWatermarks> {
        self.splits[split].map(|split| split.state)
    }

    /// The subtask's watermark so far.
    pub fn watermark(&self) -> i64 {
        self.output
    }

    /// The watermark of one split, and whether it is idle; `None` for one that ended.
    ///
    /// # Panics
    /// If there is no such split.
    pub fn split(&self, split: usize) -> Option<(i64, bool)> {
        self.splits[split].map(|split| (self.rules.strategy.watermark(&split.state), split.idle))
    }

    /// The watermark, if it advanced since the last call. It stays where it is while all splits are idle.
    pub fn advance(&mut self) -> Option<i64> {
        if self.is_idle() {
            return None;
        }
        let active = self.splits.iter().flatten().filter(|split| !split.idle);
        let minimum = active.map(|split| self.rules.strategy.watermark(&split.state)).min().unwrap_or(END_OF_TIME);
        (minimum > self.output).then(|| {
            self.output = minimum;
            minimum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splits(count: usize, strategy: WatermarkStrategy, every: u64, idle_after: Option<i64>) -> Splits {
        let rules = SplitRules { strategy, every, idle_after };
        Splits::new(vec![SplitWatermarks::default(); count], rules, NO_WATERMARK)
    }

    #[test]
    fn the_slowest_split_counts_until_it_ends() {
        let mut splits = splits(2, WatermarkStrategy::Bounded { bound: 5 }, 2, None);
        assert!(splits.observe(0, &[100, 90], 2, None));
        assert_eq!(splits.advance(), None);
        assert!(splits.observe(1, &[i64::MIN, 50], 2, None));
        assert_eq!(splits.advance(), Some(44));
        assert_eq!(splits.advance(), None);
        assert!(splits.end(1));
        assert_eq!(splits.advance(), Some(94));
        assert!(!splits.end(0));
        assert_eq!(splits.advance(), Some(END_OF_TIME));
    }

    #[test]
    fn a_restored_split_goes_on_where_it_was() {
        let mut before = splits(1, WatermarkStrategy::Monotonic, 4, None);
        assert!(before.observe(0, &[1, 2, 3, 4], 4, None));
        assert!(!before.observe(0, &[5, 6], 2, None));
        assert_eq!(before.allowed(), 2);
        let mut restored = Splits::new(vec![before.state(0).unwrap()], before.rules, NO_WATERMARK);
        // The watermark is that of the last mark, not of the rows since.
        assert_eq!((restored.advance(), restored.allowed()), (Some(3), 2));
        assert!(restored.observe(0, &[7, 7], 2, None));
        assert_eq!(restored.advance(), Some(6));
    }

    #[test]
    fn what_was_promised_before_holds_after_a_restore() {
        let mut before = splits(2, WatermarkStrategy::Monotonic, 1, Some(100));
        before.observe(0, &[70], 1, None);
        before.observe(1, &[20], 1, None);
        before.pass(60, None);
        before.observe(0, &[80], 1, None);
        assert!(before.pass(60, None), "split 1 is idle");
        assert_eq!(before.advance(), Some(79));
        let states = (0..2).map(|split| before.state(split).unwrap()).collect();
        // Nothing is idle after a restore, and the slow split holds back anew; the watermark does not go back to it.
        let mut restored = Splits::new(states, before.rules, 79);
        assert_eq!(restored.advance(), None);
        restored.observe(0, &[90], 1, None);
        assert_eq!(restored.advance(), None);
        assert!(restored.pass(100, None) && restored.is_idle());
    }

    #[test]
    fn a_slow_split_is_marked_where_it_is() {
        let mut splits = splits(1, WatermarkStrategy::Monotonic, 1_000, None);
        assert!(!splits.observe(0, &[9], 1, None));
        assert_eq!(splits.advance(), None);
        splits.linger();
        assert_eq!(splits.advance(), Some(8));
    }

    #[test]
    fn a_watermark_that_a_row_carries_counts_as_it_is_and_never_goes_back() {
        let mut splits = splits(1, WatermarkStrategy::FromRecord, 2, None);
        assert_eq!(splits.allowed(), u64::MAX);
        assert!(!splits.observe(0, &[500, 600, 700], 3, None), "timestamps say nothing");
        assert!(splits.observe(0, &[1], 1, Some(40)));
        assert_eq!(splits.advance(), Some(40));
        assert!(!splits.observe(0, &[1], 1, Some(39)));
        assert!(!splits.observe(0, &[1], 1, None));
        assert_eq!(splits.advance(), None);
        splits.linger();
        assert_eq!(splits.advance(), None);
    }

    #[test]
    fn without_a_strategy_only_the_end_says_anything() {
        let mut splits = splits(1, WatermarkStrategy::None, 1, None);
        splits.observe(0, &[500], 1, Some(7));
        splits.linger();
        assert_eq!((splits.advance(), splits.allowed()), (None, u64::MAX));
    }

    /// Idleness counts from the start; by hand, at 100 ms.
    #[test]
    fn an_idle_split_holds_nothing_back_until_its_next_row() {
        let mut splits = splits(2, WatermarkStrategy::Monotonic, 1, Some(100));
        assert_eq!(splits.until_idle(), Some(100));
        splits.observe(0, &[50], 1, None);
        assert!(!splits.pass(99, None));
        splits.observe(0, &[60], 1, None);
        assert_eq!((splits.advance(), splits.until_idle()), (None, Some(1)));
        assert!(splits.pass(1, None), "split 1 never had a row");
        assert_eq!((splits.advance(), splits.is_idle(), splits.until_idle()), (Some(59), false, Some(99)));
        assert!(!splits.pass(99, Some(0)), "it gave rows meanwhile");
        assert!(splits.pass(99, None));
        assert_eq!((splits.is_idle(), splits.advance(), splits.until_idle()), (true, None, None));
        // Its row is behind the watermark: it is late, and the watermark waits for the split but does not go back.
        assert!(splits.observe(1, &[10], 1, None));
        assert_eq!((splits.is_idle(), splits.advance()), (false, None));
        splits.observe(0, &[90], 1, None);
        assert_eq!(splits.advance(), None);
        splits.observe(1, &[71], 1, None);
        assert_eq!(splits.advance(), Some(70));
    }
}
