//! Gives each key a slot.

use super::Slot;
use crate::{
    backend::EntryKeys,
    column::{Column, words},
    error::{Error, Result},
};

/// The keys in the cache, in the order of their slots, and a hash table that finds them.
///
/// Keys of a fixed width of 4 or 8 bytes are looked up as one word, others of up to 15 bytes as two words, and longer ones by
/// their hash, after which the bytes are compared. The hash is not stored anywhere.
pub struct Directory {
    index: Index,
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

enum Index {
    Four(Table<u64>),
    Eight(Table<u64>),
    Any(Table<[u64; 2]>),
}

/// Open addressing with linear probing, at most half full.
struct Table<W> {
    entries: Vec<(W, u32)>,
    used: usize,
}

/// Marks an entry that holds no slot.
const EMPTY: u32 = u32::MAX;

/// In the last byte of the second word stands the length of a key of up to 15 bytes, or this.
const LONG: u64 = 0xff << 56;

/// A key as it is looked up.
trait Word: Copy + PartialEq + Default {
    fn hash(self) -> u64;
}

impl Word for u64 {
    #[inline(always)]
    fn hash(self) -> u64 {
        let product = self.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ (product >> 32)
    }
}

impl Word for [u64; 2] {
    #[inline(always)]
    fn hash(self) -> u64 {
        (self[0] ^ self[1].rotate_left(29)).hash()
    }
}

impl<W: Word> Table<W> {
    fn new() -> Table<W> {
        Table { entries: vec![(W::default(), EMPTY); 1024], used: 0 }
    }

    /// Reads the entries where `words` may be, for nothing but to have them in the processor's cache.
    #[inline(always)]
    fn touch(&self, words: impl Iterator<Item = W>) {
        let mask = self.entries.len() - 1;
        let touched = words.fold(0, |touched, word| touched ^ self.entries[word.hash() as usize & mask].1);
        std::hint::black_box(touched);
    }

    /// The slot of `word`, if it stands where it is looked for first.
    #[inline(always)]
    fn probe(&self, word: W) -> Option<u32> {
        let (held, slot) = self.entries[word.hash() as usize & (self.entries.len() - 1)];
        (held == word && slot != EMPTY).then_some(slot)
    }

    /// The slot of the entry that holds `word` and of which `same` is true.
    #[inline(always)]
    fn find(&self, word: W, same: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.entries.len() - 1;
        let mut at = word.hash() as usize & mask;
        loop {
            let (held, slot) = self.entries[at];
            if slot == EMPTY {
                return None;
            }
            if held == word && same(slot) {
                return Some(slot);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds an entry that is not there.
    fn insert(&mut self, word: W, slot: u32) {
        if (self.used + 1) * 2 > self.entries.len() {
            let larger = vec![(W::default(), EMPTY); self.entries.len() * 2];
            for (word, slot) in std::mem::replace(&mut self.entries, larger) {
                if slot != EMPTY {
                    self.place(word, slot);
                }
            }
        }
        self.used += 1;
        self.place(word, slot);
    }

    fn place(&mut self, word: W, slot: u32) {
        let mask = self.entries.len() - 1;
        let mut at = word.hash() as usize & mask;
        while self.entries[at].1 != EMPTY {
            at = (at + 1) & mask;
        }
        self.entries[at] = (word, slot);
    }

    fn bytes(&self) -> usize {
        self.entries.len() * size_of::<(W, u32)>()
    }
}

/// The words of a key of up to 15 bytes at `start` of `bytes`.
#[inline(always)]
fn short(bytes: &[u8], start: usize, key: &[u8]) -> [u64; 2] {
    let length = key.len();
    let [low, high] = match bytes.get(start..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(block) => {
            let (words, _) = block.as_chunks::<8>();
            let bits = |bytes: usize| if bytes >= 8 { u64::MAX } else { (1 << (8 * bytes)) - 1 };
            [u64::from_le_bytes(words[0]) & bits(length), u64::from_le_bytes(words[1]) & bits(length.saturating_sub(8))]
        }
        None => words(key),
    };
    [low, high | (length as u64) << 56]
}

/// The words of a longer key: its hash and its length.
fn long(key: &[u8]) -> [u64; 2] {
    let (chunks, rest) = key.as_chunks::<8>();
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).hash();
    let hash = chunks.iter().fold(key.len() as u64, |hash, chunk| mix(hash, u64::from_le_bytes(*chunk)));
    [mix(hash, words(rest)[0]), LONG | key.len() as u64]
}

impl Directory {
    /// A directory of keys of `width` bytes, 0 where it varies.
    pub(crate) fn new(width: usize) -> Directory {
        let index = match width {
            4 => Index::Four(Table::new()),
            8 => Index::Eight(Table::new()),
            _ => Index::Any(Table::new()),
        };
        Directory { index, ends: Vec::new(), bytes: Vec::new() }
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The key at `slot`.
    pub(crate) fn key(&self, slot: u32) -> &[u8] {
        key_at(&self.ends, &self.bytes, slot)
    }

    /// Memory that it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let table = match &self.index {
            Index::Four(table) | Index::Eight(table) => table.bytes(),
            Index::Any(table) => table.bytes(),
        };
        table + self.ends.capacity() * 4 + self.bytes.capacity()
    }

    /// The keys from slot `first` on.
    pub(crate) fn keys_from(&self, first: usize) -> EntryKeys {
        let base = if first == 0 { 0 } else { self.ends[first - 1] };
        EntryKeys {
            key_ends: self.ends[first..].iter().map(|end| end - base).collect(),
            keys: self.bytes[base as usize..].to_vec(),
            map_key_ends: Vec::new(),
            map_keys: Vec::new(),
        }
    }

    /// Puts the slot of every row's key in `slots`; keys that are new get one.
    ///
    /// # Errors
    /// The record's whose key is null, or not of the fixed width.
    pub(crate) fn resolve(&mut self, keys: Column<'_>, rows: usize, slots: &mut Vec<Slot>) -> Result {
        slots.clear();
        slots.reserve(rows);
        let Directory { index, ends, bytes } = self;
        match index {
            Index::Four(table) => {
                let keys = keys.fixed::<4>(rows).ok_or_else(|| wrong_key(keys, rows, Some(4)))?;
                numbers(table, ends, bytes, keys, slots, |key| u64::from(u32::from_le_bytes(key)));
            }
            Index::Eight(table) => {
                let keys = keys.fixed::<8>(rows).ok_or_else(|| wrong_key(keys, rows, Some(8)))?;
                numbers(table, ends, bytes, keys, slots, u64::from_le_bytes);
            }
            Index::Any(table) => {
                if keys.first_null(rows).is_some() {
                    return Err(wrong_key(keys, rows, None));
                }
                strings(table, ends, bytes, keys, rows, slots)?;
            }
        }
        Ok(())
    }
}

/// How many entries are touched before they are looked at, so that the processor waits for many at once.
const AHEAD: usize = 64;

// The loops are functions of their own, with the first probe of a key in the loop and the others out of line: so they fit
// the processor's registers, and the one check for interruption that a loop has in WebAssembly is made once a key.

#[inline(never)]
fn numbers<const WIDTH: usize>(
    table: &mut Table<u64>,
    ends: &mut Vec<u32>,
    bytes: &mut Vec<u8>,
    keys: &[[u8; WIDTH]],
    slots: &mut Vec<Slot>,
    word: impl Fn([u8; WIDTH]) -> u64,
) {
    for keys in keys.chunks(AHEAD) {
        table.touch(keys.iter().map(|key| word(*key)));
        slots.extend(keys.iter().map(|key| match table.probe(word(*key)) {
            Some(slot) => Slot(slot),
            None => find_or_add(table, ends, bytes, word(*key), key),
        }));
    }
}

#[inline(never)]
fn strings(
    table: &mut Table<[u64; 2]>,
    ends: &mut Vec<u32>,
    bytes: &mut Vec<u8>,
    keys: Column<'_>,
    rows: usize,
    slots: &mut Vec<Slot>,
) -> Result {
    let mut start = 0;
    for &end in &keys.ends[..rows] {
        let key = keys.bytes.get(start..end as usize).ok_or_else(not_a_batch)?;
        let slot = if key.len() < 16 {
            let word = short(keys.bytes, start, key);
            match table.probe(word) {
                Some(slot) => Slot(slot),
                None => find_or_add(table, ends, bytes, word, key),
            }
        } else {
            find_or_add_long(table, ends, bytes, key)
        };
        slots.push(slot);
        start = end as usize;
    }
    Ok(())
}

#[inline(always)]
fn key_at<'a>(ends: &[u32], bytes: &'a [u8], slot: u32) -> &'a [u8] {
    let slot = slot as usize;
    let start = if slot == 0 { 0 } else { ends[slot - 1] as usize };
    &bytes[start..ends[slot] as usize]
}

#[inline(never)]
fn find_or_add<W: Word>(
    table: &mut Table<W>,
    ends: &mut Vec<u32>,
    bytes: &mut Vec<u8>,
    word: W,
    key: &[u8],
) -> Slot {
    match table.find(word, |_| true) {
        Some(slot) => Slot(slot),
        None => add(table, ends, bytes, word, key),
    }
}

#[inline(never)]
fn find_or_add_long(table: &mut Table<[u64; 2]>, ends: &mut Vec<u32>, bytes: &mut Vec<u8>, key: &[u8]) -> Slot {
    let word = long(key);
    match table.find(word, |slot| key_at(ends, bytes, slot) == key) {
        Some(slot) => Slot(slot),
        None => add(table, ends, bytes, word, key),
    }
}

#[cold]
fn add<W: Word>(table: &mut Table<W>, ends: &mut Vec<u32>, bytes: &mut Vec<u8>, word: W, key: &[u8]) -> Slot {
    let slot = ends.len() as u32;
    bytes.extend_from_slice(key);
    ends.push(bytes.len() as u32);
    table.insert(word, slot);
    Slot(slot)
}

/// The error of the first row whose key is null or has another width.
#[cold]
fn wrong_key(keys: Column<'_>, rows: usize, width: Option<usize>) -> Error {
    for (row, key) in keys.iter(rows).enumerate() {
        let message = match (key, width) {
            (None, _) => "its key is null, but the operator is keyed".to_string(),
            (Some(key), Some(width)) if key.len() != width => {
                format!("its key is {} bytes long, not {width}", key.len())
            }
            _ => continue,
        };
        return Error::Record { row: Some(row as u32), message };
    }
    not_a_batch()
}

#[cold]
fn not_a_batch() -> Error {
    Error::Batch("the column of keys is not valid".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;

    fn resolve(directory: &mut Directory, keys: &[&[u8]]) -> Result<Vec<u32>> {
        let mut batch = Batch::default();
        keys.iter().for_each(|key| batch.push(0, Some(key), None));
        let mut slots = Vec::new();
        directory.resolve(batch.key_column(), keys.len(), &mut slots)?;
        Ok(slots.iter().map(|slot| slot.0).collect())
    }

    #[test]
    fn keys_of_every_length_get_slots_in_the_order_they_come() {
        let text: Vec<u8> = (0..200).map(|i| i as u8).collect();
        let mut directory = Directory::new(0);
        // Every length from 0 to 40, twice; then zeroes, which only the length tells apart.
        let keys: Vec<&[u8]> = (0..=40).map(|length| &text[..length]).collect();
        let slots: Vec<u32> = (0..=40).collect();
        assert_eq!(resolve(&mut directory, &keys).unwrap(), slots);
        assert_eq!(resolve(&mut directory, &keys).unwrap(), slots);
        let zeroes = [0; 40];
        let keys: Vec<&[u8]> = (0..=40).map(|length| &zeroes[..length]).collect();
        let expected: Vec<u32> = [0, 1].into_iter().chain(41..=79).collect();
        assert_eq!(resolve(&mut directory, &keys).unwrap(), expected);
        assert_eq!((directory.len(), directory.key(5), directory.key(50)), (80, &text[..5], &zeroes[..11]));
        assert_eq!(directory.keys_from(78).key_ends, [39, 79]);
    }

    #[test]
    fn numbers_survive_growth() {
        let mut directory = Directory::new(8);
        let keys: Vec<[u8; 8]> = (0..5_000u64).map(|i| (i * 1_000_003).to_le_bytes()).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let slots: Vec<u32> = (0..5_000).collect();
        assert_eq!(resolve(&mut directory, &keys).unwrap(), slots);
        assert_eq!(resolve(&mut directory, &keys).unwrap(), slots);
    }

    #[test]
    fn a_wrong_key_is_the_error_of_its_row() {
        let error = |row, message: &str| Error::Record { row: Some(row), message: message.to_string() };
        let mut numbers = Directory::new(4);
        let result = resolve(&mut numbers, &[b"four", b"three"]);
        assert_eq!(result, Err(error(1, "its key is 5 bytes long, not 4")));
        let mut slots = Vec::new();
        let nulls = Batch { timestamps: vec![1, 2], ..Batch::default() };
        let result = Directory::new(0).resolve(nulls.key_column(), 2, &mut slots);
        assert_eq!(result, Err(error(0, "its key is null, but the operator is keyed")));
    }
}
