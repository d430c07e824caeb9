//! Reads files: decides the splits, and which subtask reads which.
//!
//! A plain file of lines is cut into ranges of a fixed size, whatever the parallelism, so that event-time results do not
//! depend on it; a line belongs to the range in which it begins. Compressed files and CSV are one split each. Splits are
//! dealt to subtasks by size, the largest first, and read one after the other.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use wasmill_core::{
    BatchBuilder, BoxFuture, Codec, Source, SourceContext, SourceFactory,
    source::{BatchLimit, ConnectorError, SourceEvent},
};

use crate::{
    blocking, failed,
    rows::{Format, RowFormat, RowReader},
};

/// Rows of files.
#[derive(Debug, Clone)]
pub struct FileSource {
    splits: Vec<Split>,
    format: RowFormat,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Split {
    path: PathBuf,
    start: u64,
    /// `None` up to the end of the file.
    end: Option<u64>,
    bytes: u64,
}

impl FileSource {
    /// Rows of all files that match `patterns` (paths, or patterns with `*`, `?`, `**`, `[a-z]`), each once, in the order of
    /// their names. Plain files of lines are cut into ranges of `split_bytes`, at least 1. Looks at the file system.
    ///
    /// # Errors
    /// When a pattern is invalid or matches no file, or a file cannot be looked at.
    pub fn new(patterns: &[PathBuf], format: RowFormat, split_bytes: u64) -> Result<FileSource, ConnectorError> {
        let mut paths = Vec::new();
        for pattern in patterns {
            paths.extend(matches(pattern)?);
        }
        paths.sort();
        paths.dedup();
        let mut splits = Vec::new();
        for path in paths {
            let bytes =
                path.metadata().map_err(|error| failed(format!("cannot read {}: {error}", path.display())))?.len();
            let whole = compression(&path).is_some() || format.format == Format::Csv || bytes <= split_bytes;
            if whole {
                splits.push(Split { path, start: 0, end: None, bytes });
                continue;
            }
            for start in (0..bytes).step_by(usize::try_from(split_bytes.max(1)).unwrap_or(usize::MAX)) {
                let length = split_bytes.min(bytes - start);
                splits.push(Split { path: path.clone(), start, end: Some(start + length), bytes: length });
            }
        }
        Ok(FileSource { splits, format })
    }

    /// The splits of one subtask: the largest first to whoever has least so far.
    fn deal(&self, subtask: u32, parallelism: u32) -> Vec<Split> {
        let mut order: Vec<&Split> = self.splits.iter().collect();
        order.sort_by_key(|split| std::cmp::Reverse(split.bytes));
        let mut load = vec![0u64; parallelism as usize];
        let mut mine = Vec::new();
        for split in order {
            let least = (0..load.len()).min_by_key(|&i| load[i]).unwrap_or(0);
            load[least] += split.bytes.max(1);
            if least == subtask as usize {
                mine.push(split.clone());
            }
        }
        mine.sort_by(|a, b| (&a.path, a.start).cmp(&(&b.path, b.start)));
        mine
    }
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
        let splits = self.deal(context.place.subtask, context.parallelism);
        Ok(Box::new(Files { splits, format: self.format.clone(), split: 0, reader: None }))
    }
}

/// One subtask: its splits, one after the other.
struct Files {
    splits: Vec<Split>,
    format: RowFormat,
    split: usize,
    /// The reader of the current split, once begun.
    reader: Option<RowReader>,
}

impl Source for Files {
    fn splits(&self) -> usize {
        self.splits.len()
    }

    fn works_while_pending(&self) -> bool {
        true
    }

    fn next(&mut self, limit: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        Box::pin(async move {
            let Some(split) = self.splits.get(self.split) else { return Ok(SourceEvent::End) };
            let (reader, split, format) = (self.reader.take(), split.clone(), self.format.clone());
            let (reader, mut rows, more) = blocking(move || {
                let mut reader = reader.map_or_else(|| open(&split, format), Ok)?;
                let mut rows = BatchBuilder::default();
                let more = reader.fill(&mut rows, limit)?;
                Ok((reader, rows, more))
            })
            .await?;
            self.reader = Some(reader);
            if !rows.is_empty() {
                return Ok(SourceEvent::Rows { split: self.split, batch: rows.take() });
            }
            debug_assert!(!more, "a reader that has more gave nothing");
            self.reader = None;
            self.split += 1;
            Ok(SourceEvent::SplitEnd { split: self.split - 1 })
        })
    }
}

/// How a file is compressed, by its name.
fn compression(path: &Path) -> Option<&str> {
    path.extension().and_then(|extension| extension.to_str()).filter(|extension| matches!(*extension, "gz" | "zst"))
}

fn open(split: &Split, format: RowFormat) -> Result<RowReader, ConnectorError> {
    let name = split.path.display().to_string();
    let failed = |error: std::io::Error| failed(format!("cannot read {name}: {error}"));
    let mut file = File::open(&split.path).map_err(failed)?;
    let from: Box<dyn Read + Send> = match compression(&split.path) {
        Some("gz") => Box::new(MultiGzDecoder::new(BufReader::new(file))),
        Some(_) => Box::new(zstd::stream::read::Decoder::new(file).map_err(failed)?),
        None => {
            // From the byte before: if that ends a line, the next one begins here.
            file.seek(SeekFrom::Start(split.start.saturating_sub(1))).map_err(failed)?;
            Box::new(file)
        }
    };
    let partial = split.start > 0;
    let begin = split.start.saturating_sub(1);
    RowReader::new(format, name, from).within(split.end.map(|end| end - begin), partial)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, time::Duration};

    use proptest::prelude::*;
    use wasmill_core::JobName;

    use super::*;

    fn read(source: &FileSource, parallelism: u32) -> Result<Vec<Vec<u8>>, ConnectorError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut rows = Vec::new();
        for subtask in 0..parallelism {
            let place = JobName::local("test").place("files", subtask);
            let mut source = source.create(SourceContext { place, parallelism })?;
            let limit = BatchLimit { rows: 7, bytes: 1 << 20, linger: Duration::from_millis(1) };
            loop {
                match runtime.block_on(source.next(limit))? {
                    SourceEvent::Rows { batch, .. } => {
                        rows.extend(batch.iter().map(|row| row.value.unwrap_or_default().to_vec()));
                    }
                    SourceEvent::End => break,
                    _ => {}
                }
            }
        }
        Ok(rows)
    }

    fn text(content: &[u8], name: &str, split_bytes: u64) -> Result<Vec<Vec<u8>>, ConnectorError> {
        with(content, name, RowFormat::default(), split_bytes)
    }

    fn with(content: &[u8], name: &str, format: RowFormat, split_bytes: u64) -> Result<Vec<Vec<u8>>, ConnectorError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        read(&FileSource::new(&[path], format, split_bytes)?, 1)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    proptest! {
        #[test]
        fn ranges_give_every_line_once(
            lines in proptest::collection::vec("[a-z]{0,9}", 0..60), split in 1u64..90, parallelism in 1u32..5, newline: bool
        ) {
            let mut content = lines.join("\n");
            let mut expected = lines.clone();
            if newline && !content.is_empty() { content.push('\n') } else if lines.last().is_some_and(String::is_empty) { expected.pop(); }
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("lines.txt");
            std::fs::write(&path, &content).unwrap();
            let source = FileSource::new(&[path], RowFormat::default(), split).unwrap();
            let mut rows: Vec<String> =
                read(&source, parallelism).unwrap().into_iter().map(|row| String::from_utf8(row).unwrap()).collect();
            let mut expected: Vec<String> = if content.is_empty() { vec![] } else { expected };
            rows.sort();
            expected.sort();
            prop_assert_eq!(rows, expected);
        }
    }

    #[test]
    fn files_are_decompressed_by_extension() {
        let members = [gzip(b"one\ntw"), gzip(b"o\nthree")].concat();
        assert_eq!(text(&members, "a.txt.gz", 4).unwrap(), [&b"one"[..], b"two", b"three"]);
        let zstd = zstd::encode_all(&b"one\r\ntwo\n"[..], 1).unwrap();
        assert_eq!(text(&zstd, "a.txt.zst", 4).unwrap(), [&b"one"[..], b"two"]);
    }

    #[test]
    fn a_truncated_file_is_an_error_that_names_it() {
        let whole = gzip(&b"a line\n".repeat(1_000));
        let error = text(&whole[..whole.len() / 2], "cut.txt.gz", 4).unwrap_err().to_string();
        assert!(error.contains("cut.txt.gz"), "{error}");
        let error = text(b"not zstd at all", "bad.zst", 4).unwrap_err().to_string();
        assert!(error.contains("bad.zst"), "{error}");
    }

    #[test]
    fn json_lines_are_verified_and_named() {
        let json = |skip_errors| RowFormat { format: Format::Json, skip_errors, ..RowFormat::default() };
        let content = b"{\"a\":1}\n[2]\n{\"a\":\n4\n";
        let error = with(content, "a.jsonl", json(false), 1 << 20).unwrap_err().to_string();
        assert!(error.contains("a.jsonl, line 3"), "{error}");
        let rows = with(content, "a.jsonl", json(true), 1 << 20).unwrap();
        assert_eq!(rows, [&b"{\"a\":1}"[..], b"[2]", b"4"]);
    }

    #[test]
    fn csv_records_become_objects() {
        let csv = RowFormat { format: Format::Csv, ..RowFormat::default() };
        let content = b"id,note\n1,\"two\nlines, \"\"quoted\"\"\"\n2,\n";
        let rows = with(content, "a.csv", csv.clone(), 3).unwrap();
        assert_eq!(rows, [&br#"{"id":"1","note":"two\nlines, \"quoted\""}"#[..], br#"{"id":"2","note":""}"#]);
        let error = with(b"id,note\n1,2\n1,2,3\n", "b.csv", csv.clone(), 3).unwrap_err().to_string();
        assert!(error.contains("b.csv, line 3"), "{error}");
        let headless = with(b"x;y\n", "c.csv", RowFormat { header: false, delimiter: b';', ..csv }, 3).unwrap();
        assert_eq!(headless, [br#"{"1":"x","2":"y"}"#]);
    }

    #[test]
    fn a_quote_that_is_never_closed_is_an_error_and_not_endless_memory() {
        let csv = RowFormat { format: Format::Csv, max_line: 1_000, ..RowFormat::default() };
        let content = [&b"id,note\n1,\"open\n"[..], &b"x,y\n".repeat(1 << 18)].concat();
        let error = with(&content, "open.csv", csv, 3).unwrap_err().to_string();
        assert!(error.contains("open.csv") && error.contains("longer than 1000 bytes"), "{error}");
    }

    #[test]
    fn keys_and_times_are_taken_from_their_fields() {
        use crate::event_time::{EventTime, TimeFormat};
        let time = EventTime { field: "/at".into(), format: TimeFormat::Seconds };
        let json =
            RowFormat { format: Format::Json, key: Some("/id".into()), event_time: Some(time), ..RowFormat::default() };
        let content = b"{\"id\":\"x\",\"at\":2}\n{\"id\":7,\"at\":null}\n{}\n";
        let mut rows = BatchBuilder::default();
        let limit = BatchLimit { rows: 100, bytes: 1 << 20, linger: Duration::ZERO };
        let mut reader = RowReader::new(json.clone(), "x".into(), Box::new(&content[..]));
        assert!(!reader.fill(&mut rows, limit).unwrap());
        let batch = rows.take();
        let seen: Vec<_> = batch.iter().map(|row| (row.timestamp, row.key)).collect();
        assert_eq!(seen, [(2_000, Some(&b"x"[..])), (i64::MIN, Some(b"7")), (i64::MIN, None)]);
        let mut bad = RowReader::new(json, "x".into(), Box::new(&b"{\"at\":\"noon\"}"[..]));
        assert!(bad.fill(&mut rows, limit).unwrap_err().to_string().contains("`noon` at `/at` is not a time"));
    }

    #[test]
    fn a_pattern_without_a_match_is_named() {
        let error = FileSource::new(&["/nowhere/*.txt".into()], RowFormat::default(), 1).unwrap_err().to_string();
        assert_eq!(error, "no file matches /nowhere/*.txt");
    }
}
