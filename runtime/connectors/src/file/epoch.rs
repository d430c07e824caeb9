//! Holds the part files of one subtask between two checkpoints: one a partition, however many of them can be open at a time.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use wasmill_core::source::ConnectorError;

use super::{names, sink::Compression, writer::Writer};
use crate::failed;

/// So many files may be open in a subtask. What an open file takes in memory, and at most, is its buffer, and with gzip 300 KiB or
/// with Zstandard some 4 MiB more.
fn most_open(compression: Compression) -> usize {
    match compression {
        Compression::None | Compression::Gzip => 64,
        Compression::Zstd => 16,
    }
}

/// So many partitions a subtask may write between two checkpoints: their names are kept in memory and in the manifest.
pub(super) const MOST_PARTITIONS: usize = 1 << 16;

/// How and where a subtask writes.
#[derive(Debug)]
pub(super) struct Place {
    /// The folder of the sink, which files are in until they are committed.
    pub(super) folder: PathBuf,
    pub(super) subtask: u32,
    /// Told to no other subtask of any attempt: no file that this one writes was ever called the same.
    pub(super) token: u64,
    pub(super) compression: Compression,
    /// What is gathered of a file before it is written, bytes.
    pub(super) buffer: usize,
}

/// The files of an epoch.
#[derive(Default)]
pub(super) struct Epoch {
    /// How many files the subtask has begun, in this epoch and before.
    begun: u64,
    /// What the file of each partition is called for now.
    staged: BTreeMap<String, String>,
    /// Those that are open, at most [`most_open`].
    open: Vec<Open>,
    /// How often files were written to.
    writes: u64,
}

/// A file that is open.
struct Open {
    partition: String,
    path: PathBuf,
    writer: Writer,
    /// When it was last written to, by [`Epoch::writes`].
    last: u64,
}

/// A file that is complete and durable.
pub(super) struct Complete {
    /// The folder that it is to be in, within the sink's; empty for that itself.
    pub(super) partition: String,
    /// What it is called for now.
    pub(super) staged: String,
    /// Its length.
    pub(super) bytes: u64,
}

impl Epoch {
    /// One more partition, and there are too many.
    #[cfg(test)]
    pub(super) fn full() -> Epoch {
        let staged = (1..MOST_PARTITIONS).map(|i| (format!("q={i}"), format!(".part-{i}.tmp"))).collect();
        Epoch { staged, ..Epoch::default() }
    }

    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.staged.is_empty()
    }

    /// The epoch after this one.
    pub(super) fn next(&self) -> Epoch {
        Epoch { begun: self.begun, ..Epoch::default() }
    }

    /// Writes to the file of `partition`, which is its folder within the sink's, or empty. Blocks.
    ///
    /// # Errors
    /// When it could not, or there are too many partitions.
    pub(super) fn write(&mut self, place: &Place, partition: &str, bytes: &[u8]) -> Result<(), ConnectorError> {
        let i = match self.open.iter().position(|open| open.partition == partition) {
            Some(i) => i,
            None => self.open(place, partition)?,
        };
        self.writes += 1;
        let open = &mut self.open[i];
        open.last = self.writes;
        open.writer.write(bytes).map_err(|error| cannot_write(&open.path, &error))
    }

    /// Begins the file of a partition or goes on with it; where it is in `open`.
    fn open(&mut self, place: &Place, partition: &str) -> Result<usize, ConnectorError> {
        if self.open.len() >= most_open(place.compression) {
            let least_recent = (0..self.open.len()).min_by_key(|i| self.open[*i].last);
            if let Some(Open { path, writer, .. }) = least_recent.map(|i| self.open.swap_remove(i)) {
                writer.close().map_err(|error| cannot_write(&path, &error))?;
            }
        }
        let (path, writer) = match self.staged.get(partition) {
            Some(name) => {
                let path = place.folder.join(name);
                let writer = Writer::append(&path, place.compression, place.buffer);
                (path, writer)
            }
            None if self.staged.len() >= MOST_PARTITIONS => {
                return Err(ConnectorError::lasting(format!(
                    "a subtask has rows for more than {MOST_PARTITIONS} partitions of {} in one checkpoint: partition by something \
                     that has fewer values, or take checkpoints more often",
                    place.folder.display()
                )));
            }
            None => {
                self.begun += 1;
                let name = names::staged(place.subtask, place.token, self.begun);
                let path = place.folder.join(&name);
                let writer = Writer::create(&path, place.compression, place.buffer);
                self.staged.insert(partition.to_string(), name);
                (path, writer)
            }
        };
        let writer = writer.map_err(|error| cannot_write(&path, &error))?;
        self.open.push(Open { partition: partition.to_string(), path, writer, last: 0 });
        Ok(self.open.len() - 1)
    }

    /// Makes all files complete and durable; in the order of their partitions. Blocks.
    ///
    /// # Errors
    /// When it could not.
    pub(super) fn complete(self, place: &Place) -> Result<Vec<Complete>, ConnectorError> {
        let mut closed = BTreeMap::new();
        for Open { partition, path, writer, .. } in self.open {
            closed.insert(partition, writer.close().map_err(|error| cannot_write(&path, &error))?);
        }
        let complete = |(partition, staged): (String, String)| {
            let path = place.folder.join(&staged);
            let length = |file: Option<File>| {
                // One that was closed before is durable when it is synced now, whoever wrote it.
                let file = file.map_or_else(|| OpenOptions::new().append(true).open(&path), Ok)?;
                file.sync_all()?;
                Ok(file.metadata()?.len())
            };
            let bytes = length(closed.remove(&partition)).map_err(|error| cannot_write(&path, &error))?;
            Ok(Complete { partition, staged, bytes })
        };
        self.staged.into_iter().map(complete).collect()
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> ConnectorError {
    failed(format!("cannot write {}: {error}", path.display()))
}
