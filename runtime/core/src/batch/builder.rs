//! Fills a batch row by row, by ranges, or by a gather of another batch's rows.

use std::ops::Range;

use super::{Batch, KEY_ABSENT, NO_TIME, Row, VALUE_ABSENT, slice};

/// Builds a [`Batch`]; used by sources and by routers.
///
/// Within a builder `timestamps`, `key_ends` and `value_ends` always have an entry a row; `flags` and `header_ends` only
/// once a row needs them.
#[derive(Debug, Default, Clone)]
pub struct BatchBuilder {
    batch: Batch,
}

impl BatchBuilder {
    /// Number of rows so far.
    pub fn rows(&self) -> usize {
        self.batch.timestamps.len()
    }

    /// Whether no row was added since the last [`BatchBuilder::take`].
    pub fn is_empty(&self) -> bool {
        self.batch.timestamps.is_empty()
    }

    /// Bytes so far, as [`Batch::bytes`] counts them.
    pub fn bytes(&self) -> usize {
        self.batch.bytes()
    }

    /// Adds one row.
    pub fn push(&mut self, row: Row<'_>) {
        let (rows, b) = (self.rows(), &mut self.batch);
        b.timestamps.push(row.timestamp);
        b.keys.extend_from_slice(row.key.unwrap_or_default());
        b.key_ends.push(b.keys.len() as u32);
        b.values.extend_from_slice(row.value.unwrap_or_default());
        b.value_ends.push(b.values.len() as u32);
        let flag = if row.key.is_none() { KEY_ABSENT } else { 0 } | if row.value.is_none() { VALUE_ABSENT } else { 0 };
        if flag != 0 || !b.flags.is_empty() {
            b.flags.resize(rows, 0);
            b.flags.push(flag);
        }
        if !row.headers.is_empty() || !b.header_ends.is_empty() {
            b.header_ends.resize(rows, 0);
            b.headers.extend_from_slice(row.headers);
            b.header_ends.push(b.headers.len() as u32);
        }
    }

    /// Adds the rows of `from` in `range`, column by column.
    ///
    /// # Panics
    /// If the range is out of bounds or `from` is not valid.
    pub fn append_range(&mut self, from: &Batch, range: Range<usize>) {
        let (rows, b) = (self.rows(), &mut self.batch);
        let count = range.len();
        if from.timestamps.is_empty() {
            b.timestamps.resize(rows + count, NO_TIME);
        } else {
            b.timestamps.extend_from_slice(&from.timestamps[range.clone()]);
        }
        append_column(&from.key_ends, &from.keys, range.clone(), &mut b.key_ends, &mut b.keys);
        append_column(&from.value_ends, &from.values, range.clone(), &mut b.value_ends, &mut b.values);
        if needs_flags(from) || !b.flags.is_empty() {
            b.flags.resize(rows, 0);
            b.flags.extend(range.clone().map(|i| flags_of(from, i)));
        }
        if !from.header_ends.is_empty() || !b.header_ends.is_empty() {
            b.header_ends.resize(rows, 0);
            append_column(&from.header_ends, &from.headers, range, &mut b.header_ends, &mut b.headers);
        }
    }

    /// Adds the rows of `from` at `indexes`, in that order, column by column.
    ///
    /// # Panics
    /// If an index is out of bounds or `from` is not valid.
    pub fn append_rows(&mut self, from: &Batch, indexes: &[u32]) {
        let (rows, b) = (self.rows(), &mut self.batch);
        if from.timestamps.is_empty() {
            b.timestamps.resize(rows + indexes.len(), NO_TIME);
        } else {
            b.timestamps.extend(indexes.iter().map(|&i| from.timestamps[i as usize]));
        }
        gather_column(&from.key_ends, &from.keys, indexes, &mut b.key_ends, &mut b.keys);
        gather_column(&from.value_ends, &from.values, indexes, &mut b.value_ends, &mut b.values);
        if needs_flags(from) || !b.flags.is_empty() {
            b.flags.resize(rows, 0);
            b.flags.extend(indexes.iter().map(|&i| flags_of(from, i as usize)));
        }
        if !from.header_ends.is_empty() || !b.header_ends.is_empty() {
            b.header_ends.resize(rows, 0);
            gather_column(&from.header_ends, &from.headers, indexes, &mut b.header_ends, &mut b.headers);
        }
    }

    /// The batch built so far; the builder is empty afterwards.
    pub fn take(&mut self) -> Batch {
        std::mem::take(&mut self.batch)
    }
}

/// Whether rows of `batch` lack a key or a value while a builder's columns would give them an empty one.
fn needs_flags(batch: &Batch) -> bool {
    !batch.flags.is_empty() || batch.key_ends.is_empty() || batch.value_ends.is_empty()
}

fn flags_of(batch: &Batch, i: usize) -> u8 {
    let whole = if batch.key_ends.is_empty() { KEY_ABSENT } else { 0 }
        | if batch.value_ends.is_empty() { VALUE_ABSENT } else { 0 };
    whole | batch.flags.get(i).copied().unwrap_or(0)
}

fn append_column(ends: &[u32], bytes: &[u8], range: Range<usize>, out_ends: &mut Vec<u32>, out: &mut Vec<u8>) {
    if ends.is_empty() || range.is_empty() {
        out_ends.resize(out_ends.len() + range.len(), out.len() as u32);
        return;
    }
    let start = if range.start == 0 { 0 } else { ends[range.start - 1] };
    let base = out.len() as u32;
    out.extend_from_slice(&bytes[start as usize..ends[range.end - 1] as usize]);
    out_ends.extend(ends[range].iter().map(|end| end - start + base));
}

fn gather_column(ends: &[u32], bytes: &[u8], indexes: &[u32], out_ends: &mut Vec<u32>, out: &mut Vec<u8>) {
    if ends.is_empty() {
        out_ends.resize(out_ends.len() + indexes.len(), out.len() as u32);
        return;
    }
    match stride(ends, bytes.len()) {
        Some(8) => gather_fixed::<8>(bytes, indexes, out_ends, out),
        Some(4) => gather_fixed::<4>(bytes, indexes, out_ends, out),
        Some(16) => gather_fixed::<16>(bytes, indexes, out_ends, out),
        _ => {
            out_ends.reserve(indexes.len());
            for &i in indexes {
                out.extend_from_slice(slice(ends, bytes, i as usize));
                out_ends.push(out.len() as u32);
            }
        }
    }
}

/// The length that every entry of a column has, if they all have the same.
fn stride(ends: &[u32], bytes: usize) -> Option<usize> {
    let first = *ends.first()? as usize;
    if first * ends.len() != bytes {
        return None;
    }
    let even =
        ends.iter().enumerate().fold(0, |bad, (i, &end)| bad | (end ^ ((i as u32 + 1).wrapping_mul(first as u32))));
    (even == 0).then_some(first)
}

fn gather_fixed<const N: usize>(bytes: &[u8], indexes: &[u32], out_ends: &mut Vec<u32>, out: &mut Vec<u8>) {
    let (entries, _) = bytes.as_chunks::<N>();
    let base = out.len();
    // Room first, then whole entries: a loop over chunks copies words, one that appends copies bytes.
    out.resize(base + indexes.len() * N, 0);
    let (gathered, _) = out[base..].as_chunks_mut::<N>();
    for (to, &i) in gathered.iter_mut().zip(indexes) {
        *to = entries[i as usize];
    }
    out_ends.extend((1..=indexes.len()).map(|i| (base + i * N) as u32));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Owned = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<u8>);

    fn rows() -> impl Strategy<Value = Vec<Owned>> {
        let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..12));
        let fixed = proptest::collection::vec(
            (any::<i64>(), Just(Some(vec![1; 8])), Just(Some(vec![2; 4])), Just(vec![])),
            0..40,
        );
        let mixed = proptest::collection::vec((any::<i64>(), bytes(), bytes(), Just(vec![])), 0..40);
        let headers = proptest::collection::vec((any::<i64>(), bytes(), bytes(), Just(vec![9; 3])), 0..9);
        prop_oneof![fixed, mixed, headers]
    }

    fn build(rows: &[Owned]) -> Batch {
        let mut builder = BatchBuilder::default();
        for (timestamp, key, value, headers) in rows {
            builder.push(Row { timestamp: *timestamp, key: key.as_deref(), value: value.as_deref(), headers });
        }
        builder.take()
    }

    fn owned(batch: &Batch) -> Vec<Owned> {
        let owned = |r: Row<'_>| (r.timestamp, r.key.map(Vec::from), r.value.map(Vec::from), r.headers.to_vec());
        batch.iter().map(owned).collect()
    }

    proptest! {
        #[test]
        fn rows_come_back_as_they_were_pushed(rows in rows()) {
            let batch = build(&rows);
            prop_assert_eq!(batch.check(), Ok(()));
            prop_assert_eq!(owned(&batch), rows);
        }

        #[test]
        fn ranges_and_gathers_equal_row_by_row(a in rows(), b in rows(), picks in proptest::collection::vec(any::<usize>(), 0..30)) {
            let source = build(&b);
            let indexes: Vec<u32> = picks.iter().filter(|_| !b.is_empty()).map(|p| (p % b.len()) as u32).collect();
            let middle = b.len() / 3..b.len();

            let mut builder = BatchBuilder { batch: build(&a) };
            builder.append_rows(&source, &indexes);
            builder.append_range(&source, middle.clone());
            let mut expected = a.clone();
            expected.extend(indexes.iter().map(|&i| b[i as usize].clone()));
            expected.extend_from_slice(&b[middle]);
            let built = builder.take();
            prop_assert_eq!(built.check(), Ok(()));
            prop_assert_eq!(owned(&built), expected);
        }
    }

    #[test]
    fn an_empty_column_stays_absent() {
        let values_only = Batch { value_ends: vec![1, 2], values: b"xy".to_vec(), ..Batch::default() };
        let mut builder = BatchBuilder::default();
        builder.append_rows(&values_only, &[1, 0]);
        builder.append_range(&values_only, 0..1);
        let batch = builder.take();
        assert_eq!(owned(&batch).iter().map(|r| r.1.clone()).collect::<Vec<_>>(), vec![None, None, None]);
        assert_eq!(batch.value(0), Some(&b"y"[..]));
        assert_eq!(batch.timestamp(2), NO_TIME);
    }
}
