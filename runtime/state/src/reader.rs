//! Reads a committed store offline, without the operators' code.

mod overlay;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use overlay::Overlay;
use redb::{ReadOnlyTable, ReadableDatabase};
use wasmill_core::{JobName, KeyGroup, MaxParallelism};

use crate::{
    directory::Directory,
    layout::{self, BASE, FORMAT_VERSION},
    meta::{BadFacts, Facts, StateDeclaration},
};

/// Bound of the page cache of a reader, bytes.
const CACHE_BYTES: usize = 64 << 20;

/// Why a store cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The directory holds no store, or it cannot be opened.
    #[error("cannot open the state in `{}`: {error}", directory.display())]
    Open {
        /// The state directory.
        directory: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// A job writes to it.
    #[error("the state directory `{}` is in use by a job: wait for it to end", directory.display())]
    InUse {
        /// The state directory.
        directory: PathBuf,
    },
    /// The job did not get to its commit.
    #[error("the state in `{}` is incomplete: {why}", directory.display())]
    Incomplete {
        /// The state directory.
        directory: PathBuf,
        /// What is missing.
        why: String,
    },
    /// It was written by another version of Wasmill.
    #[error(
        "the state in `{}` has format version {found}, and this Wasmill reads version {FORMAT_VERSION}: use the Wasmill \
         that wrote it",
        directory.display()
    )]
    Format {
        /// The state directory.
        directory: PathBuf,
        /// The format version it has.
        found: u32,
    },
    /// It is not what was once written.
    #[error("the state in `{}` is damaged: {why}", directory.display())]
    Damaged {
        /// The state directory.
        directory: PathBuf,
        /// Where and how.
        why: String,
    },
    /// It has no such operator or state.
    #[error("the state in `{}` has no {what}", directory.display())]
    Unknown {
        /// The state directory.
        directory: PathBuf,
        /// What was asked for, and what there is.
        what: String,
    },
}

/// A committed store.
#[derive(Debug)]
pub struct Reader {
    base: ReadOnlyTable<&'static [u8], &'static [u8]>,
    job: Option<(JobName, MaxParallelism)>,
    epoch: u64,
    operators: Vec<StoredOperator>,
    _redb: redb::Database,
    /// Unlocked after the database is closed: fields are dropped in their order.
    directory: Directory,
}

/// An operator of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOperator {
    /// Its id in the job file.
    pub id: String,
    /// Its states, in the order it declared them.
    pub states: Vec<StateDeclaration>,
}

/// One entry of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key group of the key.
    pub key_group: KeyGroup,
    /// The key, in its declared codec.
    pub key: Vec<u8>,
    /// The value, in its declared codec.
    pub value: Vec<u8>,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Reader, ReadError> {
        let open_error = |error| ReadError::Open { directory: path.to_path_buf(), error };
        let in_use = || ReadError::InUse { directory: path.to_path_buf() };
        let directory = Directory::open(path).map_err(open_error)?.ok_or_else(in_use)?;
        Reader::read(directory)
    }

    /// Whether a directory that is locked holds a store that no job finished: there is no result in it.
    pub(crate) fn is_unfinished(path: &Path) -> bool {
        matches!(Reader::read(Directory::locked_elsewhere(path)), Err(ReadError::Incomplete { .. }))
    }

    fn read(directory: Directory) -> Result<Reader, ReadError> {
        let path = directory.path.as_path();
        let open_error = |error| ReadError::Open { directory: path.to_path_buf(), error };
        let damaged = |why: String| ReadError::Damaged { directory: path.to_path_buf(), why };
        let incomplete = |why: String| ReadError::Incomplete { directory: path.to_path_buf(), why };
        let file = File::open(directory.database()).map_err(open_error)?;
        let overlay = Overlay::new(file).map_err(open_error)?;
        if overlay.is_empty() {
            return Err(incomplete("its database is empty".to_string()));
        }
        // The checks write; what they write stays in the overlay.
        let mut builder = redb::Builder::new();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let redb = builder.create_with_backend(overlay).map_err(|error| damaged(error.to_string()))?;
        let wrong = |error: redb::Error| damaged(error.to_string());
        let transaction = redb.begin_read().map_err(|error| wrong(error.into()))?;
        let facts = match Facts::read(&transaction).map_err(wrong)? {
            Ok(facts) => facts,
            Err(BadFacts::Format(found)) => return Err(ReadError::Format { directory: path.to_path_buf(), found }),
            Err(BadFacts::Malformed(why)) => return Err(damaged(why)),
        };
        let Some(epoch) = facts.epoch else {
            let why = "no epoch was committed, because the job that wrote it did not end; run the job again";
            return Err(incomplete(why.to_string()));
        };
        if let Some(unfinished) = facts.unfinished {
            return Err(incomplete(format!(
                "it holds part of epoch {unfinished}, which was not committed, because the job that wrote it did not end; \
                 run the job again"
            )));
        }
        let base = transaction.open_table(BASE).map_err(|error| wrong(error.into()))?;
        let operators = facts.operators.into_iter().map(|(id, states)| StoredOperator { id, states }).collect();
        Ok(Reader { base, job: facts.job, epoch, operators, _redb: redb, directory })
    }

    /// Whose state it is, and its number of key groups; `None` where no operator of the job had state.
    pub fn job(&self) -> Option<(&JobName, MaxParallelism)> {
        self.job.as_ref().map(|(job, max)| (job, *max))
    }

    /// The last committed epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The operators that have subtasks with state, in the order of their numbers.
    pub fn operators(&self) -> &[StoredOperator] {
        &self.operators
    }

    /// The value of `key` in an operator's state.
    ///
    /// # Errors
    /// [`ReadError::Unknown`] for an operator or a state that is not there, [`ReadError::Damaged`] when reading fails.
    pub fn get(&self, operator: &str, state: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let (operator, state) = self.find(operator, state)?;
        // An operator was found, so a subtask of it was opened, which told the number of key groups.
        let Some((_, max)) = &self.job else { return Ok(None) };
        if u32::try_from(key.len()).is_err() {
            return Ok(None);
        }
        let mut stored = Vec::new();
        layout::encode(operator, max.group(key), state, key, &mut stored);
        let value = redb::ReadableTable::get(&self.base, stored.as_slice()).map_err(|error| self.damaged(error))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    /// All entries of an operator's state, in the order of (key group, key length, key).
    ///
    /// # Errors
    /// [`ReadError::Unknown`] for an operator or a state that is not there, [`ReadError::Damaged`] when reading fails.
    pub fn entries(&self, operator: &str, state: &str) -> Result<Entries<'_>, ReadError> {
        let (operator, state) = self.find(operator, state)?;
        let start = operator.to_be_bytes();
        let end = operator.checked_add(1).map(u16::to_be_bytes);
        let range = match &end {
            Some(end) => redb::ReadableTable::range::<&[u8]>(&self.base, &start[..]..&end[..]),
            None => redb::ReadableTable::range::<&[u8]>(&self.base, &start[..]..),
        };
        Ok(Entries { reader: self, range: range.map_err(|error| self.damaged(error))?, state })
    }

    fn find(&self, operator: &str, state: &str) -> Result<(u16, u32), ReadError> {
        let unknown = |what| ReadError::Unknown { directory: self.directory.path.clone(), what };
        let Some((number, found)) = (0u16..).zip(&self.operators).find(|(_, found)| found.id == operator) else {
            let ids = self.operators.iter().map(|operator| operator.id.as_str());
            return Err(unknown(format!("operator `{operator}`; it has {}", list(ids))));
        };
        let Some((index, _)) = (0u32..).zip(&found.states).find(|(_, found)| found.name == state) else {
            let names = found.states.iter().map(|state| state.name.as_str());
            return Err(unknown(format!("state `{state}` of operator `{operator}`, which has {}", list(names))));
        };
        Ok((number, index))
    }

    fn damaged(&self, why: impl ToString) -> ReadError {
        ReadError::Damaged { directory: self.directory.path.clone(), why: why.to_string() }
    }
}

/// Entries of one state; see [`Reader::entries`].
pub struct Entries<'a> {
    reader: &'a Reader,
    range: redb::Range<'a, &'static [u8], &'static [u8]>,
    state: u32,
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (stored, value) = match self.range.next()? {
                Ok(row) => row,
                Err(error) => return Some(Err(self.reader.damaged(error))),
            };
            let Some(found) = layout::decode(stored.value()) else {
                return Some(Err(self.reader.damaged("a stored key in the table `base` is malformed")));
            };
            if found.state == self.state {
                return Some(Ok(Entry {
                    key_group: found.group,
                    key: found.key.to_vec(),
                    value: value.value().to_vec(),
                }));
            }
        }
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_string() } else { names.join(", ") }
}
