//! Keyed state: a write-back cache of what the host keeps.
//!
//! A [`StateCache`] keeps one directory of keys, which gives each key a slot, and every state is a column with an entry a
//! slot. Before the records of a batch are processed, their keys are looked up once for all rows, and the entries of keys
//! that are new to the cache are fetched in one call a state. Changed entries reach the host when a checkpoint asks for
//! them, or when the cache is over its bound: then all are written and the cache starts anew.
//!
//! Entries are handed over in the order in which they first changed, never in hash order, so that a replay is a replay.

mod cache;
mod directory;
mod value;

pub use cache::StateCache;
pub use directory::Directory;
pub use value::ValueState;

use crate::{
    backend::{Values, Writes},
    error::Result,
};

/// Where the cache keeps a key: the index of its entry in every state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(pub(crate) u32);

impl Slot {
    /// No key.
    pub const NONE: Slot = Slot(u32::MAX);
}

/// The states that an operator holds. Derived: `#[derive(States)]` finds the fields of type `ValueState`; others are marked
/// `#[state]`. An operator without state may write `impl States for MyOperator {}`.
#[diagnostic::on_unimplemented(
    message = "the states of `{Self}` are not known",
    label = "does not say which states it holds",
    note = "add `#[derive(States)]` to the definition of `{Self}`"
)]
pub trait States {
    /// Makes the key at `slot` the current one of every state.
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        let _ = slot;
    }

    /// Calls `visit` with every state.
    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn StateColumn)) {
        let _ = visit;
    }
}

/// A state as its cache sees it: a column with an entry a slot.
pub trait StateColumn {
    /// Its index in the operator's description.
    fn index(&self) -> u32;

    /// Adds absent entries up to `slots`.
    fn grow(&mut self, slots: usize);

    /// Takes what the host has for the slots from `first` on.
    ///
    /// # Errors
    /// The job's, when stored bytes do not fit the codec.
    fn load(&mut self, keys: &Directory, first: usize, values: &Values) -> Result;

    /// Whether entries changed that the host has not been told.
    fn is_changed(&self) -> bool;

    /// Takes changed entries of about `max_bytes` bytes, at least one, as writes; `None` when there are none.
    ///
    /// # Errors
    /// The job's, when a value has no encoding.
    fn take_changed(&mut self, keys: &Directory, max_bytes: usize) -> Result<Option<Writes>>;

    /// Memory that it takes, roughly, in bytes.
    fn bytes(&self) -> usize;

    /// Drops all entries.
    fn clear(&mut self);
}
