//! Sources and sinks, one file or folder each.
//!
//! Each connector is a struct of settings that is a [`wasmill_core::SourceFactory`] or a [`wasmill_core::SinkFactory`]; what
//! the settings may be is decided by whoever makes them (the job file). Nothing here blocks an executor: files are read,
//! decompressed and written on the blocking pool, a batch at a time.
//!
//! # What survives a crash
//!
//! Sources tell where each of their splits stands, and a subtask that is made of such positions gives the rows behind them:
//! all, none twice, at any parallelism. Positions are JSON, as are the committables of the file sink, since both stand in the
//! manifests of checkpoints, which people read.
//!
//! | source | split | position | after a change of parallelism |
//! |---|---|---|---|
//! | file | a range of a file, or a file | byte offset behind the last row, decompressed | dealt out by what is left to read |
//! | generator | every n-th row, n being the parallelism at the first start | number of the next row | dealt out in turn |
//! | nexmark | the same, of events | the same | the same |
//! | standard input | one | none: no checkpoint before it ends | one subtask only |
//!
//! | sink | rows appear | how often |
//! |---|---|---|
//! | file | when the checkpoint behind them is complete | exactly once |
//! | standard output | at once | at least once |
//!
//! # Layout
//!
//! - [`mod@file`]: files in: `source` (which files, which subtask reads them), `split` (a split and its position), `open` (where
//!   reading goes on). Files out: `sink` (settings, prepare, discard), `part` (the writing subtask), `partition` (which
//!   one a row is in), `epoch` (the files between two checkpoints), `writer` (one of them), `commit`, `replaced` (an earlier result),
//!   `names`, `folder` (the steps on the file system).
//! - [`generator`], [`mod@nexmark`]: rows that are made up by their number; `numbered`: a source of such rows, `split` (a split and its
//!   position), `pace` (whose turn it is).
//! - [`stdin`], [`stdout`], [`discard`]: one file each.
//! - `rows`: from lines, JSON and CSV to rows; `rows/records`, `lines`, `event_time`: parts of that.
//! - `render`: from rows to lines.
//! - `replay` (tests only): runs sources up to a cut and goes on from there.

pub mod discard;
pub mod event_time;
pub mod file;
pub mod generator;
mod lines;
pub mod nexmark;
mod numbered;
pub mod render;
#[cfg(test)]
mod replay;
pub mod rows;
pub mod stdin;
pub mod stdout;

use wasmill_core::source::ConnectorError;

/// A connector's error out of words.
pub(crate) fn failed(message: impl std::fmt::Display) -> ConnectorError {
    ConnectorError::new(message.to_string())
}

/// Runs `work` on the blocking pool.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ConnectorError> + Send + 'static,
) -> Result<T, ConnectorError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(failed(error)))
}
