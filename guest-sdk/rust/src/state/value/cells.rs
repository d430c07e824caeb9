//! Holds the values of a state by slot, and when they expire.

use super::super::{
    Resolved,
    changes::{Changes, Generation},
    column::{Entries, Identity},
    ttl::Lifetime,
    writes,
};
use crate::{
    backend::{EntryKeys, Operation, Values, Writes},
    call::Call,
    codec::{CodecError, StateValue},
    column::Column,
    error::Result,
};

/// What the cache knows of an entry. The host knows it too, unless it changed.
#[derive(Debug, Default)]
pub(crate) enum Cell<T> {
    #[default]
    Absent,
    Present(T),
    Removed(Generation),
    Changed(Generation, T),
}

impl<T> Cell<T> {
    /// The generation in which it changed, if the host does not know.
    #[inline(always)]
    pub(crate) fn changed_in(&self) -> Option<Generation> {
        match self {
            Cell::Changed(generation, _) | Cell::Removed(generation) => Some(*generation),
            Cell::Absent | Cell::Present(_) => None,
        }
    }

    #[inline(always)]
    pub(crate) fn is_changed_in(&self, generation: Generation) -> bool {
        self.changed_in() == Some(generation)
    }
}

/// Adds what a changed cell holds to `writes`; it counts as unchanged then.
#[inline]
pub(crate) fn write_cell<V: StateValue>(
    cell: &mut Cell<V::Owned>,
    map_key: Option<&[u8]>,
    expires: Option<i64>,
    writes: &mut Writes,
) -> Result<(), CodecError> {
    let operation = match std::mem::take(cell) {
        Cell::Changed(_, value) | Cell::Present(value) => {
            let encoded = V::encode(V::borrow(&value), &mut writes.values);
            *cell = Cell::Present(value);
            encoded?;
            Operation::Put
        }
        Cell::Removed(_) | Cell::Absent => Operation::Delete,
    };
    writes::add(writes, operation, map_key, expires);
    Ok(())
}

/// When the values of a state expire, by slot.
struct Lives {
    lifetime: Lifetime,
    expires: Vec<i64>,
    /// Whether the host was not asked since: a value that it gave lives at least until then.
    asked: Vec<bool>,
}

/// The values of a state by slot.
pub(crate) struct Cells<V: StateValue> {
    pub(crate) cells: Vec<Cell<V::Owned>>,
    /// Heap memory of each entry; empty for values without any.
    weights: Vec<u32>,
    weight: usize,
    lives: Option<Box<Lives>>,
}

impl<V: StateValue> Cells<V> {
    pub(crate) fn new(lifetime: Option<Lifetime>) -> Cells<V> {
        let lives = lifetime.map(|lifetime| Box::new(Lives { lifetime, expires: Vec::new(), asked: Vec::new() }));
        Cells { cells: Vec::new(), weights: Vec::new(), weight: 0, lives }
    }

    /// Takes account of the memory of the value at `slot`.
    #[inline]
    pub(crate) fn weigh(&mut self, slot: u32) {
        if !std::mem::needs_drop::<V::Owned>() {
            return;
        }
        let weight = match &self.cells[slot as usize] {
            Cell::Present(value) | Cell::Changed(_, value) => V::weight(value),
            Cell::Absent | Cell::Removed(_) => 0,
        };
        let held = &mut self.weights[slot as usize];
        self.weight = self.weight - *held as usize + weight.min(u32::MAX as usize);
        *held = weight.min(u32::MAX as usize) as u32;
    }

    /// The value at `slot` was written: its life begins anew.
    #[inline]
    pub(crate) fn written(&mut self, slot: u32) {
        if let Some(lives) = &mut self.lives {
            lives.written(slot);
        }
    }

    /// Drops what has expired of the batch's keys; those of which only the host knows go to `missing`.
    fn expire(&mut self, changes: &mut Changes, batch: &Resolved<'_>, missing: &mut Vec<u32>) {
        let Some(mut lives) = self.lives.take() else { return };
        let now = lives.lifetime.now();
        for slot in batch.slots {
            let at = slot.0 as usize;
            if lives.expires[at] > now || matches!(self.cells[at], Cell::Absent | Cell::Removed(_)) {
                continue;
            }
            if std::mem::replace(&mut lives.asked[at], false) {
                missing.push(slot.0);
                self.cells[at] = Cell::Absent;
            } else if let Some(generation) = self.cells[at].changed_in() {
                if generation != changes.generation {
                    // What it held at the cut is still owed.
                    let before = changes.before();
                    let kept = |writes: &mut Writes| {
                        write_cell::<V>(&mut self.cells[at], None, Some(lives.expires[at]), writes)
                    };
                    if generation == before {
                        changes.keep(slot.0, kept);
                    }
                    changes.note(slot.0);
                }
                self.cells[at] = Cell::Removed(changes.generation);
            } else {
                self.cells[at] = Cell::Absent;
            }
            self.weigh(slot.0);
        }
        self.lives = Some(lives);
    }

    fn load(&mut self, at: &Identity, batch: &Resolved<'_>, slots: &[u32], values: &Values) -> Result {
        let column = Column { ends: &values.value_ends, bytes: &values.values, flags: &[], absent: 0 };
        for (row, &slot) in slots.iter().enumerate() {
            if values.present.get(row).is_none_or(|&present| present == 0) {
                continue;
            }
            let value = V::decode(column.get(row)).map_err(|error| at.unreadable(batch.keys.key(slot), error))?;
            self.cells[slot as usize] = Cell::Present(V::own(value));
            self.weigh(slot);
            if let Some(lives) = &mut self.lives {
                lives.expires[slot as usize] = lives.lifetime.now().saturating_add(1);
                lives.asked[slot as usize] = true;
            }
        }
        Ok(())
    }
}

impl Lives {
    #[inline(never)]
    fn written(&mut self, slot: u32) {
        self.expires[slot as usize] = self.lifetime.expiry();
        self.asked[slot as usize] = false;
    }
}

impl<V: StateValue> Entries for Cells<V> {
    fn grow(&mut self, slots: usize) {
        if slots <= self.cells.len() {
            return;
        }
        self.cells.resize_with(slots, Cell::default);
        if std::mem::needs_drop::<V::Owned>() {
            self.weights.resize(slots, 0);
        }
        if let Some(lives) = &mut self.lives {
            lives.expires.resize(slots, 0);
            lives.asked.resize(slots, false);
        }
    }

    fn begin(&mut self, at: &Identity, changes: &mut Changes, call: &mut Call<'_>, batch: &Resolved<'_>) -> Result {
        let mut missing = Vec::new();
        self.expire(changes, batch, &mut missing);
        if let Some(added) = &batch.added_keys {
            let values = call.get_many(at.index, added);
            self.load(at, batch, batch.keys.added(), &values)?;
        }
        if !missing.is_empty() {
            let keys: EntryKeys = batch.keys.keys_of(&missing);
            let values = call.get_many(at.index, &keys);
            self.load(at, batch, &missing, &values)?;
        }
        Ok(())
    }

    fn is_changed(&self, slot: u32, generation: Generation) -> bool {
        self.cells.get(slot as usize).is_some_and(|cell| cell.is_changed_in(generation))
    }

    #[inline]
    fn take(&mut self, slot: u32, generation: Generation, _: usize, writes: &mut Writes) -> Result<bool, CodecError> {
        let cell = &mut self.cells[slot as usize];
        if cell.is_changed_in(generation) {
            let expires = self.lives.as_ref().map(|lives| lives.expires[slot as usize]);
            write_cell::<V>(cell, None, expires, writes)?;
            self.weigh(slot);
        }
        Ok(true)
    }

    fn forget(&mut self, slot: u32) {
        self.cells[slot as usize] = Cell::Absent;
        self.weigh(slot);
    }

    fn slot_bytes(&self) -> usize {
        let weight = if std::mem::needs_drop::<V::Owned>() { 4 } else { 0 };
        size_of::<Cell<V::Owned>>() + weight + if self.lives.is_some() { 9 } else { 0 }
    }

    fn heap_bytes(&self) -> usize {
        self.weight
    }
}
