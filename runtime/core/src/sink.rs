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

    /// Makes all rows so far durable, but not visible; `None` when the sink has nothing to commit.
    fn pre_commit(&mut self, epoch: u64) -> BoxFuture<'_, Result<Option<Committable>, ConnectorError>>;
}

/// Makes the subtasks of one sink of a job, and commits what they prepared.
pub trait SinkFactory: Send + Sync {
    /// Readies the target before any subtask runs.
    ///
    /// # Errors
    /// When the target cannot be written to.
    fn prepare(&self) -> Result<(), ConnectorError> {
        Ok(())
    }

    /// Makes one subtask.
    ///
    /// # Errors
    /// When its target cannot be opened.
    fn create(&self, context: SinkContext) -> Result<Box<dyn Sink>, ConnectorError>;

    /// Makes a committable's rows visible. Idempotent; works from any process.
    ///
    /// # Errors
    /// When it could not, and may be tried again.
    fn commit(&self, committable: &Committable) -> Result<(), ConnectorError>;

    /// Removes whatever an attempt left that was not committed.
    ///
    /// # Errors
    /// When it could not.
    fn discard(&self) -> Result<(), ConnectorError> {
        Ok(())
    }

    /// Where the result is, for people.
    fn target(&self) -> String;
}
