//! Holds one value a key: a column indexed by slot.

mod cells;

use cells::Cells;
pub(crate) use cells::{Cell, write_cell};

use super::{Slot, State, StateColumn, column::Column, ttl::Lifetime};
use crate::codec::StateValue;

/// State with one value a key, declared by [`Setup::value_state`](crate::Setup::value_state). It is always that of the key
/// of the record or timer that is being processed.
pub struct ValueState<V: StateValue> {
    column: Column<Cells<V>>,
}

impl<V: StateValue> ValueState<V> {
    pub(crate) fn new(index: u32, name: &str, epoch: u64, lifetime: Option<Lifetime>) -> ValueState<V> {
        ValueState { column: Column::new(index, name, epoch, lifetime.is_some(), Cells::new(lifetime)) }
    }

    /// The value of the current key.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    #[inline]
    pub fn get(&self) -> Option<V::View<'_>> {
        match self.column.entries.cells.get(self.column.slot.0 as usize) {
            Some(Cell::Present(value) | Cell::Changed(_, value)) => Some(V::borrow(value)),
            Some(_) => None,
            None => self.column.at.no_key(),
        }
    }

    /// Sets the value of the current key.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    #[inline]
    pub fn set(&mut self, value: V::Owned) {
        let Column { slot, entries, changes, .. } = &mut self.column;
        match entries.cells.get_mut(slot.0 as usize) {
            Some(Cell::Changed(generation, held)) if changes.is_plain(*generation) => {
                *held = value;
                if V::WEIGHT_IS_CHEAP {
                    entries.weigh(slot.0);
                }
            }
            Some(_) => self.replace(Some(value)),
            None => self.column.at.no_key(),
        }
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
        self.update_from(V::Owned::default, change)
    }

    /// The same, from what `first` returns where the key has no value.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    #[inline]
    pub fn update_from<R>(&mut self, first: impl FnOnce() -> V::Owned, change: impl FnOnce(&mut V::Owned) -> R) -> R {
        let Column { slot, entries, changes, .. } = &mut self.column;
        if let Some(Cell::Changed(generation, value)) = entries.cells.get_mut(slot.0 as usize)
            && changes.is_plain(*generation)
        {
            let result = change(value);
            if V::WEIGHT_IS_CHEAP {
                entries.weigh(slot.0);
            }
            return result;
        }
        self.begin_update(first);
        let Column { slot, entries, .. } = &mut self.column;
        let Some(Cell::Changed(_, value)) = entries.cells.get_mut(slot.0 as usize) else { self.column.at.no_key() };
        let result = change(value);
        entries.weigh(slot.0);
        entries.written(slot.0);
        result
    }

    /// The value of the current key, if it is one that has changed since the cut: it may be changed once more. Memory that it
    /// takes on the heap must stay the same; time to live does not begin anew.
    #[inline(always)]
    pub(crate) fn changed_mut(&mut self) -> Option<&mut V::Owned> {
        let Column { slot, entries, changes, .. } = &mut self.column;
        match entries.cells.get_mut(slot.0 as usize) {
            Some(Cell::Changed(generation, value)) if changes.is_plain(*generation) => Some(value),
            _ => None,
        }
    }

    /// Changes the value of the current key, if it has one.
    #[inline]
    pub(crate) fn update_present(&mut self, change: impl FnOnce(&mut V::Owned)) {
        if self.get().is_some() {
            self.update_from(|| unreachable!("it has a value"), change);
        }
    }

    /// Marks the current key's value as changed; from what `first` returns where there is none.
    #[cold]
    #[inline(never)]
    fn begin_update(&mut self, first: impl FnOnce() -> V::Owned) {
        let slot = self.column.current();
        if self.column.entries.cells.get(slot as usize).is_none() {
            self.column.at.no_key();
        }
        self.note(slot);
        let generation = self.column.changes.generation;
        let cell = &mut self.column.entries.cells[slot as usize];
        let value = match std::mem::take(cell) {
            Cell::Present(value) | Cell::Changed(_, value) => value,
            Cell::Absent | Cell::Removed(_) => first(),
        };
        *cell = Cell::Changed(generation, value);
    }

    /// Removes the value of the current key.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    #[inline]
    pub fn clear(&mut self) {
        match self.column.entries.cells.get(self.column.slot.0 as usize) {
            Some(Cell::Absent | Cell::Removed(_)) => {}
            Some(_) => self.replace(None),
            None => self.column.at.no_key(),
        }
    }

    /// Sets or removes the value of the current key, which has a slot.
    #[inline(never)]
    fn replace(&mut self, value: Option<V::Owned>) {
        let slot = self.column.slot.0;
        self.note(slot);
        let Column { entries, changes, .. } = &mut self.column;
        entries.cells[slot as usize] = match value {
            Some(value) => Cell::Changed(changes.generation, value),
            None => Cell::Removed(changes.generation),
        };
        entries.weigh(slot);
        entries.written(slot);
    }

    /// The entry at `slot` changes, perhaps for the first time since the cut.
    fn note(&mut self, slot: u32) {
        if self.column.changes.is_open() {
            self.column.keep(slot);
        }
        // One that was removed since is on the list already.
        if !self.column.entries.cells[slot as usize].is_changed_in(self.column.changes.generation) {
            self.column.changes.note(slot);
        }
    }
}

impl<V: StateValue> State for ValueState<V> {
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        self.column.slot = slot;
    }

    fn column(&mut self) -> &mut dyn StateColumn {
        &mut self.column
    }
}
