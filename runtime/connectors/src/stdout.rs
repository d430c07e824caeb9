//! Writes rows to standard output as they come.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use wasmill_core::{Batch, BoxFuture, Sink, SinkContext, SinkFactory, sink::Committable, source::ConnectorError};

use crate::{
    blocking, failed,
    render::{LineFormat, Renderer},
};

/// Standard output. What is printed cannot be taken back: rows are visible at once, whatever becomes of the job. It has
/// nothing to commit, and rows are printed at least once: a job that goes on from a checkpoint prints again what it printed
/// since.
#[derive(Clone)]
pub struct StdoutSink {
    /// How a row is written.
    pub format: LineFormat,
    /// Whether keys are written.
    pub with_key: bool,
    /// What stands between key and value in text.
    pub separator: String,
    out: Arc<Mutex<dyn Write + Send>>,
}

/// What a job ends with when whoever read standard output has gone, as `head` does.
pub const STDOUT_CLOSED: &str = "standard output was closed";

impl StdoutSink {
    /// A sink that writes to standard output.
    pub fn new(format: LineFormat, with_key: bool, separator: String) -> StdoutSink {
        StdoutSink { format, with_key, separator, out: Arc::new(Mutex::new(io::stdout())) }
    }
}

impl SinkFactory for StdoutSink {
    fn create(&self, context: SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
        let renderer = Renderer {
            format: self.format,
            with_key: self.with_key,
            separator: self.separator.clone(),
            key: context.key,
            value: context.value,
        };
        Ok(Box::new(Lines { renderer, out: self.out.clone() }))
    }

    fn commit(&self, _: &[Committable]) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn target(&self) -> String {
        "standard output".to_string()
    }
}

struct Lines {
    renderer: Renderer,
    out: Arc<Mutex<dyn Write + Send>>,
}

impl Sink for Lines {
    fn write(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), ConnectorError>> {
        let (renderer, out) = (self.renderer.clone(), self.out.clone());
        Box::pin(blocking(move || {
            let mut lines = String::with_capacity(batch.bytes());
            batch.iter().for_each(|row| renderer.line(row, &mut lines));
            // One lock a batch: lines of several subtasks never mix.
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            out.write_all(lines.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => failed(STDOUT_CLOSED),
                _ => failed(format!("cannot write to standard output: {error}")),
            })
        }))
    }

    fn pre_commit(&mut self, _: u64) -> BoxFuture<'static, Result<Option<Committable>, ConnectorError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

#[cfg(test)]
mod tests {
    use wasmill_core::{BatchBuilder, Codec, JobName, Row};

    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn write(out: Arc<Mutex<dyn Write + Send>>) -> Result<(), ConnectorError> {
        let sink = StdoutSink { format: LineFormat::Text, with_key: false, separator: String::new(), out };
        let (place, codec) = (JobName::local("test").place("out", 0), || Codec::named("text"));
        let mut lines = sink.create(SinkContext { place, parallelism: 1, key: codec(), value: codec() })?;
        let mut rows = BatchBuilder::default();
        rows.push(Row { timestamp: 0, key: None, value: Some(b"a"), headers: &[] });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(lines.write(rows.take()))
    }

    #[test]
    fn rows_are_printed_and_a_closed_pipe_is_told() {
        let printed = Arc::new(Mutex::new(Vec::new()));
        write(printed.clone()).unwrap();
        assert_eq!(*printed.lock().unwrap(), b"a\n");
        assert_eq!(write(Arc::new(Mutex::new(Closed))).unwrap_err().to_string(), STDOUT_CLOSED);
    }
}
