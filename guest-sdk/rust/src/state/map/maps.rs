//! Holds what is known of the maps of a state by slot.

mod entries;
mod entry;
mod read;

use std::ops::Bound;

use entry::{Held, Map, MapKeyBytes};

use super::super::{
    Lifetime, Resolved,
    changes::{Changes, Generation},
    column::{Entries, Identity},
    value::{Cell, write_cell},
    writes,
};
use crate::{
    backend::{Operation, Writes},
    call::Call,
    codec::{CodecError, StateValue},
    error::Result,
};

/// The maps of a state by slot.
pub(super) struct Maps<V: StateValue> {
    maps: Vec<Map<V::Owned>>,
    lifetime: Option<Lifetime>,
    heap: usize,
    /// How far the map at a slot was handed over that was not done in one piece.
    resume: Option<(u32, Generation, MapKeyBytes)>,
}

impl<V: StateValue> Maps<V> {
    pub(super) fn new(lifetime: Option<Lifetime>) -> Maps<V> {
        Maps { maps: Vec::new(), lifetime, heap: 0, resume: None }
    }

    /// Sets or removes an entry.
    pub(super) fn replace(&mut self, changes: &mut Changes, slot: u32, map_key: &[u8], value: Option<V::Owned>) {
        if changes.is_open() {
            self.keep(changes, slot, map_key);
        }
        let generation = changes.generation;
        let expires = self.lifetime.as_ref().map_or(i64::MAX, Lifetime::expiry);
        let map = &mut self.maps[slot as usize];
        let (is_there, is_own) = match map.entries.get_mut(map_key) {
            // Most that are written were written before, since the last cut.
            Some(Held { cell: Cell::Changed(of, held), expires: until, weight, .. })
                if *of == generation && value.is_some() =>
            {
                if let Some(value) = value {
                    let heavier = V::weight(&value).min(u32::MAX as usize) as u32;
                    self.heap = self.heap - *weight as usize + heavier as usize;
                    (*held, *until, *weight) = (value, expires, heavier);
                }
                return;
            }
            Some(held) => (true, held.is_own && held.cell.is_changed_in(generation)),
            None => (false, map.whole),
        };
        match value {
            // It came and goes between two cuts, or never was: the host need not hear of it.
            None if is_own && is_there => return self.drop_entry(slot, map_key),
            None if is_own => return,
            None => self.insert(slot, map_key, Held { cell: Cell::Removed(generation), expires, weight: 0, is_own }),
            Some(value) => {
                self.insert(slot, map_key, Held { cell: Cell::Changed(generation, value), expires, weight: 0, is_own });
            }
        }
        self.note(changes, slot);
    }

    /// Removes all entries of a map.
    pub(super) fn clear(&mut self, changes: &mut Changes, slot: u32) {
        let before = changes.before();
        if changes.is_open() && self.is_changed(slot, before) {
            changes.keep(slot, |writes| self.take(slot, before, usize::MAX, writes).map(|_| ()));
        }
        self.forget_entries(slot);
        let map = &mut self.maps[slot as usize];
        (map.whole, map.is_read) = (true, false);
        map.cleared = Some(changes.generation);
        self.note(changes, slot);
    }

    /// Notes that the map at `slot` changed in this generation.
    fn note(&mut self, changes: &mut Changes, slot: u32) {
        let map = &mut self.maps[slot as usize];
        if map.listed != Some(changes.generation) {
            // The mark of the generation before is not needed any more: what changed in it is found entry by entry.
            map.listed_before = map.listed;
            map.listed = Some(changes.generation);
            changes.note(slot);
        }
    }

    /// Keeps what an entry held at the cut, if it is owed.
    #[cold]
    fn keep(&mut self, changes: &mut Changes, slot: u32, map_key: &[u8]) {
        let before = changes.before();
        let map = &mut self.maps[slot as usize];
        if map.cleared == Some(before) {
            // The removal of all goes first, and what was put after it with it.
            changes.keep(slot, |writes| self.take(slot, before, usize::MAX, writes).map(|_| ()));
        } else if let Some(held) = map.entries.get_mut(map_key)
            && held.cell.is_changed_in(before)
        {
            let expires = self.lifetime.is_some().then_some(held.expires);
            changes.keep(slot, |writes| write_cell::<V>(&mut held.cell, Some(map_key), expires, writes));
        }
    }

    /// Puts an entry into the cache in place of what it has.
    fn insert(&mut self, slot: u32, map_key: &[u8], mut held: Held<V::Owned>) {
        if let Cell::Changed(_, value) | Cell::Present(value) = &held.cell {
            held.weight = V::weight(value).min(u32::MAX as usize) as u32;
        }
        let map = &mut self.maps[slot as usize];
        let weight = held.weight as usize;
        match map.entries.get_mut(map_key) {
            Some(place) => {
                self.heap = self.heap - place.weight as usize + weight;
                *place = held;
            }
            None => {
                self.heap += weight + Map::<V::Owned>::cost(map_key);
                map.entries.insert(map_key.into(), held);
            }
        }
    }

    /// Removes an entry from the cache.
    fn drop_entry(&mut self, slot: u32, map_key: &[u8]) {
        if let Some(held) = self.maps[slot as usize].entries.remove(map_key) {
            self.heap -= held.weight as usize + Map::<V::Owned>::cost(map_key);
        }
    }

    fn forget_entries(&mut self, slot: u32) {
        for (map_key, held) in std::mem::take(&mut self.maps[slot as usize].entries) {
            self.heap -= held.weight as usize + Map::<V::Owned>::cost(&map_key);
        }
    }
}

impl<V: StateValue> Entries for Maps<V> {
    fn grow(&mut self, slots: usize) {
        if slots > self.maps.len() {
            self.maps.resize_with(slots, Map::default);
        }
    }

    fn begin(&mut self, _: &Identity, _: &mut Changes, _: &mut Call<'_>, batch: &Resolved<'_>) -> Result {
        if batch.added_keys.is_none() {
            // The host has nothing of them.
            batch.keys.added().iter().for_each(|&slot| self.maps[slot as usize].whole = true);
        }
        Ok(())
    }

    fn is_changed(&self, slot: u32, generation: Generation) -> bool {
        self.maps
            .get(slot as usize)
            .is_some_and(|map| map.listed == Some(generation) || map.listed_before == Some(generation))
    }

    fn take(
        &mut self,
        slot: u32,
        generation: Generation,
        max_bytes: usize,
        writes: &mut Writes,
    ) -> Result<bool, CodecError> {
        if !self.is_changed(slot, generation) {
            return Ok(true);
        }
        let resume = self.resume.take_if(|(at, of, _)| (*at, *of) == (slot, generation));
        let start = resume.map_or(Bound::Unbounded, |(.., map_key)| Bound::Included(map_key));
        let mut is_done = true;
        let expiring = self.lifetime.is_some();
        let map = &mut self.maps[slot as usize];
        if map.cleared == Some(generation) {
            map.cleared = None;
            writes::add(writes, Operation::Clear, Some(&[]), expiring.then_some(i64::MAX));
        }
        let (mut visited, mut removed, held_before) = (0, Vec::new(), writes::bytes(writes));
        for (map_key, held) in map.entries.range_mut(start.as_ref().map(|map_key| &map_key[..])) {
            if visited > 0
                && (writes::bytes(writes) >= max_bytes || held_before + visited * writes::OVERHEAD >= max_bytes)
            {
                self.resume = Some((slot, generation, map_key.clone()));
                is_done = false;
                break;
            }
            visited += 1;
            if held.cell.is_changed_in(generation) {
                write_cell::<V>(&mut held.cell, Some(map_key), expiring.then_some(held.expires), writes)?;
                if matches!(held.cell, Cell::Absent) {
                    removed.push(map_key.clone());
                }
            }
        }
        let is_whole = map.whole;
        if is_done {
            map.listed = map.listed.filter(|listed| *listed != generation);
            map.listed_before = map.listed_before.filter(|listed| *listed != generation);
        }
        if is_whole {
            removed.iter().for_each(|map_key| self.drop_entry(slot, map_key));
        }
        Ok(is_done)
    }

    fn forget(&mut self, slot: u32) {
        self.forget_entries(slot);
        self.maps[slot as usize] = Map::default();
    }

    fn slot_bytes(&self) -> usize {
        size_of::<Map<V::Owned>>()
    }

    fn heap_bytes(&self) -> usize {
        self.heap
    }
}
