//! Opens a split where reading goes on.
//!
//! A plain file is read on from its byte. What is compressed cannot be entered midway: it is decompressed from the start and
//! passed over, which costs time in proportion to the offset.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
};

use flate2::read::MultiGzDecoder;
use wasmill_core::source::ConnectorError;

use super::split::Split;
use crate::{
    failed,
    rows::{Format, Mark, RowFormat, RowReader},
};

/// A reader of the rows of `split` that were not yet returned. Blocks.
///
/// # Errors
/// When the file cannot be read, or is not the one that the split was made of.
pub(super) fn open(split: &Split, format: RowFormat) -> Result<RowReader, ConnectorError> {
    let name = split.path.display().to_string();
    let (kind, begun) = (format.format, split.begun());
    // What begins in the middle of a file is read from the byte before: if that ends a line, the next one begins here.
    let from = if begun { split.at } else { Mark { offset: split.start.saturating_sub(1), ..split.at } };
    let stream = stream(split, kind, from.offset)?;
    if begun && kind == Format::Csv {
        let start = self::stream(split, kind, 0)?;
        return RowReader::new(format, name, start).resumed(stream, from);
    }
    RowReader::new(format, name, stream).within(from, split.end, !begun && split.start > 0)
}

/// The content of the file from byte `offset` on.
fn stream(split: &Split, format: Format, offset: u64) -> Result<Box<dyn Read + Send>, ConnectorError> {
    let name = split.path.display();
    let cannot = |error: io::Error| failed(format!("cannot read {name}: {error}"));
    let mut file = split.file(format)?;
    let mut from = match decompressed(split, &file).map_err(cannot)? {
        None => {
            file.seek(SeekFrom::Start(offset)).map_err(cannot)?;
            return Ok(Box::new(file));
        }
        Some(from) => from,
    };
    let passed = io::copy(&mut from.by_ref().take(offset), &mut io::sink()).map_err(cannot)?;
    if passed < offset {
        return Err(failed(format!(
            "{name} was replaced: it holds {passed} bytes, of which {offset} were read before; bring back the file as it was, or \
             begin the job anew"
        )));
    }
    Ok(from)
}

/// What is in a compressed file; `None` for one that is not.
fn decompressed(split: &Split, file: &File) -> io::Result<Option<Box<dyn Read + Send>>> {
    let file = || file.try_clone();
    Ok(match split.compression() {
        Some("gz") => Some(Box::new(MultiGzDecoder::new(BufReader::new(file()?)))),
        Some(_) => Some(Box::new(zstd::stream::read::Decoder::new(file()?)?)),
        None => None,
    })
}
