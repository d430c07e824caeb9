//! Holds rows as columns: the layout that crosses channels and the guest boundary unchanged.

mod builder;
mod check;

pub use builder::BatchBuilder;
pub use check::BatchError;
pub(crate) use check::ends as check_ends;

/// The timestamp of a row that has no event time.
pub const NO_TIME: i64 = i64::MIN;

/// Bit of [`Batch::flags`]: the row's key is absent (null).
pub const KEY_ABSENT: u8 = 1;

/// Bit of [`Batch::flags`]: the row's value is absent (a tombstone).
pub const VALUE_ABSENT: u8 = 2;

/// Rows as columns, in the layout of an Arrow binary array; the `batch` record of the WIT contract, field by field.
///
/// Let n be the number of rows: `timestamps`, `key_ends` and `value_ends` have n entries or none, and an empty column says
/// that every row lacks it. `flags` and `header_ends` have n entries or none. [`Batch::check`] verifies all of this.
///
/// ```
/// use wasmill_core::{BatchBuilder, Row};
/// let mut builder = BatchBuilder::default();
/// builder.push(Row { timestamp: 7, key: Some(b"k"), value: Some(b"v"), headers: &[] });
/// builder.push(Row { timestamp: 8, key: None, value: Some(b""), headers: &[] });
/// let batch = builder.take();
/// assert_eq!((batch.rows(), batch.key(0), batch.key(1), batch.value(1)), (2, Some(&b"k"[..]), None, Some(&b""[..])));
/// assert!(batch.check().is_ok());
/// ```
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Event time of each row, milliseconds since the Unix epoch; [`NO_TIME`] where a row has none.
    pub timestamps: Vec<i64>,
    /// End offset of each row's key in `keys`, bytes.
    pub key_ends: Vec<u32>,
    /// The keys, one after the other.
    pub keys: Vec<u8>,
    /// End offset of each row's value in `values`, bytes.
    pub value_ends: Vec<u32>,
    /// The values, one after the other.
    pub values: Vec<u8>,
    /// [`KEY_ABSENT`] and [`VALUE_ABSENT`] per row; empty when no row needs them.
    pub flags: Vec<u8>,
    /// End offset of each row's headers in `headers`, bytes; empty when no row has headers.
    pub header_ends: Vec<u32>,
    /// Per row any number of (u32 length, name, u32 length, value), lengths little-endian.
    pub headers: Vec<u8>,
}

/// One row of a [`Batch`], borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// Event time, milliseconds since the Unix epoch, or [`NO_TIME`].
    pub timestamp: i64,
    /// The key; `None` where it is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers as they stand in [`Batch::headers`].
    pub headers: &'a [u8],
}

impl Batch {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.timestamps.len().max(self.key_ends.len()).max(self.value_ends.len())
    }

    /// Whether the batch has no row.
    pub fn is_empty(&self) -> bool {
        self.rows() == 0
    }

    /// Bytes that the columns hold: what budgets and quotas count.
    pub fn bytes(&self) -> usize {
        self.timestamps.len() * 8
            + (self.key_ends.len() + self.value_ends.len() + self.header_ends.len()) * 4
            + self.keys.len()
            + self.values.len()
            + self.flags.len()
            + self.headers.len()
    }

    /// Event time of row `i`, or [`NO_TIME`].
    ///
    /// # Panics
    /// If the batch has timestamps and `i` is not below [`Batch::rows`].
    pub fn timestamp(&self, i: usize) -> i64 {
        if self.timestamps.is_empty() { NO_TIME } else { self.timestamps[i] }
    }

    /// Key of row `i`, `None` where it is absent.
    ///
    /// # Panics
    /// If `i` is out of bounds or the batch is not valid ([`Batch::check`]).
    pub fn key(&self, i: usize) -> Option<&[u8]> {
        if self.key_ends.is_empty() || self.flag(i, KEY_ABSENT) {
            return None;
        }
        Some(slice(&self.key_ends, &self.keys, i))
    }

    /// Value of row `i`, `None` where it is absent.
    ///
    /// # Panics
    /// If `i` is out of bounds or the batch is not valid ([`Batch::check`]).
    pub fn value(&self, i: usize) -> Option<&[u8]> {
        if self.value_ends.is_empty() || self.flag(i, VALUE_ABSENT) {
            return None;
        }
        Some(slice(&self.value_ends, &self.values, i))
    }

    /// Row `i`, borrowed.
    ///
    /// # Panics
    /// If `i` is out of bounds or the batch is not valid ([`Batch::check`]).
    pub fn row(&self, i: usize) -> Row<'_> {
        let headers = if self.header_ends.is_empty() { &[][..] } else { slice(&self.header_ends, &self.headers, i) };
        Row { timestamp: self.timestamp(i), key: self.key(i), value: self.value(i), headers }
    }

    /// All rows in order.
    ///
    /// # Panics
    /// While iterating, if the batch is not valid ([`Batch::check`]).
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        (0..self.rows()).map(|i| self.row(i))
    }

    /// Whether some row has no key.
    pub fn lacks_keys(&self) -> bool {
        self.key_ends.len() < self.rows() || self.flags.iter().any(|flag| flag & KEY_ABSENT != 0)
    }

    fn flag(&self, i: usize, bit: u8) -> bool {
        !self.flags.is_empty() && self.flags[i] & bit != 0
    }
}

/// Entry `i` of a binary column.
pub(crate) fn slice<'a>(ends: &[u32], bytes: &'a [u8], i: usize) -> &'a [u8] {
    let start = if i == 0 { 0 } else { ends[i - 1] as usize };
    &bytes[start..ends[i] as usize]
}
