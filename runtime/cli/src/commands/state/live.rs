//! Reads the state of a running job: from a savepoint that the job writes for it, which is removed afterwards.

use std::{ops::Deref, path::Path};

use tempfile::TempDir;
use wasmill_state::Reader;

use super::unreadable;
use crate::{commands::target::Found, control::Wish, exit::Failure, talk::Talk};

/// State that can be read.
pub(super) struct Opened {
    reader: Reader,
    /// Of a running job; gone when nobody reads it any more.
    _copy: Option<TempDir>,
}

impl Deref for Opened {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl From<Reader> for Opened {
    fn from(reader: Reader) -> Opened {
        Opened { reader, _copy: None }
    }
}

/// The state of the job that uses `directory`, as of a checkpoint that it takes now.
pub(super) fn open(directory: &Path, talk: &Talk) -> Result<Opened, Failure> {
    let name = Reader::newest_manifest(directory).map_err(unreadable)?.job.job.to_string();
    let copy = TempDir::with_prefix("wasmill-state-")
        .map_err(|error| Failure::message(format_args!("cannot make a temporary folder: {error}")))?;
    let found = Found { name, directory: directory.to_path_buf() };
    let met = found.ask(Wish::Savepoint(copy.path().to_path_buf()))?;
    talk.done("Asked", format_args!("the running job `{}` for its state: checkpoint {}", found.name, met.epoch));
    let reader = Reader::open(copy.path()).map_err(unreadable)?;
    Ok(Opened { reader, _copy: Some(copy) })
}
