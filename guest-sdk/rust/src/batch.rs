//! Holds rows as columns: what crosses between host and operator.

pub use crate::bindings::wasmill::operator::{timers::TimerBatch, types::Batch};

use crate::column::Column;

/// The timestamp of a row that has no event time.
pub const NO_TIME: i64 = i64::MIN;

/// The watermark after the end of a bounded input: an event-time timer at this time fires when the input has ended.
pub const END_OF_TIME: i64 = i64::MAX;

/// Bit of [`Batch::flags`]: the row's key is absent (null).
pub const KEY_ABSENT: u8 = 1;

/// Bit of [`Batch::flags`]: the row's value is absent (a tombstone).
pub const VALUE_ABSENT: u8 = 2;

#[allow(clippy::derivable_impls, reason = "the type is generated: it cannot be derived for this one alone")]
impl Default for Batch {
    fn default() -> Batch {
        Batch {
            timestamps: Vec::new(),
            key_ends: Vec::new(),
            keys: Vec::new(),
            value_ends: Vec::new(),
            values: Vec::new(),
            flags: Vec::new(),
            header_ends: Vec::new(),
            headers: Vec::new(),
        }
    }
}

impl Batch {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.timestamps.len().max(self.key_ends.len()).max(self.value_ends.len())
    }

    /// Event time of row `row`; `None` where it has none or the column is not there.
    pub fn timestamp(&self, row: usize) -> Option<i64> {
        self.timestamps.get(row).copied().filter(|&time| time != NO_TIME)
    }

    /// The column of keys.
    pub fn key_column(&self) -> Column<'_> {
        Column { ends: &self.key_ends, bytes: &self.keys, flags: &self.flags, absent: KEY_ABSENT }
    }

    /// The column of values.
    pub fn value_column(&self) -> Column<'_> {
        Column { ends: &self.value_ends, bytes: &self.values, flags: &self.flags, absent: VALUE_ABSENT }
    }

    /// Key of row `row`; `None` where it is null.
    pub fn key(&self, row: usize) -> Option<&[u8]> {
        self.key_column().get(row)
    }

    /// Value of row `row`; `None` where it is null.
    pub fn value(&self, row: usize) -> Option<&[u8]> {
        self.value_column().get(row)
    }

    /// Adds a row without headers to a batch that was filled by this function only.
    pub fn push(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        let rows = self.timestamps.len();
        self.timestamps.push(timestamp);
        self.keys.extend_from_slice(key.unwrap_or_default());
        self.key_ends.push(self.keys.len() as u32);
        self.values.extend_from_slice(value.unwrap_or_default());
        self.value_ends.push(self.values.len() as u32);
        let flag = if key.is_none() { KEY_ABSENT } else { 0 } | if value.is_none() { VALUE_ABSENT } else { 0 };
        if flag != 0 || !self.flags.is_empty() {
            self.flags.resize(rows, 0);
            self.flags.push(flag);
        }
    }
}

#[allow(clippy::derivable_impls, reason = "the type is generated: it cannot be derived for this one alone")]
impl Default for TimerBatch {
    fn default() -> TimerBatch {
        TimerBatch { times: Vec::new(), key_ends: Vec::new(), keys: Vec::new(), tags: Vec::new() }
    }
}

impl TimerBatch {
    /// The column of keys.
    pub fn key_column(&self) -> Column<'_> {
        Column { ends: &self.key_ends, bytes: &self.keys, flags: &[], absent: 0 }
    }

    /// Adds one timer.
    pub fn push(&mut self, time: i64, key: &[u8], tag: u64) {
        self.times.push(time);
        self.keys.extend_from_slice(key);
        self.key_ends.push(self.keys.len() as u32);
        self.tags.push(tag);
    }
}
