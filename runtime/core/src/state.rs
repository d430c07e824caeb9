//! Keyed state: what the host gives a guest, and what the engine asks of the store.

use std::{path::PathBuf, sync::Arc};

use crate::{
    BoxFuture, CallTime, KeyGroupRange, Manifest, MaxParallelism, Place, Quota,
    batch::{self, BatchError},
    description::StateDescription,
    time::{TimeDomain, TimerBatch},
};

/// Which entries are meant; the `entry-keys` record of the WIT contract.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct EntryKeys {
    /// End offset of each key in `keys`, bytes.
    pub key_ends: Vec<u32>,
    /// The keys.
    pub keys: Vec<u8>,
    /// End offset of each map key, bytes; empty but for map state.
    pub map_key_ends: Vec<u32>,
    /// The map keys.
    pub map_keys: Vec<u8>,
}

impl EntryKeys {
    /// Verifies the columns.
    ///
    /// # Errors
    /// The first broken invariant.
    pub fn check(&self) -> Result<(), BatchError> {
        let rows = self.key_ends.len();
        batch::check_ends("key-ends", &self.key_ends, self.keys.len(), rows)?;
        batch::check_ends("map-key-ends", &self.map_key_ends, self.map_keys.len(), rows)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.key_ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.key_ends.is_empty()
    }

    /// Key of entry `i`.
    ///
    /// # Panics
    /// If `i` is out of bounds or the columns are not valid.
    pub fn key(&self, i: usize) -> &[u8] {
        batch::slice(&self.key_ends, &self.keys, i)
    }

    /// Map key of entry `i`; empty but for map state.
    ///
    /// # Panics
    /// If there are map keys and `i` is out of bounds, or the columns are not valid.
    pub fn map_key(&self, i: usize) -> &[u8] {
        if self.map_key_ends.is_empty() { &[] } else { batch::slice(&self.map_key_ends, &self.map_keys, i) }
    }
}

/// Answers to a read, in the order asked; the `values` record of the WIT contract.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Values {
    /// 1 where the entry exists.
    pub present: Vec<u8>,
    /// End offset of each value, bytes.
    pub value_ends: Vec<u32>,
    /// The values.
    pub values: Vec<u8>,
}

impl Values {
    /// Adds one answer.
    pub fn push(&mut self, value: Option<&[u8]>) {
        self.present.push(u8::from(value.is_some()));
        self.values.extend_from_slice(value.unwrap_or_default());
        self.value_ends.push(self.values.len() as u32);
    }

    /// Answer `i`; `None` where the entry does not exist.
    ///
    /// # Panics
    /// If `i` is out of bounds.
    pub fn get(&self, i: usize) -> Option<&[u8]> {
        (self.present[i] != 0).then(|| batch::slice(&self.value_ends, &self.values, i))
    }
}

/// What a write does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateOperation {
    /// Sets a value.
    Put,
    /// Removes a value.
    Delete,
    /// Adds an element to a list.
    Append,
    /// Removes all that a key has.
    Clear,
}

/// Writes as columns; the `writes` record of the WIT contract.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Writes {
    /// What each does.
    pub operations: Vec<StateOperation>,
    /// To which entries.
    pub entries: EntryKeys,
    /// End offset of each value, bytes.
    pub value_ends: Vec<u32>,
    /// The values.
    pub values: Vec<u8>,
    /// When each expires; empty where the state has no TTL.
    pub expires: Vec<i64>,
}

impl Writes {
    /// Verifies the columns.
    ///
    /// # Errors
    /// The first broken invariant.
    pub fn check(&self) -> Result<(), BatchError> {
        let rows = self.operations.len();
        self.entries.check()?;
        for (column, entries) in [("key-ends", self.entries.len()), ("value-ends", self.value_ends.len())] {
            if entries != rows {
                return Err(BatchError::Length { column, entries, rows });
            }
        }
        batch::check_ends("value-ends", &self.value_ends, self.values.len(), rows)
    }

    /// Value of write `i`.
    ///
    /// # Panics
    /// If `i` is out of bounds or the columns are not valid.
    pub fn value(&self, i: usize) -> &[u8] {
        batch::slice(&self.value_ends, &self.values, i)
    }
}

/// Why state could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The operator did something the contract forbids.
    #[error("{0}")]
    Contract(String),
    /// A memory quota.
    #[error(transparent)]
    OverQuota(#[from] crate::quota::OverQuota),
    /// The store failed.
    #[error("the state store failed: {0}")]
    Store(String),
}

/// Entries of one key's map; the `page` record of the WIT contract.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct MapPage {
    /// End offset of each map key, bytes.
    pub map_key_ends: Vec<u32>,
    /// The map keys, ascending.
    pub map_keys: Vec<u8>,
    /// End offset of each value, bytes.
    pub value_ends: Vec<u32>,
    /// The values.
    pub values: Vec<u8>,
    /// Whether entries remain after the last one here.
    pub more: bool,
}

/// Entries of one state of one subtask, of any keys: what a migration reads.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct EntryPage {
    /// The keys, and the map keys of map state.
    pub entries: EntryKeys,
    /// End offset of each value, bytes. Of list state a value is the whole list, as [`Values`] has it.
    pub value_ends: Vec<u32>,
    /// The values.
    pub values: Vec<u8>,
    /// When each expires; empty where the state has no TTL.
    pub expires: Vec<i64>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<Vec<u8>>,
}

/// Timers that were set and removed, net, in an epoch.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TimerChanges {
    /// Timers that were not stored and now are.
    pub set: TimerBatch,
    /// Timers that were stored and are no more.
    pub removed: TimerBatch,
}

/// Keyed state and timers of one subtask of one operator. Shared by the host, which reads and writes for the guest, and the
/// engine, which cuts it; used by one of them at a time.
pub trait KeyedState: Send + Sync {
    /// Whether `key` belongs to this subtask.
    fn owns(&self, key: &[u8]) -> bool;

    /// What time it is from now on: entries that have expired by then are absent. Told before each call of the operator.
    fn set_time(&self, time: CallTime);

    /// Reads entries of state number `state`; of list state a value is (u32 length little-endian, element)*.
    ///
    /// # Errors
    /// [`StateError::Contract`] for an unknown state, invalid columns or a key of another subtask.
    fn get_many<'a>(&'a self, state: u32, entries: &'a EntryKeys) -> BoxFuture<'a, Result<Values, StateError>>;

    /// Writes entries that changed in `epoch`.
    ///
    /// # Errors
    /// [`StateError::Contract`] as above, for an operation that the kind of state does not know, and for an epoch that is
    /// neither the current one nor the one being handed over.
    fn write_many<'a>(&'a self, state: u32, epoch: u64, writes: &'a Writes) -> BoxFuture<'a, Result<(), StateError>>;

    /// Reads one key's map from the first map key that is not below `from`, about `max_bytes` bytes, at least one entry if
    /// there is one.
    ///
    /// # Errors
    /// [`StateError::Contract`] for a state that is no map, and for a key of another subtask.
    fn scan<'a>(
        &'a self,
        state: u32,
        key: &'a [u8],
        from: &'a [u8],
        max_bytes: u32,
    ) -> BoxFuture<'a, Result<MapPage, StateError>>;

    /// Begins a call of the operator that may be undone: what is written until [`KeyedState::end_call`] counts only if the
    /// call succeeds, though the call itself reads it.
    fn begin_call(&self);

    /// Ends such a call; without `keep` everything that was written in it is forgotten.
    fn end_call(&self, keep: bool);

    /// Reads entries of a state in stored order, about `max_bytes` bytes, from where a page said. Not for guests.
    ///
    /// # Errors
    /// [`StateError::Contract`] for an unknown state, [`StateError::Store`] when reading fails.
    fn entries(
        &self,
        state: u32,
        from: Option<Vec<u8>>,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<EntryPage, StateError>>;

    /// All timers of a domain that were stored at the checkpoint the job is restored from.
    ///
    /// # Errors
    /// [`StateError::Store`] when reading fails.
    fn timers(&self, domain: TimeDomain) -> BoxFuture<'_, Result<TimerBatch, StateError>>;

    /// Writes timers that changed in `epoch`, each at most once in it.
    ///
    /// # Errors
    /// As [`KeyedState::write_many`].
    fn write_timers(&self, epoch: u64, domain: TimeDomain, changes: &TimerChanges) -> Result<(), StateError>;

    /// Ends the current epoch as `epoch`: writes of it still come, until [`KeyedState::seal`]; the current one is then
    /// `epoch + 1`. Quick, whatever the state's size.
    ///
    /// # Errors
    /// [`StateError::Contract`] when `epoch` is below the current one or another cut is not yet sealed.
    fn cut(&self, epoch: u64) -> Result<(), StateError>;

    /// All of the epoch that was cut has been handed over; it can be committed.
    fn seal(&self);
}

/// What a subtask asks a backend for.
#[derive(Debug, Clone)]
pub struct StateScopeRequest {
    /// Which subtask.
    pub place: Place,
    /// How many subtasks the operator has.
    pub parallelism: u32,
    /// The operator's states. A stored state is found again by its name.
    pub states: Vec<StateDescription>,
    /// The key groups it owns.
    pub range: KeyGroupRange,
    /// The number of key groups.
    pub max_parallelism: MaxParallelism,
    /// The epoch that changes belong to at first.
    pub epoch: u64,
    /// What memory is charged to.
    pub quota: Quota,
}

/// Where an attempt begins.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// The newest complete checkpoint that can be read; `None` where there is none.
    pub manifest: Option<Manifest>,
    /// Above every epoch that was ever used: the first that the attempt may use. At least 1.
    pub next_epoch: u64,
    /// What was passed over and why, for people: a damaged manifest, say.
    pub warnings: Vec<String>,
}

/// What a checkpoint cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Entries of state that were written.
    pub entries: u64,
    /// Bytes that were written for them.
    pub bytes: u64,
}

/// The store of one job: its state and its checkpoints.
pub trait StateBackend: Send + Sync {
    /// Begins an attempt: goes back to the newest complete checkpoint and forgets whatever is later. States that were
    /// opened before are of no more use. A checkpoint that is damaged is passed over with a warning, if an earlier one is
    /// kept.
    ///
    /// # Errors
    /// [`StateError::Store`] when the store cannot be read, and names what is damaged.
    fn restore(&self) -> BoxFuture<'_, Result<Restored, StateError>>;

    /// The keyed state of a subtask, as at the checkpoint that was restored.
    ///
    /// # Errors
    /// When the store cannot be opened.
    fn open(&self, request: StateScopeRequest) -> Result<Arc<dyn KeyedState>, StateError>;

    /// Completes a checkpoint: makes everything sealed up to its epoch durable, for all subtasks at once, and then the
    /// manifest. Checkpoints over the number to keep are let go.
    ///
    /// # Errors
    /// [`StateError::Store`]; then the checkpoint does not exist and the last one still does.
    fn commit(&self, manifest: Manifest) -> BoxFuture<'_, Result<Committed, StateError>>;

    /// Takes note that all committables of a checkpoint have been committed: they need not be looked at again.
    ///
    /// # Errors
    /// [`StateError::Store`]; then they will be committed once more, which is harmless.
    fn committed(&self, epoch: u64) -> BoxFuture<'_, Result<(), StateError>>;

    /// Does a bounded piece of background work (folding the log, removing what has expired); false when there is none.
    ///
    /// # Errors
    /// [`StateError::Store`]; nothing is lost then, and it may be tried again.
    fn work(&self) -> BoxFuture<'_, Result<bool, StateError>>;

    /// Whether so much is held in memory that a checkpoint should be taken early.
    fn wants_checkpoint(&self) -> bool;

    /// Writes the newest complete checkpoint, whose number must be `epoch`, as a savepoint into a folder that does not exist
    /// or is empty: self-contained, without committables, to be moved anywhere.
    ///
    /// # Errors
    /// [`StateError::Store`]; then no savepoint is there.
    fn savepoint(&self, epoch: u64, folder: PathBuf) -> BoxFuture<'_, Result<(), StateError>>;
}
