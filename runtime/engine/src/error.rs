//! Says why a job failed, and where.

use wasmill_core::{
    JobName, OperatorError, Place, partitioner::AbsentKey, quota::OverQuota, source::ConnectorError, state::StateError,
};

/// Why a job failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The graph or what was put at its nodes does not fit together.
    #[error("{job}: {message}")]
    Invalid {
        /// Which job.
        job: JobName,
        /// What is wrong.
        message: String,
    },
    /// A subtask failed; the first one that did.
    #[error("{place}: {cause}")]
    Subtask {
        /// Where.
        place: Place,
        /// Why.
        cause: Cause,
    },
    /// The job cannot go on from its last checkpoint.
    #[error("{job}: it cannot go on from its last checkpoint: {message}")]
    Recovery {
        /// Which job.
        job: JobName,
        /// Why.
        message: String,
    },
    /// Checkpoints failed more often than is tolerated.
    #[error("{job}: checkpoint {epoch} failed: {message}")]
    Checkpoint {
        /// Which job.
        job: JobName,
        /// The last one that failed.
        epoch: u64,
        /// Why.
        message: String,
    },
    /// A checkpoint is complete, but its sinks could not commit what they had prepared.
    #[error("{job}: the result could not be committed: {message}")]
    Commit {
        /// Which job.
        job: JobName,
        /// Why.
        message: String,
    },
}

impl JobError {
    /// Whether another attempt is of no use.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self, JobError::Subtask { cause: Cause::Connector(error), .. } if error.is_lasting())
    }
}

/// Why a subtask failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// Its operator failed.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// Its source or sink failed.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// Its state failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// A row without a key came to a hash exchange.
    #[error("{0}")]
    AbsentKey(#[from] AbsentKey),
    /// A memory quota.
    #[error(transparent)]
    OverQuota(#[from] OverQuota),
    /// A bug in native code.
    #[error("it panicked: {0}")]
    Panic(String),
}

/// How a subtask ends that does not finish.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It failed.
    Failed(Box<JobError>),
    /// Its neighbour is gone: that one has the error.
    Lost,
}

impl Stop {
    /// A failure at `place`.
    pub(crate) fn at(place: &Place, cause: impl Into<Cause>) -> Stop {
        Stop::Failed(Box::new(JobError::Subtask { place: place.clone(), cause: cause.into() }))
    }
}
