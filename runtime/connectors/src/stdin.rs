//! Reads standard input, promptly however slow it is.

use std::{io::Read, thread};

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
        Ok(Box::new(Stdin::new(self.format.clone(), Box::new(std::io::stdin()))?))
    }
}

struct Stdin {
    rows: Receiver<Result<Batch, ConnectorError>>,
    ended: bool,
}

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
                let item = more.map(|_| row.take());
                let empty = matches!(&item, Ok(batch) if batch.is_empty());
                if (!empty && sender.blocking_send(item).is_err()) || ended {
                    return;
                }
            }
        };
        let spawned = thread::Builder::new().name("wasmill-stdin".to_string()).spawn(read);
        spawned.map_err(|error| failed(format!("cannot read standard input: {error}")))?;
        Ok(Stdin { rows, ended: false })
    }
}

impl Source for Stdin {
    fn splits(&self) -> usize {
        1
    }

    fn next(&mut self, limit: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        Box::pin(async move {
            let deadline = Instant::now() + limit.linger;
            let mut rows = BatchBuilder::default();
            while rows.rows() < limit.rows && rows.bytes() < limit.bytes {
                // Rows that are there are taken at once; the first one is waited for, and no other.
                let next = match self.rows.try_recv() {
                    Ok(row) => Some(row),
                    Err(_) if !rows.is_empty() => break,
                    Err(_) => match timeout_at(deadline, self.rows.recv()).await {
                        Ok(next) => next,
                        Err(_) => return Ok(SourceEvent::Idle),
                    },
                };
                match next {
                    Some(row) => {
                        let row = row?;
                        rows.append_range(&row, 0..row.rows());
                    }
                    None if std::mem::replace(&mut self.ended, true) => return Ok(SourceEvent::End),
                    None => return Ok(SourceEvent::SplitEnd { split: 0 }),
                }
            }
            Ok(SourceEvent::Rows { split: 0, batch: rows.take() })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::mpsc, time::Duration};

    use super::*;

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
}
