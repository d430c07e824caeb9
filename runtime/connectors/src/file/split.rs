//! Holds a split of a file: its id, how far it is read, and what tells that the file is still the same.
//!
//! A position is JSON, since people read manifests:
//!
//! ```json
//! {"file":"data/a.txt","start":0,"end":1048576,"offset":4711,"line":93,"records":"lines","length":9437184,"head":"1c291ca3"}
//! ```
//!
//! `file` is relative to the folder of the source, where it lies in it. `start` and `end` bound the split, in bytes; without
//! `end` it is the whole file. Reading goes on at byte `offset` of the decompressed content, behind `line` lines where they
//! were counted. `records` is `lines` or `csv`. `length` is the file's size in bytes when it was found, and `head` the CRC-32 of
//! its first KiB, both as stored, so compressed if it is.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use wasmill_core::source::{ConnectorError, SplitState};

use crate::{
    failed,
    rows::{Format, Mark},
};

/// How many bytes of the beginning tell one file from another.
const HEAD_BYTES: u64 = 1024;

/// A part of a file, and how far it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Split {
    /// The file.
    pub(super) path: PathBuf,
    /// What it is called in ids and positions.
    pub(super) name: String,
    /// The first byte of the split.
    pub(super) start: u64,
    /// The byte behind its last one; `None` up to the end of the file.
    pub(super) end: Option<u64>,
    /// Where reading goes on; at `start` before it has begun.
    pub(super) at: Mark,
    /// Bytes of the file when it was found.
    pub(super) length: u64,
    /// Checksum of the first bytes of the file; `None` before anyone looked.
    pub(super) head: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    file: String,
    start: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<u64>,
    offset: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    records: Records,
    length: u64,
    head: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Records {
    Lines,
    Csv,
}

impl Records {
    fn of(format: Format) -> Records {
        if format == Format::Csv { Records::Csv } else { Records::Lines }
    }
}

impl Split {
    /// What identifies the split: `data/a.txt@0-1048576`, and without an end for a whole file.
    pub(super) fn id(&self) -> String {
        let end = self.end.map(|end| end.to_string()).unwrap_or_default();
        format!("{}@{}-{end}", self.name, self.start)
    }

    /// Whether some of it has been read.
    pub(super) fn begun(&self) -> bool {
        self.at.offset > self.start
    }

    /// About how many bytes are left to read: of a compressed file all, since what was read is decompressed again.
    pub(super) fn remaining(&self) -> u64 {
        let passed = if self.compression().is_some() { 0 } else { self.at.offset };
        self.end.unwrap_or(self.length).saturating_sub(passed)
    }

    /// How the file is compressed, by its name.
    pub(super) fn compression(&self) -> Option<&str> {
        compression(&self.path)
    }

    /// Where it stands, for a checkpoint.
    ///
    /// # Errors
    /// When the file could not be looked at.
    pub(super) fn position(&self, format: Format) -> Result<Vec<u8>, ConnectorError> {
        let head = self.head.ok_or_else(|| failed(format!("{} was not looked at", self.path.display())))?;
        let position = Position {
            file: self.name.clone(),
            start: self.start,
            end: self.end,
            offset: self.at.offset,
            line: self.at.line,
            records: Records::of(format),
            length: self.length,
            head: format!("{head:08x}"),
        };
        serde_json::to_vec(&position).map_err(failed)
    }

    /// The split of a checkpoint, whose file is sought from `base`.
    ///
    /// # Errors
    /// When the position is not one of a file, or of files that were read otherwise than by `format`.
    pub(super) fn restore(state: &SplitState, base: &Path, format: Format) -> Result<Split, ConnectorError> {
        let wrong =
            |why: String| failed(format!("the checkpoint's position of `{}` is of no use here: {why}", state.id));
        let position: Position = serde_json::from_slice(&state.position)
            .map_err(|error| wrong(format!("it is not one of a file source ({error})")))?;
        let head = u32::from_str_radix(&position.head, 16).map_err(|error| wrong(format!("its `head`: {error}")))?;
        if position.records != Records::of(format) {
            return Err(wrong("one of CSV and lines was read, now it is the other; keep the source's `format`".into()));
        }
        let split = Split {
            path: base.join(&position.file),
            name: position.file,
            start: position.start,
            end: position.end,
            at: Mark { offset: position.offset, line: position.line },
            length: position.length,
            head: Some(head),
        };
        let whole = split.start == 0 && split.end.is_none();
        let cuttable = split.compression().is_none() && format != Format::Csv;
        if split.at.offset < split.start || split.end.is_some_and(|end| end < split.start) || !(whole || cuttable) {
            return Err(wrong("its numbers do not fit together".into()));
        }
        Ok(split)
    }

    /// Opens the file, if it is there and is the one that the split was made of, as far as it was read.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn file(&self, format: Format) -> Result<File, ConnectorError> {
        let name = self.path.display();
        let begun = if self.begun() { "; the job is to go on in it" } else { "" };
        let cannot = |error: io::Error| failed(format!("cannot read {name}: {error}{begun}"));
        let mut file = File::open(&self.path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if !metadata.is_file() {
            return Err(failed(format!("cannot read {name}: it is not a file{begun}")));
        }
        let remedy = "bring back the file as it was, or begin the job anew";
        let (bytes, stored) = (metadata.len(), if self.compression().is_none() { self.at.offset } else { 0 });
        if bytes < self.length.max(stored) {
            let needed = self.length.max(stored);
            return Err(failed(format!("{name} was truncated: it has {bytes} bytes, and had {needed}; {remedy}")));
        }
        if self.head.is_some_and(|expected| head(&mut file, self.length).map_or(true, |head| head != expected)) {
            return Err(failed(format!("{name} was replaced: it does not begin as it did; {remedy}")));
        }
        if self.begun() && self.compression().is_none() && stored < bytes {
            file.seek(SeekFrom::Start(stored - 1)).map_err(cannot)?;
            let mut before = [0];
            file.read_exact(&mut before).map_err(cannot)?;
            if !(before == *b"\n" || before == *b"\r" && format == Format::Csv) {
                let message =
                    format!("{name} was changed: no line ends any more at byte {stored}, up to which it was read");
                return Err(failed(format!("{message}; {remedy}")));
            }
        }
        file.rewind().map_err(cannot)?;
        Ok(file)
    }

    /// Takes note of how the file begins.
    ///
    /// # Errors
    /// When it cannot be read so far.
    pub(super) fn look(&mut self) -> Result<u32, ConnectorError> {
        let look = File::open(&self.path).and_then(|mut file| head(&mut file, self.length));
        let head = look.map_err(|error| failed(format!("cannot read {}: {error}", self.path.display())))?;
        self.head = Some(head);
        Ok(head)
    }
}

/// The checksum of the beginning of a file of `length` bytes.
fn head(file: &mut File, length: u64) -> io::Result<u32> {
    let mut bytes = vec![0; length.min(HEAD_BYTES) as usize];
    file.read_exact(&mut bytes)?;
    let mut checksum = flate2::Crc::new();
    checksum.update(&bytes);
    Ok(checksum.sum())
}

/// How a file is compressed, by its name.
pub(super) fn compression(path: &Path) -> Option<&str> {
    path.extension().and_then(|extension| extension.to_str()).filter(|extension| matches!(*extension, "gz" | "zst"))
}
