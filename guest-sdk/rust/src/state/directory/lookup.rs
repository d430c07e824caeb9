//! Looks up the keys of a batch: the loops over its rows.

use std::hint::black_box;

use super::{
    Slot,
    keys::Keys,
    table::Table,
    word::{LONG, Word, long, short},
};
use crate::{
    column::Column,
    error::{Error, Result},
};

/// How many entries are touched before they are looked at, so that the processor waits for many at once.
const AHEAD: usize = 64;

// The loops are functions of their own, so that they fit the processor's registers.

#[inline(never)]
pub(super) fn numbers<const WIDTH: usize>(
    table: &mut Table<u64>,
    held: &mut Keys,
    keys: &[[u8; WIDTH]],
    slots: &mut Vec<Slot>,
    word: impl Fn([u8; WIDTH]) -> u64,
) {
    for keys in keys.chunks(AHEAD) {
        black_box(keys.iter().fold(0, |touched, key| touched ^ table.touch(word(*key))));
        slots.extend(keys.iter().map(|key| match table.find(word(*key), |_| true) {
            Some(slot) => Slot(slot),
            None => add(table, held, word(*key), key),
        }));
    }
}

#[inline(never)]
pub(super) fn strings(
    table: &mut Table<[u64; 2]>,
    held: &mut Keys,
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
                false => table.find(word, |slot| held.holds(slot, key)),
            };
            slots.push(match slot {
                Some(slot) => Slot(slot),
                None => add(table, held, word, key),
            });
            start = end as usize;
        }
    }
    Ok(())
}

#[cold]
#[inline(never)]
fn add<W: Word>(table: &mut Table<W>, held: &mut Keys, word: W, key: &[u8]) -> Slot {
    let slot = held.add(key);
    table.insert(word, slot);
    Slot(slot)
}

/// The error of the first row whose key is null or has another width.
#[cold]
pub(super) fn wrong_key(keys: Column<'_>, rows: usize, width: Option<usize>) -> Error {
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
