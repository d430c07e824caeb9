//! Writes one file, compressed or not, in one go or in several.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::Path,
};

use flate2::write::GzEncoder;

use super::sink::Compression;

/// A file that is being written.
pub(super) enum Writer {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<File>>),
}

impl Writer {
    /// Begins a file, with a buffer of `buffer` bytes.
    pub(super) fn create(path: &Path, compression: Compression, buffer: usize) -> io::Result<Writer> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Writer::new(file, compression, buffer)
    }

    /// Goes on with a file that [`Writer::close`] closed: what is compressed goes on with another member (gzip) or frame
    /// (Zstandard), which decompresses to what was there and what follows.
    pub(super) fn append(path: &Path, compression: Compression, buffer: usize) -> io::Result<Writer> {
        let file = OpenOptions::new().append(true).open(path)?;
        Writer::new(file, compression, buffer)
    }

    fn new(file: File, compression: Compression, buffer: usize) -> io::Result<Writer> {
        let file = BufWriter::with_capacity(buffer, file);
        Ok(match compression {
            Compression::None => Writer::Plain(file),
            Compression::Gzip => Writer::Gzip(GzEncoder::new(file, flate2::Compression::default())),
            Compression::Zstd => Writer::Zstd(zstd::stream::write::Encoder::new(file, 0)?),
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Writer::Plain(writer) => writer.write_all(bytes),
            Writer::Gzip(writer) => writer.write_all(bytes),
            Writer::Zstd(writer) => writer.write_all(bytes),
        }
    }

    /// Ends what was written, so that the file is complete; it need not be durable.
    pub(super) fn close(self) -> io::Result<File> {
        let buffered = match self {
            Writer::Plain(writer) => writer,
            Writer::Gzip(writer) => writer.finish()?,
            Writer::Zstd(writer) => writer.finish()?,
        };
        buffered.into_inner().map_err(io::IntoInnerError::into_error)
    }
}
