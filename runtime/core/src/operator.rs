//! An operator: what the host makes of a component, and what the engine drives.

mod outbox;

use std::sync::Arc;

pub use outbox::Outbox;

use crate::{
    Batch, BoxFuture, CallTime, Description, KeyGroupRange, KeyedState, MaxParallelism, Place, Quota, TimerService,
    state::EntryPage,
    status::Crossing,
    time::{TimeDomain, TimerBatch},
};

/// Why a call of an operator failed. The first three are the operator's own words.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// One row cannot be processed.
    #[error("row {row} of the batch cannot be processed: {message}")]
    Record {
        /// Index of the row in the batch.
        row: u32,
        /// What the operator says.
        message: String,
    },
    /// The batch cannot be processed.
    #[error("the batch cannot be processed: {0}")]
    Batch(String),
    /// The operator cannot work.
    #[error("{0}")]
    Job(String),
    /// The operator crashed.
    #[error("the operator trapped: {0}")]
    Trap(String),
    /// The operator hit a limit.
    #[error("limit `{limit}`: {message}")]
    Limit {
        /// The key of the limit in the job file.
        limit: &'static str,
        /// What happened, with figures.
        message: String,
    },
    /// The operator broke the contract.
    #[error("the operator broke the contract: {0}")]
    Contract(String),
}

/// Everything a subtask's operator is given when it is made.
pub struct OperatorContext {
    /// Where it runs.
    pub place: Place,
    /// How many subtasks the operator has.
    pub parallelism: u32,
    /// The number of key groups.
    pub max_parallelism: MaxParallelism,
    /// The key groups of this subtask.
    pub range: KeyGroupRange,
    /// The job's incarnation, from 1.
    pub attempt: u64,
    /// The epoch that state changes belong to at first.
    pub epoch: u64,
    /// Whether state may exist from before.
    pub restored: bool,
    /// Its keyed state.
    pub state: Arc<dyn KeyedState>,
    /// Its timers.
    pub timers: Arc<dyn TimerService>,
    /// Where it emits.
    pub outbox: Outbox,
    /// Whether every call must hand over all it changed before it returns: then a call can be undone.
    pub write_through: bool,
    /// What its memory is charged to.
    pub quota: Quota,
    /// Processing time at creation.
    pub processing_time: i64,
}

/// One instance of an operator. Called from one place, one call at a time. A call that is dropped before it is done leaves
/// the operator unusable.
pub trait Operator: Send {
    /// Takes a batch of input number `input`, with at least one row.
    fn process(&mut self, time: CallTime, input: u32, batch: Batch) -> BoxFuture<'_, Result<(), OperatorError>>;

    /// Takes due timers, each key once.
    fn on_timers(
        &mut self,
        time: CallTime,
        domain: TimeDomain,
        timers: TimerBatch,
    ) -> BoxFuture<'_, Result<(), OperatorError>>;

    /// Cuts state: all changes so far belong to `epoch`, later ones to `epoch + 1`.
    fn snapshot(&mut self, time: CallTime, epoch: u64) -> BoxFuture<'_, Result<(), OperatorError>>;

    /// Hands over about `max_bytes` of the epoch that was cut; true when all is handed over.
    fn snapshot_step(&mut self, max_bytes: u32) -> BoxFuture<'_, Result<bool, OperatorError>>;

    /// The input has ended: emits what is left.
    fn finish(&mut self, time: CallTime) -> BoxFuture<'_, Result<(), OperatorError>>;

    /// Where the time of the last call went that was not spent in the operator's own code; `None` where that call was not
    /// measured. Asked for once after each call. An operator that crosses no boundary leaves this as it is.
    fn crossing(&mut self) -> Option<Crossing> {
        Some(Crossing::default())
    }
}

/// Makes the instances of one operator of a job.
pub trait OperatorFactory: Send + Sync {
    /// What the operator says of itself under its configuration.
    fn description(&self) -> &Description;

    /// Makes and opens an instance.
    fn create(&self, context: OperatorContext) -> BoxFuture<'_, Result<Box<dyn Operator>, OperatorError>>;

    /// Whether it can rewrite state of an older schema version.
    fn migrates(&self) -> bool {
        false
    }

    /// Rewrites entries of state number `state` from a schema version to the one described; keeps keys and their order.
    fn migrate(
        &self,
        state: u32,
        from_version: u32,
        entries: EntryPage,
    ) -> BoxFuture<'_, Result<EntryPage, OperatorError>> {
        let _ = (state, from_version, entries);
        Box::pin(async { Err(OperatorError::Contract("it exports no `migrate`".to_string())) })
    }
}
