//! Writes savepoints, and begins from them: a folder with the whole state in the base and nothing in the log, and a manifest
//! without committables. It depends on nothing outside it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use redb::{Durability, ReadTransaction};
use wasmill_core::state::StateError;

use crate::{
    backend::{Store, lock},
    checkpoints::Checkpoints,
    database::{BASE, Database, Facts, LOG, entries},
    directory::{DATABASE, Files, sync_folder},
    fold::Fold,
    layout,
    manifest::{BadManifest, StoredManifest},
};

/// The manifest of a savepoint.
pub(crate) const MANIFEST: &str = "manifest.json";

/// Entries that are copied in one transaction.
const STEP_ENTRIES: usize = 32 << 10;

/// Page cache while a savepoint is written, bytes.
const CACHE_BYTES: usize = 16 << 20;

impl Store {
    /// Writes the newest complete checkpoint as a savepoint.
    pub(crate) fn savepoint(&self, epoch: u64, folder: &Path) -> Result<(), StateError> {
        let (stored, snapshot) = {
            let _turn = lock(&self.turn);
            let newest = lock(&self.inner).kept.last().cloned();
            let newest = newest.filter(|stored| stored.manifest.epoch == epoch).ok_or_else(|| {
                StateError::Store(format!(
                    "checkpoint {epoch} is not the newest one: a savepoint of it cannot be written"
                ))
            })?;
            (newest, self.database.snapshot()?)
        };
        let made = !folder.exists();
        let written = write(&stored, &snapshot, folder);
        if written.is_err() {
            let _ = fs::remove_file(folder.join(DATABASE));
            if made {
                let _ = fs::remove_dir(folder);
            }
        }
        written
    }
}

fn write(stored: &StoredManifest, snapshot: &ReadTransaction, folder: &Path) -> Result<(), StateError> {
    let failed =
        |error: io::Error| StateError::Store(format!("cannot write the savepoint `{}`: {error}", folder.display()));
    let failed_redb = |error: redb::Error| failed(io::Error::other(error));
    fs::create_dir_all(folder).map_err(failed)?;
    if fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(failed(io::Error::other("the folder is not empty")));
    }
    let database = Database::open(folder.join(DATABASE), CACHE_BYTES)?;
    let base = snapshot.open_table(BASE).map_err(|error| failed_redb(error.into()))?;
    for state in &stored.states {
        let mut from = layout::group_start(state.number, 0);
        let end = layout::group_start(state.number, 1 << 16);
        loop {
            let next = database.write(Durability::None, |transaction| {
                let mut copy = transaction.open_table(BASE)?;
                for (copied, entry) in entries(&base, &from, &end)?.enumerate() {
                    let (key, value) = entry?;
                    if copied == STEP_ENTRIES {
                        return Ok(Some(key));
                    }
                    copy.insert(&key[..], &value[..])?;
                }
                Ok(None)
            })?;
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
    }
    let log = snapshot.open_table(LOG).map_err(|error| failed_redb(error.into()))?;
    let mut fold = Fold::new(&log, stored).map_err(failed_redb)?.map_err(StateError::Store)?;
    while !database.write(Durability::None, |transaction| fold.step_from(&log, transaction))? {}
    let epoch = stored.manifest.epoch;
    let next_state = stored.states.iter().map(|state| state.number + 1).max().unwrap_or(0);
    let facts = Facts { next_state, highest: epoch, folded: epoch };
    database.write(Durability::Immediate, |transaction| facts.write(transaction))?;
    drop(database);
    let mut stored = StoredManifest { savepoint: true, ..stored.clone() };
    stored.manifest.committables.clear();
    // The manifest last: without it the folder is no savepoint.
    Files::default().write(&folder.join(MANIFEST), &stored.encode()).map_err(failed)?;
    folder.canonicalize().ok().as_deref().and_then(Path::parent).map_or(Ok(()), sync_folder).map_err(failed)
}

/// Reads the manifest of a savepoint.
pub(crate) fn manifest(folder: &Path) -> Result<StoredManifest, StateError> {
    let path = folder.join(MANIFEST);
    let failed = |why: String| StateError::Store(format!("`{}` is not a savepoint: {why}", folder.display()));
    let bytes = fs::read(&path).map_err(|error| failed(format!("cannot read `{}`: {error}", path.display())))?;
    StoredManifest::decode(&bytes).map_err(|bad| match bad {
        BadManifest::Damaged(why) => StateError::Store(format!("the savepoint `{}` is damaged: {why}", path.display())),
        BadManifest::Format(format) => StateError::Store(format!(
            "the savepoint `{}` has format version {format}, and this Wasmill reads version {}: use the Wasmill that wrote \
             it",
            path.display(),
            crate::FORMAT_VERSION
        )),
    })
}

/// Copies a savepoint into a state directory, which is locked and empty: it is the first checkpoint there.
pub(crate) fn copy(folder: &Path, stored: &StoredManifest, directory: &Path) -> Result<(), StateError> {
    let (from, to): (PathBuf, PathBuf) = (folder.join(DATABASE), directory.join(DATABASE));
    let unfinished = directory.join("state.tmp");
    let copied = (|| {
        fs::copy(&from, &unfinished)?;
        fs::File::open(&unfinished)?.sync_all()?;
        fs::rename(&unfinished, &to)?;
        sync_folder(directory)
    })();
    copied.map_err(|error: io::Error| {
        let _ = fs::remove_file(&unfinished);
        StateError::Store(format!("cannot copy `{}` to `{}`: {error}", from.display(), to.display()))
    })?;
    let mut stored = stored.clone();
    stored.savepoint = true;
    Checkpoints::new(directory, Files::default()).write(&stored)
}

/// Whether a folder is a savepoint.
pub(crate) fn is_savepoint(folder: &Path) -> bool {
    folder.join(MANIFEST).is_file()
}
