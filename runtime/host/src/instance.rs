//! Calls the exports of one instance: a `core::Operator`.

use std::sync::Arc;

use wasmill_core::{
    Batch, BoxFuture, CallTime, Description, Operator, OperatorError,
    status::Crossing,
    time::{TimeDomain, TimerBatch},
};
use wasmtime::Store;

use crate::{
    bindings,
    bindings::wasmill::operator::types,
    convert,
    failure::{message, operator_error},
    guest::{Guest, Phase, begin},
    stopwatch::Away,
};

/// One instance of an operator.
pub(crate) struct Instance {
    store: Store<Guest>,
    exports: bindings::Operator,
    description: Arc<Description>,
    /// Why no call is possible any more.
    ended: Option<OperatorError>,
    /// Snapshot steps since one that handed something over.
    empty_steps: u32,
    /// Counts the time in which calls are suspended.
    away: Away,
}

/// So many snapshot steps in a row may hand nothing over: a guest visits a bounded part of its cache in each, and much of it
/// may not have changed. One that goes on for ever would hold up its checkpoint.
const EMPTY_STEPS: u32 = 10_000;

/// What a call of the guest returned.
type Returned<T> = wasmtime::Result<Result<T, types::Error>>;

impl Instance {
    pub(crate) fn new(store: Store<Guest>, exports: bindings::Operator, description: Arc<Description>) -> Instance {
        let away = store.data().stopwatch.away();
        Instance { store, exports, description, ended: None, empty_steps: 0, away }
    }

    pub(crate) async fn open(
        &mut self,
        context: &bindings::exports::wasmill::operator::guest::Context,
        processing_time: i64,
    ) -> Result<(), OperatorError> {
        self.enter(Phase::Open, Some(processing_time))?;
        let returned = self.exports.wasmill_operator_guest().call_open(&mut self.store, context).await;
        self.leave(returned, 0)
    }

    fn enter(&mut self, phase: Phase, processing_time: Option<i64>) -> Result<(), OperatorError> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        // Taken back by `leave`, which a call that is dropped does not reach.
        self.ended = Some(OperatorError::Job(format!("its call of `{}` was given up", phase.name())));
        begin(&mut self.store, phase, processing_time);
        Ok(())
    }

    /// Ends a call that was about `rows` rows.
    fn leave<T>(&mut self, returned: Returned<T>, rows: usize) -> Result<T, OperatorError> {
        match returned {
            Err(error) => {
                let error = operator_error(&error, self.store.data());
                self.ended = Some(error.clone());
                Err(error)
            }
            Ok(result) => {
                self.ended = None;
                result.map_err(|error| self.reported(error, rows))
            }
        }
    }

    /// An error of the guest's own.
    fn reported(&self, error: types::Error, rows: usize) -> OperatorError {
        match error {
            types::Error::Batch(text) => OperatorError::Batch(message(&text)),
            types::Error::Job(text) => OperatorError::Job(message(&text)),
            types::Error::Record(record) if (record.row as usize) < rows => {
                OperatorError::Record { row: record.row, message: message(&record.message) }
            }
            types::Error::Record(record) => OperatorError::Contract(format!(
                "`{}` blames row {} of {rows}: {}",
                self.store.data().phase.name(),
                record.row,
                message(&record.message)
            )),
        }
    }

    async fn process_batch(&mut self, time: CallTime, input: u32, batch: Batch) -> Result<(), OperatorError> {
        // What comes from channels and sources was checked where it was made.
        debug_assert_eq!(batch.check(), Ok(()));
        let Some(described) = self.description.inputs.get(input as usize) else {
            return Err(OperatorError::Job(format!("it has no input {input}; the job is wired wrongly")));
        };
        self.store.data_mut().stopwatch.begin(Phase::Process);
        let rows = batch.rows();
        let batch = convert::project(batch, described.columns);
        self.store.data().fits(batch.bytes(), "it was given a batch")?;
        let keyed = described.keyed;
        self.enter(Phase::Process, Some(time.processing_time))?;
        self.store.data_mut().keyed_input = keyed;
        let batch = convert::batch_out(batch);
        let guest = self.exports.wasmill_operator_guest();
        let call = guest.call_process(&mut self.store, convert::call(time), input, &batch);
        let returned = self.away.watch(call).await;
        self.leave(returned, rows)
    }
}

impl Operator for Instance {
    fn process(&mut self, time: CallTime, input: u32, batch: Batch) -> BoxFuture<'_, Result<(), OperatorError>> {
        Box::pin(self.process_batch(time, input, batch))
    }

    fn on_timers(
        &mut self,
        time: CallTime,
        domain: TimeDomain,
        timers: TimerBatch,
    ) -> BoxFuture<'_, Result<(), OperatorError>> {
        Box::pin(async move {
            self.store.data_mut().stopwatch.begin(Phase::OnTimers);
            self.enter(Phase::OnTimers, Some(time.processing_time))?;
            let rows = timers.times.len();
            let (domain, timers) = (convert::domain_out(domain), convert::timers_out(timers));
            let guest = self.exports.wasmill_operator_guest();
            let call = guest.call_on_timers(&mut self.store, convert::call(time), domain, &timers);
            let returned = self.away.watch(call).await;
            self.leave(returned, rows)
        })
    }

    fn snapshot(&mut self, time: CallTime, epoch: u64) -> BoxFuture<'_, Result<(), OperatorError>> {
        Box::pin(async move {
            self.enter(Phase::Snapshot, Some(time.processing_time))?;
            let guest = self.exports.wasmill_operator_guest();
            let returned = guest.call_snapshot(&mut self.store, convert::call(time), epoch).await;
            self.leave(returned, 0)
        })
    }

    fn snapshot_step(&mut self, max_bytes: u32) -> BoxFuture<'_, Result<bool, OperatorError>> {
        Box::pin(async move {
            self.enter(Phase::SnapshotStep, None)?;
            let returned = self.exports.wasmill_operator_guest().call_snapshot_step(&mut self.store, max_bytes).await;
            let done = self.leave(returned, 0)?;
            self.empty_steps = if done || self.store.data().wrote { 0 } else { self.empty_steps + 1 };
            if self.empty_steps > EMPTY_STEPS {
                let message = format!("`snapshot-step` handed nothing over {EMPTY_STEPS} times and is not done");
                return Err(OperatorError::Contract(message));
            }
            Ok(done)
        })
    }

    fn finish(&mut self, time: CallTime) -> BoxFuture<'_, Result<(), OperatorError>> {
        Box::pin(async move {
            self.store.data_mut().stopwatch.begin(Phase::Finish);
            self.enter(Phase::Finish, Some(time.processing_time))?;
            let guest = self.exports.wasmill_operator_guest();
            let call = guest.call_finish(&mut self.store, convert::call(time));
            let returned = self.away.watch(call).await;
            self.leave(returned, 0)
        })
    }

    fn crossing(&mut self) -> Option<Crossing> {
        self.store.data_mut().stopwatch.end()
    }
}
