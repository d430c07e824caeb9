//! Moves the entries of one keyed state between its cache and the host, whatever kind of state it is.

use super::{
    ColumnCost, Directory, Resolved, Slot, StateColumn,
    changes::{CHUNK_BYTES, Changes, Generation},
    writes,
};
use crate::{
    backend::Writes,
    call::Call,
    codec::CodecError,
    error::{Error, Result},
};

/// What a kind of state holds, by slot.
pub(crate) trait Entries {
    /// Adds entries of which nothing is known up to `slots`.
    fn grow(&mut self, slots: usize);

    /// Prepares the entries of a batch, and fetches those that the host is to be asked for.
    fn begin(&mut self, at: &Identity, changes: &mut Changes, call: &mut Call<'_>, batch: &Resolved<'_>) -> Result;

    /// Whether the entry at `slot` changed in `generation`.
    fn is_changed(&self, slot: u32, generation: Generation) -> bool;

    /// Adds what changed at `slot` in `generation` to `writes`, about `max_bytes` bytes of it; true when there is no more. What
    /// was added counts as unchanged.
    fn take(
        &mut self,
        slot: u32,
        generation: Generation,
        max_bytes: usize,
        writes: &mut Writes,
    ) -> Result<bool, CodecError>;

    /// Forgets the entry at `slot`.
    fn forget(&mut self, slot: u32);

    /// Memory that an entry takes, beside what it has on the heap, in bytes.
    fn slot_bytes(&self) -> usize;

    /// Memory that all entries have on the heap, roughly, in bytes.
    fn heap_bytes(&self) -> usize;
}

/// Which state it is.
pub(crate) struct Identity {
    pub(crate) index: u32,
    pub(crate) name: String,
}

impl Identity {
    /// What is wrong with an entry.
    #[cold]
    pub(crate) fn error(&self, key: &[u8], what: &str, error: impl std::fmt::Display) -> Error {
        Error::Job(format!("state `{}`, key {}: {what}: {error}", self.name, key.escape_ascii()))
    }

    #[cold]
    pub(crate) fn unreadable(&self, key: &[u8], error: impl std::fmt::Display) -> Error {
        self.error(key, "what is stored cannot be read as its codec", error)
    }

    #[cold]
    fn unwritable(&self, key: &[u8], error: CodecError) -> Error {
        self.error(key, "its value has no encoding", error)
    }

    /// There is no current key.
    #[cold]
    #[inline(never)]
    pub(crate) fn no_key(&self) -> ! {
        panic!(
            "state `{}` belongs to a key, and there is none here: use it while a record or a timer is processed",
            self.name
        )
    }
}

/// A keyed state: entries by slot, and which of them changed.
pub(crate) struct Column<E> {
    pub(crate) at: Identity,
    pub(crate) slot: Slot,
    pub(crate) entries: E,
    pub(crate) changes: Changes,
}

impl<E: Entries> Column<E> {
    pub(crate) fn new(index: u32, name: &str, epoch: u64, expiring: bool, entries: E) -> Column<E> {
        let at = Identity { index, name: name.to_string() };
        Column { at, slot: Slot::NONE, entries, changes: Changes::new(epoch, expiring) }
    }

    /// The slot of the current key.
    ///
    /// # Panics
    /// Where there is none.
    #[inline]
    pub(crate) fn current(&self) -> u32 {
        match self.slot {
            Slot::NONE => self.at.no_key(),
            Slot(slot) => slot,
        }
    }

    /// Keeps what the entry at `slot` held at the cut that is being handed over, if it changed before that.
    #[cold]
    pub(crate) fn keep(&mut self, slot: u32) {
        let Column { entries, changes, .. } = self;
        let before = changes.before();
        if changes.is_open() && entries.is_changed(slot, before) {
            changes.keep(slot, |writes| entries.take(slot, before, usize::MAX, writes).map(|_| ()));
        }
    }

    /// Adds what changed at `slot` in `generation`, and hands over what comes to a chunk.
    fn write(
        &mut self,
        call: &mut Call<'_>,
        keys: &Directory,
        slot: u32,
        generation: Generation,
        writes: &mut Writes,
    ) -> Result {
        let key = keys.key(slot);
        let epoch = if generation == self.changes.generation { self.changes.epoch() } else { self.changes.cut_epoch() };
        loop {
            let taken = self.entries.take(slot, generation, CHUNK_BYTES, writes);
            let done = taken.map_err(|error| self.at.unwritable(key, error))?;
            writes::name(writes, key);
            if writes::bytes(writes) >= CHUNK_BYTES {
                call.write_many(self.at.index, epoch, &std::mem::replace(writes, writes::none()));
            }
            if done {
                return Ok(());
            }
        }
    }

    fn flush(&self, call: &mut Call<'_>, epoch: u64, writes: &Writes) {
        if !writes.operations.is_empty() {
            call.write_many(self.at.index, epoch, writes);
        }
    }

    fn check(&mut self, keys: &Directory) -> Result {
        match self.changes.failure() {
            Some((slot, error)) => Err(self.at.unwritable(keys.key(slot), error)),
            None => Ok(()),
        }
    }
}

impl<E: Entries> StateColumn for Column<E> {
    fn index(&self) -> u32 {
        self.at.index
    }

    fn begin(&mut self, call: &mut Call<'_>, batch: &Resolved<'_>) -> Result {
        self.entries.grow(batch.keys.slots());
        self.entries.begin(&self.at, &mut self.changes, call, batch)
    }

    fn end(&mut self, call: &mut Call<'_>, keys: &Directory, write_through: bool) -> Result {
        self.slot = Slot::NONE;
        if !write_through || self.changes.is_unchanged() {
            return Ok(());
        }
        let (generation, epoch) = (self.changes.generation, self.changes.epoch());
        let mut writes = writes::none();
        for slot in self.changes.take() {
            self.write(call, keys, slot, generation, &mut writes)?;
        }
        self.flush(call, epoch, &writes);
        Ok(())
    }

    fn cut(&mut self, epoch: u64, slots: usize) {
        self.changes.cut(epoch, slots);
    }

    fn hand_over(&mut self, call: &mut Call<'_>, keys: &Directory, max_bytes: usize) -> Result<usize> {
        self.check(keys)?;
        let (before, epoch) = (self.changes.before(), self.changes.cut_epoch());
        let (mut spent, mut writes) = (0, writes::none());
        while spent < max_bytes
            && let Some(slot) = self.changes.next()
        {
            let held = writes::bytes(&writes);
            let limit = CHUNK_BYTES.min(held.saturating_add(max_bytes - spent));
            let taken = self.entries.take(slot, before, limit, &mut writes);
            let done = taken.map_err(|error| self.at.unwritable(keys.key(slot), error))?;
            writes::name(&mut writes, keys.key(slot));
            if done {
                // One that is passed over takes time too.
                spent += (writes::bytes(&writes) - held).max(writes::OVERHEAD);
                self.changes.advance();
            } else {
                spent += (limit - held.min(limit)).max(writes::OVERHEAD);
            }
            if writes::bytes(&writes) >= CHUNK_BYTES {
                call.write_many(self.at.index, epoch, &std::mem::replace(&mut writes, writes::none()));
            }
        }
        self.flush(call, epoch, &writes);
        while spent < max_bytes
            && let Some(bytes) = self.changes.hand_over_kept(self.at.index, call.backend, keys)
        {
            spent += bytes;
        }
        Ok(spent)
    }

    fn is_handed_over(&self) -> bool {
        self.changes.is_handed_over()
    }

    fn evict(&mut self, call: &mut Call<'_>, keys: &Directory, slots: &[u32]) -> Result {
        self.check(keys)?;
        self.changes.flush_kept(self.at.index, call.backend, keys);
        let generations =
            [(self.changes.before(), self.changes.cut_epoch()), (self.changes.generation, self.changes.epoch())];
        for (generation, epoch) in generations {
            if generation != self.changes.generation && !self.changes.is_open() {
                continue;
            }
            let mut writes = writes::none();
            for &slot in slots {
                if self.entries.is_changed(slot, generation) {
                    self.write(call, keys, slot, generation, &mut writes)?;
                }
            }
            self.flush(call, epoch, &writes);
        }
        slots.iter().for_each(|&slot| self.entries.forget(slot));
        let Column { entries, changes, .. } = self;
        let generation = changes.generation;
        changes.tidy(keys.slots(), |slot| entries.is_changed(slot, generation));
        Ok(())
    }

    fn cost(&self) -> ColumnCost {
        ColumnCost { slot: self.entries.slot_bytes(), beside: self.entries.heap_bytes() + self.changes.bytes() }
    }
}
