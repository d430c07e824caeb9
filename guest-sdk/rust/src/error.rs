//! Tells what is at fault when an operator fails: a record, a batch or the job.

use std::fmt;

use crate::bindings::{exports::wasmill::operator::guest, wasmill::operator::types::RecordError};

/// What operators return.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Why an operator failed, told by what is at fault.
///
/// Any [`std::error::Error`] becomes one with `?`: inside a function that processes a record it is that record's error,
/// inside `open` the job's. `Error` is itself no [`std::error::Error`], as is usual for types that convert from all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// One row cannot be processed. The row is filled in by the SDK where a function sees one record only.
    Record {
        /// Index of the row in its batch.
        row: Option<u32>,
        /// What is wrong with it.
        message: String,
    },
    /// The batch cannot be processed, and no single row is known to be the cause.
    Batch(String),
    /// The operator cannot work: its configuration, its state or a bug.
    Job(String),
}

impl Error {
    /// The record that is being processed is at fault.
    pub fn record(message: impl fmt::Display) -> Error {
        Error::Record { row: None, message: message.to_string() }
    }

    /// The batch is at fault.
    pub fn batch(message: impl fmt::Display) -> Error {
        Error::Batch(message.to_string())
    }

    /// The job is at fault.
    pub fn job(message: impl fmt::Display) -> Error {
        Error::Job(message.to_string())
    }

    /// What went wrong, without what is at fault.
    pub fn message(&self) -> &str {
        match self {
            Error::Record { message, .. } | Error::Batch(message) | Error::Job(message) => message,
        }
    }

    /// The error of row `row`, unless the row is known already or something else is at fault.
    #[cold]
    pub(crate) fn at_row(self, row: usize) -> Error {
        match self {
            Error::Record { row: None, message } => Error::Record { row: Some(row as u32), message },
            other => other,
        }
    }

    /// The error where no row is being processed: the job's.
    #[cold]
    pub(crate) fn of_job(self) -> Error {
        match self {
            Error::Record { row: None, message } => Error::Job(message),
            other => other,
        }
    }

    /// The error where a timer is being processed: the batch's, with `place` before it.
    #[cold]
    pub(crate) fn of_timer(self, place: impl fmt::Display) -> Error {
        match self {
            Error::Record { message, .. } | Error::Batch(message) => Error::Batch(format!("{place}: {message}")),
            Error::Job(message) => Error::Job(message),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Record { row: Some(row), message } => write!(f, "row {row}: {message}"),
            Error::Record { row: None, message } | Error::Batch(message) | Error::Job(message) => f.write_str(message),
        }
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Error {
        Error::record(error)
    }
}

impl From<Error> for guest::Error {
    fn from(error: Error) -> guest::Error {
        match error {
            Error::Record { row: Some(row), message } => guest::Error::Record(RecordError { row, message }),
            Error::Record { row: None, message } | Error::Batch(message) => guest::Error::Batch(message),
            Error::Job(message) => guest::Error::Job(message),
        }
    }
}

/// What a function that processes a record may return: nothing, or a `Result` whose error becomes an [`Error`].
pub trait Outcome {
    /// The result, with nothing as success.
    ///
    /// # Errors
    /// The function's own.
    fn into_result(self) -> Result;
}

impl Outcome for () {
    #[inline(always)]
    fn into_result(self) -> Result {
        Ok(())
    }
}

impl<E: Into<Error>> Outcome for Result<(), E> {
    #[inline(always)]
    fn into_result(self) -> Result {
        self.map_err(Into::into)
    }
}
