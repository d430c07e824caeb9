//! The ends of the benchmark jobs: a source of the novels' lines, and a sink that counts and sums.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result};
use wasmill_core::{
    Batch, BatchBuilder, BoxFuture, Codec, Row, Sink, SinkContext, SinkFactory, Source, SourceContext, SourceFactory,
    batch::NO_TIME,
    sink::Committable,
    source::{BatchLimit, ConnectorError, SourceEvent},
};

use crate::{plain::mix, workload::Outcome};

/// The lines of the six novels in memory.
pub(crate) fn novels() -> Result<Vec<Vec<u8>>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/wordcount/data");
    let mut lines = Vec::new();
    let mut paths: Vec<_> = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "gz"));
    paths.sort();
    for path in paths {
        let file = std::fs::File::open(&path).with_context(|| path.display().to_string())?;
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(file), &mut text)?;
        lines.extend(text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec));
    }
    Ok(lines)
}

/// Lines from memory, so many times over; line i goes to subtask i modulo parallelism.
pub(crate) struct Lines {
    pub(crate) lines: Arc<Vec<Vec<u8>>>,
    pub(crate) repeats: u64,
}

struct LinesSource {
    lines: Arc<Vec<Vec<u8>>>,
    next: usize,
    end: usize,
    step: usize,
}

impl SourceFactory for Lines {
    fn codecs(&self) -> (Codec, Codec) {
        (Codec::named("bytes"), Codec::named("text"))
    }

    fn has_event_time(&self) -> bool {
        false
    }

    fn create(&self, context: SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        Ok(Box::new(LinesSource {
            lines: self.lines.clone(),
            next: context.place.subtask as usize,
            end: self.lines.len() * self.repeats as usize,
            step: context.parallelism as usize,
        }))
    }
}

impl Source for LinesSource {
    fn splits(&self) -> Vec<String> {
        vec!["lines".to_string()]
    }

    fn position(&self, _: usize) -> Result<Vec<u8>, ConnectorError> {
        Err(ConnectorError::new("the lines of a benchmark are read once".to_string()))
    }

    fn next(&mut self, limit: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        let mut builder = BatchBuilder::default();
        while self.next < self.end && builder.rows() < limit.rows && builder.bytes() < limit.bytes {
            let line = &self.lines[self.next % self.lines.len()];
            builder.push(Row { timestamp: NO_TIME, key: None, value: Some(line), headers: &[] });
            self.next += self.step;
        }
        let event = match builder.is_empty() {
            true => SourceEvent::End,
            false => SourceEvent::Rows { split: 0, batch: builder.take() },
        };
        Box::pin(std::future::ready(Ok(event)))
    }
}

/// Rows that a function of their number makes up, so many; row i goes to subtask i modulo parallelism.
pub(crate) struct MadeUp {
    pub(crate) count: u64,
    /// Codecs of keys and values.
    pub(crate) codecs: (&'static str, &'static str),
    /// Whether rows have an event time.
    pub(crate) timed: bool,
    /// Makes the rows of these numbers: the first, the step from one to the next, how many.
    pub(crate) make: fn(u64, u64, usize) -> Batch,
    /// Bytes of one, about.
    pub(crate) row_bytes: usize,
}

struct MadeUpSource {
    next: u64,
    step: u64,
    end: u64,
    make: fn(u64, u64, usize) -> Batch,
    row_bytes: usize,
}

impl SourceFactory for MadeUp {
    fn codecs(&self) -> (Codec, Codec) {
        (Codec::named(self.codecs.0), Codec::named(self.codecs.1))
    }

    fn has_event_time(&self) -> bool {
        self.timed
    }

    fn create(&self, context: SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        let (next, step) = (u64::from(context.place.subtask), u64::from(context.parallelism));
        Ok(Box::new(MadeUpSource { next, step, end: self.count, make: self.make, row_bytes: self.row_bytes }))
    }
}

impl Source for MadeUpSource {
    fn splits(&self) -> Vec<String> {
        vec!["rows".to_string()]
    }

    fn position(&self, _: usize) -> Result<Vec<u8>, ConnectorError> {
        Err(ConnectorError::new("the rows of a benchmark are made once"))
    }

    fn next(&mut self, limit: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        let left = self.end.saturating_sub(self.next).div_ceil(self.step);
        let rows = (limit.bytes / self.row_bytes).clamp(1, limit.rows).min(usize::try_from(left).unwrap_or(usize::MAX));
        let event = match rows {
            0 => SourceEvent::End,
            _ => SourceEvent::Rows { split: 0, batch: (self.make)(self.next, self.step, rows) },
        };
        self.next += rows as u64 * self.step;
        Box::pin(std::future::ready(Ok(event)))
    }
}

/// Bytes of a record of W1: its id and a payload.
pub(crate) const RECORD: usize = 108;

/// Records of W1: u64 little-endian, then 100 bytes that begin with the number in ten digits.
pub(crate) fn records(first: u64, step: u64, rows: usize) -> Batch {
    let mut template = [0; RECORD];
    (0..100).for_each(|i| template[8 + i] = b'a' + (i % 26) as u8);
    let mut values = Vec::with_capacity(rows * RECORD);
    for i in (0..rows as u64).map(|row| first + row * step) {
        template[..8].copy_from_slice(&i.to_le_bytes());
        put_digits(&mut template[8..18], i);
        values.extend_from_slice(&template);
    }
    let value_ends = (1..=rows).map(|row| (row * RECORD) as u32).collect();
    Batch { value_ends, values, ..Batch::default() }
}

/// Writes a number in decimal digits over all of `digits`.
pub(crate) fn put_digits(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Keys of W3.
const STAMPED_KEYS: u64 = 10_000;

/// The key and the event time of row i of W3: 100,000 rows a second of event time, up to 2 seconds out of order.
pub(crate) fn stamp(i: u64) -> (u64, i64) {
    let hash = mix(i);
    ((hash >> 1) % STAMPED_KEYS, (2_000 + i / 100) as i64 - (((hash >> 40) & 0xFFFF) % 2_000) as i64)
}

/// Rows of W3: a key and an event time.
pub(crate) fn stamped(first: u64, step: u64, rows: usize) -> Batch {
    let (mut timestamps, mut keys) = (Vec::with_capacity(rows), Vec::with_capacity(rows * 8));
    for i in (0..rows as u64).map(|row| first + row * step) {
        let (key, time) = stamp(i);
        timestamps.push(time);
        keys.extend_from_slice(&key.to_le_bytes());
    }
    let key_ends = (1..=rows).map(|row| (row * 8) as u32).collect();
    Batch { timestamps, key_ends, keys, ..Batch::default() }
}

/// Counts rows and adds up their values, of which the first 8 bytes are read as u64.
#[derive(Default, Clone)]
pub(crate) struct Checksum(Arc<Totals>);

#[derive(Default)]
struct Totals {
    rows: AtomicU64,
    sum: AtomicU64,
}

impl Checksum {
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome { rows: self.0.rows.load(Ordering::Relaxed), sum: self.0.sum.load(Ordering::Relaxed) }
    }
}

impl SinkFactory for Checksum {
    fn create(&self, _: SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
        Ok(Box::new(self.clone()))
    }

    fn commit(&self, _: &[Committable]) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn target(&self) -> String {
        "a checksum".to_string()
    }
}

impl Sink for Checksum {
    fn write(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), ConnectorError>> {
        let width = if batch.value_ends.is_empty() { 8 } else { batch.values.len() / batch.value_ends.len() };
        let (mut sum, mut whole) = (0u64, batch.values.len() == batch.rows() * width);
        match width {
            8 => {
                let (values, _) = batch.values.as_chunks::<8>();
                sum = values.iter().fold(0u64, |sum, value| sum.wrapping_add(u64::from_le_bytes(*value)));
            }
            _ => {
                for record in batch.values.chunks(width.max(1)) {
                    match record.first_chunk::<8>() {
                        Some(value) => sum = sum.wrapping_add(u64::from_le_bytes(*value)),
                        None => whole = false,
                    }
                }
            }
        }
        self.0.rows.fetch_add(batch.rows() as u64, Ordering::Relaxed);
        self.0.sum.fetch_add(sum, Ordering::Relaxed);
        let checked = if whole { Ok(()) } else { Err(ConnectorError::new("a value has not the length of the others")) };
        Box::pin(std::future::ready(checked))
    }

    fn pre_commit(&mut self, _: u64) -> BoxFuture<'static, Result<Option<Committable>, ConnectorError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
