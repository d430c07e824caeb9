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

use crate::workload::Outcome;

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

/// Counts rows and adds up their values, read as u64.
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
        let (values, rest) = batch.values.as_chunks::<8>();
        let sum = values.iter().fold(0u64, |sum, value| sum.wrapping_add(u64::from_le_bytes(*value)));
        self.0.rows.fetch_add(batch.rows() as u64, Ordering::Relaxed);
        self.0.sum.fetch_add(sum, Ordering::Relaxed);
        let whole = rest.is_empty() && values.len() == batch.rows();
        let checked = if whole { Ok(()) } else { Err(ConnectorError::new("a value is not 8 bytes long".to_string())) };
        Box::pin(std::future::ready(checked))
    }

    fn pre_commit(&mut self, _: u64) -> BoxFuture<'static, Result<Option<Committable>, ConnectorError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
