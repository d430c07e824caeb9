//! The stored format of a chunk: rows of one state as columns, with their range of key groups and a checksum.
//!
//! Big-endian: state u32, first and last key group u16 each, flags u8 (1: map keys, 2: expiry), number of rows u32, bytes of
//! keys, map keys and values u32 each; then the columns: acts u8, groups u16, key ends u32, map key ends u32, value ends u32,
//! expiry i64, keys, map keys, values; last XXH3-64 of all before.

use xxhash_rust::xxh3::xxh3_64;

use crate::rows::{Act, Rows};

/// About how long a chunk is, bytes: appending is cheapest with chunks of 64 to 256 KiB.
pub(crate) const CHUNK_BYTES: usize = 128 << 10;

const HEADER: usize = 4 + 2 + 2 + 1 + 4 * 4;
const MAP_KEYS: u8 = 1;
const EXPIRES: u8 = 2;

/// Rows of a state, in the order of key groups, as they are stored.
pub(crate) fn encode(state: u32, rows: &Rows) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + rows.bytes() + 8);
    out.extend_from_slice(&state.to_be_bytes());
    for group in [rows.groups.first(), rows.groups.last()] {
        out.extend_from_slice(&group.copied().unwrap_or_default().to_be_bytes());
    }
    let map_keys = if rows.map_key_ends.is_empty() { 0 } else { MAP_KEYS };
    out.push(map_keys | if rows.expires.is_empty() { 0 } else { EXPIRES });
    for length in [rows.len(), rows.keys.len(), rows.map_keys.len(), rows.values.len()] {
        out.extend_from_slice(&(length as u32).to_be_bytes());
    }
    out.extend(rows.acts.iter().map(|&act| act as u8));
    rows.groups.iter().for_each(|group| out.extend_from_slice(&group.to_be_bytes()));
    for ends in [&rows.key_ends, &rows.map_key_ends, &rows.value_ends] {
        ends.iter().for_each(|end| out.extend_from_slice(&end.to_be_bytes()));
    }
    rows.expires.iter().for_each(|at| out.extend_from_slice(&at.to_be_bytes()));
    for bytes in [&rows.keys, &rows.map_keys, &rows.values] {
        out.extend_from_slice(bytes);
    }
    let checksum = xxh3_64(&out);
    out.extend_from_slice(&checksum.to_be_bytes());
    out
}

/// Reads a chunk. An error says what is wrong with it.
pub(crate) fn decode(chunk: &[u8]) -> Result<(u32, Rows), &'static str> {
    let (body, checksum) = chunk.split_last_chunk().ok_or("it is cut off")?;
    if xxh3_64(body) != u64::from_be_bytes(*checksum) {
        return Err("its checksum is wrong");
    }
    // What the checksum covers is what this crate wrote; the rest is against mistakes of its own.
    parse(body).filter(|(_, rows)| is_sound(rows)).ok_or("its columns do not fit together")
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn column<const N: usize, T>(&mut self, rows: usize, of: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
        let bytes = self.bytes(rows.checked_mul(N)?)?;
        Some(bytes.as_chunks().0.iter().map(|&array| of(array)).collect())
    }
}

fn parse(body: &[u8]) -> Option<(u32, Rows)> {
    let mut input = Input(body);
    let state = u32::from_be_bytes(input.array()?);
    let _range: [u8; 4] = input.array()?;
    let [flags] = input.array()?;
    let mut length = || input.array().map(|bytes| u32::from_be_bytes(bytes) as usize);
    let (rows, keys, map_keys, values) = (length()?, length()?, length()?, length()?);
    let acts: Option<Vec<Act>> = input.bytes(rows)?.iter().map(|&byte| Act::of(byte)).collect();
    let (acts, groups) = (acts?, input.column(rows, u16::from_be_bytes)?);
    let mut ends = |there: bool| input.column(if there { rows } else { 0 }, u32::from_be_bytes);
    let (key_ends, map_key_ends, value_ends) = (ends(true)?, ends(flags & MAP_KEYS != 0)?, ends(true)?);
    let expires = input.column(if flags & EXPIRES != 0 { rows } else { 0 }, i64::from_be_bytes)?;
    let mut bytes = |length| input.bytes(length).map(<[u8]>::to_vec);
    let (keys, map_keys, values) = (bytes(keys)?, bytes(map_keys)?, bytes(values)?);
    let rows = Rows { acts, groups, key_ends, keys, map_key_ends, map_keys, value_ends, values, expires };
    input.0.is_empty().then_some((state, rows))
}

fn is_sound(rows: &Rows) -> bool {
    let whole = |ends: &[u32], bytes: &[u8]| {
        ends.is_sorted() && ends.last().map_or(bytes.is_empty(), |&end| end as usize == bytes.len())
    };
    rows.groups.is_sorted()
        && whole(&rows.key_ends, &rows.keys)
        && whole(&rows.map_key_ends, &rows.map_keys)
        && whole(&rows.value_ends, &rows.values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Row;

    fn rows() -> Rows {
        let mut rows = Rows::default();
        let row = Row { act: Act::Put, group: 5, key: b"k", map_key: b"mm", value: b"v", expires: Some(7) };
        rows.push(row, true);
        rows.push(Row { act: Act::Clear, group: 6, map_key: b"", value: b"", ..row }, true);
        rows
    }

    #[test]
    fn a_chunk_is_pinned() {
        #[rustfmt::skip]
        let expected = [
            0, 0, 0, 9,  0, 5,  0, 6,  3,  0, 0, 0, 2,  0, 0, 0, 2,  0, 0, 0, 2,  0, 0, 0, 1,
            0, 3,  0, 5, 0, 6,  0, 0, 0, 1, 0, 0, 0, 2,  0, 0, 0, 2, 0, 0, 0, 2,  0, 0, 0, 1, 0, 0, 0, 1,
            0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 7,  b'k', b'k',  b'm', b'm',  b'v',
        ];
        let chunk = encode(9, &rows());
        let (body, checksum) = chunk.split_at(chunk.len() - 8);
        assert_eq!(body, expected);
        assert_eq!(checksum, xxh3_64(&expected).to_be_bytes());
        assert_eq!(decode(&chunk), Ok((9, rows())));
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        let chunk = encode(9, &rows());
        for i in 0..chunk.len() {
            let mut damaged = chunk.clone();
            damaged[i] ^= 1;
            assert!(decode(&damaged).is_err(), "byte {i}");
            assert!(decode(&chunk[..i]).is_err(), "cut off at {i}");
        }
    }

    #[test]
    fn columns_that_do_not_fit_are_refused_though_their_checksum_is_right() {
        let mut unsorted = rows();
        unsorted.groups.reverse();
        let mut long = rows();
        long.keys.push(1);
        for rows in [unsorted, long] {
            assert_eq!(decode(&encode(1, &rows)), Err("its columns do not fit together"));
        }
    }
}
