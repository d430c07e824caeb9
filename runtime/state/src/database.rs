//! Opens redb and runs transactions on it; holds the names of tables. Every call blocks on the disk.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use redb::{Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use wasmill_core::state::StateError;

use crate::{
    directory::sync_folder,
    layout::{self, FORMAT_VERSION},
};

/// Entries by stored key, as at a checkpoint that is kept, or on their way there.
pub(crate) const BASE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("base");

/// Chunks that are not folded yet, by [`log_key`].
pub(crate) const LOG: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("log");

/// What the store says of itself.
pub(crate) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");

/// A stored key and a stored value.
pub(crate) type StoredEntry = (Vec<u8>, Vec<u8>);

/// The key of a chunk: epoch u64, chunk u32, big-endian.
pub(crate) fn log_key(epoch: u64, chunk: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&epoch.to_be_bytes());
    key[8..].copy_from_slice(&chunk.to_be_bytes());
    key
}

/// The epoch of a chunk.
pub(crate) fn log_epoch(key: &[u8]) -> u64 {
    key.first_chunk().map_or(0, |epoch| u64::from_be_bytes(*epoch))
}

/// How a database is opened.
pub(crate) type Open = Box<dyn Fn(&Path) -> Result<redb::Database, redb::DatabaseError> + Send + Sync>;

/// The database of one job.
pub(crate) struct Database {
    path: PathBuf,
    open: Open,
    /// `None` only while it is opened anew.
    redb: RwLock<Option<redb::Database>>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Numbers that a store says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The first number that no state has had.
    pub(crate) next_state: u32,
    /// The highest epoch that was ever stored.
    pub(crate) highest: u64,
    /// Up to which epoch the log has been folded.
    pub(crate) folded: u64,
}

impl Facts {
    pub(crate) fn write(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", &FORMAT_VERSION.to_be_bytes()[..])?;
        meta.insert("next-state", &self.next_state.to_be_bytes()[..])?;
        meta.insert("highest", &self.highest.to_be_bytes()[..])?;
        meta.insert("folded", &self.folded.to_be_bytes()[..])?;
        Ok(())
    }
}

impl Database {
    /// Opens the database at `path`, or makes one.
    pub(crate) fn open(path: PathBuf, cache_bytes: usize) -> Result<Database, StateError> {
        let open = move |path: &Path| {
            let mut builder = redb::Builder::new();
            builder.set_cache_size(cache_bytes).set_check_integrity_on_open(true).create(path)
        };
        Self::with(path, Box::new(open))
    }

    /// Opens a database as `open` does.
    pub(crate) fn with(path: PathBuf, open: Open) -> Result<Database, StateError> {
        let database = Database { path, open, redb: RwLock::new(None) };
        database.make()?;
        database.reopen()?;
        Ok(database)
    }

    /// Makes the file if there is none: aside, since redb writes a new file in several steps, and a process that dies
    /// between them would leave one that nobody can open.
    fn make(&self) -> Result<(), StateError> {
        let failed = |error: io::Error| self.failed("create", &redb::Error::Io(error));
        if self.path.try_exists().map_err(failed)? {
            return Ok(());
        }
        let unfinished = self.path.with_extension("new");
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let made = (self.open)(&unfinished).map_err(|error| self.failed("create", &error.into()))?;
        // Closed, all of it is durable.
        drop(made);
        fs::rename(&unfinished, &self.path).map_err(failed)?;
        self.path.parent().map_or(Ok(()), sync_folder).map_err(failed)
    }

    /// Opens it anew: after an error of the disk redb does nothing any more.
    pub(crate) fn reopen(&self) -> Result<(), StateError> {
        let mut redb = self.redb.write().unwrap_or_else(PoisonError::into_inner);
        *redb = None;
        let opened = (self.open)(&self.path).map_err(|error| self.failed("open", &error.into()))?;
        *redb = Some(opened);
        drop(redb);
        self.write(Durability::Immediate, |transaction| {
            transaction.open_table(BASE)?;
            transaction.open_table(LOG)?;
            let meta = transaction.open_table(META)?;
            let is_new = ReadableTable::get(&meta, "format")?.is_none();
            drop(meta);
            if is_new { Facts::default().write(transaction) } else { Ok(()) }
        })?;
        let format = self.read(|transaction| number(transaction, "format"))?;
        if format != u64::from(FORMAT_VERSION) {
            return Err(StateError::Store(format!(
                "`{}` has format version {format}, and this Wasmill writes version {FORMAT_VERSION}: use the Wasmill that \
                 wrote it, or another state directory",
                self.path.display()
            )));
        }
        Ok(())
    }

    /// Runs a transaction that writes. On an error nothing of it is stored, but that when the fsync itself fails, nobody
    /// can know which of the two the disk has.
    pub(crate) fn write<T>(
        &self,
        durability: Durability,
        act: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StateError> {
        let redb = self.redb.read().unwrap_or_else(PoisonError::into_inner);
        let redb = redb.as_ref().ok_or_else(|| self.closed())?;
        let run = || {
            let mut transaction = redb.begin_write()?;
            transaction.set_durability(durability).map_err(redb::Error::from)?;
            let done = act(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        run().map_err(|error: redb::Error| self.failed("write to", &error))
    }

    /// Runs a transaction that reads.
    pub(crate) fn read<T>(
        &self,
        act: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StateError> {
        let redb = self.redb.read().unwrap_or_else(PoisonError::into_inner);
        let redb = redb.as_ref().ok_or_else(|| self.closed())?;
        let run = || act(&redb.begin_read()?);
        run().map_err(|error: redb::Error| self.failed("read from", &error))
    }

    /// A snapshot that outlives the call.
    pub(crate) fn snapshot(&self) -> Result<ReadTransaction, StateError> {
        let redb = self.redb.read().unwrap_or_else(PoisonError::into_inner);
        let redb = redb.as_ref().ok_or_else(|| self.closed())?;
        redb.begin_read().map_err(|error| self.failed("read from", &error.into()))
    }

    /// What the store says of itself.
    pub(crate) fn facts(&self) -> Result<Facts, StateError> {
        self.read(|transaction| {
            Ok(Facts {
                next_state: u32::try_from(number(transaction, "next-state")?).unwrap_or(u32::MAX),
                highest: number(transaction, "highest")?,
                folded: number(transaction, "folded")?,
            })
        })
    }

    fn closed(&self) -> StateError {
        StateError::Store(format!("`{}` could not be opened again after an error", self.path.display()))
    }

    fn failed(&self, what: &str, error: &redb::Error) -> StateError {
        let hint = match error {
            redb::Error::Corrupted(_) => ": the file is damaged; restore it from a copy or a savepoint, or begin anew",
            redb::Error::DatabaseAlreadyOpen => ": another process has it open",
            _ => "",
        };
        StateError::Store(format!("cannot {what} `{}`: {error}{hint}", self.path.display()))
    }
}

/// A number in the table `meta`; 0 where it is not.
pub(crate) fn number(transaction: &ReadTransaction, name: &str) -> Result<u64, redb::Error> {
    let meta = transaction.open_table(META)?;
    let found = ReadableTable::get(&meta, name)?;
    Ok(found.map_or(0, |bytes| bytes.value().iter().fold(0, |number, &byte| number << 8 | u64::from(byte))))
}

/// Removes everything whose key begins with `prefix`.
pub(crate) fn remove_prefix(
    table: &mut redb::Table<'_, &'static [u8], &'static [u8]>,
    prefix: &[u8],
) -> Result<(), redb::Error> {
    match layout::after(prefix) {
        Some(after) => table.retain_in::<&[u8], _>(prefix..&after[..], |_, _| false)?,
        None => table.retain_in::<&[u8], _>(prefix.., |_, _| false)?,
    }
    Ok(())
}

/// Entries from `from` to before `to`, as owned bytes.
pub(crate) fn entries<'a>(
    table: &'a impl ReadableTable<&'static [u8], &'static [u8]>,
    from: &[u8],
    to: &[u8],
) -> Result<impl Iterator<Item = Result<StoredEntry, redb::Error>> + 'a, redb::Error> {
    let range = table.range::<&[u8]>(from..to.max(from))?;
    Ok(range.map(|row| {
        let (key, value) = row?;
        Ok((key.value().to_vec(), value.value().to_vec()))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_says_of_itself_is_pinned() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path().join("state.redb"), 1 << 20).unwrap();
        let facts = Facts { next_state: 3, highest: 0x102, folded: 7 };
        database.write(Durability::Immediate, |transaction| facts.write(transaction)).unwrap();
        assert_eq!(database.facts().unwrap(), facts);
        let rows = database.read(|transaction| {
            let meta = transaction.open_table(META)?;
            Ok(ReadableTable::iter(&meta)?
                .map(|row| row.unwrap())
                .map(|(k, v)| (k.value().to_string(), v.value().to_vec()))
                .collect::<Vec<_>>())
        });
        let expected: [(&str, &[u8]); 4] = [
            ("folded", &[0, 0, 0, 0, 0, 0, 0, 7]),
            ("format", &[0, 0, 0, 2]),
            ("highest", &[0, 0, 0, 0, 0, 0, 1, 2]),
            ("next-state", &[0, 0, 0, 3]),
        ];
        assert_eq!(rows.unwrap(), expected.map(|(name, bytes)| (name.to_string(), bytes.to_vec())));
    }

    #[test]
    fn another_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let database = Database::open(path.clone(), 1 << 20).unwrap();
        let other = |transaction: &WriteTransaction| {
            transaction.open_table(META)?.insert("format", &[0, 0, 0, 9][..])?;
            Ok(())
        };
        database.write(Durability::Immediate, other).unwrap();
        drop(database);
        let error = Database::open(path, 1 << 20).unwrap_err().to_string();
        assert!(error.contains("format version 9"), "{error}");
    }
}
