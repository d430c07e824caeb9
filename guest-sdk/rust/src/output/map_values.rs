//! Gives each row another value; times, keys and headers are moved from the input to the output.

use super::{Builder, COLUMNS_MAY_OVERFLOW, OutputKind, Passed, Port};
use crate::{
    batch::{Batch, KEY_ABSENT, VALUE_ABSENT},
    codec::{Bytes, Codec, CodecError},
};

/// Gives each row another value. Times, keys and headers stay as they are: their columns are moved, not rebuilt.
///
/// A row for which [`MapValues::set`] is not called is dropped. In `on_timer` a row has the timer's key and time.
pub struct MapValues<V: Codec> {
    port: Port,
    values: Builder<V>,
    /// Where the current row's value starts in the bytes.
    start: usize,
    /// Whether the current row has a value, and whether that is not null.
    set: Option<bool>,
    /// Rows done so far.
    rows: usize,
    /// The rows that have a value; only once there is a row that has none.
    kept: Option<Vec<u32>>,
    flags: Vec<u8>,
    failure: Option<CodecError>,
}

impl<V: Codec> MapValues<V> {
    /// The row's new value. A second call replaces it.
    #[inline]
    pub fn set(&mut self, value: V::View<'_>) {
        if self.set.is_some() {
            self.values.bytes.truncate(self.start);
        }
        match V::encode(value, &mut self.values.bytes) {
            Ok(present) => self.set = Some(present || !V::COLUMN),
            Err(error) => self.failure = Some(error),
        }
    }

    /// Rows that have a value so far.
    fn count(&self) -> usize {
        self.kept.as_ref().map_or(self.rows, Vec::len)
    }

    #[cold]
    fn flag(&mut self, present: bool) {
        self.flags.resize(self.count(), 0);
        self.flags.push(if present { 0 } else { VALUE_ABSENT });
    }

    #[cold]
    fn skip(&mut self) {
        self.kept.get_or_insert_with(|| (0..self.rows as u32).collect());
    }
}

impl MapValues<Bytes> {
    /// Makes a copy of `value` the row's new value, and gives that to be changed in place: quicker than to change a copy and copy
    /// it again.
    ///
    /// ```
    /// use wasmill_sdk::{prelude::*, testing::Harness};
    ///
    /// /// Counts a hop in the first byte of each packet.
    /// #[operator]
    /// pub fn hop(packet: Record<'_, (), Bytes>, out: &mut MapValues<Bytes>) {
    ///     if let Some(hops) = out.set_mut(packet.value).first_mut() {
    ///         *hops = hops.saturating_add(1);
    ///     }
    /// }
    ///
    /// let mut harness = Harness::<hop>::open("{}").unwrap();
    /// harness.push((), &[4, 7], 0).unwrap();
    /// assert_eq!(harness.output(), [((), vec![5, 7], Some(0))]);
    /// ```
    #[inline]
    pub fn set_mut(&mut self, value: &[u8]) -> &mut [u8] {
        self.set(value);
        &mut self.values.bytes[self.start..]
    }
}

impl<V: Codec> OutputKind for MapValues<V> {
    type Key<K: Codec> = K;
    type Value<Input: Codec> = V;
    const PASSES: bool = true;

    fn new(port: Port) -> Self {
        let (values, flags) = (Builder::default(), Vec::new());
        MapValues { port, values, start: 0, set: None, rows: 0, kept: None, flags, failure: None }
    }

    #[inline(always)]
    fn begin_row(&mut self, _: i64) {
        self.start = self.values.bytes.len();
        self.set = None;
    }

    #[inline(always)]
    fn end_row(&mut self) -> Result<(), CodecError> {
        if (V::FALLIBLE || COLUMNS_MAY_OVERFLOW)
            && let Some(error) = self.failure.take()
        {
            return Err(error);
        }
        match self.set {
            Some(present) => {
                self.values.end()?;
                if !present || !self.flags.is_empty() {
                    self.flag(present);
                }
                if let Some(kept) = &mut self.kept {
                    kept.push(self.rows as u32);
                }
            }
            None => self.skip(),
        }
        self.rows += 1;
        Ok(())
    }

    fn end(&mut self, mut input: Passed) {
        let rows = self.count();
        let (value_ends, values) = self.values.take(rows);
        let mut flags = std::mem::take(&mut self.flags);
        (input.batch.value_ends, input.batch.values) = Default::default();
        if let Some(kept) = self.kept.take() {
            input.keep(&kept);
        }
        self.rows = 0;
        self.set = None;
        if rows == 0 {
            return;
        }
        if input.batch.flags.iter().any(|flag| flag & KEY_ABSENT != 0) {
            flags.resize(rows, 0);
            flags.iter_mut().zip(&input.batch.flags).for_each(|(flag, passed)| *flag |= passed & KEY_ABSENT);
        }
        self.port.emit.emit(self.port.index, Batch { value_ends, values, flags, ..input.batch });
    }

    fn discard(&mut self) {
        self.values.clear();
        self.flags.clear();
        self.kept = None;
        self.rows = 0;
        self.set = None;
        self.failure = None;
    }
}
