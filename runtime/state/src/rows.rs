//! Holds writes of one state as columns, in the order they were made, and brings them into the order of key groups.

use std::sync::Arc;

use wasmill_core::state::{StateError, StateOperation, Writes};

/// Rows beyond this many bytes begin another segment, so that no column is ever copied for long to grow.
const SEGMENT_BYTES: usize = 2 << 20;

/// What one row does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Act {
    /// Sets a value, or a map's entry.
    Put = 0,
    /// Removes a value, or a map's entry.
    Delete = 1,
    /// Adds an element to a list.
    Append = 2,
    /// Removes all that a key has.
    Clear = 3,
    /// Removes all that the key group has in this state: a copy of broadcast state begins anew.
    Truncate = 4,
}

impl Act {
    pub(crate) fn of(byte: u8) -> Option<Act> {
        [Act::Put, Act::Delete, Act::Append, Act::Clear, Act::Truncate].into_iter().find(|act| *act as u8 == byte)
    }
}

impl From<StateOperation> for Act {
    fn from(operation: StateOperation) -> Act {
        match operation {
            StateOperation::Put => Act::Put,
            StateOperation::Delete => Act::Delete,
            StateOperation::Append => Act::Append,
            StateOperation::Clear => Act::Clear,
        }
    }
}

/// Rows as columns: fewer than 4 GiB in each. Those of maps have map keys, those of states with a TTL an expiry; else these
/// columns are empty.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) acts: Vec<Act>,
    pub(crate) groups: Vec<u16>,
    pub(crate) key_ends: Vec<u32>,
    pub(crate) keys: Vec<u8>,
    pub(crate) map_key_ends: Vec<u32>,
    pub(crate) map_keys: Vec<u8>,
    pub(crate) value_ends: Vec<u32>,
    pub(crate) values: Vec<u8>,
    pub(crate) expires: Vec<i64>,
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) act: Act,
    pub(crate) group: u16,
    pub(crate) key: &'a [u8],
    pub(crate) map_key: &'a [u8],
    pub(crate) value: &'a [u8],
    /// `None` in a state without TTL.
    pub(crate) expires: Option<i64>,
}

fn slice<'a>(ends: &[u32], bytes: &'a [u8], i: usize) -> &'a [u8] {
    let Some(&end) = ends.get(i) else { return &[] };
    let start = if i == 0 { 0 } else { ends[i - 1] };
    &bytes[start as usize..end as usize]
}

fn extend(ends: &mut Vec<u32>, bytes: &mut Vec<u8>, new_ends: &[u32], new: &[u8]) {
    let base = bytes.len() as u32;
    ends.extend(new_ends.iter().map(|end| base + end));
    bytes.extend_from_slice(new);
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.acts.len()
    }

    /// Memory of all columns, about, bytes.
    pub(crate) fn bytes(&self) -> usize {
        let bytes = self.keys.len() + self.map_keys.len() + self.values.len();
        bytes + self.len() * 11 + self.map_key_ends.len() * 4 + self.expires.len() * 8
    }

    pub(crate) fn row(&self, i: usize) -> Row<'_> {
        Row {
            act: self.acts[i],
            group: self.groups[i],
            key: self.key(i),
            map_key: slice(&self.map_key_ends, &self.map_keys, i),
            value: slice(&self.value_ends, &self.values, i),
            expires: self.expires.get(i).copied(),
        }
    }

    pub(crate) fn key(&self, i: usize) -> &[u8] {
        slice(&self.key_ends, &self.keys, i)
    }

    pub(crate) fn value(&self, i: usize) -> &[u8] {
        slice(&self.value_ends, &self.values, i)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).map(|i| self.row(i))
    }

    /// Adds a row. Map key and expiry must be given to all rows or to none.
    pub(crate) fn push(&mut self, row: Row<'_>, is_map: bool) {
        self.acts.push(row.act);
        self.groups.push(row.group);
        self.keys.extend_from_slice(row.key);
        self.key_ends.push(self.keys.len() as u32);
        if is_map {
            self.map_keys.extend_from_slice(row.map_key);
            self.map_key_ends.push(self.map_keys.len() as u32);
        }
        self.values.extend_from_slice(row.value);
        self.value_ends.push(self.values.len() as u32);
        self.expires.extend(row.expires);
    }

    fn extend(&mut self, writes: &Writes, groups: &[u16]) {
        self.acts.extend(writes.operations.iter().map(|&operation| Act::from(operation)));
        self.groups.extend_from_slice(groups);
        extend(&mut self.key_ends, &mut self.keys, &writes.entries.key_ends, &writes.entries.keys);
        extend(&mut self.map_key_ends, &mut self.map_keys, &writes.entries.map_key_ends, &writes.entries.map_keys);
        extend(&mut self.value_ends, &mut self.values, &writes.value_ends, &writes.values);
        self.expires.extend_from_slice(&writes.expires);
    }

    fn shrink(&mut self) {
        self.acts.shrink_to_fit();
        self.groups.shrink_to_fit();
        for ends in [&mut self.key_ends, &mut self.map_key_ends, &mut self.value_ends] {
            ends.shrink_to_fit();
        }
        for bytes in [&mut self.keys, &mut self.map_keys, &mut self.values] {
            bytes.shrink_to_fit();
        }
        self.expires.shrink_to_fit();
    }

    fn truncate(&mut self, rows: usize) {
        self.acts.truncate(rows);
        self.groups.truncate(rows);
        for (ends, bytes) in [
            (&mut self.key_ends, &mut self.keys),
            (&mut self.map_key_ends, &mut self.map_keys),
            (&mut self.value_ends, &mut self.values),
        ] {
            ends.truncate(rows);
            bytes.truncate(ends.last().map_or(0, |&end| end as usize));
        }
        self.expires.truncate(rows);
    }

    /// The rows in the order of key groups, within one as they are here.
    fn sorted(&self, is_map: bool) -> Rows {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_by_key(|&row| self.groups[row as usize]);
        let mut sorted = Rows::default();
        order.into_iter().for_each(|row| sorted.push(self.row(row as usize), is_map));
        sorted
    }

    /// Memory of the first `rows` rows from `from` on, bytes, as [`Rows::bytes`] counts it.
    fn bytes_of(&self, from: usize, rows: usize) -> usize {
        let of = |ends: &[u32]| {
            let end = |row: usize| row.checked_sub(1).and_then(|last| ends.get(last)).map_or(0, |&end| end as usize);
            end(from + rows) - end(from)
        };
        let (is_map, expires) = (usize::from(!self.map_key_ends.is_empty()), usize::from(!self.expires.is_empty()));
        of(&self.key_ends) + of(&self.map_key_ends) + of(&self.value_ends) + rows * (11 + is_map * 4 + expires * 8)
    }

    /// How many rows at the start of `range` come to `bytes` at most.
    fn fitting(&self, range: std::ops::Range<usize>, bytes: usize) -> usize {
        let (mut fit, mut beyond) = (0, range.len() + 1);
        while fit + 1 < beyond {
            let rows = fit.midpoint(beyond);
            if self.bytes_of(range.start, rows) <= bytes { fit = rows } else { beyond = rows }
        }
        fit
    }

    /// Adds some rows of another.
    fn extend_from(&mut self, other: &Rows, range: std::ops::Range<usize>) {
        self.acts.extend_from_slice(&other.acts[range.clone()]);
        self.groups.extend_from_slice(&other.groups[range.clone()]);
        for (ends, bytes, other_ends, other_bytes) in [
            (&mut self.key_ends, &mut self.keys, &other.key_ends, &other.keys),
            (&mut self.map_key_ends, &mut self.map_keys, &other.map_key_ends, &other.map_keys),
            (&mut self.value_ends, &mut self.values, &other.value_ends, &other.values),
        ] {
            let Some(new_ends) = other_ends.get(range.clone()) else { continue };
            let start = range.start.checked_sub(1).map_or(0, |last| other_ends[last]);
            let end = new_ends.last().copied().unwrap_or(start);
            let base = bytes.len() as u32;
            ends.extend(new_ends.iter().map(|end| base + (end - start)));
            bytes.extend_from_slice(&other_bytes[start as usize..end as usize]);
        }
        self.expires.extend_from_slice(other.expires.get(range).unwrap_or_default());
    }

    /// The rows of some key groups, where rows are in the order of key groups.
    pub(crate) fn of_groups(&self, from: u16, to: u32) -> std::ops::Range<usize> {
        let start = self.groups.partition_point(|&group| group < from);
        let end = self.groups.partition_point(|&group| u32::from(group) < to);
        start..end.max(start)
    }
}

/// Where a row is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowId {
    pub(crate) segment: u32,
    pub(crate) row: u32,
}

/// Rows in segments; what was added can be taken back.
#[derive(Debug, Default, Clone)]
pub(crate) struct Segments(Vec<Arc<Rows>>);

impl Segments {
    /// The segments, for whoever writes them out. They do not change any more once nothing more is added.
    pub(crate) fn all(&self) -> &[Arc<Rows>] {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|rows| rows.bytes()).sum()
    }

    pub(crate) fn row(&self, id: RowId) -> Row<'_> {
        self.0[id.segment as usize].row(id.row as usize)
    }

    pub(crate) fn key(&self, id: RowId) -> &[u8] {
        self.0[id.segment as usize].key(id.row as usize)
    }

    /// One past the last row.
    pub(crate) fn end(&self) -> RowId {
        match self.0.last() {
            Some(last) => RowId { segment: self.0.len() as u32 - 1, row: last.len() as u32 },
            None => RowId::default(),
        }
    }

    /// All rows from `start` on, in order.
    pub(crate) fn from(&self, start: RowId) -> impl Iterator<Item = (RowId, Row<'_>)> {
        let segments = (start.segment..).zip(self.0.get(start.segment as usize..).unwrap_or_default());
        segments.flat_map(move |(segment, rows)| {
            let first = if segment == start.segment { start.row } else { 0 };
            (first..rows.len() as u32).map(move |row| (RowId { segment, row }, rows.row(row as usize)))
        })
    }

    /// Adds rows that are stored already.
    pub(crate) fn push(&mut self, rows: Arc<Rows>) {
        self.0.push(rows);
    }

    /// The segment that takes `bytes` more.
    fn room(&mut self, bytes: usize) -> &mut Rows {
        let full = |rows: &Arc<Rows>| rows.len() > 0 && rows.bytes() + bytes > SEGMENT_BYTES;
        if self.0.last().is_none_or(full) {
            // It may stay for long: a column that has grown by doubling holds a quarter more than it needs on average.
            if let Some(last) = self.0.last_mut().and_then(Arc::get_mut) {
                last.shrink();
            }
            self.0.push(Arc::default());
        }
        let last = self.0.len() - 1;
        // Shared only while what has been cut is written out; then nothing is added any more.
        Arc::make_mut(&mut self.0[last])
    }

    /// Adds writes, which have been verified; `groups` are the key groups of their keys.
    pub(crate) fn extend(&mut self, writes: &Writes, groups: &[u16]) {
        let bytes = writes.entries.keys.len() + writes.entries.map_keys.len() + writes.values.len() + groups.len() * 23;
        self.room(bytes).extend(writes, groups);
    }

    /// Adds one row.
    pub(crate) fn add(&mut self, row: Row<'_>, is_map: bool) {
        self.room(row.key.len() + row.map_key.len() + row.value.len() + 23).push(row, is_map);
    }

    /// Forgets all rows from `end` on.
    pub(crate) fn truncate(&mut self, end: RowId) {
        self.0.truncate(end.segment as usize + 1);
        if let Some(last) = self.0.get_mut(end.segment as usize) {
            Arc::make_mut(last).truncate(end.row as usize);
            if end == RowId::default() {
                self.0.clear();
            }
        }
    }
}

/// Rows of several segments in the order of key groups, within one as they were made, in pieces of about `bytes` bytes.
pub(crate) fn by_group(segments: &[Arc<Rows>], is_map: bool, bytes: usize) -> Vec<Rows> {
    // Rows are moved about within a segment only, which fits a processor's cache; between segments go whole runs of rows.
    let mut sorted: Vec<_> = segments.iter().map(|rows| (0, rows.sorted(is_map))).collect();
    let mut pieces = vec![Rows::default()];
    while let Some(group) = sorted.iter().filter_map(|(next, rows)| rows.groups.get(*next)).min().copied() {
        for (next, rows) in &mut sorted {
            let run = rows.groups[*next..].iter().take_while(|&&of| of == group).count();
            let mut range = *next..*next + run;
            *next = range.end;
            while !range.is_empty() {
                let last = pieces.len() - 1;
                let fit = rows.fitting(range.clone(), bytes.saturating_sub(pieces[last].bytes()));
                if fit == 0 && pieces[last].len() > 0 {
                    pieces.push(Rows::default());
                    continue;
                }
                let split = range.start + fit.max(1);
                pieces[last].extend_from(rows, range.start..split);
                range.start = split;
            }
        }
    }
    pieces.retain(|rows| rows.len() > 0);
    pieces
}

/// What is wrong with a write that the contract forbids.
pub(crate) fn contract(message: impl ToString) -> StateError {
    StateError::Contract(message.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(group: u16, key: &'static [u8]) -> Row<'static> {
        Row { act: Act::Put, group, key, map_key: &[], value: b"v", expires: None }
    }

    #[test]
    fn groups_are_put_in_order_and_rows_of_a_group_are_not() {
        let mut segments = Segments::default();
        for (group, key) in [(3, b"a"), (1, b"b"), (3, b"c"), (0, b"d"), (1, b"e")] {
            segments.add(row(group, key), false);
        }
        let pieces = by_group(segments.all(), false, 1 << 20);
        let found: Vec<_> = pieces[0].rows().map(|row| (row.group, row.key[0])).collect();
        assert_eq!(found, [(0, b'd'), (1, b'b'), (1, b'e'), (3, b'a'), (3, b'c')]);
        assert_eq!(pieces[0].of_groups(1, 3), 1..3);
        assert_eq!(pieces[0].of_groups(2, 3), 3..3);
        // A piece is full when another row does not fit, but has one row at least.
        assert_eq!(by_group(segments.all(), false, 1).len(), 5);
        assert!(by_group(&[], false, 1).is_empty());
    }

    /// Against a stable sort of all rows, in columns of every sort, over several segments.
    #[test]
    fn pieces_hold_all_rows_in_order_and_are_of_their_size() {
        for (is_map, expires) in [(false, None), (true, None), (false, Some(7)), (true, Some(9))] {
            let mut random = 1u64;
            let mut next = |below: u64| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) % below
            };
            let mut expected = Vec::new();
            let segments: Vec<Arc<Rows>> = (0..5)
                .map(|_| {
                    let mut rows = Rows::default();
                    for _ in 0..next(300) {
                        let bytes = [next(200) as u8; 20];
                        let (key, value) = (bytes[..next(20) as usize].to_vec(), bytes[..next(9) as usize].to_vec());
                        let (group, map_key) = (next(40) as u16, if is_map { &bytes[..3] } else { &[] });
                        let row = Row { act: Act::Put, group, key: &key, map_key, value: &value, expires };
                        rows.push(row, is_map);
                        expected.push((group, key, map_key.to_vec(), value));
                    }
                    Arc::new(rows)
                })
                .collect();
            expected.sort_by_key(|row| row.0);
            let pieces = by_group(&segments, is_map, 1_000);
            let found: Vec<_> = pieces
                .iter()
                .flat_map(Rows::rows)
                .map(|row| (row.group, row.key.to_vec(), row.map_key.to_vec(), row.value.to_vec()))
                .collect();
            assert_eq!(found, expected);
            assert!(pieces.iter().flat_map(Rows::rows).all(|row| row.expires == expires));
            // Full but for what another row may take: 19 bytes of key, 3, 8, and what every row takes.
            let (last, full) = pieces.split_last().unwrap();
            assert!(full.iter().all(|rows| rows.bytes() <= 1_000 && rows.bytes() > 1_000 - 19 - 3 - 8 - 23));
            assert!(last.bytes() <= 1_000 && full.len() > 10);
        }
    }

    #[test]
    fn what_was_added_is_taken_back() {
        let mut segments = Segments::default();
        let empty = segments.end();
        segments.add(row(1, b"a"), false);
        let (mark, before) = (segments.end(), segments.clone());
        segments.add(row(2, b"b"), false);
        let mut other = segments.clone();
        other.push(Arc::new(before.all()[0].as_ref().clone()));
        for mut segments in [segments, other] {
            segments.truncate(mark);
            assert_eq!(segments.all(), before.all());
            segments.truncate(empty);
            assert!(segments.is_empty() && segments.end() == empty);
        }
    }
}
