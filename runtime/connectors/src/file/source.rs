//! Reads files: decides the splits, and which subtask reads which.
//!
//! A plain file of lines is cut into ranges of a fixed size, whatever the parallelism, so that event-time results do not
//! depend on it; a line belongs to the range in which it begins. Compressed files and CSV are one split each. Splits are
//! dealt to subtasks by what is left to read, the largest first, and read one after the other.

use std::{
    cmp::Reverse,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::task::{JoinHandle, spawn_blocking};
use wasmill_core::{
    BatchBuilder, BoxFuture, Codec, Source, SourceContext, SourceFactory,
    source::{BatchLimit, ConnectorError, SourceEvent},
};

use super::{
    open::open,
    split::{Split, compression},
};
use crate::{
    failed,
    rows::{Format, Mark, RowFormat, RowReader},
};

/// Rows of files.
///
/// A checkpoint holds a position for every split that has not ended; a job that goes on from it reads those splits and no
/// others, so files that came since are not read. A file that is gone, shorter, or begins otherwise than it did is an error;
/// one to which whole lines were added is read on. In a compressed file going on costs the time of decompressing what was
/// read before.
#[derive(Debug, Clone)]
pub struct FileSource {
    splits: Arc<[Split]>,
    /// The folder to which names in checkpoints are relative.
    base: PathBuf,
    format: RowFormat,
}

impl FileSource {
    /// Rows of all files that match `patterns` (paths, or patterns with `*`, `?`, `**`, `[a-z]`), each once, in the order of
    /// their names. Plain files of lines are cut into ranges of `split_bytes`, at least 1. Looks at the file system.
    ///
    /// # Errors
    /// When a pattern is invalid or matches no file, a file cannot be looked at, or its name is not UTF-8.
    pub fn new(patterns: &[PathBuf], format: RowFormat, split_bytes: u64) -> Result<FileSource, ConnectorError> {
        let mut paths = Vec::new();
        for pattern in patterns {
            paths.extend(matches(pattern)?);
        }
        paths.sort();
        paths.dedup();
        let mut splits = Vec::new();
        for path in paths {
            let length =
                path.metadata().map_err(|error| failed(format!("cannot read {}: {error}", path.display())))?.len();
            let name = name(&path, Path::new(""))?;
            let split = Split { path, name, start: 0, end: None, at: Mark::START, length, head: None };
            let whole = compression(&split.path).is_some() || format.format == Format::Csv || length <= split_bytes;
            if whole {
                splits.push(split);
                continue;
            }
            for start in (0..length).step_by(usize::try_from(split_bytes.max(1)).unwrap_or(usize::MAX)) {
                let end = Some(start + split_bytes.max(1).min(length - start));
                let at = Mark { offset: start, line: (start == 0).then_some(0) };
                splits.push(Split { start, end, at, ..split.clone() });
            }
        }
        Ok(FileSource { splits: splits.into(), base: PathBuf::new(), format })
    }

    /// The same files, which checkpoints name relative to `folder` where they lie in it, and seek from there: then a job can
    /// be moved with its input. Without this they are named as the patterns do.
    ///
    /// # Errors
    /// When a name is not UTF-8.
    pub fn relative_to(mut self, folder: &Path) -> Result<FileSource, ConnectorError> {
        let named = |split: &Split| Ok(Split { name: name(&split.path, folder)?, ..split.clone() });
        self.splits = self.splits.iter().map(named).collect::<Result<_, ConnectorError>>()?;
        self.base = folder.to_path_buf();
        Ok(self)
    }

    /// The splits of one subtask at a first start.
    fn found(&self, context: &SourceContext) -> Result<Vec<Split>, ConnectorError> {
        let mut splits = deal(self.splits.to_vec(), context.place.subtask, context.parallelism);
        let mut last: Option<(PathBuf, u32)> = None;
        for split in &mut splits {
            split.head = match &last {
                Some((path, head)) if *path == split.path => Some(*head),
                _ => Some(last.insert((split.path.clone(), split.look()?)).1),
            };
        }
        Ok(splits)
    }
}

/// What a file is called in checkpoints.
fn name(path: &Path, folder: &Path) -> Result<String, ConnectorError> {
    path.strip_prefix(folder).unwrap_or(path).to_str().map(str::to_string).ok_or_else(|| {
        failed(format!("the name of {} is not UTF-8, and no checkpoint could hold it: rename the file", path.display()))
    })
}

/// The splits of one subtask: the largest first to whoever has least so far.
fn deal(mut splits: Vec<Split>, subtask: u32, parallelism: u32) -> Vec<Split> {
    splits.sort_by_key(|split| Reverse(split.remaining()));
    let mut load = vec![0u64; parallelism as usize];
    let mut mine = Vec::new();
    for split in splits {
        let least = (0..load.len()).min_by_key(|&i| load[i]).unwrap_or(0);
        if let Some(load) = load.get_mut(least) {
            *load = load.saturating_add(split.remaining().max(1));
        }
        if least == subtask as usize {
            mine.push(split);
        }
    }
    mine.sort_by(|a, b| (&a.path, a.start).cmp(&(&b.path, b.start)));
    mine
}

/// The files that a pattern matches.
fn matches(pattern: &Path) -> Result<Vec<PathBuf>, ConnectorError> {
    // A file whose name looks like a pattern is that file.
    if pattern.is_file() {
        return Ok(vec![pattern.to_path_buf()]);
    }
    let text = pattern.to_str().ok_or_else(|| failed(format!("{} is not UTF-8", pattern.display())))?;
    let invalid = |error| failed(format!("{} is not a valid pattern: {error}", pattern.display()));
    let found: Result<Vec<PathBuf>, _> = glob::glob(text).map_err(invalid)?.collect();
    let mut found = found.map_err(|error| failed(format!("cannot look for {}: {error}", pattern.display())))?;
    found.retain(|path| path.is_file());
    if found.is_empty() {
        return Err(failed(format!("no file matches {}", pattern.display())));
    }
    Ok(found)
}

impl SourceFactory for FileSource {
    fn codecs(&self) -> (Codec, Codec) {
        self.format.codecs()
    }

    fn has_event_time(&self) -> bool {
        self.format.event_time.is_some()
    }

    fn create(&self, context: SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        let splits = match &context.restored {
            None => self.found(&context)?,
            Some(restored) => {
                let restore = |state| Split::restore(state, &self.base, self.format.format);
                let all: Vec<Split> = restored.iter().map(restore).collect::<Result<_, ConnectorError>>()?;
                let splits = deal(all, context.place.subtask, context.parallelism);
                // What is wrong is told now, and not when the split's turn comes.
                splits.iter().try_for_each(|split| split.file(self.format.format).map(drop))?;
                splits
            }
        };
        Ok(Box::new(Files {
            splits,
            format: self.format.clone(),
            split: 0,
            reader: None,
            reading: None,
            carried: None,
        }))
    }
}

/// What the blocking pool gives back: the reader, its rows, and whether there may be more.
type Read = Result<(RowReader, BatchBuilder, bool), ConnectorError>;

/// One subtask: its splits, one after the other.
struct Files {
    /// Each as far as its rows were returned.
    splits: Vec<Split>,
    format: RowFormat,
    split: usize,
    /// The reader of the current split, once begun.
    reader: Option<RowReader>,
    /// What is being read: kept here, so that nothing is lost when whoever waits for it stops waiting.
    reading: Option<JoinHandle<Read>>,
    /// The watermark that the last row carried.
    carried: Option<i64>,
}

impl Source for Files {
    fn splits(&self) -> Vec<String> {
        self.splits.iter().map(Split::id).collect()
    }

    fn position(&self, split: usize) -> Result<Vec<u8>, ConnectorError> {
        let split = self.splits.get(split).ok_or_else(|| failed(format!("there is no split number {split}")))?;
        split.position(self.format.format)
    }

    fn works_while_pending(&self) -> bool {
        true
    }

    fn carried_watermark(&self) -> Option<i64> {
        self.carried
    }

    fn may_be_idle(&self) -> bool {
        false
    }

    fn next(&mut self, limit: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        Box::pin(async move {
            let Some(split) = self.splits.get_mut(self.split) else { return Ok(SourceEvent::End) };
            let reading = match self.reading.take() {
                Some(reading) => reading,
                None => {
                    let (reader, split, format) = (self.reader.take(), split.clone(), self.format.clone());
                    spawn_blocking(move || {
                        let mut reader = reader.map_or_else(|| open(&split, format), Ok)?;
                        let mut rows = BatchBuilder::default();
                        let more = reader.fill(&mut rows, limit)?;
                        Ok((reader, rows, more))
                    })
                }
            };
            let read = self.reading.insert(reading).await;
            self.reading = None;
            let (reader, mut rows, more) = read.map_err(failed)??;
            if !rows.is_empty() {
                split.at = reader.mark();
                self.carried = reader.carried();
                self.reader = Some(reader);
                return Ok(SourceEvent::Rows { split: self.split, batch: rows.take() });
            }
            debug_assert!(!more, "a reader that has more gave nothing");
            self.split += 1;
            Ok(SourceEvent::SplitEnd { split: self.split - 1 })
        })
    }
}

#[cfg(test)]
mod replays;
#[cfg(test)]
mod tests;
