//! Decides which window a time belongs to, and what keys that name a window look like.
//!
//! Where a window ends for all keys at once, the window is part of the key: then state is one value a key, which is removed
//! when the window ends.

use wasmill_sdk::prelude::*;

/// Milliseconds of the windows of queries 5, 7, 8 and 12.
pub const SIZE: i64 = 10_000;

/// When the window of `size` milliseconds begins that `time` is in.
pub fn start_of(time: i64, size: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(size))
}

/// Event time of a record, milliseconds since the Unix epoch.
///
/// # Errors
/// The record's, when it has none.
#[inline]
pub fn time_of<K: wasmill_sdk::Codec, V: wasmill_sdk::Codec>(record: &Record<'_, K, V>) -> Result<i64> {
    record.timestamp().ok_or_else(|| Error::record("it has no event time"))
}

/// Records that came after their window had ended, as the SDK's windows count them.
pub struct LateRecords(Counter);

impl LateRecords {
    /// Declares the metric `late_records`.
    pub fn new(setup: &mut Setup) -> LateRecords {
        LateRecords(setup.counter("late_records"))
    }

    /// Sets the timer of the window that ends before `end`; false when that is over, so that the record is late.
    #[must_use]
    pub fn is_open(&self, end: i64, call: &mut KeyedCall<'_>, is_first: bool) -> bool {
        let last = end.saturating_sub(1);
        if last <= call.watermark() {
            call.add(self.0, 1.0);
            return false;
        }
        if is_first {
            call.register_event_timer(last, 0);
        }
        true
    }
}
