//! Decides where a source's watermarks stand: a function of the rows of each split alone.

use super::{END_OF_TIME, NO_WATERMARK};

/// The watermark trails the highest timestamp seen by a fixed bound.
///
/// A watermark of t says that no row with a timestamp below t is expected; with a bound of b and a highest timestamp of m
/// it is m - b. A bound of 0 is the monotonic strategy.
#[derive(Debug, Clone)]
pub struct BoundedOutOfOrderness {
    bound: i64,
    highest: i64,
}

impl BoundedOutOfOrderness {
    /// `bound` in milliseconds; a negative one counts as 0.
    pub fn new(bound: i64) -> BoundedOutOfOrderness {
        BoundedOutOfOrderness { bound: bound.max(0), highest: NO_WATERMARK }
    }

    /// Takes note of timestamps; rows without one say nothing.
    pub fn observe(&mut self, timestamps: &[i64]) {
        self.highest = timestamps.iter().fold(self.highest, |highest, &t| highest.max(t));
    }

    /// The watermark now.
    pub fn watermark(&self) -> i64 {
        if self.highest == NO_WATERMARK { NO_WATERMARK } else { self.highest.saturating_sub(self.bound) }
    }
}

/// The watermark of one source subtask over its splits: the minimum, where a split not yet begun holds it back and one
/// that ended does not. So the result does not depend on the order in which a subtask reads its splits.
#[derive(Debug)]
pub struct Splits {
    strategies: Vec<BoundedOutOfOrderness>,
    ended: Vec<bool>,
    output: i64,
}

impl Splits {
    /// `splits` splits with the same bound in milliseconds.
    pub fn new(splits: usize, bound: i64) -> Splits {
        Splits {
            strategies: vec![BoundedOutOfOrderness::new(bound); splits],
            ended: vec![false; splits],
            output: NO_WATERMARK,
        }
    }

    /// Takes note of timestamps of a split.
    ///
    /// # Panics
    /// If there is no such split.
    pub fn observe(&mut self, split: usize, timestamps: &[i64]) {
        self.strategies[split].observe(timestamps);
    }

    /// The split has no more rows.
    ///
    /// # Panics
    /// If there is no such split.
    pub fn end(&mut self, split: usize) {
        self.ended[split] = true;
    }

    /// The watermark, if it advanced since the last call.
    pub fn advance(&mut self) -> Option<i64> {
        let open = self.strategies.iter().zip(&self.ended).filter(|(_, ended)| !**ended);
        let minimum = open.map(|(strategy, _)| strategy.watermark()).min().unwrap_or(END_OF_TIME);
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
        let mut splits = Splits::new(2, 5);
        splits.observe(0, &[100, 90]);
        assert_eq!(splits.advance(), None);
        splits.observe(1, &[i64::MIN, 50]);
        assert_eq!(splits.advance(), Some(45));
        assert_eq!(splits.advance(), None);
        splits.end(1);
        assert_eq!(splits.advance(), Some(95));
        splits.end(0);
        assert_eq!(splits.advance(), Some(END_OF_TIME));
    }
}
