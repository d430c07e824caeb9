//! Sends standard output and standard error to the log, line by line.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::{
    DynOutputStream, OutputStream, Pollable, StreamResult,
    bindings::cli::{stderr, stdout},
};

use crate::{
    guest::Guest,
    import::log::{Log, Stream},
};

/// What a guest may write at once, bytes.
const WRITE_BYTES: usize = 64 * 1024;

/// A stream into the log; always ready.
struct Lines {
    log: Arc<Log>,
    stream: Stream,
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.log.print(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

impl Pollable for Lines {
    // What `async_trait` makes of `async fn ready(&mut self)`.
    fn ready<'a, 'b>(&'a mut self) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(std::future::ready(()))
    }
}

impl Guest {
    fn stream(&mut self, stream: Stream) -> wasmtime::Result<Resource<DynOutputStream>> {
        let lines: DynOutputStream = Box::new(Lines { log: self.log.clone(), stream });
        Ok(self.table.push(lines)?)
    }
}

impl stdout::Host for Guest {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.stream(Stream::Stdout)
    }
}

impl stderr::Host for Guest {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.stream(Stream::Stderr)
    }
}
