//! Makes rows of bytes: lines of text, JSON Lines, or CSV, with key and event time where they are asked for.

use std::{
    borrow::Cow,
    io::{self, BufRead, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;
use wasmill_core::{
    BatchBuilder, Codec, Row,
    batch::NO_TIME,
    source::{BatchLimit, ConnectorError},
};

use crate::{
    event_time::{EventTime, is_absent},
    failed,
    lines::Lines,
};

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// A line; its value is `text`.
    #[default]
    Text,
    /// A line that is one JSON value; its value is `json`.
    Json,
    /// A record of CSV (RFC 4180); its value is a `json` object of strings by column.
    Csv,
}

/// How rows are made of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFormat {
    /// What a row is.
    pub format: Format,
    /// Where the key is: a JSON pointer, or a CSV column. Rows without it have no key.
    pub key: Option<String>,
    /// Where the event time is. Rows without it, or with `NA`, have none.
    pub event_time: Option<EventTime>,
    /// Whether a row that cannot be read is counted and left out, with a warning, in place of failing the job.
    pub skip_errors: bool,
    /// The longest line or record of CSV, bytes.
    pub max_line: usize,
    /// What stands between the fields of a CSV record.
    pub delimiter: u8,
    /// Whether the first record of CSV names the columns; if not they are called `1`, `2` and so on.
    pub header: bool,
}

impl Default for RowFormat {
    fn default() -> RowFormat {
        RowFormat {
            format: Format::Text,
            key: None,
            event_time: None,
            skip_errors: false,
            max_line: 1 << 20,
            delimiter: b',',
            header: true,
        }
    }
}

impl RowFormat {
    /// How keys and values are encoded.
    pub fn codecs(&self) -> (Codec, Codec) {
        let key = if self.key.is_some() { "text" } else { "bytes" };
        (Codec::named(key), Codec::named(if self.format == Format::Text { "text" } else { "json" }))
    }
}

/// How much is read at once, bytes.
const BUFFER_BYTES: usize = 64 * 1024;

/// A stream of CSV that ends with an error where a record is too long, as one is that opens a quote and never closes it.
/// Counted are bytes read while one record is, so a record is refused at most a buffer late.
struct Bounded {
    from: Box<dyn Read + Send>,
    since: Arc<AtomicUsize>,
    longest: usize,
}

impl Read for Bounded {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.since.load(Ordering::Relaxed) > self.longest.saturating_add(BUFFER_BYTES) {
            let message =
                format!("it is longer than {} bytes; is a quote not closed? Else raise `max-line`", self.longest);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let read = self.from.read(out)?;
        self.since.fetch_add(read, Ordering::Relaxed);
        Ok(read)
    }
}

/// Makes rows of one stream.
pub(crate) struct RowReader {
    format: RowFormat,
    body: Body,
    /// What the stream is called in messages.
    name: String,
    /// Stop before the line that begins at this offset of the stream.
    end: Option<u64>,
    /// Whether line numbers begin at the beginning of the file.
    numbered: bool,
    skipped: u64,
}

enum Body {
    Lines(Lines<Box<dyn BufRead + Send>>),
    Csv(Box<Csv>),
}

struct Csv {
    reader: csv::Reader<Bounded>,
    /// Bytes read since the last record.
    since: Arc<AtomicUsize>,
    columns: Option<Vec<String>>,
    record: csv::StringRecord,
    value: Vec<u8>,
}

impl RowReader {
    /// Rows of `from`, a stream called `name`.
    pub(crate) fn new(format: RowFormat, name: String, from: Box<dyn Read + Send>) -> RowReader {
        let body = match format.format {
            Format::Csv => {
                let mut builder = csv::ReaderBuilder::new();
                builder.has_headers(false).delimiter(format.delimiter).buffer_capacity(BUFFER_BYTES);
                let since = Arc::new(AtomicUsize::new(0));
                let reader = builder.from_reader(Bounded { from, since: since.clone(), longest: format.max_line });
                let (columns, record) = (None, csv::StringRecord::new());
                Body::Csv(Box::new(Csv { reader, since, columns, record, value: Vec::new() }))
            }
            _ => {
                let buffered: Box<dyn BufRead + Send> = Box::new(BufReader::with_capacity(BUFFER_BYTES, from));
                Body::Lines(Lines::new(buffered, format.max_line))
            }
        };
        RowReader { format, body, name, end: None, numbered: true, skipped: 0 }
    }

    /// Rows of the lines that begin before byte `end` of the stream; when `partial`, the first line belongs to whoever reads
    /// what is before, and is passed over.
    ///
    /// # Errors
    /// When the first line cannot be read.
    pub(crate) fn within(mut self, end: Option<u64>, partial: bool) -> Result<RowReader, ConnectorError> {
        self.end = end;
        self.numbered = !partial;
        if partial && let Body::Lines(lines) = &mut self.body {
            lines.advance().map_err(|error| failed(format!("{}: {error}", self.name)))?;
        }
        Ok(self)
    }

    /// Adds rows until the limit or the end; false at the end. Blocks on the stream.
    ///
    /// # Errors
    /// What cannot be read, with file and line.
    pub(crate) fn fill(&mut self, out: &mut BatchBuilder, limit: BatchLimit) -> Result<bool, ConnectorError> {
        while out.rows() < limit.rows && out.bytes() < limit.bytes {
            if !self.one(out)? {
                if self.skipped > 0 {
                    tracing::warn!("{}: {} rows could not be read and were left out", self.name, self.skipped);
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds the next row, or passes over one that cannot be read; false at the end.
    fn one(&mut self, out: &mut BatchBuilder) -> Result<bool, ConnectorError> {
        let RowReader { format, body, name, end, numbered, skipped } = self;
        let at = |line: u64| if *numbered { format!("{name}, line {line}") } else { format!("{name}, some line") };
        let (line, added) = match body {
            Body::Lines(lines) => {
                if end.is_some_and(|end| lines.offset() >= end) {
                    return Ok(false);
                }
                let more =
                    lines.advance().map_err(|error| failed(format!("{}: {error}", at(lines.number().max(1)))))?;
                if !more {
                    return Ok(false);
                }
                let added = match format.format {
                    Format::Json => json(format, lines.line(), out),
                    _ => {
                        push(out, NO_TIME, None, lines.line());
                        Ok(())
                    }
                };
                (lines.number(), added)
            }
            Body::Csv(csv) => {
                csv.since.store(0, Ordering::Relaxed);
                let read = csv.reader.read_record(&mut csv.record);
                let line = csv.record.position().map_or(1, csv::Position::line);
                let added = match read {
                    Ok(false) => return Ok(false),
                    Ok(true) => csv.row(format, out),
                    // A stream that cannot be read does not get better.
                    Err(error) if error.is_io_error() => return Err(failed(format!("{}: {error}", at(line)))),
                    Err(error) => Err(error.to_string()),
                };
                (line, added)
            }
        };
        match added {
            Ok(()) => {}
            Err(problem) if format.skip_errors => {
                if *skipped == 0 {
                    tracing::warn!("{}: {problem}; the row is left out, as `on-error` says", at(line));
                }
                *skipped += 1;
            }
            Err(problem) => {
                let hint = "correct it, or set `on-error = \"skip\"`";
                return Err(failed(format!("{}: {problem}; {hint}", at(line))));
            }
        }
        Ok(true)
    }
}

fn push(out: &mut BatchBuilder, timestamp: i64, key: Option<&[u8]>, value: &[u8]) {
    out.push(Row { timestamp, key, value: Some(value), headers: &[] });
}

/// A row of one JSON value.
fn json(format: &RowFormat, line: &[u8], out: &mut BatchBuilder) -> Result<(), String> {
    if format.key.is_none() && format.event_time.is_none() {
        serde_json::from_slice::<serde::de::IgnoredAny>(line).map_err(|error| error.to_string())?;
        push(out, NO_TIME, None, line);
        return Ok(());
    }
    let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let at = |pointer: &str| match value.pointer(pointer) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(Cow::Borrowed(text.as_str())),
        Some(other) => Some(Cow::Owned(other.to_string())),
    };
    let timestamp = time(format, at)?;
    let key = format.key.as_deref().and_then(at);
    push(out, timestamp, key.as_deref().map(str::as_bytes), line);
    Ok(())
}

/// The event time in the field that `at` finds.
fn time<'a>(format: &RowFormat, at: impl Fn(&str) -> Option<Cow<'a, str>>) -> Result<i64, String> {
    let Some(event_time) = &format.event_time else { return Ok(NO_TIME) };
    match at(&event_time.field) {
        None => Ok(NO_TIME),
        Some(text) if is_absent(&text) => Ok(NO_TIME),
        Some(text) => event_time
            .format
            .read(&text)
            .ok_or_else(|| format!("`{text}` at `{}` is not a time of the declared format", event_time.field)),
    }
}

impl Csv {
    /// A row of the record just read; the first record of a file may name the columns.
    fn row(&mut self, format: &RowFormat, out: &mut BatchBuilder) -> Result<(), String> {
        let Some(columns) = &self.columns else {
            let named = self.record.iter().map(str::to_string).collect();
            let numbered = (1..=self.record.len()).map(|i| i.to_string()).collect();
            self.columns = Some(if format.header { named } else { numbered });
            return if format.header { Ok(()) } else { self.row(format, out) };
        };
        let at = |column: &str| {
            let index = columns.iter().position(|name| name == column)?;
            self.record.get(index).map(Cow::Borrowed)
        };
        for wanted in format.key.iter().chain(format.event_time.iter().map(|time| &time.field)) {
            if !columns.contains(wanted) {
                return Err(format!("there is no column `{wanted}`; there are {}", columns.join(", ")));
            }
        }
        let timestamp = time(format, at)?;
        self.value.clear();
        self.value.push(b'{');
        for (name, field) in columns.iter().zip(&self.record) {
            if self.value.len() > 1 {
                self.value.push(b',');
            }
            serde_json::to_writer(&mut self.value, name).map_err(|error| error.to_string())?;
            self.value.push(b':');
            serde_json::to_writer(&mut self.value, field).map_err(|error| error.to_string())?;
        }
        self.value.push(b'}');
        let key = format.key.as_deref().and_then(at);
        push(out, timestamp, key.as_deref().map(str::as_bytes), &self.value);
        Ok(())
    }
}
