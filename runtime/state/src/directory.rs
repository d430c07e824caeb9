//! Locks a state directory, so that one process writes or any number read, and writes its small files so that each is there
//! whole or not at all.
//!
//! The lock is on a file of its own, so that it holds before the database exists and does not depend on how redb locks its
//! file.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use wasmill_core::state::StateError;

/// The database in a state directory and in a savepoint.
pub(crate) const DATABASE: &str = "state.redb";

const LOCK: &str = "lock";

/// A locked state directory; unlocked when dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// `None` where a folder without a lock file is read: a savepoint or a copy, that no job writes.
    _lock: Option<File>,
}

impl Directory {
    /// Makes the directory if need be and locks it for writing.
    pub(crate) fn lock(path: &Path) -> Result<Directory, StateError> {
        let failed = |what: &str, error: io::Error| {
            StateError::Store(format!("cannot {what} the state directory `{}`: {error}", path.display()))
        };
        fs::create_dir_all(path).map_err(|error| failed("create", error))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK));
        let lock = lock.map_err(|error| failed("write to", error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Directory { path: path.to_path_buf(), _lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => Err(StateError::Store(format!(
                "the state directory `{}` is in use by another job or reader: wait for it to end, or choose another \
                 directory",
                path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(failed("lock", error)),
        }
    }

    /// Locks the directory for reading; `None` while a job writes to it.
    pub(crate) fn lock_shared(path: &Path) -> io::Result<Option<Directory>> {
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
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Elsewhere a directory cannot be opened as a file, and its entries need no sync of their own.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Writes small files. Tests make each of its steps fail in turn.
#[derive(Default)]
pub(crate) struct Files {
    /// Called before each step that changes the disk.
    pub(crate) before: Option<Box<dyn Fn() -> io::Result<()> + Send + Sync>>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Files")
    }
}

impl Files {
    fn step(&self) -> io::Result<()> {
        self.before.as_ref().map_or(Ok(()), |before| before())
    }

    /// Writes a file durably, in place of one of that name: whole, or not at all.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let unfinished = path.with_extension("tmp");
        let written = (|| {
            self.step()?;
            let mut file = File::create(&unfinished)?;
            // In two, so that a test can cut it short.
            let (first, second) = bytes.split_at(bytes.len() / 2);
            for part in [first, second] {
                self.step()?;
                file.write_all(part)?;
            }
            self.step()?;
            file.sync_all()?;
            self.step()?;
            fs::rename(&unfinished, path)?;
            self.step()?;
            path.parent().map_or(Ok(()), sync_folder)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    /// Removes a file; one that is not there is fine.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
