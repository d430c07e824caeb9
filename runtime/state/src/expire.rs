//! Removes entries that have expired from the base, some at a time. What has expired is never returned anyway; this is for
//! the room that it takes. It goes by the time of the oldest checkpoint that is kept, so that a replay finds what it needs.

use std::collections::BTreeMap;

use redb::Durability;
use wasmill_core::state::StateError;

use crate::{
    database::{BASE, Database, entries},
    effects, layout,
    manifest::{StoredManifest, StoredState, What},
};

/// Entries that one step looks at.
const STEP_ENTRIES: usize = 8_192;

/// A walk through one state.
#[derive(Debug)]
pub(crate) struct Sweep {
    pub(crate) state: StoredState,
    /// What has expired by then is removed.
    pub(crate) horizon: i64,
    from: Vec<u8>,
}

impl Sweep {
    /// The next state to be swept: one whose time went on by half its TTL since it was swept.
    pub(crate) fn due(oldest: &StoredManifest, swept: &BTreeMap<u32, i64>) -> Option<Sweep> {
        oldest.states.iter().find_map(|state| {
            let What::State(name) = &state.what else { return None };
            let described = &oldest.manifest.node(&state.operator)?.description.as_ref()?.states;
            let ttl = described.iter().find(|described| described.name == *name)?.ttl?;
            let horizon = oldest.horizon(state);
            let wait = i64::try_from(ttl.milliseconds / 2).unwrap_or(i64::MAX).max(1_000);
            let last = swept.get(&state.number).copied();
            let due = horizon > i64::MIN && last.is_none_or(|last| horizon.saturating_sub(last) >= wait);
            let from = layout::group_start(state.number, 0);
            due.then(|| Sweep { state: state.clone(), horizon, from })
        })
    }

    /// Looks at some entries; true behind the last.
    pub(crate) fn step(&mut self, database: &Database) -> Result<bool, StateError> {
        let shape = self.state.shape;
        let end = layout::group_start(self.state.number, 1 << 16);
        let mut changes = Vec::new();
        let next = database.read(|transaction| {
            let base = transaction.open_table(BASE)?;
            for (looked, entry) in entries(&base, &self.from, &end)?.enumerate() {
                let (key, value) = entry?;
                if looked == STEP_ENTRIES {
                    return Ok(Some(key));
                }
                match effects::unexpired(shape, &value, self.horizon) {
                    Some(left) if left.as_ref() != Some(&value) => changes.push((key, left)),
                    // Unchanged, or malformed: reading it tells.
                    _ => {}
                }
            }
            Ok(None)
        })?;
        if !changes.is_empty() {
            database.write(Durability::None, |transaction| {
                let mut base = transaction.open_table(BASE)?;
                for (key, left) in &changes {
                    match left {
                        Some(value) => drop(base.insert(&key[..], &value[..])?),
                        None => drop(base.remove(&key[..])?),
                    }
                }
                Ok(())
            })?;
        }
        match next {
            Some(next) => self.from = next,
            None => return Ok(true),
        }
        Ok(false)
    }
}
