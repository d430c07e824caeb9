//! Reads and builds one binary column: ends and bytes.

/// A column of byte strings, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    /// End offset of each entry in `bytes`. Empty where every entry is null.
    pub ends: &'a [u32],
    /// The entries, one after the other.
    pub bytes: &'a [u8],
    /// A byte a row, or none.
    pub flags: &'a [u8],
    /// The bit of `flags` that says that an entry is null.
    pub absent: u8,
}

impl<'a> Column<'a> {
    /// Entry `row`; `None` where it is null or out of bounds.
    pub fn get(&self, row: usize) -> Option<&'a [u8]> {
        let end = *self.ends.get(row)? as usize;
        if self.flags.get(row).is_some_and(|flag| flag & self.absent != 0) {
            return None;
        }
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        self.bytes.get(start..end)
    }

    /// The entries in order, `None` where one is null.
    pub fn iter(&self, rows: usize) -> Entries<'a> {
        Entries { column: *self, start: 0, row: 0, rows, nullable: self.ends.len() < rows || self.has_nulls() }
    }

    /// The first row that is null.
    pub fn first_null(&self, rows: usize) -> Option<usize> {
        if self.ends.len() < rows {
            return Some(self.ends.len());
        }
        self.flags.iter().take(rows).position(|flag| flag & self.absent != 0)
    }

    fn has_nulls(&self) -> bool {
        self.flags.iter().fold(0, |all, flag| all | flag) & self.absent != 0
    }

    /// The entries, if there are `rows` of them, each is `WIDTH` bytes long and none is null.
    pub fn fixed<const WIDTH: usize>(&self, rows: usize) -> Option<&'a [[u8; WIDTH]]> {
        let (entries, rest) = self.bytes.as_chunks::<WIDTH>();
        if entries.len() != rows || !rest.is_empty() || self.ends.len() != rows {
            return None;
        }
        // One pass without early exit, so that it is vectorised.
        let mut expected = 0u32;
        let mut uneven = 0u32;
        for &end in self.ends {
            expected = expected.wrapping_add(WIDTH as u32);
            uneven |= end ^ expected;
        }
        (uneven == 0 && !self.has_nulls()).then_some(entries)
    }
}

/// The entries of a column, in order.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    column: Column<'a>,
    start: usize,
    row: usize,
    rows: usize,
    nullable: bool,
}

impl Entries<'_> {
    /// Where the next entry starts in the column's bytes.
    #[inline(always)]
    pub(crate) fn offset(&self) -> usize {
        self.start
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Option<&'a [u8]>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.row == self.rows {
            return None;
        }
        let row = self.row;
        self.row += 1;
        if self.nullable && self.column.get(row).is_none() {
            self.start = self.column.ends.get(row).map_or(0, |&end| end as usize);
            return Some(None);
        }
        let end = self.column.ends[row] as usize;
        let entry = self.column.bytes.get(self.start..end);
        self.start = end;
        Some(entry)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.rows - self.row, Some(self.rows - self.row))
    }
}

/// Up to 16 bytes as two little-endian words, padded with zeroes.
///
/// Copying and comparing short strings by calls of `memcpy` and `memcmp` costs more than the rest of a record's work in
/// WebAssembly, so both go through words.
#[inline]
pub(crate) fn words(bytes: &[u8]) -> [u64; 2] {
    let length = bytes.len();
    let word = |at: usize| bytes[at..].first_chunk::<8>().map_or(0, |chunk| u64::from_le_bytes(*chunk));
    let half = |at: usize| bytes[at..].first_chunk::<4>().map_or(0, |chunk| u64::from(u32::from_le_bytes(*chunk)));
    match length {
        16.. => [word(0), word(8)],
        9.. => [word(0), word(length - 8) >> (8 * (16 - length))],
        8 => [word(0), 0],
        4.. => [half(0) | (half(length - 4) >> (8 * (8 - length))) << 32, 0],
        1.. => {
            let at = |i: usize| u64::from(bytes[i]) << (8 * i);
            [at(0) | at(length / 2) | at(length - 1), 0]
        }
        0 => [0, 0],
    }
}

/// Appends `bytes`, without a call of `memcpy` where they are short.
#[inline]
pub(crate) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() > 16 {
        out.extend_from_slice(bytes);
        return;
    }
    let end = out.len() + bytes.len();
    let [low, high] = words(bytes);
    let mut block = [0; 16];
    block[..8].copy_from_slice(&low.to_le_bytes());
    block[8..].copy_from_slice(&high.to_le_bytes());
    out.extend_from_slice(&block);
    out.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_the_bytes() {
        let bytes: Vec<u8> = (1..=16).collect();
        for length in 0..=16 {
            let mut padded = [0; 16];
            padded[..length].copy_from_slice(&bytes[..length]);
            let [low, high] = words(&bytes[..length]);
            assert_eq!(u128::from_le_bytes(padded), u128::from(low) | u128::from(high) << 64, "{length}");
        }
    }

    #[test]
    fn append_equals_extend() {
        let (bytes, mut out, mut expected) = (b"abcdefghijklmnopqrstuvwxyz", Vec::new(), Vec::new());
        for length in 0..=26 {
            append(&mut out, &bytes[..length]);
            expected.extend_from_slice(&bytes[..length]);
        }
        assert_eq!(out, expected);
    }

    #[test]
    fn a_fixed_column_is_recognised() {
        let column = |ends, bytes, flags| Column { ends, bytes, flags, absent: 2 };
        assert_eq!(column(&[2, 4], b"abcd", &[]).fixed::<2>(2), Some(&[*b"ab", *b"cd"][..]));
        assert_eq!(column(&[1, 4], b"abcd", &[]).fixed::<2>(2), None);
        assert_eq!(column(&[2, 4], b"abcd", &[0, 1]).fixed::<2>(2), Some(&[*b"ab", *b"cd"][..]));
        assert_eq!(column(&[2, 2], b"ab", &[0, 2]).fixed::<2>(2), None);
        assert_eq!(column(&[], b"", &[]).fixed::<2>(2), None);
    }

    #[test]
    fn entries_are_null_where_flags_or_the_column_say_so() {
        let column = Column { ends: &[1, 1, 3], bytes: b"abc", flags: &[0, 2, 0], absent: 2 };
        let entries: Vec<_> = column.iter(3).collect();
        assert_eq!(entries, [Some(&b"a"[..]), None, Some(b"bc")]);
        let none = Column { ends: &[], bytes: &[], flags: &[], absent: 1 };
        assert_eq!(none.iter(2).collect::<Vec<_>>(), [None, None]);
        assert_eq!((column.first_null(3), none.first_null(2)), (Some(1), Some(0)));
    }
}
