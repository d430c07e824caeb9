//! Writes the part files of one subtask, one an epoch.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    mem,
    path::{Path, PathBuf},
};

use flate2::write::GzEncoder;
use wasmill_core::{Batch, BoxFuture, Sink, sink::Committable, source::ConnectorError};

use super::{
    commit::{Staged, clash},
    folder::Folder,
    names,
    replaced::Replaced,
    sink::Compression,
};
use crate::{blocking, failed, render::Renderer};

/// One subtask.
pub(super) struct Parts {
    pub(super) folder: PathBuf,
    pub(super) subtask: u32,
    pub(super) extension: String,
    pub(super) compression: Compression,
    pub(super) renderer: Renderer,
    /// Told to no other subtask of any attempt: no file that this one writes was ever called the same.
    pub(super) token: u64,
    /// How many files were begun.
    pub(super) files: u64,
    pub(super) current: Current,
}

/// The file of the epoch that has not ended.
pub(super) enum Current {
    /// No row has come.
    None,
    File(Part),
    /// Writing failed, or was not waited for.
    Lost,
}

/// A file that is being written.
pub(super) struct Part {
    name: String,
    writer: Writer,
}

enum Writer {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<File>>),
}

impl Writer {
    fn create(path: &Path, compression: Compression) -> io::Result<Writer> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let file = BufWriter::with_capacity(256 * 1024, file);
        Ok(match compression {
            Compression::None => Writer::Plain(file),
            Compression::Gzip => Writer::Gzip(GzEncoder::new(file, flate2::Compression::default())),
            Compression::Zstd => Writer::Zstd(zstd::stream::write::Encoder::new(file, 0)?),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Writer::Plain(writer) => writer.write_all(bytes),
            Writer::Gzip(writer) => writer.write_all(bytes),
            Writer::Zstd(writer) => writer.write_all(bytes),
        }
    }

    /// Ends the file and makes it durable; its length.
    fn complete(self) -> io::Result<u64> {
        let buffered = match self {
            Writer::Plain(writer) => writer,
            Writer::Gzip(writer) => writer.finish()?,
            Writer::Zstd(writer) => writer.finish()?,
        };
        let file = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    }
}

impl Sink for Parts {
    fn write(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), ConnectorError>> {
        Box::pin(async move {
            if batch.is_empty() {
                return Ok(());
            }
            let (name, writer) = match mem::replace(&mut self.current, Current::Lost) {
                Current::None => {
                    self.files += 1;
                    (names::staged(self.subtask, self.token, self.files), None)
                }
                Current::File(part) => (part.name, Some(part.writer)),
                Current::Lost => return Err(self.lost()),
            };
            let (path, compression, renderer) = (self.folder.join(&name), self.compression, self.renderer.clone());
            let write = move || {
                let cannot = |error: io::Error| failed(format!("cannot write {}: {error}", path.display()));
                let mut lines = String::with_capacity(batch.bytes());
                batch.iter().for_each(|row| renderer.line(row, &mut lines));
                let mut writer = writer.map_or_else(|| Writer::create(&path, compression), Ok).map_err(cannot)?;
                writer.write(lines.as_bytes()).map_err(cannot)?;
                Ok(Part { name, writer })
            };
            self.current = Current::File(blocking(write).await?);
            Ok(())
        })
    }

    fn pre_commit(&mut self, epoch: u64) -> BoxFuture<'static, Result<Option<Committable>, ConnectorError>> {
        let part = match mem::replace(&mut self.current, Current::None) {
            Current::None => return Box::pin(std::future::ready(Ok(None))),
            Current::File(part) => part,
            Current::Lost => {
                self.current = Current::Lost;
                return Box::pin(std::future::ready(Err(self.lost())));
            }
        };
        let (folder, name) = (self.folder.clone(), names::part(self.subtask, epoch, &self.extension));
        Box::pin(blocking(move || stage(&Folder::new(&folder), part, name).map(Some)))
    }
}

impl Parts {
    fn lost(&self) -> ConnectorError {
        failed(format!("a part file in {} could not be written before", self.folder.display()))
    }
}

/// Makes a file durable under its hidden name, to be called `name` when it is committed.
fn stage(folder: &Folder<'_>, part: Part, name: String) -> Result<Committable, ConnectorError> {
    let staged = folder.at(&part.name);
    let cannot = |error: io::Error| failed(format!("cannot write {}: {error}", staged.display()));
    let bytes = part.writer.complete().map_err(cannot)?;
    // Without this the file may have no name after a power failure.
    folder.sync().map_err(cannot)?;
    // Better now than when the checkpoint is complete and cannot be committed.
    if folder.length(&name).map_err(cannot)?.is_some() && !Replaced::read(folder)?.holds(&name) {
        return Err(clash(&folder.at(&name).display().to_string()));
    }
    Staged { part: name, staged: part.name, bytes }.committable()
}
