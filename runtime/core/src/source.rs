//! A source: where rows come from.

use std::sync::Arc;

use crate::{Batch, BoxFuture, Codec, Place, time::SplitWatermarks};

/// Why a source or a sink failed: what, where and what to do, in one line.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ConnectorError {
    message: String,
    lasting: bool,
}

impl ConnectorError {
    /// A failure that another attempt may not meet.
    pub fn new(message: impl Into<String>) -> ConnectorError {
        ConnectorError { message: message.into(), lasting: false }
    }

    /// A failure that lasts until somebody changes the job or what it reads and writes: no other attempt is made, which might
    /// do harm.
    pub fn lasting(message: impl Into<String>) -> ConnectorError {
        ConnectorError { message: message.into(), lasting: true }
    }

    /// Whether another attempt is of no use.
    pub fn is_lasting(&self) -> bool {
        self.lasting
    }
}

/// What a source subtask is given.
#[derive(Debug, Clone)]
pub struct SourceContext {
    /// Where it runs.
    pub place: Place,
    /// How many subtasks the source has.
    pub parallelism: u32,
    /// All splits of the source that had not ended at the checkpoint it is restored from, of all subtasks and in the same
    /// order for every subtask, whatever the parallelism was; the source deals them out anew. `None` at a first start,
    /// where the source finds its splits itself.
    pub restored: Option<Arc<[SplitState]>>,
}

/// One split in a checkpoint: operator state of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitState {
    /// What identifies the split in its source, for good.
    pub id: String,
    /// Where reading goes on, in the source's own words.
    pub position: Vec<u8>,
    /// How far its watermarks are; kept by the engine.
    pub watermarks: SplitWatermarks,
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
    /// The ids of this subtask's splits, unique in the whole source; may be none. A split is its index here.
    fn splits(&self) -> Vec<String>;

    /// Where split number `split`, which has not ended, stands: behind all rows that [`Source::next`] returned, before all
    /// others. A subtask that is made with it goes on exactly there, under any parallelism.
    ///
    /// # Errors
    /// When the source cannot tell: standard input, say, cannot be read twice. Then no checkpoint is complete before the
    /// source has ended.
    fn position(&self, split: usize) -> Result<Vec<u8>, ConnectorError>;

    /// The next rows. Waits while there are none, at most about `limit.linger`, then says [`SourceEvent::Idle`]. May be
    /// dropped while it waits, and then loses nothing: the job is being cancelled.
    fn next(&mut self, limit: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>>;

    /// Whether the source works while [`Source::next`] is pending, as one does that reads files on a blocking pool, so that
    /// this time counts as busy. Others wait then, and are idle.
    fn works_while_pending(&self) -> bool {
        false
    }

    /// The watermark that the last one of the rows that [`Source::next`] returned just now carries, where rows carry some. A
    /// source ends its batch behind a row whose watermark is above all before it in the split, so that the watermark follows
    /// that very row.
    fn carried_watermark(&self) -> Option<i64> {
        None
    }

    /// Whether a split that gives no rows for a while has none at the moment. Not so where splits are read one after the
    /// other: one whose turn has not come says nothing, and is never idle.
    fn may_be_idle(&self) -> bool {
        true
    }

    /// Leaves a split out of what [`Source::next`] gives (`true`), or no longer: it is too far ahead of other sources. False
    /// when the source never does so; then the subtask as a whole waits where its watermark is too far ahead. While all its
    /// splits are left out the source is not asked.
    fn pause(&mut self, split: usize, paused: bool) -> bool {
        let _ = (split, paused);
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
