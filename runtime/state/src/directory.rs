//! Makes a state directory and locks it: one process writes, or any number read.
//!
//! The lock is on a file of its own, so that it holds before the database exists and does not depend on how redb locks
//! its file.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use wasmill_core::state::StateError;

use crate::reader::Reader;

/// The database in a state directory.
pub(crate) const DATABASE: &str = "state.redb";

const LOCK: &str = "lock";

/// A locked state directory; unlocked when dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// `None` where a store without a lock file is read: a copy, that no job writes.
    _lock: Option<File>,
}

impl Directory {
    /// Makes the directory if need be and locks it for writing. It must hold no store, or one that no job finished: what
    /// such a one holds was never a result, and it is removed.
    pub(crate) fn create(path: &Path) -> Result<Directory, StateError> {
        let failed = |what: &str, error: io::Error| {
            StateError::Store(format!("cannot {what} the state directory `{}`: {error}", path.display()))
        };
        fs::create_dir_all(path).map_err(|error| failed("create", error))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK));
        let lock = lock.map_err(|error| failed("write to", error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::Store(format!(
                    "the state directory `{}` is in use by another job or reader: wait for it to end, or choose another \
                     directory",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", error)),
        }
        let exists = path.join(DATABASE).try_exists().map_err(|error| failed("read", error))?;
        if exists && Reader::is_unfinished(path) {
            fs::remove_file(path.join(DATABASE)).map_err(|error| failed("write to", error))?;
        } else if exists {
            return Err(StateError::Store(format!(
                "the state directory `{}` already holds a store, and this version cannot resume from one: remove the \
                 directory, or choose another",
                path.display()
            )));
        }
        Ok(Directory { path: path.to_path_buf(), _lock: Some(lock) })
    }

    /// The directory, for whoever holds its lock already.
    pub(crate) fn locked_elsewhere(path: &Path) -> Directory {
        Directory { path: path.to_path_buf(), _lock: None }
    }

    /// Locks the directory for reading; `None` while a job writes to it.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Directory>> {
        let lock = match File::open(path.join(LOCK)) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(Directory { path: path.to_path_buf(), _lock: None }));
            }
            Err(error) => return Err(error),
        };
        match lock.try_lock_shared() {
            Ok(()) => Ok(Some(Directory { path: path.to_path_buf(), _lock: Some(lock) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Where the database is.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Makes the names of new files durable, and that of the directory.
    pub(crate) fn sync(&self) -> io::Result<()> {
        // Elsewhere a directory cannot be opened as a file, and its entries need no sync of their own.
        if cfg!(unix) {
            let path = self.path.canonicalize()?;
            File::open(&path)?.sync_all()?;
            if let Some(parent) = path.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        Ok(())
    }
}
