//! Writes changes to redb and reads single keys from it. Every call blocks on the disk.

use std::{path::Path, sync::Arc};

use redb::{ReadableDatabase, ReadableTable};
use wasmill_core::state::StateError;

use crate::{changes::Changes, directory::Directory, layout::BASE, meta::Facts, subtask::Allowance};

/// The database of one job.
#[derive(Debug)]
pub(crate) struct Database {
    redb: redb::Database,
    /// Unlocked after the database is closed: fields are dropped in their order.
    directory: Directory,
}

impl Database {
    /// Makes an empty database that says its format and no more.
    pub(crate) fn create(directory: Directory, cache_bytes: usize) -> Result<Database, StateError> {
        Self::make(directory, |path| redb::Builder::new().set_cache_size(cache_bytes).create(path))
    }

    /// Makes a database as `create` does it.
    pub(crate) fn make(
        directory: Directory,
        create: impl FnOnce(&Path) -> Result<redb::Database, redb::DatabaseError>,
    ) -> Result<Database, StateError> {
        let path = directory.database();
        let made = create(&path).map_err(redb::Error::from).and_then(|redb| {
            write(&redb, &Facts::default(), &[])?;
            directory.sync()?;
            Ok(redb)
        });
        match made {
            Ok(redb) => Ok(Database { redb, directory }),
            Err(error) => {
                // Else the next run would be told that a store is there.
                let _ = std::fs::remove_file(&path);
                Err(failed("create", &directory, &error))
            }
        }
    }

    /// Writes changes, the earlier first, and what the store then says of itself, in one transaction with one fsync.
    /// All is on disk when this returns. On an error nothing is written, but that when the fsync itself fails, redb
    /// cannot know which of the two the disk has.
    pub(crate) fn write(&self, facts: &Facts, changes: &[Arc<Changes>]) -> Result<(), StateError> {
        write(&self.redb, facts, changes).map_err(|error| failed("write to", &self.directory, &error))
    }

    /// The values of stored keys, in the order asked. Ask in stored order: neighbours share pages.
    pub(crate) fn get<'a>(
        &self,
        keys: impl Iterator<Item = &'a [u8]>,
        allowance: &mut Allowance,
    ) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        let failed = |error: redb::Error| failed("read from", &self.directory, &error);
        let transaction = self.redb.begin_read().map_err(|error| failed(error.into()))?;
        let base = transaction.open_table(BASE).map_err(|error| failed(error.into()))?;
        keys.map(|key| {
            let Some(value) = ReadableTable::get(&base, key).map_err(|error| failed(error.into()))? else {
                return Ok(None);
            };
            allowance.take(value.value().len())?;
            Ok(Some(value.value().to_vec()))
        })
        .collect()
    }
}

fn write(redb: &redb::Database, facts: &Facts, changes: &[Arc<Changes>]) -> Result<(), redb::Error> {
    // Dropped before its commit, a transaction is rolled back. Durable, which is redb's default: pages that a
    // transaction frees are used again only after the next durable one, so spills without fsync would let the file grow
    // without end.
    let transaction = redb.begin_write()?;
    {
        let mut base = transaction.open_table(BASE)?;
        for changes in changes {
            for (key, value) in changes.sorted() {
                match value {
                    Some(value) => base.insert(key, value)?,
                    None => base.remove(key)?,
                };
            }
        }
    }
    facts.write(&transaction)?;
    transaction.commit()?;
    Ok(())
}

fn failed(what: &str, directory: &Directory, error: &redb::Error) -> StateError {
    StateError::Store(format!("cannot {what} `{}`: {error}", directory.database().display()))
}
