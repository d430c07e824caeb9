//! Reads standard input, promptly however slow it is.

use std::{
    io::Read,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use tokio::{
    sync::mpsc::{Receiver, channel},
    time::{Instant, timeout_at},
};
use wasmill_core::{
    Batch, BatchBuilder, BoxFuture, Codec, Source, SourceContext, SourceFactory,
    source::{BatchLimit, ConnectorError, SourceEvent},
};

use crate::{
    failed,
    rows::{RowFormat, RowReader},
};

/// Rows of standard input; one subtask only.
///
/// What was read cannot be read again. So a job that reads standard input can take no checkpoint before the input has ended,
/// and cannot be started anew within the process once it has begun to read.
#[derive(Debug, Clone, Default)]
pub struct StdinSource {
    /// How rows are made of bytes.
    pub format: RowFormat,
}

/// Rows that the reading thread may be ahead.
const AHEAD: usize = 4_096;

impl SourceFactory for StdinSource {
    fn codecs(&self) -> (Codec, Codec) {
        self.format.codecs()
    }

    fn has_event_time(&self) -> bool {
        self.format.event_time.is_some()
    }

    fn create(&self, context: SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        if context.parallelism != 1 {
            return Err(failed("standard input is one stream: the source needs `parallelism = 1`"));
        }
        Ok(match context.restored.as_deref() {
            None => Box::new(Stdin::Unread(self.format.clone())),
            // It had ended.
            Some([]) => Box::new(Stdin::Ended),
            Some(_) => return Err(failed(NOT_AGAIN)),
        })
    }
}

/// Whether an attempt began to read, as there is one standard input a process.
static BEGUN: AtomicBool = AtomicBool::new(false);

const NOT_AGAIN: &str =
    "standard input cannot be read again, and an earlier attempt of the job began to: run the job anew";

enum Stdin {
    /// Nothing was asked for; an attempt that fails before that does no harm.
    Unread(RowFormat),
    Reading(Reading),
    Ended,
}

/// What is being read.
struct Reading {
    rows: Receiver<Item>,
    /// The watermark that the last row given carried.
    carried: Option<i64>,
}

/// A row, and the watermark that it carries.
type Item = Result<(Batch, Option<i64>), ConnectorError>;

impl Stdin {
    /// Reads `from` on a thread of its own: a read may wait for ever, and must hold up neither an executor nor the end of the
    /// process. Rows come one by one, since the thread cannot know how long the next one will take.
    fn new(format: RowFormat, from: Box<dyn Read + Send>) -> Result<Stdin, ConnectorError> {
        let (sender, rows) = channel(AHEAD);
        let mut reader = RowReader::new(format, "standard input".to_string(), from);
        let read = move || {
            let one = BatchLimit { rows: 1, bytes: usize::MAX, linger: std::time::Duration::ZERO };
            loop {
                let mut row = BatchBuilder::default();
                let more = reader.fill(&mut row, one);
                let ended = !matches!(more, Ok(true));
                let item = more.map(|_| (row.take(), reader.carried()));
                let empty = matches!(&item, Ok((batch, _)) if batch.is_empty());
                if (!empty && sender.blocking_send(item).is_err()) || ended {
                    return;
                }
            }
        };
        let spawned = thread::Builder::new().name("wasmill-stdin".to_string()).spawn(read);
        spawned.map_err(|error| failed(format!("cannot read standard input: {error}")))?;
        Ok(Stdin::Reading(Reading { rows, carried: None }))
    }

    /// The rows that are being read; `None` at the end.
    fn reading(&mut self) -> Result<Option<&mut Reading>, ConnectorError> {
        if let Stdin::Unread(format) = self {
            if BEGUN.swap(true, Ordering::Relaxed) {
                return Err(failed(NOT_AGAIN));
            }
            *self = Stdin::new(std::mem::take(format), Box::new(std::io::stdin()))?;
        }
        Ok(match self {
            Stdin::Reading(reading) => Some(reading),
            _ => None,
        })
    }
}

impl Source for Stdin {
    fn splits(&self) -> Vec<String> {
        if let Stdin::Ended = self { Vec::new() } else { vec!["stdin".to_string()] }
    }

    fn position(&self, _: usize) -> Result<Vec<u8>, ConnectorError> {
        Err(failed(
            "standard input cannot be read again, so the job cannot take checkpoints before it ends: to have them, write the \
             input to a file and read that",
        ))
    }

    fn carried_watermark(&self) -> Option<i64> {
        if let Stdin::Reading(reading) = self { reading.carried } else { None }
    }

    fn next(&mut self, limit: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        Box::pin(async move {
            let deadline = Instant::now() + limit.linger;
            let Some(Reading { rows: incoming, carried }) = self.reading()? else { return Ok(SourceEvent::End) };
            let mut rows = BatchBuilder::default();
            *carried = None;
            while rows.rows() < limit.rows && rows.bytes() < limit.bytes && carried.is_none() {
                // Rows that are there are taken at once; the first one is waited for, and no other.
                let next = match incoming.try_recv() {
                    Ok(row) => Some(row),
                    Err(_) if !rows.is_empty() => break,
                    Err(_) => match timeout_at(deadline, incoming.recv()).await {
                        Ok(next) => next,
                        Err(_) => return Ok(SourceEvent::Idle),
                    },
                };
                match next {
                    Some(item) => {
                        let row;
                        (row, *carried) = item?;
                        rows.append_range(&row, 0..row.rows());
                    }
                    None => {
                        *self = Stdin::Ended;
                        return Ok(SourceEvent::SplitEnd { split: 0 });
                    }
                }
            }
            Ok(SourceEvent::Rows { split: 0, batch: rows.take() })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::mpsc, time::Duration};

    use wasmill_core::source::SplitState;

    use super::*;
    use crate::replay;

    /// A stream that waits for what a test sends.
    struct Slow(mpsc::Receiver<Vec<u8>>);

    impl Read for Slow {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let Ok(bytes) = self.0.recv() else { return Ok(0) };
            out[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_slow_stream_is_prompt_and_idle_in_between() {
        let limit = BatchLimit { rows: 100, bytes: 1 << 20, linger: Duration::from_millis(20) };
        let (stream, slow) = mpsc::channel();
        let mut source = Stdin::new(RowFormat::default(), Box::new(Slow(slow))).unwrap();
        assert!(matches!(source.next(limit).await.unwrap(), SourceEvent::Idle));
        stream.send(b"one\n".to_vec()).unwrap();
        let event = loop {
            match source.next(limit).await.unwrap() {
                SourceEvent::Idle => {}
                event => break event,
            }
        };
        let SourceEvent::Rows { batch, .. } = event else { panic!("{event:?}") };
        assert_eq!(batch.value(0), Some(&b"one"[..]));
        drop(stream);
        assert!(matches!(source.next(limit).await.unwrap(), SourceEvent::SplitEnd { split: 0 }));
        assert!(matches!(source.next(limit).await.unwrap(), SourceEvent::End));
    }

    #[test]
    fn what_was_read_is_not_checkpointed_nor_read_again() {
        let stdin = StdinSource::default();
        let source = replay::subtask(&stdin, (0, 1), None).unwrap();
        assert_eq!(source.splits(), ["stdin"]);
        let error = source.position(0).unwrap_err().to_string();
        assert!(error.contains("cannot take checkpoints before it ends"), "{error}");
        // After its end a job goes on without it.
        let ended = replay::run(&stdin, 1, Some(&[].into()), (9, &|_| 9), &replay::values).unwrap();
        assert!(ended.ended && ended.rows.is_empty());
        let split = SplitState { id: "stdin".into(), position: vec![], watermarks: Default::default() };
        let error = replay::subtask(&stdin, (0, 1), Some([split].into())).err().unwrap().to_string();
        assert!(error.contains("standard input cannot be read again"), "{error}");
    }
}
