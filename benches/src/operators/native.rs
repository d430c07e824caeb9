//! Runs an operator of the SDK natively: the same code as in the component, behind the same traits of the engine, without
//! WebAssembly between.

use std::{
    marker::PhantomData,
    mem::take,
    sync::{Arc, Mutex, PoisonError},
};

use wasmill_core::{
    Batch, BoxFuture, CallTime, Codec, Description, KeyedState, Operator, OperatorContext, OperatorError,
    OperatorFactory,
    description::{Columns, InputDescription, OutputDescription, StateDescription, StateKind, StateScope, TimeToLive},
    state::{EntryKeys, MapPage, StateError, StateOperation},
    time::{TimeDomain, TimerBatch},
};
use wasmill_sdk::{
    Context, Error, Instance,
    backend::{self, Backend, Emit},
    bindings::wasmill::operator::{description, types},
};

/// Makes native instances of the operator `O`.
pub(crate) struct NativeOperator<O> {
    description: Description,
    config: String,
    state_cache_bytes: u64,
    operator: PhantomData<fn() -> O>,
}

impl<O: wasmill_sdk::Operator> NativeOperator<O> {
    /// The operator with the `config` of a job file, one JSON object.
    pub(crate) fn new(config: &str, state_cache_bytes: u64) -> Result<NativeOperator<O>, String> {
        let description = described_as_core(Instance::<O, Native>::describe(config)?);
        Ok(NativeOperator { description, config: config.to_string(), state_cache_bytes, operator: PhantomData })
    }
}

impl<O: wasmill_sdk::Operator> OperatorFactory for NativeOperator<O>
where
    O::Runs: Send,
{
    fn description(&self) -> &Description {
        &self.description
    }

    fn create(&self, context: OperatorContext) -> BoxFuture<'_, Result<Box<dyn Operator>, OperatorError>> {
        let opening = Context {
            job: context.place.job.job.to_string(),
            operator: context.place.operator.to_string(),
            subtask: context.place.subtask,
            parallelism: context.parallelism,
            max_parallelism: context.max_parallelism.get(),
            first_key_group: u32::from(context.range.start),
            last_key_group: u32::from(context.range.end.saturating_sub(1)),
            attempt: context.attempt,
            epoch: context.epoch,
            state_cache_bytes: self.state_cache_bytes,
            restored: context.restored,
            write_through: context.write_through,
            config: self.config.clone(),
        };
        let emitted = Arc::new(Emitted::default());
        let backend = Native { context, emitted: emitted.clone(), failure: None };
        let opened = Instance::<O, Native>::open(opening, backend).map_err(failed);
        let made = opened.map(|instance| Box::new(NativeInstance { instance, emitted }) as Box<dyn Operator>);
        Box::pin(std::future::ready(made))
    }
}

/// What an operator emitted during a call.
#[derive(Default)]
struct Emitted(Mutex<Vec<(u32, Batch)>>);

impl Emit for Emitted {
    fn emit(&self, output: u32, batch: types::Batch) {
        let types::Batch { timestamps, key_ends, keys, value_ends, values, flags, header_ends, headers } = batch;
        let batch = Batch { timestamps, key_ends, keys, value_ends, values, flags, header_ends, headers };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((output, batch));
    }
}

/// The SDK's backend on the engine's state and timers.
struct Native {
    context: OperatorContext,
    emitted: Arc<Emitted>,
    failure: Option<StateError>,
}

impl Native {
    /// Waits for state where the SDK cannot: a worker of the runtime waits with it, but only where state is not in memory.
    fn now<T: Default>(&mut self, read: impl Future<Output = Result<T, StateError>>) -> T {
        match futures_now(read) {
            Ok(value) => value,
            Err(error) => {
                self.failure = Some(error);
                T::default()
            }
        }
    }
}

fn futures_now<T>(future: impl Future<Output = Result<T, StateError>>) -> Result<T, StateError> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future)),
    }
}

impl Backend for Native {
    fn emitter(&self) -> Arc<dyn Emit> {
        self.emitted.clone()
    }

    fn get_many(&mut self, state: u32, entries: &backend::EntryKeys) -> backend::Values {
        let entries = entries_of(entries);
        let keyed: Arc<dyn KeyedState> = self.context.state.clone();
        let wasmill_core::state::Values { present, value_ends, values } = self.now(keyed.get_many(state, &entries));
        backend::Values { present, value_ends, values }
    }

    fn write_many(&mut self, state: u32, epoch: u64, writes: &backend::Writes) {
        let operation = |operation: &backend::Operation| match operation {
            backend::Operation::Put => StateOperation::Put,
            backend::Operation::Delete => StateOperation::Delete,
            backend::Operation::Append => StateOperation::Append,
            backend::Operation::Clear => StateOperation::Clear,
        };
        let writes = wasmill_core::state::Writes {
            operations: writes.operations.iter().map(operation).collect(),
            entries: entries_of(&writes.entries),
            value_ends: writes.value_ends.clone(),
            values: writes.values.clone(),
            expires: writes.expires.clone(),
        };
        let keyed: Arc<dyn KeyedState> = self.context.state.clone();
        self.now(keyed.write_many(state, epoch, &writes));
    }

    fn scan(&mut self, state: u32, key: &[u8], from: &[u8], max_bytes: u32) -> backend::Page {
        let keyed: Arc<dyn KeyedState> = self.context.state.clone();
        let MapPage { map_key_ends, map_keys, value_ends, values, more } =
            self.now(keyed.scan(state, key, from, max_bytes));
        backend::Page { map_key_ends, map_keys, value_ends, values, more }
    }

    fn register(&mut self, domain: types::TimeDomain, timers: &wasmill_sdk::TimerBatch) {
        self.context.timers.register(domain_of(domain), &timers_of(timers));
    }

    fn delete(&mut self, domain: types::TimeDomain, timers: &wasmill_sdk::TimerBatch) {
        self.context.timers.delete(domain_of(domain), &timers_of(timers));
    }
}

fn entries_of(entries: &backend::EntryKeys) -> EntryKeys {
    let backend::EntryKeys { key_ends, keys, map_key_ends, map_keys } = entries.clone();
    EntryKeys { key_ends, keys, map_key_ends, map_keys }
}

fn domain_of(domain: types::TimeDomain) -> TimeDomain {
    match domain {
        types::TimeDomain::EventTime => TimeDomain::EventTime,
        types::TimeDomain::ProcessingTime => TimeDomain::ProcessingTime,
    }
}

fn timers_of(timers: &wasmill_sdk::TimerBatch) -> TimerBatch {
    TimerBatch {
        times: timers.times.clone(),
        key_ends: timers.key_ends.clone(),
        keys: timers.keys.clone(),
        tags: timers.tags.clone(),
    }
}

fn failed(error: Error) -> OperatorError {
    OperatorError::Job(error.to_string())
}

struct NativeInstance<O: wasmill_sdk::Operator> {
    instance: Instance<O, Native>,
    emitted: Arc<Emitted>,
}

impl<O: wasmill_sdk::Operator> NativeInstance<O>
where
    O::Runs: Send,
{
    /// Ends a call: hands on what it emitted.
    async fn end<T>(&mut self, result: wasmill_sdk::Result<T>) -> Result<T, OperatorError> {
        let emitted = take(&mut *self.emitted.0.lock().unwrap_or_else(PoisonError::into_inner));
        let outbox = self.instance.backend().context.outbox.clone();
        for (output, batch) in emitted {
            outbox.emit(output, batch).await;
        }
        if let Some(failure) = self.instance.backend().failure.take() {
            return Err(OperatorError::Job(failure.to_string()));
        }
        result.map_err(failed)
    }
}

fn call_of(time: CallTime) -> types::Call {
    types::Call { watermark: time.watermark, processing_time: time.processing_time }
}

impl<O: wasmill_sdk::Operator> Operator for NativeInstance<O>
where
    O::Runs: Send,
{
    fn process(&mut self, time: CallTime, input: u32, batch: Batch) -> BoxFuture<'_, Result<(), OperatorError>> {
        let Batch { timestamps, key_ends, keys, value_ends, values, flags, header_ends, headers } = batch;
        let batch = types::Batch { timestamps, key_ends, keys, value_ends, values, flags, header_ends, headers };
        let result = self.instance.process(call_of(time), input, batch);
        Box::pin(self.end(result))
    }

    fn on_timers(
        &mut self,
        time: CallTime,
        domain: TimeDomain,
        timers: TimerBatch,
    ) -> BoxFuture<'_, Result<(), OperatorError>> {
        let domain = match domain {
            TimeDomain::EventTime => types::TimeDomain::EventTime,
            TimeDomain::ProcessingTime => types::TimeDomain::ProcessingTime,
        };
        let TimerBatch { times, key_ends, keys, tags } = timers;
        let timers = wasmill_sdk::TimerBatch { times, key_ends, keys, tags };
        let result = self.instance.on_timers(call_of(time), domain, timers);
        Box::pin(self.end(result))
    }

    fn snapshot(&mut self, time: CallTime, epoch: u64) -> BoxFuture<'_, Result<(), OperatorError>> {
        let result = self.instance.snapshot(call_of(time), epoch);
        Box::pin(self.end(result))
    }

    fn snapshot_step(&mut self, max_bytes: u32) -> BoxFuture<'_, Result<bool, OperatorError>> {
        let result = self.instance.snapshot_step(max_bytes);
        Box::pin(self.end(result))
    }

    fn finish(&mut self, time: CallTime) -> BoxFuture<'_, Result<(), OperatorError>> {
        let result = self.instance.finish(call_of(time));
        Box::pin(self.end(result))
    }
}

fn described_as_core(described: description::Description) -> Description {
    let codec = |codec: description::Codec| Codec { name: codec.name, schema: codec.schema };
    let input = |input: description::Input| InputDescription {
        name: input.name,
        keyed: input.keyed,
        columns: Columns::ALL,
        key: codec(input.key),
        value: codec(input.value),
    };
    let output = |output: description::Output| OutputDescription {
        name: output.name,
        key: codec(output.key),
        value: codec(output.value),
    };
    let state = |state: description::State| StateDescription {
        name: state.name,
        kind: match state.kind {
            description::StateKind::Value => StateKind::Value,
            description::StateKind::List => StateKind::List,
            description::StateKind::Map => StateKind::Map,
        },
        scope: match state.scope {
            description::StateScope::Keyed => StateScope::Keyed,
            description::StateScope::Broadcast => StateScope::Broadcast,
        },
        key: codec(state.key),
        map_key: codec(state.map_key),
        value: codec(state.value),
        schema_version: state.schema_version,
        ttl: state.ttl.map(|ttl| TimeToLive { milliseconds: ttl.milliseconds, domain: domain_of(ttl.domain) }),
    };
    Description {
        name: described.name,
        version: described.version,
        inputs: described.inputs.into_iter().map(input).collect(),
        outputs: described.outputs.into_iter().map(output).collect(),
        states: described.states.into_iter().map(state).collect(),
        timers: vec![TimeDomain::EventTime, TimeDomain::ProcessingTime],
    }
}
