//! Runs an operator on a backend: what the component's exports call, and what native code may call as well.

use std::sync::Arc;

use crate::{
    backend::{Backend, Emit, TimeDomain},
    batch::{Batch, TimerBatch},
    bindings::{
        exports::wasmill::operator::guest::Context,
        wasmill::operator::{description::Description, types::Call as CallTime},
    },
    call::Call,
    error::{Error, Result},
    metrics::Metrics,
    migration::{Entries, Migration},
    operator::{BatchOperator, Operator},
    output::Side,
    setup::Setup,
    timers::Timers,
};

/// One instance of an operator on a backend.
///
/// The methods are the exports of the contract, with the same rules: one call at a time, `open` first.
pub struct Instance<O: Operator, B: Backend> {
    operator: O::Runs,
    backend: B,
    emit: Arc<dyn Emit>,
    timers: Timers,
    metrics: Metrics,
    sides: Vec<Side>,
    time: CallTime,
}

impl<O: Operator, B: Backend> Instance<O, B> {
    /// What the operator says of itself under the configuration `config`, a JSON object.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn describe(config: &str) -> Result<Description, String> {
        let mut setup = Setup::describing(O::NAME, O::VERSION, config);
        let described = O::Runs::open(&mut setup).and_then(|_| setup.check());
        described.map_err(|error| error.message().to_string())?;
        Ok(setup.description)
    }

    /// Makes and opens an instance.
    ///
    /// # Errors
    /// The operator's own.
    pub fn open(context: Context, backend: B) -> Result<Self> {
        let emit = backend.emitter();
        let mut setup = Setup::opening(O::NAME, O::VERSION, context, emit.clone());
        let operator = O::Runs::open(&mut setup).map_err(Error::of_job)?;
        setup.check()?;
        let time = CallTime { watermark: i64::MIN, processing_time: 0 };
        Ok(Instance {
            operator,
            backend,
            emit,
            timers: Timers::default(),
            metrics: setup.metrics,
            sides: setup.sides,
            time,
        })
    }

    /// Rewrites entries of state number `state` from schema version `from_version` to the one described.
    ///
    /// # Errors
    /// The operator's own; of one that does not implement `migrate`, that it cannot.
    pub fn migrate(state: u32, from_version: u32, entries: Entries) -> Result<Entries> {
        let mut migration = Migration::new(state, from_version, entries);
        O::Runs::migrate(&mut migration).map_err(Error::of_job)?;
        Ok(migration.into_entries())
    }

    /// Takes one batch of input number `input`.
    ///
    /// # Errors
    /// The operator's own. The instance is to be dropped then, as its state may hold part of the batch.
    pub fn process(&mut self, time: CallTime, input: u32, batch: Batch) -> Result {
        self.time = time;
        self.call(|operator, call| operator.process(call, input, batch))
    }

    /// Takes due timers, each key once.
    ///
    /// # Errors
    /// As [`Instance::process`].
    pub fn on_timers(&mut self, time: CallTime, domain: TimeDomain, timers: TimerBatch) -> Result {
        self.time = time;
        self.call(|operator, call| operator.on_timers(call, domain, timers))
    }

    /// Cuts state at a checkpoint.
    ///
    /// # Errors
    /// As [`Instance::process`].
    pub fn snapshot(&mut self, time: CallTime, epoch: u64) -> Result {
        self.time = time;
        self.call(|operator, call| operator.snapshot(call, epoch))
    }

    /// Hands over about `max_bytes` bytes of the epoch that was cut; true when all is handed over.
    ///
    /// # Errors
    /// As [`Instance::process`].
    pub fn snapshot_step(&mut self, max_bytes: u32) -> Result<bool> {
        self.call(|operator, call| operator.snapshot_step(call, max_bytes))
    }

    /// The input has ended.
    ///
    /// # Errors
    /// As [`Instance::process`].
    pub fn finish(&mut self, time: CallTime) -> Result {
        self.time = time;
        self.call(|operator, call| operator.finish(call))
    }

    /// The backend.
    pub fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    fn call<T>(&mut self, export: impl FnOnce(&mut O::Runs, &mut Call<'_>) -> Result<T>) -> Result<T> {
        let Instance { operator, backend, emit, timers, metrics, sides, time } = self;
        let mut result = export(operator, &mut Call { time: *time, backend, emit, timers, metrics });
        if result.is_ok()
            && let Some(error) = sides.iter().find_map(|side| side.end().err())
        {
            result = Err(Error::Batch(format!("a row of a side output cannot be written: {error}")));
        }
        match result {
            Ok(_) => timers.flush(backend),
            Err(_) => {
                timers.clear();
                sides.iter().for_each(Side::discard);
            }
        }
        metrics.flush(backend);
        result
    }
}
