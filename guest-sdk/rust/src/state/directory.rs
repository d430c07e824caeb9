//! Gives each key a slot.

mod keys;
mod lookup;
mod table;
mod word;

use keys::Keys;
use lookup::{numbers, strings, wrong_key};
use table::Table;
use word::{long, short};

use super::Slot;
use crate::{backend::EntryKeys, column::Column, error::Result};

/// The keys in the cache, and a hash table that finds their slots.
///
/// Keys of a fixed width of 4 or 8 bytes are looked up as one word, others of up to 15 bytes as two words, and longer ones by
/// their hash, after which the bytes are compared. The hash is not stored anywhere.
pub struct Directory {
    index: Index,
    keys: Keys,
}

enum Index {
    Four(Table<u64>),
    Eight(Table<u64>),
    Any(Table<[u64; 2]>),
}

impl Directory {
    /// A directory of keys of `width` bytes, 0 where it varies.
    pub(crate) fn new(width: usize) -> Directory {
        let index = match width {
            4 => Index::Four(Table::new()),
            8 => Index::Eight(Table::new()),
            _ => Index::Any(Table::new()),
        };
        Directory { index, keys: Keys::default() }
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Number of slots, with those that were given up.
    pub(crate) fn slots(&self) -> usize {
        self.keys.slots()
    }

    /// Slots that the last call of `resolve` gave to keys that are new.
    pub(crate) fn added(&self) -> &[u32] {
        self.keys.added()
    }

    /// Whether there is a key at `slot`.
    pub(crate) fn is_held(&self, slot: u32) -> bool {
        self.keys.is_held(slot)
    }

    /// The key at `slot`.
    pub(crate) fn key(&self, slot: u32) -> &[u8] {
        self.keys.key(slot)
    }

    /// Memory that its keys take, roughly, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        // At most half of the table is used, a quarter after it has grown; and each key has a place in two lists.
        let entry = match &self.index {
            Index::Four(_) | Index::Eight(_) => Table::<u64>::ENTRY,
            Index::Any(_) => Table::<[u64; 2]>::ENTRY,
        };
        self.len() * (3 * entry + 12) + self.keys.bytes()
    }

    /// The keys at `slots`.
    pub(crate) fn keys_of(&self, slots: &[u32]) -> EntryKeys {
        let (mut key_ends, mut keys) = (Vec::with_capacity(slots.len()), Vec::new());
        for &slot in slots {
            keys.extend_from_slice(self.key(slot));
            key_ends.push(keys.len() as u32);
        }
        EntryKeys { key_ends, keys, map_key_ends: Vec::new(), map_keys: Vec::new() }
    }

    /// Forgets the key at `slot`, which will be that of another one.
    pub(crate) fn remove(&mut self, slot: u32) {
        let key = self.keys.key(slot);
        match &mut self.index {
            Index::Four(table) => {
                let word = key.first_chunk().map_or(0, |key| u64::from(u32::from_le_bytes(*key)));
                table.remove(word, slot);
            }
            Index::Eight(table) => table.remove(key.first_chunk().map_or(0, |key| u64::from_le_bytes(*key)), slot),
            Index::Any(table) => {
                let word = if key.len() < 16 { short(key, 0, key) } else { long(key) };
                table.remove(word, slot);
            }
        }
        self.keys.remove(slot);
    }

    /// To be called after some were removed: gives memory back where much of it is not used.
    pub(crate) fn tidy(&mut self) {
        self.keys.tidy();
    }

    /// Puts the slot of every row's key in `slots`; keys that are new get one.
    ///
    /// # Errors
    /// The record's whose key is null, or not of the fixed width.
    pub(crate) fn resolve(&mut self, keys: Column<'_>, rows: usize, slots: &mut Vec<Slot>) -> Result {
        slots.clear();
        slots.reserve(rows);
        let Directory { index, keys: held } = self;
        held.begin();
        match index {
            Index::Four(table) => {
                let keys = keys.fixed::<4>(rows).ok_or_else(|| wrong_key(keys, rows, Some(4)))?;
                numbers(table, held, keys, slots, |key| u64::from(u32::from_le_bytes(key)));
            }
            Index::Eight(table) => {
                let keys = keys.fixed::<8>(rows).ok_or_else(|| wrong_key(keys, rows, Some(8)))?;
                numbers(table, held, keys, slots, u64::from_le_bytes);
            }
            Index::Any(table) => {
                if keys.first_null(rows).is_some() {
                    return Err(wrong_key(keys, rows, None));
                }
                strings(table, held, keys, rows, slots)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{batch::Batch, error::Error};

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
        assert_eq!(directory.keys_of(&[78, 79]).key_ends, [39, 79]);
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
    fn slots_are_used_again_and_keys_stay_what_they_are() {
        for width in [0, 8] {
            let mut directory = Directory::new(width);
            let keys: Vec<[u8; 8]> = (0..40_000u64).map(|i| (i * 1_000_003).to_le_bytes()).collect();
            let all: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
            let slots = resolve(&mut directory, &all).unwrap();
            (0..40_000).filter(|slot| slot % 4 != 0).for_each(|slot| directory.remove(slot));
            directory.tidy();
            assert_eq!((directory.len(), directory.keys.bytes()), (10_000, 80_000));
            let again = resolve(&mut directory, &all).unwrap();
            assert_eq!(directory.added().len(), 30_000);
            assert_eq!((directory.len(), directory.slots()), (40_000, 40_000));
            assert!((0..40_000).step_by(4).all(|i| again[i] == slots[i]), "width {width}");
            assert!(again.iter().zip(&all).all(|(slot, key)| directory.key(*slot) == *key), "width {width}");
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
