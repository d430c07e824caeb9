//! State: a write-back cache of what the host keeps.
//!
//! A [`StateCache`] keeps one directory of keys, which gives each key a slot, and every state is a column with an entry a
//! slot. Before the records of a batch are processed, their keys are looked up once for all rows, and the values of keys
//! that are new to the cache are fetched in one call a state. Changed entries reach the host when a checkpoint asks for
//! them, or when the cache is over its bound: then keys that were not used for a while make room.
//!
//! At a checkpoint state is *cut*: nothing is copied or handed over, whatever the number of entries. Records go on at once,
//! and what was changed before the cut is handed over in steps between batches. An entry of these that is changed again
//! first is written down as it was at the cut, and handed over like that.
//!
//! Entries are handed over in the order in which they first changed, never in hash order, so that a replay is a replay.

mod aggregating;
mod broadcast;
mod cache;
mod changes;
mod column;
mod declaration;
mod directory;
mod eviction;
mod list;
mod map;
mod map_key;
mod reducing;
mod ttl;
mod value;
mod writes;

pub use aggregating::{Aggregate, AggregatingState};
pub use broadcast::BroadcastState;
pub use cache::{Resolved, StateCache, StateReader};
pub use declaration::Declaration;
pub use directory::Directory;
pub(crate) use list::split_first;
pub use list::{Elements, ListState};
pub use map::{Cursor, MapPage, MapState};
pub use map_key::MapKey;
pub use reducing::ReducingState;
pub use ttl::Ttl;
pub(crate) use ttl::{Clock, Lifetime};
pub use value::ValueState;

use crate::{backend::Backend, call::Call, error::Result};

/// Where the cache keeps a key: the index of its entry in every state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(pub(crate) u32);

impl Slot {
    /// No key.
    pub const NONE: Slot = Slot(u32::MAX);
}

/// The states that an operator holds. Derived: `#[derive(States)]` finds the fields whose types are named as the states of
/// this module; others are marked `#[state]`. An operator without state may write `impl States for MyOperator {}`.
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

/// One state of an operator. Implement it for a type of your own around one of the SDK's by calling that one's methods.
pub trait State {
    /// Makes the key at `slot` the current one.
    fn select(&mut self, slot: Slot);

    /// What its cache sees of it.
    fn column(&mut self) -> &mut dyn StateColumn;
}

/// Memory that a state takes, roughly, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct ColumnCost {
    /// For each key in the cache.
    pub slot: usize,
    /// Beside that.
    pub beside: usize,
}

/// A state as its cache sees it: a column with an entry a slot.
pub trait StateColumn {
    /// Its index in the operator's description.
    fn index(&self) -> u32;

    /// Prepares the entries of a batch's keys: adds slots for new ones, and fetches what the host may have of them.
    ///
    /// # Errors
    /// The job's, when stored bytes do not fit the codec.
    fn begin(&mut self, call: &mut Call<'_>, batch: &Resolved<'_>) -> Result;

    /// Prepares a call that has no keys.
    ///
    /// # Errors
    /// The job's, when stored bytes do not fit the codec.
    fn begin_without_key(&mut self, call: &mut Call<'_>, batch: &Resolved<'_>) -> Result {
        let _ = (call, batch);
        Ok(())
    }

    /// Ends a call: there is no current key any more. Writes all changes if `write_through` says so.
    ///
    /// # Errors
    /// The job's, when a value has no encoding.
    fn end(&mut self, call: &mut Call<'_>, keys: &Directory, write_through: bool) -> Result;

    /// Cuts: changes so far belong to `epoch`, later ones to `epoch + 1`. All of earlier cuts is handed over. The directory has
    /// `slots` slots.
    fn cut(&mut self, epoch: u64, slots: usize);

    /// Hands over about `max_bytes` bytes of what was cut; how many it were, more than none if anything is left.
    ///
    /// # Errors
    /// The job's, when a value has no encoding.
    fn hand_over(&mut self, call: &mut Call<'_>, keys: &Directory, max_bytes: usize) -> Result<usize>;

    /// Whether nothing of what was cut is left.
    fn is_handed_over(&self) -> bool;

    /// Hands over and forgets the entries at `slots`.
    ///
    /// # Errors
    /// The job's, when a value has no encoding.
    fn evict(&mut self, call: &mut Call<'_>, keys: &Directory, slots: &[u32]) -> Result;

    /// Memory that it takes.
    fn cost(&self) -> ColumnCost;
}

/// What lists and maps read by when an entry is not in the cache: a [`KeyedCall`](crate::KeyedCall), or the
/// [`StateReader`] of a cache.
pub trait Access {
    /// The host, and the keys of the cache.
    #[doc(hidden)]
    fn access(&mut self) -> (&mut dyn Backend, &Directory);
}

impl Access for StateReader<'_> {
    fn access(&mut self) -> (&mut dyn Backend, &Directory) {
        (self.backend, self.keys)
    }
}
