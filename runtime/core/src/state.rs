//! Keyed state: what the host gives a guest, and what the engine asks of the store.

use std::sync::Arc;

use crate::{
    BoxFuture, KeyGroupRange, MaxParallelism, Place, Quota,
    batch::{self, BatchError},
    description::StateDescription,
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

/// Keyed state of one subtask of one operator. Shared by the host, which reads and writes for the guest, and the engine,
/// which cuts it; used by one of them at a time.
pub trait KeyedState: Send + Sync {
    /// Whether `key` belongs to this subtask.
    fn owns(&self, key: &[u8]) -> bool;

    /// Reads entries of state number `state`.
    ///
    /// # Errors
    /// [`StateError::Contract`] for an unknown state, invalid columns or a key of another subtask.
    fn get_many<'a>(&'a self, state: u32, entries: &'a EntryKeys) -> BoxFuture<'a, Result<Values, StateError>>;

    /// Writes entries that changed in `epoch`.
    ///
    /// # Errors
    /// [`StateError::Contract`] as above, and for an epoch that is neither the current one nor the one being handed over.
    fn write_many<'a>(&'a self, state: u32, epoch: u64, writes: &'a Writes) -> BoxFuture<'a, Result<(), StateError>>;

    /// Ends the current epoch as `epoch`: writes of it still come, until [`KeyedState::seal`]; the current one is then
    /// `epoch + 1`.
    ///
    /// # Errors
    /// [`StateError::Contract`] when `epoch` is below the current one or another cut is not yet sealed.
    fn cut(&self, epoch: u64) -> Result<(), StateError>;

    /// The guest has handed over all of the epoch that was cut; it can be committed.
    fn seal(&self);
}

/// What a subtask asks a backend for.
#[derive(Debug, Clone)]
pub struct StateScopeRequest {
    /// Which subtask.
    pub place: Place,
    /// The operator's states.
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

/// The store of one job.
pub trait StateBackend: Send + Sync {
    /// The keyed state of a subtask.
    ///
    /// # Errors
    /// When the store cannot be opened.
    fn open(&self, request: StateScopeRequest) -> Result<Arc<dyn KeyedState>, StateError>;

    /// Makes everything sealed up to `epoch` durable, for all subtasks at once.
    ///
    /// # Errors
    /// [`StateError::Store`]; then nothing of the epoch is stored.
    fn commit(&self, epoch: u64) -> BoxFuture<'_, Result<(), StateError>>;
}
