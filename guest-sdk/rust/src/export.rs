//! Exports an operator from a component: one instance, on the imports of the contract.

use std::{
    any::Any,
    cell::RefCell,
    marker::PhantomData,
    sync::{Arc, Once},
};

use crate::{
    backend::{Backend, Emit, EntryKeys, Page, Sample, TimeDomain, Values, Writes},
    batch::{Batch, TimerBatch},
    bindings::{
        exports::wasmill::operator::guest::{self, Call, Context, Guest},
        migrating::exports::wasmill::operator::migration,
        wasmill::operator::{description::Description, log, metrics, output, state, timers},
    },
    error::Result,
    instance::Instance,
    operator::Operator,
};

/// The imports of the contract.
struct Imports;

impl Emit for Imports {
    fn emit(&self, output: u32, batch: Batch) {
        output::emit(output, &batch);
    }
}

impl Backend for Imports {
    fn emitter(&self) -> Arc<dyn Emit> {
        Arc::new(Imports)
    }

    fn get_many(&mut self, state: u32, entries: &EntryKeys) -> Values {
        state::get_many(state, entries)
    }

    fn write_many(&mut self, state: u32, epoch: u64, writes: &Writes) {
        state::write_many(state, epoch, writes);
    }

    fn scan(&mut self, state: u32, key: &[u8], from: &[u8], max_bytes: u32) -> Page {
        state::scan(state, key, from, max_bytes)
    }

    fn register(&mut self, domain: TimeDomain, timers: &TimerBatch) {
        timers::register(domain, timers);
    }

    fn delete(&mut self, domain: TimeDomain, timers: &TimerBatch) {
        timers::delete(domain, timers);
    }

    fn report(&mut self, samples: &[Sample]) {
        metrics::report(samples);
    }
}

thread_local! {
    /// The component's instance. A component is called from one thread, one call at a time.
    static INSTANCE: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

/// What a component exports for the operator `O`.
#[derive(Debug)]
pub struct Component<O>(PhantomData<O>);

fn with<O: Operator, T>(call: impl FnOnce(&mut Instance<O, Imports>) -> Result<T>) -> Result<T, guest::Error> {
    INSTANCE.with_borrow_mut(|instance| {
        match instance.as_mut().and_then(|instance| instance.downcast_mut::<Instance<O, Imports>>()) {
            Some(instance) => call(instance).map_err(guest::Error::from),
            None => Err(guest::Error::Job("the instance was not opened".to_string())),
        }
    })
}

impl<O: Operator> Guest for Component<O> {
    fn describe(config: String) -> Result<Description, String> {
        log_panics();
        Instance::<O, Imports>::describe(&config)
    }

    fn open(context: Context) -> Result<(), guest::Error> {
        log_panics();
        let instance = Instance::<O, Imports>::open(context, Imports).map_err(guest::Error::from)?;
        INSTANCE.set(Some(Box::new(instance)));
        Ok(())
    }

    fn process(call: Call, input: u32, batch: Batch) -> Result<(), guest::Error> {
        with::<O, _>(|instance| instance.process(call, input, batch))
    }

    fn on_timers(call: Call, domain: TimeDomain, timers: TimerBatch) -> Result<(), guest::Error> {
        with::<O, _>(|instance| instance.on_timers(call, domain, timers))
    }

    fn snapshot(call: Call, epoch: u64) -> Result<(), guest::Error> {
        with::<O, _>(|instance| instance.snapshot(call, epoch))
    }

    fn snapshot_step(max_bytes: u32) -> Result<bool, guest::Error> {
        with::<O, _>(|instance| instance.snapshot_step(max_bytes))
    }

    fn finish(call: Call) -> Result<(), guest::Error> {
        with::<O, _>(|instance| instance.finish(call))
    }
}

impl<O: Operator> migration::Guest for Component<O> {
    fn migrate(
        state: u32,
        from_version: u32,
        entries: migration::Entries,
    ) -> Result<migration::Entries, migration::Error> {
        log_panics();
        Instance::<O, Imports>::migrate(state, from_version, entries).map_err(migration::Error::from)
    }
}

/// A panic traps, and a trap says nothing: so its message and place go to the job's log first.
fn log_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| log::log(log::Level::Error, &panic.to_string())));
    });
}
