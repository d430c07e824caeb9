//! Keyed state in redb: exactly-once checkpoints, recovery, savepoints and rescaling.
//!
//! redb is not on the path of a record. A guest caches its state and hands changes over in bulk; they land in the write
//! buffer of its subtask ([`wasmill_core::KeyedState`]), an epoch each. A checkpoint appends an epoch's changes of all
//! subtasks to a log in the database, in one transaction with one fsync, and then writes its manifest: from then on it
//! exists. Later, off the path, the log is folded into the base, each key once however often it changed.
//!
//! - Checkpoint E is the base and the log up to E. Only epochs up to the oldest checkpoint that is kept are folded.
//! - Reads look at the write buffers, newest first, at what is in the log and not folded (kept in memory too), then at the
//!   base.
//! - Recovery removes what the log has after the newest complete checkpoint.
//! - Everything that touches the disk runs on tokio's blocking pool, including reads, and those only where the base can have
//!   something.
//!
//! `docs/state.md` has the guarantees and the stored format.
//!
//! # Layout
//!
//! - `layout`, `chunk`, `manifest`: the stored format of entries, of the log and of manifests.
//! - `rows`, `table`, `index`, `settled`, `layers`: writes in memory: columns, finding a key in them, epochs.
//! - `effects`: what rows leave of each entry, over what the base has.
//! - `subtask`, `lookup`, `keyed`: the state of one subtask, how it is read, and what the host and the engine call.
//! - `database`, `directory`, `checkpoints`: redb, locks and files, manifests.
//! - `backend`: the store of one job; `restore`, `commit`, `savepoint`: what it does; `background`, `fold`, `expire`: what
//!   it does off the path.
//! - `reader`: a checkpoint or a savepoint, offline; `overlay`: reads a file that must not change.

mod backend;
mod background;
mod checkpoints;
mod chunk;
mod commit;
mod database;
mod directory;
mod effects;
mod expire;
mod fold;
mod index;
mod keyed;
mod layers;
mod layout;
mod lookup;
mod manifest;
mod overlay;
mod reader;
mod restore;
mod rows;
mod savepoint;
mod settled;
mod subtask;
mod table;

pub use backend::{RedbState, StoreOptions};
pub use layout::FORMAT_VERSION;
pub use reader::{Entries, Entry, ReadError, Reader, StoredOperator, Timer};
