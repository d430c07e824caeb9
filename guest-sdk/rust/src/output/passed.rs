//! Holds the columns of the input that are passed on, and leaves rows out of them.

use crate::batch::{Batch, TimerBatch};

/// Columns of the input that an output may pass on untouched. Those of timers have no values.
#[derive(Debug, Default)]
pub struct Passed {
    pub(crate) batch: Batch,
}

impl From<Batch> for Passed {
    fn from(batch: Batch) -> Passed {
        Passed { batch }
    }
}

impl From<TimerBatch> for Passed {
    fn from(timers: TimerBatch) -> Passed {
        let TimerBatch { times, key_ends, keys, .. } = timers;
        Passed { batch: Batch { timestamps: times, key_ends, keys, ..Batch::default() } }
    }
}

impl Passed {
    /// Leaves out all rows but those of `kept`, which ascend. In place: rows that stand together are moved together.
    pub(super) fn keep(&mut self, kept: &[u32]) {
        let Batch { timestamps, key_ends, keys, value_ends, values, flags, header_ends, headers } = &mut self.batch;
        pick(timestamps, kept);
        pick(flags, kept);
        pick_bytes(key_ends, keys, kept);
        pick_bytes(value_ends, values, kept);
        pick_bytes(header_ends, headers, kept);
    }
}

fn pick<T: Copy>(column: &mut Vec<T>, kept: &[u32]) {
    if !column.is_empty() {
        kept.iter().enumerate().for_each(|(at, &row)| column[at] = column[row as usize]);
        column.truncate(kept.len());
    }
}

fn pick_bytes(ends: &mut Vec<u32>, bytes: &mut Vec<u8>, kept: &[u32]) {
    if ends.is_empty() {
        return;
    }
    let (mut rows, mut length) = (0, 0);
    for run in kept.chunk_by(|row, next| *next == row + 1) {
        let (Some(&first), Some(&last)) = (run.first(), run.last()) else { continue };
        let start = if first == 0 { 0 } else { ends[first as usize - 1] as usize };
        let end = ends[last as usize] as usize;
        bytes.copy_within(start..end, length);
        for row in first..=last {
            ends[rows] = ends[row as usize] - (start - length) as u32;
            rows += 1;
        }
        length += end - start;
    }
    ends.truncate(rows);
    bytes.truncate(length);
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

    fn rows(batch: &Batch) -> Vec<Row> {
        let (keys, values) = (batch.key_column(), batch.value_column());
        let own = |entry: Option<&[u8]>| entry.map(<[u8]>::to_vec);
        (0..batch.rows()).map(|row| (batch.timestamps[row], own(keys.get(row)), own(values.get(row)))).collect()
    }

    /// Against rows that are left out one by one.
    #[test]
    fn what_is_kept_is_as_it_was() {
        let row = |i: u8| -> Row {
            let (key, value) = (vec![i; usize::from(i % 4)], vec![i; 3]);
            (i64::from(i), (i % 5 != 3).then_some(key), (i % 4 != 1).then_some(value))
        };
        let all: Vec<Row> = (0..12).map(row).collect();
        let mut whole = Batch::default();
        all.iter().for_each(|(time, key, value)| whole.push(*time, key.as_deref(), value.as_deref()));
        for mask in 0..1u32 << all.len() {
            let kept: Vec<u32> = (0..all.len() as u32).filter(|row| mask >> row & 1 == 1).collect();
            let mut passed = Passed { batch: whole.clone() };
            passed.keep(&kept);
            let expected: Vec<Row> = kept.iter().map(|row| all[*row as usize].clone()).collect();
            assert_eq!(rows(&passed.batch), expected, "{kept:?}");
        }
    }
}
