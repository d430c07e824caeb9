//! Keyed state in redb: one database a job, written durably when a bounded job ends.
//!
//! redb is not on the path of a record. A guest caches its state and writes changes back in bulk; they land in the
//! write buffer of the subtask ([`wasmill_core::KeyedState`]), and from there in the database. Reads look at the
//! buffers, newest first, and then at the database.
//!
//! - A change belongs to an epoch. The buffers are layers, one an epoch: the current one, the one that is being handed
//!   over after a cut, and those that are sealed and not yet committed.
//! - A commit writes all sealed layers of all subtasks in one transaction, sorted by stored key, with one fsync. Only
//!   then does the store say that the epoch exists.
//! - A buffer that outgrows its bound is spilled: its oldest layer goes to the database early. The store says that it
//!   holds part of an epoch until that epoch is committed, and [`Reader`] refuses it until then. Only changes of the
//!   oldest uncommitted epoch are spilled: the commit of an epoch must not overwrite values of a later one.
//! - Everything that touches the disk runs on tokio's blocking pool, including reads, and those only where something
//!   has been written before.
//!
//! This version cannot resume: a directory that holds a store is refused. `docs/state.md` has the stored format.
//!
//! # Layout
//!
//! - `layout`: the stored format of keys; `meta`: what a store says of itself.
//! - `directory`: makes and locks a state directory.
//! - `changes`, `layers`: the write buffer and its epochs; pure.
//! - `subtask`: buffers of one subtask and what they are charged for; `keyed`: what the host and the engine call.
//! - `database`: the transactions; `backend`: the store of one job.
//! - `reader`: a committed store, offline.

mod backend;
mod changes;
mod database;
mod directory;
mod keyed;
mod layers;
mod layout;
mod meta;
mod reader;
mod subtask;

pub use backend::{RedbState, StoreOptions};
pub use layout::FORMAT_VERSION;
pub use meta::StateDeclaration;
pub use reader::{Entries, Entry, ReadError, Reader, StoredOperator};
