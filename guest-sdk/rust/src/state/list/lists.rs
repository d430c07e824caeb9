//! Holds the lists of a state by slot, encoded as they are stored.

use super::{
    super::{
        Directory, Lifetime, Resolved,
        changes::{Changes, Generation},
        column::{Entries, Identity},
        writes,
    },
    elements::split_first,
};
use crate::{
    backend::{Backend, Operation, Values, Writes},
    call::Call,
    codec::CodecError,
    column::Column,
    error::Result,
};

/// What the cache holds of a list.
#[derive(Debug, Default)]
struct List {
    /// Elements, each with its length before it. All of the list if it is whole, else what was appended and not handed over.
    bytes: Vec<u8>,
    /// Where in `bytes` what the host was not told begins.
    pending: usize,
    /// When pending elements expire, where they do.
    expires: Vec<i64>,
    whole: bool,
    /// The time at which it was read from the host.
    read_at: i64,
    /// In which generation it changed, if the host was not told.
    changed: Option<Generation>,
    /// Whether the first of those changes removed all there was.
    cleared: bool,
}

/// The lists of a state by slot.
pub(super) struct Lists {
    lists: Vec<List>,
    lifetime: Option<Lifetime>,
    heap: usize,
    /// Whether lists were read in calls with records, and in calls with timers.
    are_read: [bool; 2],
    /// Whether this call has timers.
    timers: bool,
}

impl List {
    fn heap(&self) -> usize {
        self.bytes.capacity() + self.expires.capacity() * 8
    }

    /// Whether it was read before `now`, so that elements may have expired since.
    fn is_stale(&self, lifetime: Option<&Lifetime>) -> bool {
        !self.whole || lifetime.is_some_and(|lifetime| self.read_at < lifetime.now())
    }

    /// Leaves only what the host was not told and has not expired at `now`. That is none of an epoch that was cut.
    fn strip(&mut self, now: Option<i64>) {
        self.bytes.drain(..self.pending);
        self.pending = 0;
        let Some(now) = now else { return };
        if self.expires.iter().all(|&expires| expires > now) {
            return;
        }
        let (bytes, expires) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.expires));
        let mut rest = &bytes[..];
        for expires in expires {
            let Some((element, after)) = split_first(rest) else { return };
            if expires > now {
                self.bytes.extend_from_slice(&rest[..4 + element.len()]);
                self.expires.push(expires);
            }
            rest = after;
        }
    }
}

impl Lists {
    pub(super) fn new(lifetime: Option<Lifetime>) -> Lists {
        Lists { lists: Vec::new(), lifetime, heap: 0, are_read: [false; 2], timers: false }
    }

    /// Changes the list at `slot` and takes account of its memory.
    fn change<R>(&mut self, slot: u32, change: impl FnOnce(&mut List) -> R) -> R {
        let list = &mut self.lists[slot as usize];
        let before = list.heap();
        let result = change(list);
        self.heap = self.heap - before + list.heap();
        result
    }

    pub(super) fn is_listed(&self, slot: u32, generation: Generation) -> bool {
        self.lists[slot as usize].changed == Some(generation)
    }

    pub(super) fn list(&mut self, slot: u32, generation: Generation) {
        self.lists[slot as usize].changed = Some(generation);
    }

    pub(super) fn is_stale(&self, slot: u32) -> bool {
        self.lists[slot as usize].is_stale(self.lifetime.as_ref())
    }

    pub(super) fn bytes(&self, slot: u32) -> &[u8] {
        &self.lists[slot as usize].bytes
    }

    pub(super) fn append(
        &mut self,
        slot: u32,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<bool, CodecError>,
    ) -> Result<(), CodecError> {
        let expires = self.lifetime.as_ref().map(Lifetime::expiry);
        self.change(slot, |list| {
            let start = list.bytes.len();
            list.bytes.extend_from_slice(&[0; 4]);
            match encode(&mut list.bytes) {
                Ok(_) => {
                    let length = (list.bytes.len() - start - 4) as u32;
                    list.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
                    list.expires.extend(expires);
                    Ok(())
                }
                Err(error) => {
                    list.bytes.truncate(start);
                    Err(error)
                }
            }
        })
    }

    pub(super) fn clear(&mut self, slot: u32) {
        let now = self.lifetime.as_ref().map_or(0, Lifetime::now);
        self.change(slot, |list| {
            let changed = list.changed;
            *list = List { changed, cleared: true, whole: true, read_at: now, ..List::default() };
        });
    }

    /// Reads the list at `slot` from the host if it must be. What an epoch that was cut is owed of a stale one was kept.
    pub(super) fn read(
        &mut self,
        at: &Identity,
        changes: &mut Changes,
        backend: &mut dyn Backend,
        keys: &Directory,
        slot: u32,
    ) {
        if !self.is_stale(slot) {
            return;
        }
        self.are_read[usize::from(self.timers)] = true;
        changes.flush_kept(at.index, backend, keys);
        let values = backend.get_many(at.index, &keys.keys_of(&[slot]));
        self.load(&[slot], &values);
    }

    fn load(&mut self, slots: &[u32], values: &Values) {
        let column = Column { ends: &values.value_ends, bytes: &values.values, flags: &[], absent: 0 };
        let now = self.lifetime.as_ref().map(Lifetime::now);
        for (row, &slot) in slots.iter().enumerate() {
            self.change(slot, |list| {
                list.strip(now);
                // What was there before it was cleared is gone, whatever the host still has.
                let stored = if list.cleared { &[] } else { column.get(row).unwrap_or_default() };
                list.bytes.splice(..0, stored.iter().copied());
                list.pending = stored.len();
                (list.whole, list.read_at) = (true, now.unwrap_or(0));
            });
        }
    }
}

impl Entries for Lists {
    fn grow(&mut self, slots: usize) {
        if slots > self.lists.len() {
            self.lists.resize_with(slots, List::default);
        }
    }

    fn begin(&mut self, at: &Identity, changes: &mut Changes, call: &mut Call<'_>, batch: &Resolved<'_>) -> Result {
        self.timers = batch.timers;
        if batch.added_keys.is_none() {
            // The host has nothing of them.
            let now = self.lifetime.as_ref().map_or(0, Lifetime::now);
            for &slot in batch.keys.added() {
                let list = &mut self.lists[slot as usize];
                (list.whole, list.read_at) = (true, now);
            }
        }
        if !self.are_read[usize::from(batch.timers)] {
            return Ok(());
        }
        let mut missing = Vec::new();
        for slot in batch.slots {
            let list = &mut self.lists[slot.0 as usize];
            // One that changed before the cut too is read when it is asked for.
            let is_owed = list.changed.is_some_and(|changed| changed != changes.generation);
            if !is_owed && list.is_stale(self.lifetime.as_ref()) {
                (list.whole, list.read_at) = (true, self.lifetime.as_ref().map_or(0, Lifetime::now));
                missing.push(slot.0);
            }
        }
        if !missing.is_empty() {
            changes.flush_kept(at.index, call.backend, batch.keys);
            let values = call.get_many(at.index, &batch.keys.keys_of(&missing));
            self.load(&missing, &values);
        }
        Ok(())
    }

    fn is_changed(&self, slot: u32, generation: Generation) -> bool {
        self.lists.get(slot as usize).is_some_and(|list| list.changed == Some(generation))
    }

    fn take(
        &mut self,
        slot: u32,
        generation: Generation,
        max_bytes: usize,
        writes: &mut Writes,
    ) -> Result<bool, CodecError> {
        let expiring = self.lifetime.is_some();
        Ok(self.change(slot, |list| {
            if list.changed != Some(generation) {
                return true;
            }
            if std::mem::take(&mut list.cleared) {
                writes::add(writes, Operation::Clear, None, expiring.then_some(i64::MAX));
            }
            let mut elements = 0;
            while let Some((element, _)) = split_first(&list.bytes[list.pending..]) {
                if writes::bytes(writes) >= max_bytes && elements > 0 {
                    list.expires.drain(..elements.min(list.expires.len()));
                    return false;
                }
                writes.values.extend_from_slice(element);
                list.pending += 4 + element.len();
                writes::add(writes, Operation::Append, None, list.expires.get(elements).copied());
                elements += 1;
            }
            (list.changed, list.expires) = (None, Vec::new());
            if !list.whole {
                (list.bytes, list.pending) = (Vec::new(), 0);
            }
            true
        }))
    }

    fn forget(&mut self, slot: u32) {
        self.change(slot, |list| *list = List::default());
    }

    fn slot_bytes(&self) -> usize {
        size_of::<List>()
    }

    fn heap_bytes(&self) -> usize {
        self.heap
    }
}
