//! Holds one value a key: a column indexed by slot.

use super::{Directory, Slot, StateColumn};
use crate::{
    backend::{EntryKeys, Operation, Values, Writes},
    codec::StateValue,
    column::Column,
    error::{Error, Result},
};

/// State with one value a key, declared by [`Setup::value_state`](crate::Setup::value_state). It is always that of the key
/// of the record or timer that is being processed.
pub struct ValueState<V: StateValue> {
    index: u32,
    name: String,
    slot: Slot,
    cells: Vec<Cell<V::Owned>>,
    /// Slots of entries that changed, in the order in which they first did, from `handed` on.
    changed: Vec<u32>,
    handed: usize,
    /// Heap memory of each entry; empty for values without any.
    weights: Vec<u32>,
    weight: usize,
}

/// What the cache knows of an entry. The host knows it too, unless it changed.
#[derive(Debug)]
enum Cell<T> {
    Absent,
    Present(T),
    Removed,
    Changed(T),
}

impl<V: StateValue> ValueState<V> {
    pub(crate) fn new(index: u32, name: &str) -> ValueState<V> {
        ValueState {
            index,
            name: name.to_string(),
            slot: Slot::NONE,
            cells: Vec::new(),
            changed: Vec::new(),
            handed: 0,
            weights: Vec::new(),
            weight: 0,
        }
    }

    /// Makes the key at `slot` the current one.
    #[inline(always)]
    pub fn select(&mut self, slot: Slot) {
        self.slot = slot;
    }

    /// The value of the current key.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    #[inline]
    pub fn get(&self) -> Option<V::View<'_>> {
        match self.cells.get(self.slot.0 as usize) {
            Some(Cell::Present(value) | Cell::Changed(value)) => Some(V::borrow(value)),
            Some(_) => None,
            None => no_key(&self.name),
        }
    }

    /// Sets the value of the current key.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    #[inline]
    pub fn set(&mut self, value: V::Owned) {
        self.replace(Some(value));
    }

    /// Changes the value of the current key in place, from the default where it has none; returns what `change` does.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    #[inline]
    pub fn update<R>(&mut self, change: impl FnOnce(&mut V::Owned) -> R) -> R
    where
        V::Owned: Default,
    {
        if let Some(Cell::Changed(value)) = self.cells.get_mut(self.slot.0 as usize) {
            let result = change(value);
            if V::WEIGHT_IS_CHEAP {
                self.weigh();
            }
            return result;
        }
        self.begin_update();
        let Some(Cell::Changed(value)) = self.cells.get_mut(self.slot.0 as usize) else { no_key(&self.name) };
        let result = change(value);
        self.weigh();
        result
    }

    /// Marks the current key's value as changed; from the default where there is none.
    #[cold]
    #[inline(never)]
    fn begin_update(&mut self)
    where
        V::Owned: Default,
    {
        let Some(cell) = self.cells.get_mut(self.slot.0 as usize) else { no_key(&self.name) };
        let first = !matches!(cell, Cell::Changed(_) | Cell::Removed);
        let value = match std::mem::replace(cell, Cell::Absent) {
            Cell::Present(value) | Cell::Changed(value) => value,
            Cell::Absent | Cell::Removed => V::Owned::default(),
        };
        *cell = Cell::Changed(value);
        if first {
            self.changed.push(self.slot.0);
        }
    }

    /// Removes the value of the current key.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    #[inline]
    pub fn clear(&mut self) {
        match self.cells.get(self.slot.0 as usize) {
            Some(Cell::Absent | Cell::Removed) => {}
            _ => self.replace(None),
        }
    }

    #[inline]
    fn replace(&mut self, value: Option<V::Owned>) {
        let Some(cell) = self.cells.get_mut(self.slot.0 as usize) else { no_key(&self.name) };
        let first = !matches!(cell, Cell::Changed(_) | Cell::Removed);
        *cell = match value {
            Some(value) => Cell::Changed(value),
            None => Cell::Removed,
        };
        if first {
            self.changed.push(self.slot.0);
        }
        if first || V::WEIGHT_IS_CHEAP {
            self.weigh();
        }
    }

    /// Takes account of the memory of the current key's value.
    #[inline]
    fn weigh(&mut self) {
        if !std::mem::needs_drop::<V::Owned>() {
            return;
        }
        let weight = match &self.cells[self.slot.0 as usize] {
            Cell::Present(value) | Cell::Changed(value) => V::weight(value),
            Cell::Absent | Cell::Removed => 0,
        };
        let held = &mut self.weights[self.slot.0 as usize];
        self.weight = self.weight - *held as usize + weight;
        *held = weight.min(u32::MAX as usize) as u32;
    }

    /// What is held of a key, for an error.
    fn error(&self, key: &[u8], what: &str, error: impl std::fmt::Display) -> Error {
        Error::Job(format!("state `{}`, key {}: {what}: {error}", self.name, key.escape_ascii()))
    }
}

#[cold]
#[inline(never)]
fn no_key(name: &str) -> ! {
    panic!("state `{name}` belongs to a key, and there is none here: use it while a record or a timer is processed")
}

impl<V: StateValue> StateColumn for ValueState<V> {
    fn index(&self) -> u32 {
        self.index
    }

    fn grow(&mut self, slots: usize) {
        self.cells.resize_with(slots, || Cell::Absent);
        if std::mem::needs_drop::<V::Owned>() {
            self.weights.resize(slots, 0);
        }
    }

    fn load(&mut self, keys: &Directory, first: usize, values: &Values) -> Result {
        let column = Column { ends: &values.value_ends, bytes: &values.values, flags: &[], absent: 0 };
        for (slot, row) in (first..self.cells.len()).zip(0..) {
            if values.present.get(row).is_none_or(|&present| present == 0) {
                continue;
            }
            let key = keys.key(slot as u32);
            let value = V::decode(column.get(row))
                .map_err(|error| self.error(key, "what is stored cannot be read as its codec", error))?;
            self.cells[slot] = Cell::Present(V::own(value));
            self.slot = Slot(slot as u32);
            self.weigh();
        }
        self.slot = Slot::NONE;
        Ok(())
    }

    fn is_changed(&self) -> bool {
        self.handed < self.changed.len()
    }

    fn take_changed(&mut self, keys: &Directory, max_bytes: usize) -> Result<Option<Writes>> {
        if !self.is_changed() {
            return Ok(None);
        }
        let entries =
            EntryKeys { key_ends: Vec::new(), keys: Vec::new(), map_key_ends: Vec::new(), map_keys: Vec::new() };
        let (value_ends, values) = (Vec::new(), Vec::new());
        let mut writes = Writes { operations: Vec::new(), entries, value_ends, values, expires: Vec::new() };
        while self.is_changed() {
            // An entry takes about nine bytes beside its key and value: so a step is bounded in entries too.
            if writes.entries.keys.len() + writes.values.len() + writes.operations.len() * 9 >= max_bytes.max(1) {
                return Ok(Some(writes));
            }
            let slot = self.changed[self.handed];
            let key = keys.key(slot);
            let cell = &mut self.cells[slot as usize];
            let operation = match std::mem::replace(cell, Cell::Absent) {
                Cell::Changed(value) | Cell::Present(value) => {
                    let encoded = V::encode(V::borrow(&value), &mut writes.values);
                    *cell = Cell::Present(value);
                    encoded.map_err(|error| self.error(key, "its value has no encoding", error))?;
                    Operation::Put
                }
                Cell::Removed | Cell::Absent => Operation::Delete,
            };
            writes.operations.push(operation);
            writes.entries.keys.extend_from_slice(key);
            writes.entries.key_ends.push(writes.entries.keys.len() as u32);
            writes.value_ends.push(writes.values.len() as u32);
            self.handed += 1;
            self.slot = Slot(slot);
            self.weigh();
        }
        self.slot = Slot::NONE;
        self.changed.clear();
        self.handed = 0;
        Ok(Some(writes))
    }

    fn bytes(&self) -> usize {
        self.cells.capacity() * size_of::<Cell<V::Owned>>()
            + (self.changed.capacity() + self.weights.capacity()) * 4
            + self.weight
    }

    fn clear(&mut self) {
        self.slot = Slot::NONE;
        self.cells = Vec::new();
        self.changed = Vec::new();
        self.handed = 0;
        self.weights = Vec::new();
        self.weight = 0;
    }
}
