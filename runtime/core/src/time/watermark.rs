//! Decides where a source's watermarks stand: a function of the rows of each split alone.

use super::{END_OF_TIME, NO_WATERMARK};

/// How far one split is: kept in every checkpoint, so that its watermarks stand at the same rows whatever crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitWatermarks {
    /// The highest timestamp seen.
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

/// The watermark of one source subtask over its splits: the minimum, where a split not yet begun holds it back and one
/// that ended does not. So the result does not depend on the order in which a subtask reads its splits.
///
/// The watermark of a split trails the highest timestamp seen by a fixed bound; it moves at *marks*, after every so many
/// rows. A watermark of t says that no row with a timestamp below t is expected; a bound of 0 is the monotonic strategy.
#[derive(Debug)]
pub struct Splits {
    /// `None` for one that ended.
    splits: Vec<Option<SplitWatermarks>>,
    bound: i64,
    every: u64,
    output: i64,
}

impl Splits {
    /// Splits as far as they are, with a bound in milliseconds (a negative one counts as 0) and a mark after every `every`
    /// rows, at least 1.
    pub fn new(splits: Vec<SplitWatermarks>, bound: i64, every: u64) -> Splits {
        let splits = splits.into_iter().map(Some).collect();
        Splits { splits, bound: bound.max(0), every: every.max(1), output: NO_WATERMARK }
    }

    /// Takes note of rows of a split, at most [`Splits::allowed`]; true when the split is at a mark, and its watermark may
    /// have moved. Rows without a timestamp say nothing.
    ///
    /// # Panics
    /// If there is no such split.
    pub fn observe(&mut self, split: usize, timestamps: &[i64], rows: usize) -> bool {
        let Some(state) = &mut self.splits[split] else { return false };
        state.highest = timestamps.iter().fold(state.highest, |highest, &t| highest.max(t));
        state.rows += rows as u64;
        let at_mark = state.rows >= self.every;
        if at_mark {
            (state.marked, state.rows) = (state.highest, 0);
        }
        at_mark
    }

    /// The most rows that any split may give before its next mark.
    pub fn allowed(&self) -> u64 {
        self.splits.iter().flatten().map(|split| self.every - split.rows).min().unwrap_or(self.every)
    }

    /// Marks all splits where they are: nothing is coming.
    pub fn linger(&mut self) {
        for split in self.splits.iter_mut().flatten() {
            split.marked = split.highest;
        }
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
        self.splits[split]
    }

    /// The watermark, if it advanced since the last call.
    pub fn advance(&mut self) -> Option<i64> {
        let watermark = |split: &SplitWatermarks| match split.marked {
            NO_WATERMARK => NO_WATERMARK,
            marked => marked.saturating_sub(self.bound),
        };
        let minimum = self.splits.iter().flatten().map(watermark).min().unwrap_or(END_OF_TIME);
        (minimum > self.output).then(|| {
            self.output = minimum;
            minimum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_split_counts_until_it_ends() {
        let mut splits = Splits::new(vec![SplitWatermarks::default(); 2], 5, 2);
        assert!(splits.observe(0, &[100, 90], 2));
        assert_eq!(splits.advance(), None);
        assert!(splits.observe(1, &[i64::MIN, 50], 2));
        assert_eq!(splits.advance(), Some(45));
        assert_eq!(splits.advance(), None);
        assert!(splits.end(1));
        assert_eq!(splits.advance(), Some(95));
        assert!(!splits.end(0));
        assert_eq!(splits.advance(), Some(END_OF_TIME));
    }

    #[test]
    fn a_restored_split_goes_on_where_it_was() {
        let mut splits = Splits::new(vec![SplitWatermarks::default()], 0, 4);
        assert!(splits.observe(0, &[1, 2, 3, 4], 4));
        assert!(!splits.observe(0, &[5, 6], 2));
        assert_eq!(splits.allowed(), 2);
        let mut restored = Splits::new(vec![splits.state(0).unwrap()], 0, 4);
        // The watermark is that of the last mark, not of the rows since.
        assert_eq!((restored.advance(), restored.allowed()), (Some(4), 2));
        assert!(restored.observe(0, &[7, 7], 2));
        assert_eq!(restored.advance(), Some(7));
    }

    #[test]
    fn a_slow_split_is_marked_where_it_is() {
        let mut splits = Splits::new(vec![SplitWatermarks::default()], 0, 1_000);
        assert!(!splits.observe(0, &[9], 1));
        assert_eq!(splits.advance(), None);
        splits.linger();
        assert_eq!(splits.advance(), Some(9));
    }
}
