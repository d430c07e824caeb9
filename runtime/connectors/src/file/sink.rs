//! Writes a folder of part files, in two phases: rows go to hidden files, which get their names when the checkpoint is
//! complete that says they are prepared.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io,
    path::PathBuf,
    sync::Arc,
};

use wasmill_core::{Codec, Sink, SinkContext, SinkFactory, sink::Committable, source::ConnectorError};

use super::{
    commit,
    epoch::{Epoch, Place},
    folder::Folder,
    names::{self, PART, STAGED},
    part::{Lines, Parts},
    partition::Partitioning,
    replaced::Replaced,
};
use crate::{
    failed,
    render::{LineFormat, Renderer},
};

/// How files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// With gzip; `.gz`.
    Gzip,
    /// With Zstandard; `.zst`.
    Zstd,
}

/// A folder of files `part-00000-000001.txt`: the number of the subtask, then that of the checkpoint which made the file
/// visible, each padded to at least so many digits. A subtask that had no row between two checkpoints has no file for the
/// second. Each file is complete in itself, compressed ones too. With partitions there is such a file in the folder of each partition
/// that a subtask had a row for.
///
/// Rows are in the folder exactly once, whatever crashes: they are in hidden files until a checkpoint is complete, and hidden
/// files of no complete checkpoint are removed when the job starts again. Nobody else may write part files into the folder;
/// where somebody does, that is an error and no file is overwritten.
#[derive(Debug, Clone, Default)]
pub struct FileSink {
    /// The folder.
    pub path: PathBuf,
    /// How a row is written.
    pub format: LineFormat,
    /// Whether keys are written.
    pub with_key: bool,
    /// What stands between key and value in text.
    pub separator: String,
    /// How files are compressed.
    pub compression: Compression,
    /// Which members of a value, a JSON object, tell the partition of a row: `dt=2015-07-15/hm=00%3A03/part-...` for `dt` and
    /// `hm`, as Hive and others have it. They are left out of the row that is written. None: no partitions.
    pub partition_by: Vec<String>,
    /// Whether to replace an earlier result. Its part files are removed when the first new ones are committed, not before; no
    /// other files are.
    pub overwrite: bool,
}

impl FileSink {
    /// Whether values of this codec have members to be partitioned by. Whether they are JSON objects, rows tell.
    pub fn can_partition(value: &Codec) -> bool {
        matches!(value.name.as_str(), "json" | "text")
    }

    fn extension(&self) -> String {
        let format = if self.format == LineFormat::Json { "jsonl" } else { "txt" };
        let compression = match self.compression {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        };
        format!("{format}{compression}")
    }

    fn prepare_in(&self, folder: &Folder<'_>, restored: bool) -> Result<(), ConnectorError> {
        let path = &self.path.display();
        let error = |what: &'static str| move |error: io::Error| failed(format!("{what} {path}: {error}"));
        folder.make().map_err(error("cannot make the folder"))?;
        if restored {
            let replaced = Replaced::read(folder)?.count();
            if replaced > 0 {
                tracing::info!("{path}: the first commit replaces an earlier result of {replaced} files");
            }
            return Ok(());
        }
        // In partitions, too, whether or not the new result has some.
        let parts = folder.below(PART, names::is_partition).map_err(error("cannot look into"))?;
        if let (Some(part), false) = (parts.first(), self.overwrite) {
            return Err(failed(format!(
                "{path} holds an earlier result ({part}): remove it, name another folder, or set `overwrite = true`"
            )));
        }
        // Those could not be told from the new result, and are not ours to remove.
        let foreign = parts.iter().find(|part| !names::is_part_path(part) || !folder.at(part).is_file());
        if let Some(part) = foreign {
            return Err(failed(format!(
                "{path} holds {part}, which no file sink wrote and `overwrite` leaves alone: remove it, or name another folder"
            )));
        }
        self.discard_in(folder)?;
        Replaced::remember(folder, parts).map_err(error("cannot write to"))
    }

    fn discard_in(&self, folder: &Folder<'_>) -> Result<(), ConnectorError> {
        let error = |error| failed(format!("cannot remove unfinished files from {}: {error}", self.path.display()));
        let staged = folder.names(STAGED).map_err(error)?;
        staged.iter().filter(|name| names::is_staged(name)).try_for_each(|name| folder.remove(name)).map_err(error)
    }
}

impl SinkFactory for FileSink {
    fn prepare(&self, restored: bool) -> Result<(), ConnectorError> {
        self.prepare_in(&Folder::new(&self.path), restored)
    }

    fn create(&self, context: SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
        let renderer = Renderer {
            format: self.format,
            with_key: self.with_key,
            separator: self.separator.clone(),
            key: context.key,
            value: context.value,
        };
        let partitioned = !self.partition_by.is_empty();
        let partitioning = partitioned.then(|| Partitioning::new(&self.partition_by, &renderer.value)).transpose()?;
        let place = Place {
            folder: self.path.clone(),
            subtask: context.place.subtask,
            // The standard library's source of randomness; a name is all that comes of it.
            token: RandomState::new().build_hasher().finish(),
            compression: self.compression,
            buffer: if partitioned { 32 * 1024 } else { 256 * 1024 },
        };
        Ok(Box::new(Parts {
            place: Arc::new(place),
            extension: self.extension(),
            lines: Arc::new(Lines { renderer, partitioning }),
            epoch: Some(Epoch::default()),
        }))
    }

    fn commit(&self, committables: &[Committable]) -> Result<(), ConnectorError> {
        commit::commit(&Folder::new(&self.path), committables)
    }

    fn discard(&self) -> Result<(), ConnectorError> {
        self.discard_in(&Folder::new(&self.path))
    }

    fn target(&self) -> String {
        self.path.display().to_string()
    }
}

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod partitioned;
#[cfg(test)]
mod tests;
