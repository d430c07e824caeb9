//! Makes rows of bytes: lines of text, JSON Lines, or CSV, with key and event time where they are asked for.

mod records;

use std::{
    borrow::Cow,
    io::{BufRead, BufReader, Read},
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
use records::Records;

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
    /// Where rows carry a watermark, if they do. A row without it, or with `NA`, carries none.
    pub watermark: Option<EventTime>,
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
            watermark: None,
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

/// A place between two rows of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Bytes before it, decompressed.
    pub(crate) offset: u64,
    /// Lines before it, where they were counted.
    pub(crate) line: Option<u64>,
}

impl Mark {
    /// The beginning of a file.
    pub(crate) const START: Mark = Mark { offset: 0, line: Some(0) };

    /// The place that is `further` behind this one.
    fn and(self, further: Mark) -> Mark {
        let line = self.line.zip(further.line).map(|(a, b)| a.saturating_add(b));
        Mark { offset: self.offset.saturating_add(further.offset), line }
    }
}

/// Makes rows of one stream.
pub(crate) struct RowReader {
    format: RowFormat,
    body: Body,
    /// What the stream is called in messages.
    name: String,
    /// Where in its file the stream begins.
    begin: Mark,
    /// Stop before the line that begins at this offset of the stream.
    end: Option<u64>,
    skipped: u64,
    /// The highest watermark that a row carried.
    highest: i64,
    /// The watermark that the last row carried, if it was above all before.
    carried: Option<i64>,
}

enum Body {
    Lines(Lines<Box<dyn BufRead + Send>>),
    Csv(Box<Records>),
}

impl RowReader {
    /// Rows of `from`, a stream called `name`.
    pub(crate) fn new(format: RowFormat, name: String, from: Box<dyn Read + Send>) -> RowReader {
        let body = match format.format {
            Format::Csv => Body::Csv(Box::new(Records::new(&format, from, None))),
            _ => {
                let buffered: Box<dyn BufRead + Send> = Box::new(BufReader::with_capacity(BUFFER_BYTES, from));
                Body::Lines(Lines::new(buffered, format.max_line))
            }
        };
        RowReader { format, body, name, begin: Mark::START, end: None, skipped: 0, highest: NO_TIME, carried: None }
    }

    /// Rows of `from`, which is the rest of a file of CSV from `begin` on, when `self` reads the same file from its start:
    /// only there are the columns named.
    ///
    /// # Errors
    /// When the file cannot be read so far.
    pub(crate) fn resumed(mut self, from: Box<dyn Read + Send>, begin: Mark) -> Result<RowReader, ConnectorError> {
        let mut seen = BatchBuilder::default();
        while matches!(&self.body, Body::Csv(records) if records.columns().is_none()) && self.one(&mut seen)? {}
        if let Body::Csv(records) = &self.body {
            self.body = Body::Csv(Box::new(Records::new(&self.format, from, records.columns().cloned())));
        }
        Ok(RowReader { begin, ..self })
    }

    /// Rows of a stream that begins at `begin` of its file, as far as they begin before byte `end` of it; when `partial`, the
    /// first line belongs to whoever reads what is before, and is passed over.
    ///
    /// # Errors
    /// When the first line cannot be read.
    pub(crate) fn within(mut self, begin: Mark, end: Option<u64>, partial: bool) -> Result<RowReader, ConnectorError> {
        self.end = end.map(|end| end.saturating_sub(begin.offset));
        self.begin = begin;
        if partial && let Body::Lines(lines) = &mut self.body {
            lines.advance().map_err(|error| failed(format!("{}: {error}", self.name)))?;
        }
        Ok(self)
    }

    /// Where in its file the reader stands: behind all rows that it gave.
    pub(crate) fn mark(&self) -> Mark {
        self.begin.and(match &self.body {
            Body::Lines(lines) => Mark { offset: lines.offset(), line: Some(lines.number()) },
            Body::Csv(records) => records.mark(),
        })
    }

    /// The watermark that the last row carried, if it was above all before.
    pub(crate) fn carried(&self) -> Option<i64> {
        self.carried
    }

    /// Adds rows until the limit, a row that carries a new watermark, or the end; false at the end. Blocks on the stream.
    ///
    /// # Errors
    /// What cannot be read, with file and line.
    pub(crate) fn fill(&mut self, out: &mut BatchBuilder, limit: BatchLimit) -> Result<bool, ConnectorError> {
        self.carried = None;
        while out.rows() < limit.rows && out.bytes() < limit.bytes && self.carried.is_none() {
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
        let RowReader { format, body, name, begin, end, skipped, highest, carried } = self;
        // A place in messages: what `offset` and `line`, from 1, of the stream are in the file.
        let at = |offset: u64, line: u64| match begin.line {
            Some(before) => format!("{name}, line {}", before.saturating_add(line)),
            None => format!("{name}, the line at byte {}", begin.offset.saturating_add(offset)),
        };
        let (offset, line, added) = match body {
            Body::Lines(lines) => {
                let offset = lines.offset();
                if end.is_some_and(|end| offset >= end) {
                    return Ok(false);
                }
                let more = lines
                    .advance()
                    .map_err(|error| failed(format!("{}: {error}", at(offset, lines.number().max(1)))))?;
                if !more {
                    return Ok(false);
                }
                let added = match format.format {
                    Format::Json => json(format, lines.line(), out),
                    _ => {
                        push(out, NO_TIME, None, lines.line());
                        Ok(NO_TIME)
                    }
                };
                (offset, lines.number(), added)
            }
            Body::Csv(records) => {
                let offset = records.mark().offset;
                let read = records.advance();
                let line = records.line();
                let added = match read.map_err(|error| failed(format!("{}: {error}", at(offset, line))))? {
                    Ok(false) => return Ok(false),
                    Ok(true) => records.row(format, out),
                    Err(problem) => Err(problem),
                };
                (offset, line, added)
            }
        };
        match added {
            Ok(watermark) if watermark > *highest => {
                *highest = watermark;
                *carried = Some(watermark);
            }
            Ok(_) => {}
            Err(problem) if format.skip_errors => {
                if *skipped == 0 {
                    tracing::warn!("{}: {problem}; the row is left out, as `on-error` says", at(offset, line));
                }
                *skipped += 1;
            }
            Err(problem) => {
                let hint = "correct it, or set `on-error = \"skip\"`";
                return Err(failed(format!("{}: {problem}; {hint}", at(offset, line))));
            }
        }
        Ok(true)
    }
}

fn push(out: &mut BatchBuilder, timestamp: i64, key: Option<&[u8]>, value: &[u8]) {
    out.push(Row { timestamp, key, value: Some(value), headers: &[] });
}

/// A row of one JSON value, and the watermark that it carries.
fn json(format: &RowFormat, line: &[u8], out: &mut BatchBuilder) -> Result<i64, String> {
    if format.key.is_none() && format.event_time.is_none() && format.watermark.is_none() {
        serde_json::from_slice::<serde::de::IgnoredAny>(line).map_err(|error| error.to_string())?;
        push(out, NO_TIME, None, line);
        return Ok(NO_TIME);
    }
    let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let at = |pointer: &str| match value.pointer(pointer) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(Cow::Borrowed(text.as_str())),
        Some(other) => Some(Cow::Owned(other.to_string())),
    };
    let (timestamp, watermark) = (time(&format.event_time, at)?, time(&format.watermark, at)?);
    let key = format.key.as_deref().and_then(at);
    push(out, timestamp, key.as_deref().map(str::as_bytes), line);
    Ok(watermark)
}

/// The time in the field that `at` finds, or [`NO_TIME`].
fn time<'a>(wanted: &Option<EventTime>, at: impl Fn(&str) -> Option<Cow<'a, str>>) -> Result<i64, String> {
    let Some(event_time) = wanted else { return Ok(NO_TIME) };
    match at(&event_time.field) {
        None => Ok(NO_TIME),
        Some(text) if is_absent(&text) => Ok(NO_TIME),
        Some(text) => event_time
            .format
            .read(&text)
            .ok_or_else(|| format!("`{text}` at `{}` is not a time of the declared format", event_time.field)),
    }
}
