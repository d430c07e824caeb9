//! Writes a folder with one file a subtask, in two phases: rows go to a hidden file, which gets its name when the job has
//! ended well.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use flate2::write::GzEncoder;
use wasmill_core::{Batch, BoxFuture, Sink, SinkContext, SinkFactory, sink::Committable, source::ConnectorError};

use crate::{
    blocking, failed,
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

/// A folder of files `part-00000.txt`, one a subtask.
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
    /// Whether to replace an earlier result. Its part files are removed when the new ones are committed, not before.
    pub overwrite: bool,
}

/// How part files begin, and the hidden ones that are being written.
const PART: &str = "part-";
const HIDDEN: &str = ".part-";

impl FileSink {
    fn error(&self, what: &str, error: &io::Error) -> ConnectorError {
        failed(format!("{what} {}: {error}", self.path.display()))
    }

    fn name(&self, subtask: u32) -> String {
        let format = if self.format == LineFormat::Json { "jsonl" } else { "txt" };
        let compression = match self.compression {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        };
        format!("{PART}{subtask:05}.{format}{compression}")
    }

    /// Names in the folder that begin with `prefix`.
    fn names(&self, prefix: &str) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        Ok(names.collect::<io::Result<Vec<String>>>()?.into_iter().filter(|name| name.starts_with(prefix)).collect())
    }
}

impl SinkFactory for FileSink {
    fn prepare(&self) -> Result<(), ConnectorError> {
        fs::create_dir_all(&self.path).map_err(|error| self.error("cannot make the folder", &error))?;
        let parts = self.names(PART).map_err(|error| self.error("cannot look into", &error))?;
        if let (Some(part), false) = (parts.first(), self.overwrite) {
            let path = self.path.display();
            return Err(failed(format!(
                "{path} holds an earlier result ({part}): remove it, name another folder, or set `overwrite = true`"
            )));
        }
        self.discard()
    }

    fn create(&self, context: SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
        let name = self.name(context.place.subtask);
        let hidden = self.path.join(format!(".{name}.tmp"));
        let file = File::create(&hidden).map_err(|error| self.error("cannot write to", &error))?;
        let file = BufWriter::with_capacity(256 * 1024, file);
        let writer = match self.compression {
            Compression::None => Writer::Plain(file),
            Compression::Gzip => Writer::Gzip(GzEncoder::new(file, flate2::Compression::default())),
            Compression::Zstd => Writer::Zstd(
                zstd::stream::write::Encoder::new(file, 0).map_err(|error| self.error("cannot write to", &error))?,
            ),
        };
        let renderer = Renderer {
            format: self.format,
            with_key: self.with_key,
            separator: self.separator.clone(),
            key: context.key,
            value: context.value,
        };
        let committable = Committable(format!("{}/{}", context.parallelism, name).into_bytes());
        Ok(Box::new(Part { writer: Some(writer), hidden, renderer, committable }))
    }

    fn commit(&self, committable: &Committable) -> Result<(), ConnectorError> {
        let text = String::from_utf8_lossy(&committable.0);
        let (parallelism, name) =
            text.split_once('/').ok_or_else(|| failed("a committable of the file sink is damaged"))?;
        let hidden = self.path.join(format!(".{name}.tmp"));
        if !hidden.exists() && self.path.join(name).exists() {
            return Ok(()); // It was committed before.
        }
        let error = |error: io::Error| self.error("cannot complete the result in", &error);
        // Parts that this result does not have go first: those of an earlier one at a higher parallelism, or of another format.
        let keep: Vec<String> = (0..parallelism.parse().unwrap_or(0)).map(|subtask| self.name(subtask)).collect();
        for part in self.names(PART).map_err(error)?.iter().filter(|part| !keep.contains(part)) {
            fs::remove_file(self.path.join(part)).map_err(error)?;
        }
        fs::rename(&hidden, self.path.join(name)).map_err(error)?;
        sync(&self.path).map_err(error)
    }

    fn discard(&self) -> Result<(), ConnectorError> {
        let error = |error: io::Error| self.error("cannot remove unfinished files from", &error);
        for name in self.names(HIDDEN).map_err(error)?.iter().filter(|name| name.ends_with(".tmp")) {
            fs::remove_file(self.path.join(name)).map_err(error)?;
        }
        Ok(())
    }

    fn target(&self) -> String {
        self.path.display().to_string()
    }
}

/// Makes a folder's entries durable.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The file of one subtask.
struct Part {
    /// `None` once it is complete, or after a failure.
    writer: Option<Writer>,
    hidden: PathBuf,
    renderer: Renderer,
    committable: Committable,
}

enum Writer {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<File>>),
}

impl Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Writer::Plain(writer) => writer.write_all(bytes),
            Writer::Gzip(writer) => writer.write_all(bytes),
            Writer::Zstd(writer) => writer.write_all(bytes),
        }
    }

    /// Ends the file and makes it durable.
    fn complete(self) -> io::Result<()> {
        let buffered = match self {
            Writer::Plain(writer) => writer,
            Writer::Gzip(writer) => writer.finish()?,
            Writer::Zstd(writer) => writer.finish()?,
        };
        buffered.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

impl Part {
    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(Writer) -> io::Result<T> + Send + 'static,
    ) -> Result<T, ConnectorError> {
        let Some(writer) = self.writer.take() else {
            return Err(failed(format!("{} is complete or failed before", self.hidden.display())));
        };
        let hidden = self.hidden.clone();
        blocking(move || work(writer).map_err(|error| failed(format!("cannot write {}: {error}", hidden.display()))))
            .await
    }
}

impl Sink for Part {
    fn write(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), ConnectorError>> {
        Box::pin(async move {
            let renderer = self.renderer.clone();
            let written = self.with(move |mut writer| {
                let mut lines = String::with_capacity(batch.bytes());
                batch.iter().for_each(|row| renderer.line(row, &mut lines));
                writer.write(lines.as_bytes())?;
                Ok(writer)
            });
            self.writer = Some(written.await?);
            Ok(())
        })
    }

    fn pre_commit(&mut self, _: u64) -> BoxFuture<'_, Result<Option<Committable>, ConnectorError>> {
        Box::pin(async move {
            self.with(Writer::complete).await?;
            Ok(Some(self.committable.clone()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use wasmill_core::{BatchBuilder, Codec, JobName, Row, batch::NO_TIME};

    use super::*;

    fn batch(words: &[&str]) -> Batch {
        let mut builder = BatchBuilder::default();
        for word in words {
            builder.push(Row { timestamp: NO_TIME, key: None, value: Some(word.as_bytes()), headers: &[] });
        }
        builder.take()
    }

    /// Writes one file a list of words; returns the committables.
    fn write(sink: &FileSink, words: &[&[&str]]) -> Vec<Committable> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let part = |(subtask, words): (usize, &&[&str])| {
            let context = SinkContext {
                place: JobName::local("test").place("out", subtask as u32),
                parallelism: 2,
                key: Codec::named("bytes"),
                value: Codec::named("text"),
            };
            let mut part = sink.create(context).unwrap();
            runtime.block_on(part.write(batch(words))).unwrap();
            runtime.block_on(part.pre_commit(1)).unwrap().unwrap()
        };
        words.iter().enumerate().map(part).collect()
    }

    fn visible(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    #[test]
    fn rows_are_invisible_until_committed_and_committing_twice_is_once() {
        let folder = tempfile::tempdir().unwrap();
        let sink = FileSink { path: folder.path().join("out"), ..FileSink::default() };
        sink.prepare().unwrap();
        let committables = write(&sink, &[&["a", "b"], &[]]);
        assert_eq!(visible(&sink.path), [""; 0]);
        for committable in committables.iter().chain(&committables) {
            sink.commit(committable).unwrap();
        }
        assert_eq!(visible(&sink.path), ["part-00000.txt", "part-00001.txt"]);
        assert_eq!(fs::read_to_string(sink.path.join("part-00000.txt")).unwrap(), "a\nb\n");
        let refused = sink.prepare().unwrap_err().to_string();
        assert!(refused.contains("holds an earlier result") && refused.contains("overwrite = true"), "{refused}");
    }

    #[test]
    fn overwriting_keeps_the_old_result_until_the_new_one_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let sink = FileSink { path: folder.path().to_path_buf(), overwrite: true, ..FileSink::default() };
        for name in ["part-00000.txt", "part-00007.txt", "mine.txt"] {
            fs::write(folder.path().join(name), "old").unwrap();
        }
        sink.prepare().unwrap();
        let committables = write(&sink, &[&["new"]]);
        assert_eq!(fs::read_to_string(folder.path().join("part-00000.txt")).unwrap(), "old");
        sink.discard().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "discarding leaves the old result");
        let again = write(&sink, &[&["new"]]);
        assert_eq!(again, committables);
        sink.commit(&again[0]).unwrap();
        assert_eq!(visible(folder.path()), ["mine.txt", "part-00000.txt"]);
        assert_eq!(fs::read_to_string(folder.path().join("part-00000.txt")).unwrap(), "new\n");
    }

    #[test]
    fn files_are_compressed() {
        for (compression, name) in [(Compression::Gzip, "part-00000.txt.gz"), (Compression::Zstd, "part-00000.txt.zst")]
        {
            let folder = tempfile::tempdir().unwrap();
            let sink = FileSink { path: folder.path().to_path_buf(), compression, ..FileSink::default() };
            let committables = write(&sink, &[&["a", "b"]]);
            sink.commit(&committables[0]).unwrap();
            let file = File::open(folder.path().join(name)).unwrap();
            let mut text = String::new();
            match compression {
                Compression::Gzip => flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap(),
                _ => zstd::stream::read::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap(),
            };
            assert_eq!(text, "a\nb\n");
        }
    }
}
