//! Holds which entries of a state changed, and what those of an epoch that was cut held then.
//!
//! Between two cuts is a *generation*. An entry that changed knows in which one, and one bit tells them apart: all that changed
//! before a cut is handed over before the next one.

use std::collections::VecDeque;

use super::{
    Directory,
    writes::{self, Kept},
};
use crate::{
    backend::{Backend, Writes},
    codec::CodecError,
};

/// Bytes that one write takes at most, roughly.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;

/// Bytes of what is kept for an epoch that was cut, roughly, that are handed over as one.
const KEPT_BYTES: usize = 16 * 1024;

/// Which side of the last cut a change is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(bool);

/// Entries to be visited: each that changed before the cut, and perhaps some that did not.
enum Pending {
    /// Those that are listed, from `next` on.
    Listed { slots: Vec<u32>, next: usize },
    /// Those of all slots from `next` to `end`: where most changed, memory is best read in order.
    All { next: u32, end: u32 },
}

/// The changes of one state.
pub(crate) struct Changes {
    /// That of changes made now.
    pub(crate) generation: Generation,
    /// The epoch that changes made now belong to.
    epoch: u64,
    /// The one that was cut last.
    cut_epoch: u64,
    /// Slots of entries that changed, in the order in which they first did. A slot that was given to another key since may
    /// stand here for nothing.
    changed: Vec<u32>,
    /// Entries that changed before the cut and are not handed over yet.
    pending: Pending,
    /// What entries that changed since the cut held then.
    kept: VecDeque<Kept>,
    /// Why an entry could not be kept.
    failure: Option<(u32, CodecError)>,
    /// Whether entries expire.
    expiring: bool,
}

impl Changes {
    pub(crate) fn new(epoch: u64, expiring: bool) -> Changes {
        Changes {
            generation: Generation(false),
            epoch,
            cut_epoch: epoch,
            changed: Vec::new(),
            pending: Pending::All { next: 0, end: 0 },
            kept: VecDeque::new(),
            failure: None,
            expiring,
        }
    }

    /// The generation before the cut.
    pub(crate) fn before(&self) -> Generation {
        Generation(!self.generation.0)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn cut_epoch(&self) -> u64 {
        self.cut_epoch
    }

    /// Notes that the entry at `slot` changed for the first time in this generation.
    #[inline]
    pub(crate) fn note(&mut self, slot: u32) {
        self.changed.push(slot);
    }

    /// Begins a generation, where there are `slots` slots. All of the one before is handed over.
    pub(crate) fn cut(&mut self, epoch: u64, slots: usize) {
        let changed = std::mem::take(&mut self.changed);
        self.pending = match changed.len() > slots / 2 {
            true => {
                self.changed = changed;
                self.changed.clear();
                Pending::All { next: 0, end: u32::try_from(slots).unwrap_or(u32::MAX) }
            }
            false => Pending::Listed { slots: changed, next: 0 },
        };
        self.generation = self.before();
        (self.cut_epoch, self.epoch) = (epoch, epoch + 1);
    }

    /// The next entry to be visited, which is handed over if it changed before the cut.
    pub(crate) fn next(&self) -> Option<u32> {
        match &self.pending {
            Pending::Listed { slots, next } => slots.get(*next).copied(),
            Pending::All { next, end } => (next < end).then_some(*next),
        }
    }

    /// The entry that `next` told is handed over.
    pub(crate) fn advance(&mut self) {
        match &mut self.pending {
            Pending::Listed { next, .. } => *next += 1,
            Pending::All { next, .. } => *next += 1,
        }
    }

    /// Whether another change to an entry that changed in `generation` takes no more than changing it.
    #[inline(always)]
    pub(crate) fn is_plain(&self, generation: Generation) -> bool {
        generation == self.generation && !self.expiring
    }

    /// Whether entries may hold changes of before the cut.
    pub(crate) fn is_open(&self) -> bool {
        self.next().is_some()
    }

    pub(crate) fn is_handed_over(&self) -> bool {
        !self.is_open() && self.kept.is_empty() && self.failure.is_none()
    }

    /// Whether nothing changed since the cut.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.changed.is_empty()
    }

    /// Takes the entries that changed since the cut.
    pub(crate) fn take(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.changed)
    }

    /// Keeps what `take` writes: what the entry at `slot` held at the cut.
    #[cold]
    pub(crate) fn keep(&mut self, slot: u32, take: impl FnOnce(&mut Writes) -> Result<(), CodecError>) {
        if self.kept.back().is_none_or(|last| writes::bytes(&last.writes) >= KEPT_BYTES) {
            self.kept.push_back(Kept { slots: Vec::new(), writes: writes::none() });
        }
        let Some(last) = self.kept.back_mut() else { return };
        if let Err(error) = take(&mut last.writes) {
            self.failure.get_or_insert((slot, error));
        }
        last.slots.resize(last.writes.operations.len(), slot);
    }

    pub(crate) fn failure(&mut self) -> Option<(u32, CodecError)> {
        self.failure.take()
    }

    /// Hands over the first piece of what was kept; its bytes, roughly.
    pub(crate) fn hand_over_kept(&mut self, state: u32, backend: &mut dyn Backend, keys: &Directory) -> Option<usize> {
        let writes = self.kept.pop_front()?.named(keys);
        backend.write_many(state, self.cut_epoch, &writes);
        Some(writes::bytes(&writes))
    }

    /// Hands over all that was kept: what the host answers from now on is what it should.
    pub(crate) fn flush_kept(&mut self, state: u32, backend: &mut dyn Backend, keys: &Directory) {
        while self.hand_over_kept(state, backend, keys).is_some() {}
    }

    /// Strikes out slots that stand for nothing, where they may be many.
    pub(crate) fn tidy(&mut self, slots: usize, is_changed: impl Fn(u32) -> bool) {
        if self.changed.len() < 1024.max(2 * slots) {
            return;
        }
        let mut seen = vec![false; slots];
        self.changed.retain(|&slot| is_changed(slot) && !std::mem::replace(&mut seen[slot as usize], true));
    }

    /// Memory that they take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let kept: usize = self.kept.iter().map(|kept| writes::bytes(&kept.writes)).sum();
        let listed = match &self.pending {
            Pending::Listed { slots, .. } => slots.len(),
            Pending::All { .. } => 0,
        };
        (self.changed.len() + listed) * 4 + kept
    }
}
