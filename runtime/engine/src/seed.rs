//! Makes the instances of one operator's subtask: the first, and new ones in place of one that failed.

use std::sync::Arc;

use wasmill_core::{
    KeyGroupRange, KeyedState, MaxParallelism, Operator, OperatorContext, OperatorFactory, Outbox, Place, Quota,
};

use crate::{error::Stop, timers::Timers};

/// All that an instance is made of.
pub(crate) struct Seed {
    pub(crate) factory: Arc<dyn OperatorFactory>,
    pub(crate) place: Place,
    pub(crate) parallelism: u32,
    pub(crate) max_parallelism: MaxParallelism,
    pub(crate) range: KeyGroupRange,
    pub(crate) attempt: u64,
    pub(crate) state: Arc<dyn KeyedState>,
    pub(crate) timers: Arc<Timers>,
    pub(crate) outbox: Outbox,
    pub(crate) write_through: bool,
    pub(crate) quota: Quota,
}

impl Seed {
    /// An instance whose changes belong to `epoch` at first. `restored` says that there may be state from before.
    pub(crate) async fn make(
        &self,
        epoch: u64,
        restored: bool,
        processing_time: i64,
    ) -> Result<Box<dyn Operator>, Stop> {
        let context = OperatorContext {
            place: self.place.clone(),
            parallelism: self.parallelism,
            max_parallelism: self.max_parallelism,
            range: self.range,
            attempt: self.attempt,
            epoch,
            restored,
            state: self.state.clone(),
            timers: self.timers.clone(),
            outbox: self.outbox.clone(),
            write_through: self.write_through,
            quota: self.quota.clone(),
            processing_time,
        };
        self.factory.create(context).await.map_err(|error| Stop::at(&self.place, error))
    }
}
