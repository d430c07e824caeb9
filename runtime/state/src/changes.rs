//! Holds changes not yet stored, each key once, and counts their bytes.

use std::collections::{HashMap, hash_map::Entry};

/// What one change costs beside the bytes of its stored key and value: a slot of the table and two allocations.
pub(crate) const OVERHEAD: u64 = 80;

/// Stored key to its value, or to nothing where it was deleted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Changes {
    entries: HashMap<Box<[u8]>, Option<Box<[u8]>>>,
    bytes: u64,
}

impl Changes {
    /// Sets or deletes a key.
    pub(crate) fn set(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Some(old) = self.entries.get_mut(key) else {
            self.bytes += cost(key, value);
            self.entries.insert(key.into(), value.map(Box::from));
            return;
        };
        match (&mut *old, value) {
            // Counters and other values of fixed width are overwritten in place.
            (Some(old), Some(value)) if old.len() == value.len() => old.copy_from_slice(value),
            _ => {
                self.bytes = self.bytes - cost(key, old.as_deref()) + cost(key, value);
                *old = value.map(Box::from);
            }
        }
    }

    /// The change of a key: `None` where there is none, `Some(None)` where the key was deleted.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.entries.get(key).map(Option::as_deref)
    }

    /// Drops the change of a key, as if it had never been made.
    pub(crate) fn forget(&mut self, key: &[u8]) {
        if let Some(value) = self.entries.remove(key) {
            self.bytes -= cost(key, value.as_deref());
        }
    }

    /// Puts `older` changes under these: where both have a key, this one stays.
    pub(crate) fn put_under(&mut self, older: Changes) {
        for (key, value) in older.entries {
            if let Entry::Vacant(vacant) = self.entries.entry(key) {
                self.bytes += cost(vacant.key(), value.as_deref());
                vacant.insert(value);
            }
        }
    }

    /// All changes in the order of their stored keys.
    pub(crate) fn sorted(&self) -> Vec<(&[u8], Option<&[u8]>)> {
        let mut sorted: Vec<_> = self.entries.iter().map(|(key, value)| (&**key, value.as_deref())).collect();
        sorted.sort_unstable_by_key(|&(key, _)| key);
        sorted
    }

    /// About how much memory they hold, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn cost(key: &[u8], value: Option<&[u8]>) -> u64 {
    OVERHEAD + (key.len() + value.map_or(0, <[u8]>::len)) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn changes_are_a_map_that_counts(
            writes in proptest::collection::vec((0u8..6, proptest::option::of(proptest::collection::vec(0u8..3, 0..4))), 0..40),
            split in 0usize..40,
        ) {
            let mut model = std::collections::BTreeMap::new();
            let (mut older, mut newer) = (Changes::default(), Changes::default());
            for (i, (key, value)) in writes.iter().enumerate() {
                let side = if i < split { &mut older } else { &mut newer };
                side.set(&[*key], value.as_deref());
                model.insert(vec![*key], value.clone());
            }
            newer.put_under(older);
            let expected: Vec<_> = model.iter().map(|(key, value)| (key.as_slice(), value.as_deref())).collect();
            prop_assert_eq!(newer.sorted(), expected);
            // 80 a change, 1 byte of key, and the value.
            let bytes: usize = model.values().map(|value| 81 + value.as_ref().map_or(0, Vec::len)).sum();
            prop_assert_eq!(newer.bytes(), bytes as u64);
            for key in model.keys() {
                newer.forget(key);
            }
            prop_assert_eq!(newer, Changes::default());
        }
    }
}
