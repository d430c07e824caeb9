//! A sink: where rows end up.

use crate::{Batch, BoxFuture, Codec, Place, source::ConnectorError};

/// What a sink subtask is given.
#[derive(Debug, Clone)]
pub struct SinkContext {
    /// Where it runs.
    pub place: Place,
    /// How many subtasks the sink has.
    pub parallelism: u32,
    /// How keys of its rows are encoded.
    pub key: Codec,
    /// How values of its rows are encoded.
    pub value: Codec,
}

/// What makes an epoch's rows visible: self-contained, so that any process can commit it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committable(pub Vec<u8>);

/// One subtask of a sink. Two-phase: rows are invisible until their committable is committed.
pub trait Sink: Send {
    /// Takes rows, in order.
    fn write(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), ConnectorError>>;

    /// Ends an epoch: rows so far belong to `epoch`, later ones to the next. The call itself must be quick, since records
    /// wait for it. What it returns makes those rows durable, but not visible, while the subtask goes on; `None` when there is
    /// nothing to commit.
    fn pre_commit(&mut self, epoch: u64) -> BoxFuture<'static, Result<Option<Committable>, ConnectorError>>;
}

/// Makes the subtasks of one sink of a job, and commits what they prepared.
pub trait SinkFactory: Send + Sync {
    /// Readies the target before any subtask runs. `restored` says that the job goes on from a checkpoint, so that what it
    /// committed before is there and stays; else it begins anew.
    ///
    /// # Errors
    /// When the target cannot be written to, or holds another result.
    fn prepare(&self, restored: bool) -> Result<(), ConnectorError> {
        let _ = restored;
        Ok(())
    }

    /// Makes one subtask.
    ///
    /// # Errors
    /// When its target cannot be opened.
    fn create(&self, context: SinkContext) -> Result<Box<dyn Sink>, ConnectorError>;

    /// Makes the rows of committables visible, the earlier first. Idempotent; works from any process and at any parallelism.
    ///
    /// # Errors
    /// When it could not, and may be tried again.
    fn commit(&self, committables: &[Committable]) -> Result<(), ConnectorError>;

    /// Removes whatever attempts left that was not committed. Called when nothing runs, after all committables of the last
    /// complete checkpoint are committed: what is left then will never be.
    ///
    /// # Errors
    /// When it could not.
    fn discard(&self) -> Result<(), ConnectorError> {
        Ok(())
    }

    /// Where the result is, for people.
    fn target(&self) -> String;
}
