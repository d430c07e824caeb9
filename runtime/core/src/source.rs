//! A source: where rows come from.

use crate::{Batch, BoxFuture, Codec, Place};

/// Why a source or a sink failed: what, where and what to do, in one line.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ConnectorError(pub String);

/// What a source subtask is given.
#[derive(Debug, Clone)]
pub struct SourceContext {
    /// Where it runs.
    pub place: Place,
    /// How many subtasks the source has.
    pub parallelism: u32,
}

/// How much a source should return at once.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimit {
    /// At most this many rows, at least 1. The engine sets it so that a watermark never falls inside a batch.
    pub rows: usize,
    /// About this many bytes: a source stops at the row that reaches it.
    pub bytes: usize,
    /// Return what there is after this time, though it be less. A source that always has rows need not look.
    pub linger: std::time::Duration,
}

/// What a source found.
#[derive(Debug)]
pub enum SourceEvent {
    /// Rows of one split, at least one.
    Rows {
        /// Index of the split among this subtask's.
        split: usize,
        /// The rows.
        batch: Batch,
    },
    /// A split has no more rows.
    SplitEnd {
        /// Index of the split among this subtask's.
        split: usize,
    },
    /// There is nothing now and nothing is known to come soon: the split's watermark should not be waited for.
    Idle,
    /// There will never be anything more.
    End,
}

/// One subtask of a source. Its splits are fixed when it is made.
pub trait Source: Send {
    /// How many splits this subtask has; may be 0.
    fn splits(&self) -> usize;

    /// The next rows. Waits while there are none, at most about `limit.linger`, then says [`SourceEvent::Idle`]. May be
    /// dropped while it waits, and then loses nothing: the job is being cancelled.
    fn next(&mut self, limit: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>>;

    /// Whether the source works while [`Source::next`] is pending, as one does that reads files on a blocking pool, so that
    /// this time counts as busy. Others wait then, and are idle.
    fn works_while_pending(&self) -> bool {
        false
    }
}

/// Makes the subtasks of one source of a job.
pub trait SourceFactory: Send + Sync {
    /// How keys and values of its rows are encoded.
    fn codecs(&self) -> (Codec, Codec);

    /// Whether rows carry an event time.
    fn has_event_time(&self) -> bool;

    /// Makes one subtask.
    ///
    /// # Errors
    /// When its input cannot be opened.
    fn create(&self, context: SourceContext) -> Result<Box<dyn Source>, ConnectorError>;
}
