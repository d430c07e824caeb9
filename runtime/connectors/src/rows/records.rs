//! Makes rows of records of CSV.

use std::{
    borrow::Cow,
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use wasmill_core::{BatchBuilder, batch::NO_TIME};

use super::{BUFFER_BYTES, Mark, RowFormat, push, time};

/// A stream of CSV that ends with an error where a record is too long, as one is that opens a quote and never closes it.
/// Counted are bytes read while one record is, so a record is refused at most a buffer late.
struct Bounded {
    from: Box<dyn Read + Send>,
    since: Arc<AtomicUsize>,
    longest: usize,
    /// Whether the first read gives one byte only. The parser drops a byte order mark with which its first buffer begins; in
    /// the middle of a file the same bytes are content.
    midway: bool,
}

impl Read for Bounded {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.since.load(Ordering::Relaxed) > self.longest.saturating_add(BUFFER_BYTES) {
            let message =
                format!("it is longer than {} bytes; is a quote not closed? Else raise `max-line`", self.longest);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let most = if std::mem::take(&mut self.midway) { out.len().min(1) } else { out.len() };
        let read = self.from.read(&mut out[..most])?;
        self.since.fetch_add(read, Ordering::Relaxed);
        Ok(read)
    }
}

/// Records of a stream.
pub(super) struct Records {
    reader: csv::Reader<Bounded>,
    /// Bytes read since the last record.
    since: Arc<AtomicUsize>,
    /// What the columns are called, once the first record of the file has been read.
    columns: Option<Vec<String>>,
    record: csv::StringRecord,
    value: Vec<u8>,
}

impl Records {
    /// Records of `from`: the whole of a file, or the rest of one whose `columns` are known.
    pub(super) fn new(format: &RowFormat, from: Box<dyn Read + Send>, columns: Option<Vec<String>>) -> Records {
        let mut builder = csv::ReaderBuilder::new();
        // How many fields a record has is compared with the columns, which the parser does not know midway.
        builder.has_headers(false).flexible(true).delimiter(format.delimiter).buffer_capacity(BUFFER_BYTES);
        let since = Arc::new(AtomicUsize::new(0));
        let midway = columns.is_some();
        let reader = builder.from_reader(Bounded { from, since: since.clone(), longest: format.max_line, midway });
        Records { reader, since, columns, record: csv::StringRecord::new(), value: Vec::new() }
    }

    /// What the columns are called, once known.
    pub(super) fn columns(&self) -> Option<&Vec<String>> {
        self.columns.as_ref()
    }

    /// Behind the last record read, counted from where the stream began.
    pub(super) fn mark(&self) -> Mark {
        let position = self.reader.position();
        Mark { offset: position.byte(), line: Some(position.line().saturating_sub(1)) }
    }

    /// Number of the line in which the last record began, from 1 where the stream did.
    pub(super) fn line(&self) -> u64 {
        self.record.position().map_or(1, csv::Position::line)
    }

    /// Reads the next record; false at the end. The inner error is one of the record alone.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub(super) fn advance(&mut self) -> Result<Result<bool, String>, csv::Error> {
        self.since.store(0, Ordering::Relaxed);
        match self.reader.read_record(&mut self.record) {
            Ok(more) => Ok(Ok(more)),
            // A stream that cannot be read does not get better.
            Err(error) if error.is_io_error() => Err(error),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Adds a row of the record just read, and tells the watermark that it carries; the first record of a file may name the
    /// columns instead.
    pub(super) fn row(&mut self, format: &RowFormat, out: &mut BatchBuilder) -> Result<i64, String> {
        let Some(columns) = &self.columns else {
            let named = self.record.iter().map(str::to_string).collect();
            let numbered = (1..=self.record.len()).map(|i| i.to_string()).collect();
            self.columns = Some(if format.header { named } else { numbered });
            return if format.header { Ok(NO_TIME) } else { self.row(format, out) };
        };
        if self.record.len() != columns.len() {
            let (fields, expected) = (self.record.len(), columns.len());
            return Err(format!("the record has {fields} fields, but the file has {expected} columns"));
        }
        let at = |column: &str| {
            let index = columns.iter().position(|name| name == column)?;
            self.record.get(index).map(Cow::Borrowed)
        };
        let times = format.event_time.iter().chain(&format.watermark).map(|time| &time.field);
        for wanted in format.key.iter().chain(times) {
            if !columns.contains(wanted) {
                return Err(format!("there is no column `{wanted}`; there are {}", columns.join(", ")));
            }
        }
        let (timestamp, watermark) = (time(&format.event_time, at)?, time(&format.watermark, at)?);
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
        Ok(watermark)
    }
}
