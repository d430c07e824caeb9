//! Decides whether columns describe a valid batch.

use super::{Batch, KEY_ABSENT, VALUE_ABSENT};

/// Why columns are not a batch. The text names the column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// A column's number of entries differs from the number of rows.
    #[error("column `{column}` has {entries} entries for {rows} rows")]
    Length {
        /// The WIT name of the column.
        column: &'static str,
        /// How many entries it has.
        entries: usize,
        /// How many rows the batch has.
        rows: usize,
    },
    /// End offsets decrease.
    #[error("column `{column}` decreases at row {row}")]
    Decreasing {
        /// The WIT name of the column.
        column: &'static str,
        /// The first row whose end is below the one before.
        row: usize,
    },
    /// The last end offset is not the length of the bytes.
    #[error("column `{column}` ends at {end}, but its bytes are {bytes} long")]
    End {
        /// The WIT name of the column.
        column: &'static str,
        /// The last end offset.
        end: usize,
        /// The number of bytes.
        bytes: usize,
    },
    /// An unknown bit is set, or an absent entry has a length.
    #[error("column `flags` is invalid at row {row}")]
    Flags {
        /// The row.
        row: usize,
    },
}

impl Batch {
    /// Verifies every invariant of the contract's `batch`.
    ///
    /// # Errors
    /// The first one broken, by column.
    pub fn check(&self) -> Result<(), BatchError> {
        let rows = self.rows();
        length("timestamps", self.timestamps.len(), rows)?;
        length("flags", self.flags.len(), rows)?;
        ends("key-ends", &self.key_ends, self.keys.len(), rows)?;
        ends("value-ends", &self.value_ends, self.values.len(), rows)?;
        ends("header-ends", &self.header_ends, self.headers.len(), rows)?;
        if self.flags.iter().any(|&flag| flag != 0) {
            self.check_flags()?;
        }
        Ok(())
    }

    fn check_flags(&self) -> Result<(), BatchError> {
        let empty = |ends: &[u32], i: usize| ends.is_empty() || ends[i] == if i == 0 { 0 } else { ends[i - 1] };
        for (row, &flag) in self.flags.iter().enumerate() {
            if flag & !(KEY_ABSENT | VALUE_ABSENT) != 0
                || (flag & KEY_ABSENT != 0 && !empty(&self.key_ends, row))
                || (flag & VALUE_ABSENT != 0 && !empty(&self.value_ends, row))
            {
                return Err(BatchError::Flags { row });
            }
        }
        Ok(())
    }
}

fn length(column: &'static str, entries: usize, rows: usize) -> Result<(), BatchError> {
    if entries != 0 && entries != rows {
        return Err(BatchError::Length { column, entries, rows });
    }
    Ok(())
}

/// Checks one column of end offsets against its bytes; shared by all bulk columns of the contract.
pub(crate) fn ends(column: &'static str, ends: &[u32], bytes: usize, rows: usize) -> Result<(), BatchError> {
    length(column, ends.len(), rows)?;
    // One pass without early exit, so that it is vectorised; the row is looked for only when there is one.
    if ends.windows(2).fold(false, |bad, pair| bad | (pair[1] < pair[0])) {
        let row = ends.windows(2).position(|pair| pair[1] < pair[0]).unwrap_or(0) + 1;
        return Err(BatchError::Decreasing { column, row });
    }
    let end = ends.last().map_or(0, |&end| end as usize);
    if end != bytes {
        return Err(BatchError::End { column, end, bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch { timestamps: vec![1, 2], value_ends: vec![1, 3], values: b"abc".to_vec(), ..Batch::default() }
    }

    #[test]
    fn a_whole_batch_and_an_empty_one_are_valid() {
        assert_eq!(batch().check(), Ok(()));
        assert_eq!(Batch::default().check(), Ok(()));
    }

    #[test]
    fn each_broken_invariant_is_named() {
        let length = Batch { timestamps: vec![1], ..batch() };
        assert_eq!(length.check(), Err(BatchError::Length { column: "timestamps", entries: 1, rows: 2 }));
        let decreasing = Batch { value_ends: vec![3, 1], ..batch() };
        assert_eq!(decreasing.check(), Err(BatchError::Decreasing { column: "value-ends", row: 1 }));
        let end = Batch { value_ends: vec![1, 9], ..batch() };
        assert_eq!(end.check(), Err(BatchError::End { column: "value-ends", end: 9, bytes: 3 }));
        let orphan = Batch { keys: vec![0], ..batch() };
        assert_eq!(orphan.check(), Err(BatchError::End { column: "key-ends", end: 0, bytes: 1 }));
        let bit = Batch { flags: vec![0, 4], ..batch() };
        assert_eq!(bit.check(), Err(BatchError::Flags { row: 1 }));
        let absent_with_bytes = Batch { flags: vec![VALUE_ABSENT, 0], ..batch() };
        assert_eq!(absent_with_bytes.check(), Err(BatchError::Flags { row: 0 }));
    }
}
