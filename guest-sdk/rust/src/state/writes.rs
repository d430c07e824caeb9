//! Builds the columns of a write.

use crate::backend::{EntryKeys, Operation, Writes};

use super::Directory;

/// Writes that name no keys yet.
pub(crate) fn none() -> Writes {
    let entries = EntryKeys { key_ends: Vec::new(), keys: Vec::new(), map_key_ends: Vec::new(), map_keys: Vec::new() };
    Writes { operations: Vec::new(), entries, value_ends: Vec::new(), values: Vec::new(), expires: Vec::new() }
}

/// Adds a write whose value stands at the end of the column of values already. Its key is added by [`name`].
#[inline]
pub(crate) fn add(writes: &mut Writes, operation: Operation, map_key: Option<&[u8]>, expires: Option<i64>) {
    writes.operations.push(operation);
    writes.value_ends.push(writes.values.len() as u32);
    if let Some(map_key) = map_key {
        writes.entries.map_keys.extend_from_slice(map_key);
        writes.entries.map_key_ends.push(writes.entries.map_keys.len() as u32);
    }
    writes.expires.extend(expires);
}

/// Gives `key` to all writes that have no key yet.
#[inline]
pub(crate) fn name(writes: &mut Writes, key: &[u8]) {
    while writes.entries.key_ends.len() < writes.operations.len() {
        writes.entries.keys.extend_from_slice(key);
        writes.entries.key_ends.push(writes.entries.keys.len() as u32);
    }
}

/// What a write takes beside its key and value, in bytes.
pub(crate) const OVERHEAD: usize = 9;

/// Bytes of all columns, roughly.
#[inline]
pub(crate) fn bytes(writes: &Writes) -> usize {
    let Writes { operations, entries, values, .. } = writes;
    entries.keys.len() + entries.map_keys.len() + values.len() + operations.len() * OVERHEAD
}

/// Writes of what entries held at a cut. Their keys are told by slots.
pub(crate) struct Kept {
    /// A slot a write.
    pub(crate) slots: Vec<u32>,
    pub(crate) writes: Writes,
}

impl Kept {
    /// The writes with their keys.
    pub(crate) fn named(self, keys: &Directory) -> Writes {
        let Kept { slots, mut writes } = self;
        for slot in slots {
            writes.entries.keys.extend_from_slice(keys.key(slot));
            writes.entries.key_ends.push(writes.entries.keys.len() as u32);
        }
        writes
    }
}
