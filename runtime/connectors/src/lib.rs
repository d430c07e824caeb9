//! Sources and sinks, one file or folder each.
//!
//! Each connector is a struct of settings that is a [`wasmill_core::SourceFactory`] or a [`wasmill_core::SinkFactory`]; what
//! the settings may be is decided by whoever makes them (the job file). Nothing here blocks an executor: files are read,
//! decompressed and written on the blocking pool, a batch at a time.
//!
//! # Layout
//!
//! - [`mod@file`]: files in and out: `source` (splits, decompression), `sink` (part files, two phases).
//! - [`stdin`], [`stdout`], [`generator`], [`discard`]: one file each.
//! - `rows`: from lines, JSON and CSV to rows; `lines`, `event_time`: parts of that.
//! - `render`: from rows to lines.

pub mod discard;
pub mod event_time;
pub mod file;
pub mod generator;
mod lines;
pub mod render;
pub mod rows;
pub mod stdin;
pub mod stdout;

use wasmill_core::source::ConnectorError;

/// A connector's error out of words.
pub(crate) fn failed(message: impl std::fmt::Display) -> ConnectorError {
    ConnectorError(message.to_string())
}

/// Runs `work` on the blocking pool.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ConnectorError> + Send + 'static,
) -> Result<T, ConnectorError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(failed(error)))
}
