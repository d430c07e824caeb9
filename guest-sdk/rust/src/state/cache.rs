//! Decides when state is fetched, handed over and dropped.

use std::sync::Arc;

use super::{Directory, Slot, States, changes::CHUNK_BYTES, eviction::Hand, ttl::Clock};
use crate::{
    backend::{Backend, EntryKeys, TimeDomain},
    call::Call,
    column::Column,
    error::Result,
    setup::Setup,
};

/// The most a cache may take: its keys are found by offsets of 32 bits, and one batch comes on top.
const MAX_BYTES: u64 = 1 << 30;

/// The keys of a batch, once they have slots.
pub struct Resolved<'a> {
    pub(crate) keys: &'a Directory,
    /// A slot a row.
    pub(crate) slots: &'a [Slot],
    /// The keys that are new to the cache, if the host may have them.
    pub(crate) added_keys: Option<EntryKeys>,
    /// Whether the host may have state of before this attempt.
    pub(crate) restored: bool,
    /// Whether the rows are timers.
    pub(crate) timers: bool,
}

/// The cache of an operator's keyed states. The operators that take records have one; an operator that takes whole batches
/// may make one of its own, and then calls it from each of its methods.
pub struct StateCache {
    directory: Directory,
    slots: Vec<Slot>,
    clock: Arc<Clock>,
    /// Whether what was cut is not all handed over.
    is_cut: bool,
    /// Bytes that the cache may take.
    bound: usize,
    hand: Hand,
    restored: bool,
    /// Whether the host may have a key that is not here.
    fetch: bool,
    write_through: bool,
    is_used: bool,
    /// Whether any state expires in event time.
    needs_time: bool,
}

/// Reads state beyond its cache: what [`KeyedCall`](crate::KeyedCall) is for the operators that take records.
pub struct StateReader<'a> {
    pub(crate) backend: &'a mut dyn Backend,
    pub(crate) keys: &'a Directory,
}

impl StateCache {
    /// A cache for the states that `setup` was told of, with keys of `width` bytes, 0 where it varies.
    pub fn new(setup: &Setup, width: usize) -> StateCache {
        let context = setup.context();
        let restored = context.is_some_and(|context| context.restored);
        StateCache {
            directory: Directory::new(width),
            slots: Vec::new(),
            clock: setup.clock.clone(),
            is_cut: false,
            bound: context.map_or(0, |context| context.state_cache_bytes.min(MAX_BYTES) as usize),
            hand: Hand::default(),
            restored,
            fetch: restored,
            write_through: context.is_some_and(|context| context.write_through),
            is_used: !setup.description.states.is_empty(),
            needs_time: setup
                .description
                .states
                .iter()
                .any(|state| state.ttl.is_some_and(|ttl| ttl.domain == TimeDomain::EventTime)),
        }
    }

    /// Looks up the keys of all rows and fetches what the cache does not hold.
    ///
    /// # Errors
    /// The record's whose key is null or has a wrong width; the job's when stored bytes do not fit their codec.
    pub fn resolve(&mut self, call: &mut Call<'_>, states: &mut dyn States, keys: Column<'_>, rows: usize) -> Result {
        self.resolve_rows(call, states, keys, rows, false)
    }

    /// The same for the keys of timers.
    ///
    /// # Errors
    /// As [`StateCache::resolve`].
    pub fn resolve_timers(
        &mut self,
        call: &mut Call<'_>,
        states: &mut dyn States,
        keys: Column<'_>,
        rows: usize,
    ) -> Result {
        self.resolve_rows(call, states, keys, rows, true)
    }

    fn resolve_rows(
        &mut self,
        call: &mut Call<'_>,
        states: &mut dyn States,
        keys: Column<'_>,
        rows: usize,
        timers: bool,
    ) -> Result {
        if !self.is_used {
            return Ok(());
        }
        self.clock.begin(call.time);
        self.directory.resolve(keys, rows, &mut self.slots)?;
        self.hand.touch(&self.slots);
        let added = self.directory.added();
        let added_keys = (self.fetch && !added.is_empty()).then(|| self.directory.keys_of(added));
        let (keys, slots, restored) = (&self.directory, &self.slots[..], self.restored);
        let batch = Resolved { keys, slots, added_keys, restored, timers };
        each(states, |state| state.begin(call, &batch))
    }

    /// Begins a call that has no key: broadcast state is there, keyed state is not.
    ///
    /// # Errors
    /// The job's when stored bytes do not fit their codec.
    pub fn begin(&mut self, call: &mut Call<'_>, states: &mut dyn States) -> Result {
        if !self.is_used {
            return Ok(());
        }
        self.clock.begin(call.time);
        self.slots.clear();
        let batch =
            Resolved { keys: &self.directory, slots: &[], added_keys: None, restored: self.restored, timers: false };
        each(states, |state| state.begin_without_key(call, &batch))
    }

    /// The slot of each row that was resolved last; empty for an operator without state.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Whether states need to be told the time of each row.
    pub(crate) fn needs_time(&self) -> bool {
        self.needs_time
    }

    /// Tells the time of the row that is processed next, milliseconds since the Unix epoch: what it writes lives from then on
    /// in states that expire in event time.
    #[inline(always)]
    pub fn at(&self, timestamp: i64) {
        self.clock.at(timestamp);
    }

    /// What lists and maps need to read what is not in the cache.
    pub fn reader<'a>(&'a self, call: &'a mut Call<'_>) -> StateReader<'a> {
        StateReader { backend: call.backend, keys: &self.directory }
    }

    /// Ends a call that used state: changes are written where the host wants each call to do so, and entries that were not used
    /// for long make room where the cache is over its bound.
    ///
    /// # Errors
    /// The job's, when a value has no encoding.
    pub fn trim(&mut self, call: &mut Call<'_>, states: &mut dyn States) -> Result {
        if !self.is_used {
            return Ok(());
        }
        let (directory, write_through) = (&self.directory, self.write_through);
        each(states, |state| state.end(call, directory, write_through))?;
        if self.hand.evict(&mut self.directory, call, states, self.bound)? {
            self.fetch = true;
        }
        Ok(())
    }

    /// Cuts state: all changes so far belong to `epoch`, later ones to `epoch + 1`.
    ///
    /// # Errors
    /// The job's, when a value has no encoding.
    pub fn snapshot(&mut self, call: &mut Call<'_>, states: &mut dyn States, epoch: u64) -> Result {
        if self.is_cut {
            // The host takes all steps before it cuts again; this is for one that does not.
            while !self.snapshot_step(call, states, CHUNK_BYTES as u32)? {}
        }
        let slots = self.directory.slots();
        states.visit(&mut |state| state.cut(epoch, slots));
        self.is_cut = true;
        Ok(())
    }

    /// Hands over about `max_bytes` of the epoch that was cut; true when all is handed over.
    ///
    /// # Errors
    /// The job's, when a value has no encoding.
    pub fn snapshot_step(&mut self, call: &mut Call<'_>, states: &mut dyn States, max_bytes: u32) -> Result<bool> {
        if !self.is_cut {
            return Ok(true);
        }
        let (mut left, mut done) = ((max_bytes as usize).max(1), true);
        let directory = &self.directory;
        each(states, |state| {
            if left > 0 {
                left = left.saturating_sub(state.hand_over(call, directory, left)?);
            }
            done &= state.is_handed_over();
            Ok(())
        })?;
        self.is_cut = !done;
        Ok(done)
    }
}

/// Calls `act` with every state until one fails.
pub(super) fn each(states: &mut dyn States, mut act: impl FnMut(&mut dyn super::StateColumn) -> Result) -> Result {
    let mut result = Ok(());
    states.visit(&mut |state| {
        if result.is_ok() {
            result = act(state);
        }
    });
    result
}
