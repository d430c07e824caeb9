//! A source of rows that are made up from their number: splits, a rate, and where each split stands.
//!
//! The source has as many splits as it had subtasks when the job was first started: split k of n makes the rows k, k + n,
//! k + 2n, ... A job that goes on at another parallelism deals the same splits out anew; a subtask with several takes a batch
//! of each in turn.

mod pace;
mod split;

use std::time::Duration;

use tokio::time::Instant;
use wasmill_core::{
    Batch, BoxFuture, Source, SourceContext,
    source::{BatchLimit, ConnectorError, SourceEvent},
};

use split::Split;

/// Makes rows by their number: the same ones whenever it is asked.
pub(crate) trait Made: Send + 'static {
    /// About how many bytes a row has.
    const ROW_BYTES: usize;

    /// So many rows: number `first`, and each `step` after the one before.
    fn rows(&mut self, first: u64, step: u64, rows: usize) -> Batch;
}

/// One subtask of such a source.
pub(crate) struct Numbered<M> {
    made: M,
    /// How many rows all subtasks make; `None` without end.
    count: Option<u64>,
    /// Rows per second of all subtasks.
    rate: Option<u64>,
    splits: Vec<Split>,
    /// The split whose turn it is, where others could give as much.
    turn: usize,
    /// When the first row was made, where there is a rate.
    since: Option<Instant>,
    /// How long after that rows were last given, where there is a rate.
    gave: Option<Duration>,
}

impl<M: Made> Numbered<M> {
    /// The subtask of `context`.
    ///
    /// # Errors
    /// When a position in a checkpoint is not one of such a source.
    pub(crate) fn create(
        made: M,
        count: Option<u64>,
        rate: Option<u64>,
        context: &SourceContext,
    ) -> Result<Box<dyn Source>, ConnectorError> {
        let (subtask, parallelism) = (context.place.subtask, context.parallelism);
        let splits = match &context.restored {
            None => vec![Split::first(subtask, parallelism)],
            Some(restored) => {
                let mine = restored.iter().skip(subtask as usize).step_by(parallelism.max(1) as usize);
                mine.map(Split::restore).collect::<Result<_, _>>()?
            }
        };
        Ok(Box::new(Numbered { made, count, rate, splits, turn: 0, since: None, gave: None }))
    }
}

impl<M: Made> Source for Numbered<M> {
    fn splits(&self) -> Vec<String> {
        self.splits.iter().map(Split::id).collect()
    }

    fn position(&self, split: usize) -> Result<Vec<u8>, ConnectorError> {
        self.splits.get(split).ok_or_else(|| crate::failed(format!("there is no split number {split}")))?.position()
    }

    fn pause(&mut self, split: usize, paused: bool) -> bool {
        self.splits[split].paused = paused;
        true
    }

    fn next(&mut self, limit: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        Box::pin(async move {
            let count = self.count;
            if let Some(split) = self.splits.iter().position(|split| !split.ended && split.left(count, 1) == 0) {
                self.splits[split].ended = true;
                return Ok(SourceEvent::SplitEnd { split });
            }
            let most = limit.rows.min((limit.bytes / M::ROW_BYTES).max(1));
            let Some((split, allowed)) = self.due(most, limit.linger).await else {
                let ended = self.splits.iter().all(|split| split.ended);
                return Ok(if ended { SourceEvent::End } else { SourceEvent::Idle });
            };
            let rows = self.splits[split].left(count, allowed);
            if rows == 0 {
                return Ok(SourceEvent::Idle);
            }
            self.turn = (split + 1) % self.splits.len();
            let (first, step) = self.splits[split].take(rows);
            Ok(SourceEvent::Rows { split, batch: self.made.rows(first, step, rows) })
        })
    }
}
