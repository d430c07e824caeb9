//! Gives each key a slot.

use std::hint::black_box;

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
        mix(self, 0)
    }
}

impl Word for [u64; 2] {
    #[inline(always)]
    fn hash(self) -> u64 {
        mix(self[0], self[1])
    }
}

/// Two multiplications, so that every bit of both words reaches the low bits of the result: keys such as `user-000001`
/// and whole numbers as `f64` differ in high bits only, which one multiplication and a fold leave in heaps.
#[inline(always)]
fn mix(low: u64, high: u64) -> u64 {
    let low = low.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    (low ^ high).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 32
}

impl<W: Word> Table<W> {
    fn new() -> Table<W> {
        Table { entries: vec![(W::default(), EMPTY); 1024], used: 0 }
    }

    /// Reads the entry where `word` may be, to have it in the processor's cache later.
    #[inline(always)]
    fn touch(&self, word: W) -> u32 {
        self.entries[word.hash() as usize & (self.entries.len() - 1)].1
    }

    /// The slot of the entry that holds `word` and of which `same` is true.
    ///
    /// The first probe stands before the loop: in WebAssembly each turn of a loop checks for interruption.
    #[inline(always)]
    fn find(&self, word: W, same: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.entries.len() - 1;
        let mut at = word.hash() as usize & mask;
        let (held, slot) = self.entries[at];
        if held == word && slot != EMPTY && same(slot) {
            return Some(slot);
        }
        let mut slot = slot;
        while slot != EMPTY {
            at = (at + 1) & mask;
            let (held, next) = self.entries[at];
            slot = next;
            if held == word && slot != EMPTY && same(slot) {
                return Some(slot);
            }
        }
        None
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
#[inline(never)]
fn long(key: &[u8]) -> [u64; 2] {
    let (chunks, rest) = key.as_chunks::<8>();
    let turn = |hash: u64, word: u64| {
        let product = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ product.rotate_left(32)
    };
    let hash = chunks.iter().fold(key.len() as u64, |hash, chunk| turn(hash, u64::from_le_bytes(*chunk)));
    [turn(hash, words(rest)[0]), LONG | key.len() as u64]
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

// The loops are functions of their own, so that they fit the processor's registers.

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
        black_box(keys.iter().fold(0, |touched, key| touched ^ table.touch(word(*key))));
        slots.extend(keys.iter().map(|key| match table.find(word(*key), |_| true) {
            Some(slot) => Slot(slot),
            None => add(table, ends, bytes, word(*key), key),
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
    let mut words = [[0; 2]; AHEAD];
    for chunk in keys.ends[..rows].chunks(AHEAD) {
        let first = start;
        let mut touched = 0;
        for (&end, word) in chunk.iter().zip(&mut words) {
            let key = keys.bytes.get(start..end as usize).ok_or_else(not_a_batch)?;
            *word = if key.len() < 16 { short(keys.bytes, start, key) } else { long(key) };
            touched ^= table.touch(*word);
            start = end as usize;
        }
        black_box(touched);
        start = first;
        for (&end, &word) in chunk.iter().zip(&words) {
            let key = &keys.bytes[start..end as usize];
            let slot = match word[1] < LONG {
                true => table.find(word, |_| true),
                false => table.find(word, |slot| key_at(ends, bytes, slot) == key),
            };
            slots.push(match slot {
                Some(slot) => Slot(slot),
                None => add(table, ends, bytes, word, key),
            });
            start = end as usize;
        }
    }
    Ok(())
}

#[inline(always)]
fn key_at<'a>(ends: &[u32], bytes: &'a [u8], slot: u32) -> &'a [u8] {
    let slot = slot as usize;
    let start = if slot == 0 { 0 } else { ends[slot - 1] as usize };
    &bytes[start..ends[slot] as usize]
}

#[cold]
#[inline(never)]
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

    /// How many entries are looked at to find a word, on average.
    fn probes<W: Word>(words: Vec<W>) -> f64 {
        let mut table = Table::new();
        words.iter().enumerate().for_each(|(slot, &word)| table.insert(word, slot as u32));
        let mask = table.entries.len() - 1;
        let distance = |(slot, &word): (usize, &W)| {
            let at = table.entries.iter().position(|&(_, held)| held == slot as u32).unwrap();
            (at.wrapping_sub(word.hash() as usize) & mask) + 1
        };
        words.iter().enumerate().map(distance).sum::<usize>() as f64 / words.len() as f64
    }

    /// At half of the entries used, a random hash takes 1.5 probes on average.
    #[test]
    fn keys_that_look_alike_are_spread() {
        let text = |prefix: &str, i: u32, suffix: &str| {
            let key = format!("{prefix}{i}{suffix}");
            if key.len() < 16 { short(b"", 0, key.as_bytes()) } else { long(key.as_bytes()) }
        };
        let keys = 0..2_000u32;
        let families = [
            ("numbers", probes(keys.clone().map(u64::from).collect())),
            ("multiples", probes(keys.clone().map(|i| u64::from(i) << 44).collect())),
            ("floats", probes(keys.clone().map(|i| f64::from(i).to_bits()).collect())),
            ("short", probes(keys.clone().map(|i| text("", 1_000_000 + i, "")).collect())),
            ("suffix", probes(keys.clone().map(|i| text("user-", 100_000 + i, "")).collect())),
            ("prefix", probes(keys.clone().map(|i| text("", 100_000 + i, "-user")).collect())),
            ("long", probes(keys.clone().map(|i| text("https://example.com/pages/", i, "/index.html")).collect())),
        ];
        for (family, probes) in families {
            assert!(probes < 2.5, "{family}: {probes:.2} probes");
        }
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
