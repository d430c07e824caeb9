//! Passes rows on as they are, or leaves them out.

use super::{OutputKind, Passed, Port};
use crate::codec::{Codec, CodecError};

/// Passes rows on as they are, with time, key, value and headers: a filter. Nothing is encoded anew; where all rows of a batch are
/// kept, its columns are moved.
///
/// A row for which [`Keep::keep`] is not called is dropped. A key or value that the operator does not read, with the codec `()`, is
/// not passed on. In `on_timer` a row has the timer's key and time, and no value.
///
/// ```
/// use wasmill_sdk::{prelude::*, testing::Harness};
///
/// /// Keeps readings above freezing point.
/// #[operator]
/// pub fn above_zero(reading: Record<'_, Text, f64>, out: &mut Keep) {
///     if reading.value > 0.0 {
///         out.keep();
///     }
/// }
///
/// let mut harness = Harness::<above_zero>::open("{}").unwrap();
/// for (station, celsius) in [("Oslo", -3.5), ("Rome", 11.0), ("Kiruna", -20.0), ("Lima", 19.5)] {
///     harness.push(station, celsius, 60_000).unwrap();
/// }
/// let kept: Vec<_> = harness.output().into_iter().map(|(station, ..)| station).collect();
/// assert_eq!(kept, ["Rome", "Lima"]);
/// ```
pub struct Keep {
    port: Port,
    /// Rows done so far.
    rows: u32,
    /// Those that are kept.
    kept: Vec<u32>,
    is_kept: bool,
}

impl Keep {
    /// Passes the row on.
    #[inline(always)]
    pub fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl OutputKind for Keep {
    type Key<K: Codec> = K;
    type Value<V: Codec> = V;
    const PASSES: bool = true;

    fn new(port: Port) -> Self {
        Keep { port, rows: 0, kept: Vec::new(), is_kept: false }
    }

    #[inline(always)]
    fn begin_row(&mut self, _: i64) {
        self.is_kept = false;
    }

    #[inline(always)]
    fn end_row(&mut self) -> Result<(), CodecError> {
        if self.is_kept {
            self.kept.push(self.rows);
        }
        self.rows += 1;
        Ok(())
    }

    fn end(&mut self, mut input: Passed) {
        let all = std::mem::take(&mut self.rows) as usize == self.kept.len();
        // In `finish` there is no row to pass on.
        if self.kept.is_empty() || input.batch.rows() == 0 {
            self.kept.clear();
            return;
        }
        if !all {
            input.keep(&self.kept);
        }
        self.kept.clear();
        self.port.emit.emit(self.port.index, input.batch);
    }

    fn discard(&mut self) {
        self.rows = 0;
        self.kept.clear();
    }
}
