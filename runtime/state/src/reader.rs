//! Reads a checkpoint or a savepoint offline, without the operators' code.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use redb::{ReadOnlyTable, ReadableDatabase};
use wasmill_core::{
    KeyGroup, Manifest, MaxParallelism,
    description::{StateDescription, StateKind, StateScope},
    state::StateError,
    time::TimeDomain,
};

use crate::{
    checkpoints::Checkpoints,
    database::{BASE, LOG, number},
    directory::{Directory, Files},
    effects,
    fold::Fold,
    layout::{self, FORMAT_VERSION},
    manifest::{BadManifest, StoredManifest, StoredState, What},
    overlay::Overlay,
    savepoint,
};

/// Bound of the page cache of a reader, bytes.
const CACHE_BYTES: usize = 64 << 20;

/// Why state cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The folder holds no state, or it cannot be opened.
    #[error("cannot open the state in `{}`: {why}", folder.display())]
    Open {
        /// The state directory or the savepoint.
        folder: PathBuf,
        /// What is missing.
        why: String,
    },
    /// A job writes to it.
    #[error("the state directory `{}` is in use by a job: wait for it to end, or take a savepoint", folder.display())]
    InUse {
        /// The state directory.
        folder: PathBuf,
    },
    /// It was written by another version of Wasmill.
    #[error(
        "the state in `{}` has format version {found}, and this Wasmill reads version {FORMAT_VERSION}: use the Wasmill \
         that wrote it",
        folder.display()
    )]
    Format {
        /// The folder.
        folder: PathBuf,
        /// The format version it has.
        found: u32,
    },
    /// It is not what was once written.
    #[error("the state in `{}` is damaged: {why}", folder.display())]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// Where and how.
        why: String,
    },
    /// It has no such operator, state or checkpoint.
    #[error("the state in `{}` has no {what}", folder.display())]
    Unknown {
        /// The folder.
        folder: PathBuf,
        /// What was asked for, and what there is.
        what: String,
    },
}

/// A checkpoint or a savepoint. Nothing in its folder is changed.
#[derive(Debug)]
pub struct Reader {
    base: ReadOnlyTable<&'static [u8], &'static [u8]>,
    stored: StoredManifest,
    _redb: redb::Database,
    /// Unlocked after the database is closed: fields are dropped in their order.
    directory: Directory,
}

/// An operator with state or timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOperator {
    /// Its id in the job file.
    pub id: String,
    /// Its states, in the order it declared them.
    pub states: Vec<StateDescription>,
    /// The domains of its timers.
    pub timers: Vec<TimeDomain>,
}

/// One entry of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key group of the key; `None` in broadcast state.
    pub key_group: Option<KeyGroup>,
    /// Which subtask's copy it is of, in broadcast state.
    pub copy: Option<u32>,
    /// The key, in its declared codec.
    pub key: Vec<u8>,
    /// The map key, in map state.
    pub map_key: Option<Vec<u8>>,
    /// The value in its declared codec; in list state every element.
    pub values: Vec<Vec<u8>>,
    /// When it expires (of a list its last element), in a state with TTL.
    pub expires: Option<i64>,
}

/// One timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// When it is due, milliseconds since the Unix epoch.
    pub time: i64,
    /// The key.
    pub key: Vec<u8>,
    /// The number that the operator chose.
    pub tag: u64,
}

impl Reader {
    /// Opens a savepoint, or the newest checkpoint in a state directory. Blocks on the disk: the whole database is read once
    /// and its checksums are verified.
    ///
    /// # Errors
    /// [`ReadError`]: there is no state, it is in use, damaged, or of another format version.
    pub fn open(folder: &Path) -> Result<Reader, ReadError> {
        let directory = lock(folder)?;
        if savepoint::is_savepoint(folder) {
            let damaged =
                |error: StateError| ReadError::Damaged { folder: folder.to_path_buf(), why: error.to_string() };
            let stored = savepoint::manifest(folder).map_err(damaged)?;
            return Reader::read(directory, stored);
        }
        let epochs = Self::checkpoints(folder)?;
        let Some(&newest) = epochs.last() else {
            let why = "it is no savepoint, and no job has completed a checkpoint there".to_string();
            return Err(ReadError::Open { folder: folder.to_path_buf(), why });
        };
        Reader::read_checkpoint(directory, newest)
    }

    /// Opens a checkpoint that a state directory keeps.
    ///
    /// # Errors
    /// As [`Reader::open`]; [`ReadError::Unknown`] where it is not kept.
    pub fn open_checkpoint(folder: &Path, epoch: u64) -> Result<Reader, ReadError> {
        let directory = lock(folder)?;
        let epochs = Self::checkpoints(folder)?;
        if !epochs.contains(&epoch) {
            let kept: Vec<_> = epochs.iter().map(u64::to_string).collect();
            let what = format!("checkpoint {epoch}; it keeps {}", kept.join(", "));
            return Err(ReadError::Unknown { folder: folder.to_path_buf(), what });
        }
        Reader::read_checkpoint(directory, epoch)
    }

    /// The epochs of the checkpoints that a state directory keeps, the oldest first. It may be in use.
    ///
    /// # Errors
    /// [`ReadError::Open`] when the folder cannot be read.
    pub fn checkpoints(folder: &Path) -> Result<Vec<u64>, ReadError> {
        let epochs = Checkpoints::new(folder, Files::default()).epochs();
        let open = |error: StateError| ReadError::Open { folder: folder.to_path_buf(), why: error.to_string() };
        Ok(epochs.map_err(open)?.into_iter().filter(|(_, is_manifest)| *is_manifest).map(|(epoch, _)| epoch).collect())
    }

    /// The manifest of a savepoint, or of the newest checkpoint in a state directory, which may be in use; state is not
    /// looked at.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn newest_manifest(folder: &Path) -> Result<Manifest, ReadError> {
        let damaged = |why: String| ReadError::Damaged { folder: folder.to_path_buf(), why };
        if savepoint::is_savepoint(folder) {
            return savepoint::manifest(folder).map(|stored| stored.manifest).map_err(|e| damaged(e.to_string()));
        }
        let Some(newest) = Self::checkpoints(folder)?.pop() else {
            let why = "it is no savepoint, and no job has completed a checkpoint there".to_string();
            return Err(ReadError::Open { folder: folder.to_path_buf(), why });
        };
        Ok(read_manifest(folder, newest)?.manifest)
    }

    fn read_checkpoint(directory: Directory, epoch: u64) -> Result<Reader, ReadError> {
        let stored = read_manifest(&directory.path, epoch)?;
        Reader::read(directory, stored)
    }

    fn read(directory: Directory, stored: StoredManifest) -> Result<Reader, ReadError> {
        let path = directory.path.as_path();
        let open_error =
            |error: io::Error| ReadError::Open { folder: path.to_path_buf(), why: format!("`state.redb`: {error}") };
        let damaged = |why: String| ReadError::Damaged { folder: path.to_path_buf(), why };
        let wrong = |error: redb::Error| damaged(error.to_string());
        let file = File::open(directory.database()).map_err(open_error)?;
        let overlay = Overlay::new(file).map_err(open_error)?;
        if overlay.is_empty() {
            return Err(damaged("its database is empty".to_string()));
        }
        // The checks and the fold write; what they write stays in the overlay.
        let mut builder = redb::Builder::new();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let redb = builder.create_with_backend(overlay).map_err(|error| damaged(error.to_string()))?;
        let read = || -> Result<_, redb::Error> {
            let transaction = redb.begin_read()?;
            let format = number(&transaction, "format")?;
            let fold = Fold::new(&transaction.open_table(LOG)?, &stored)?;
            drop(transaction);
            let fold = match fold {
                Ok(fold) if format == u64::from(FORMAT_VERSION) => fold,
                Ok(_) => return Ok(Err(ReadError::Format { folder: path.to_path_buf(), found: format as u32 })),
                Err(why) => return Ok(Err(damaged(why))),
            };
            let transaction = redb.begin_write()?;
            fold.run(&transaction)?;
            transaction.commit()?;
            Ok(Ok(redb.begin_read()?.open_table(BASE)?))
        };
        let base = read().map_err(wrong)??;
        Ok(Reader { base, stored, _redb: redb, directory })
    }

    /// What the checkpoint says of the job.
    pub fn manifest(&self) -> &Manifest {
        &self.stored.manifest
    }

    /// The operators that described themselves, in the order of the graph.
    pub fn operators(&self) -> Vec<StoredOperator> {
        let operator = |node: &wasmill_core::checkpoint::NodeManifest| {
            let description = node.description.as_ref()?;
            let (states, timers) = (description.states.clone(), description.timers.clone());
            Some(StoredOperator { id: node.id.clone(), states, timers })
        };
        self.stored.manifest.nodes.iter().filter_map(operator).collect()
    }

    /// How an operator describes one of its states.
    ///
    /// # Errors
    /// [`ReadError::Unknown`] for an operator or a state that is not there.
    pub fn state(&self, operator: &str, state: &str) -> Result<StateDescription, ReadError> {
        let operators = self.operators();
        let Some(found) = operators.iter().find(|found| found.id == operator) else {
            let ids = list(operators.iter().map(|operator| operator.id.as_str()));
            return Err(self.unknown(format!("operator `{operator}`; it has {ids}")));
        };
        found.states.iter().find(|found| found.name == state).cloned().ok_or_else(|| {
            let names = list(found.states.iter().map(|state| state.name.as_str()));
            self.unknown(format!("state `{state}` of operator `{operator}`, which has {names}"))
        })
    }

    /// What a key has in an operator's state: one entry, of a map all of the key's, in the order of map keys. Of broadcast
    /// state those of subtask 0's copy.
    ///
    /// # Errors
    /// [`ReadError::Unknown`] for an operator or a state that is not there, [`ReadError::Damaged`] when reading fails.
    pub fn get(&self, operator: &str, state: &str, key: &[u8]) -> Result<Vec<Entry>, ReadError> {
        let description = self.state(operator, state)?;
        let Some(stored) = self.stored.state(operator, &What::State(state.to_string())) else { return Ok(Vec::new()) };
        let group = match (description.scope, MaxParallelism::new(self.stored.manifest.max_parallelism)) {
            (StateScope::Broadcast, _) => layout::BROADCAST,
            (StateScope::Keyed, Some(max)) => max.group(key).0,
            (StateScope::Keyed, None) => return Err(self.damaged("it has no valid number of key groups")),
        };
        let prefix = layout::key(stored.number, group, key, &[]);
        let end = layout::after(&prefix).unwrap_or_default();
        self.range(stored, prefix, end)?.collect()
    }

    /// All entries of an operator's state, in the order of (key group, key length, key, map key).
    ///
    /// # Errors
    /// As [`Reader::get`].
    pub fn entries(&self, operator: &str, state: &str) -> Result<Entries<'_>, ReadError> {
        self.state(operator, state)?;
        match self.stored.state(operator, &What::State(state.to_string())) {
            Some(stored) => {
                let (from, to) = (layout::group_start(stored.number, 0), layout::group_start(stored.number, 1 << 16));
                self.range(stored, from, to)
            }
            None => Ok(Entries { reader: self, range: None, state: None }),
        }
    }

    /// All timers of an operator in a domain, in the order of (key group, key length, key, time, tag).
    ///
    /// # Errors
    /// As [`Reader::get`].
    pub fn timers(&self, operator: &str, domain: TimeDomain) -> Result<Vec<Timer>, ReadError> {
        let Some(stored) = self.stored.state(operator, &What::Timers(domain)) else { return Ok(Vec::new()) };
        let (from, to) = (layout::group_start(stored.number, 0), layout::group_start(stored.number, 1 << 16));
        let timer = |entry: Result<Entry, ReadError>| {
            let entry = entry?;
            let of = entry.map_key.as_deref().and_then(layout::parse_timer);
            let (time, tag) = of.ok_or_else(|| self.damaged("a stored timer is malformed"))?;
            Ok(Timer { time, key: entry.key, tag })
        };
        self.range(stored, from, to)?.map(timer).collect()
    }

    fn range(&self, stored: &StoredState, from: Vec<u8>, to: Vec<u8>) -> Result<Entries<'_>, ReadError> {
        let range = redb::ReadableTable::range::<&[u8]>(&self.base, &from[..]..&to[..]);
        let range = range.map_err(|error| self.damaged(error))?;
        let horizon = self.stored.horizon(stored);
        Ok(Entries { reader: self, range: Some(range), state: Some((stored.clone(), horizon)) })
    }

    fn unknown(&self, what: String) -> ReadError {
        ReadError::Unknown { folder: self.directory.path.clone(), what }
    }

    fn damaged(&self, why: impl ToString) -> ReadError {
        ReadError::Damaged { folder: self.directory.path.clone(), why: why.to_string() }
    }
}

fn lock(folder: &Path) -> Result<Directory, ReadError> {
    let open = |error: io::Error| ReadError::Open { folder: folder.to_path_buf(), why: error.to_string() };
    std::fs::metadata(folder).map_err(open)?;
    Directory::lock_shared(folder).map_err(open)?.ok_or_else(|| ReadError::InUse { folder: folder.to_path_buf() })
}

fn read_manifest(folder: &Path, epoch: u64) -> Result<StoredManifest, ReadError> {
    Checkpoints::new(folder, Files::default()).read(epoch).map_err(|bad| match bad {
        BadManifest::Damaged(why) => ReadError::Damaged {
            folder: folder.to_path_buf(),
            why: format!("the manifest of checkpoint {epoch}: {why}"),
        },
        BadManifest::Format(found) => ReadError::Format { folder: folder.to_path_buf(), found },
    })
}

/// Entries of one state; see [`Reader::entries`].
pub struct Entries<'a> {
    reader: &'a Reader,
    range: Option<redb::Range<'a, &'static [u8], &'static [u8]>>,
    /// The state, and what has expired.
    state: Option<(StoredState, i64)>,
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (state, horizon) = self.state.as_ref()?;
        loop {
            let (key, value) = match self.range.as_mut()?.next()? {
                Ok(row) => row,
                Err(error) => return Some(Err(self.reader.damaged(error))),
            };
            match entry(state, *horizon, key.value(), value.value()) {
                Some(Some(entry)) => return Some(Ok(entry)),
                Some(None) => {}
                None => return Some(Err(self.reader.damaged("a stored entry in the table `base` is malformed"))),
            }
        }
    }
}

/// An entry out of stored bytes; the inner `None` where it has expired, the outer where they are malformed.
fn entry(state: &StoredState, horizon: i64, key: &[u8], value: &[u8]) -> Option<Option<Entry>> {
    let parts = layout::parse(key)?;
    let Some((value, expires)) = effects::for_guest(state.shape, value, horizon)? else { return Some(None) };
    let broadcast = state.shape.scope == StateScope::Broadcast;
    let values = match state.shape.kind {
        StateKind::List => layout::guest_elements(&value)?.into_iter().map(<[u8]>::to_vec).collect(),
        _ => vec![value],
    };
    Some(Some(Entry {
        key_group: (!broadcast).then_some(KeyGroup(parts.group)),
        copy: broadcast.then_some(u32::from(parts.group & !layout::BROADCAST)),
        key: parts.key.to_vec(),
        map_key: (state.shape.kind == StateKind::Map).then(|| parts.map_key.to_vec()),
        values,
        expires: state.shape.expires.map(|_| expires),
    }))
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_string() } else { names.join(", ") }
}
