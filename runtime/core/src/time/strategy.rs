//! Decides what watermark a split has after the rows it gave: the strategies of Flink's `WatermarkStrategy`.

use super::{NO_WATERMARK, SplitWatermarks};

/// How the watermark of a split follows from its rows. A watermark of t says that no row with a timestamp of t or less is
/// expected any more.
///
/// ```
/// use wasmill_core::time::{SplitWatermarks, WatermarkStrategy};
/// let at_10_000 = SplitWatermarks { highest: 10_000, marked: 10_000, rows: 0 };
/// assert_eq!(WatermarkStrategy::Bounded { bound: 2_000 }.watermark(&at_10_000), 7_999);
/// assert_eq!(WatermarkStrategy::Monotonic.watermark(&at_10_000), 9_999);
/// assert_eq!(WatermarkStrategy::FromRecord.watermark(&at_10_000), 10_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatermarkStrategy {
    /// Rows come at most `bound` milliseconds behind the highest timestamp so far: the watermark is that less `bound` less 1.
    Bounded {
        /// Milliseconds; a negative one counts as 0.
        bound: i64,
    },
    /// Timestamps never go down: the watermark is the highest one less 1, since further rows may have the same.
    Monotonic,
    /// Some rows carry a watermark, and it follows the row that carries it. One that is not above those before says nothing.
    FromRecord,
    /// There is no watermark before the end of the input.
    None,
}

impl WatermarkStrategy {
    /// The watermark of a split at its last mark.
    pub fn watermark(self, split: &SplitWatermarks) -> i64 {
        match (self, split.marked) {
            (_, NO_WATERMARK) | (WatermarkStrategy::None, _) => NO_WATERMARK,
            (WatermarkStrategy::Bounded { bound }, marked) => marked.saturating_sub(bound.max(0)).saturating_sub(1),
            (WatermarkStrategy::Monotonic, marked) => marked.saturating_sub(1),
            (WatermarkStrategy::FromRecord, marked) => marked,
        }
    }

    /// Whether it counts the timestamps of rows, so that its marks stand after every so many rows.
    pub fn counts_rows(self) -> bool {
        matches!(self, WatermarkStrategy::Bounded { .. } | WatermarkStrategy::Monotonic)
    }
}
