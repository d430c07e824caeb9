//! State and timers in plain maps: the kind of backend that another engine would bring.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use wasmill_core::{
    BoxFuture, CallTime, JobName, KeyedState, MaxParallelism, OperatorContext, Outbox, Quota, TimerService,
    state::{EntryKeys, EntryPage, MapPage, StateError, StateOperation, TimerChanges, Values, Writes},
    time::{TimeDomain, TimerBatch, TimerQueue},
};

/// Owns every key but those that begin with `x`.
#[derive(Default, Clone)]
pub struct Backend(Arc<Inner>);

/// Values by state and key.
type Entries = BTreeMap<(u32, Vec<u8>), Vec<u8>>;

#[derive(Default)]
struct Inner {
    values: Mutex<Entries>,
    timers: Mutex<TimerQueue>,
}

impl Backend {
    pub fn context(&self, outbox: Outbox, quota: Quota) -> OperatorContext {
        OperatorContext {
            place: JobName::local("job").place("op", 0),
            parallelism: 1,
            max_parallelism: MaxParallelism::DEFAULT,
            range: MaxParallelism::DEFAULT.range(0, 1),
            attempt: 1,
            epoch: 1,
            restored: false,
            state: self.0.clone(),
            timers: self.0.clone(),
            outbox,
            write_through: false,
            quota,
            processing_time: 1_700_000_000_000,
        }
    }

    pub fn value(&self, state: u32, key: &[u8]) -> Option<Vec<u8>> {
        self.0.values.lock().unwrap().get(&(state, key.to_vec())).cloned()
    }

    pub fn put(&self, state: u32, key: &[u8], value: &[u8]) {
        self.0.values.lock().unwrap().insert((state, key.to_vec()), value.to_vec());
    }

    pub fn due(&self, domain: TimeDomain, now: i64) -> Option<TimerBatch> {
        self.0.timers.lock().unwrap().take_due(domain, now)
    }
}

impl Inner {
    fn check(&self, entries: &EntryKeys) -> Result<(), StateError> {
        match (0..entries.len()).find(|&i| !self.owns(entries.key(i))) {
            Some(i) => Err(StateError::Contract(format!("the key of entry {i} belongs to another subtask"))),
            None => Ok(()),
        }
    }
}

impl KeyedState for Inner {
    fn owns(&self, key: &[u8]) -> bool {
        !key.starts_with(b"x")
    }

    fn get_many<'a>(&'a self, state: u32, entries: &'a EntryKeys) -> BoxFuture<'a, Result<Values, StateError>> {
        Box::pin(async move {
            self.check(entries)?;
            let stored = self.values.lock().unwrap();
            let mut values = Values::default();
            for i in 0..entries.len() {
                values.push(stored.get(&(state, entries.key(i).to_vec())).map(Vec::as_slice));
            }
            Ok(values)
        })
    }

    fn write_many<'a>(&'a self, state: u32, _: u64, writes: &'a Writes) -> BoxFuture<'a, Result<(), StateError>> {
        Box::pin(async move {
            self.check(&writes.entries)?;
            let mut stored = self.values.lock().unwrap();
            for (i, operation) in writes.operations.iter().enumerate() {
                let at = (state, writes.entries.key(i).to_vec());
                match operation {
                    StateOperation::Put => drop(stored.insert(at, writes.value(i).to_vec())),
                    _ => drop(stored.remove(&at)),
                }
            }
            Ok(())
        })
    }

    fn set_time(&self, _: CallTime) {}

    fn scan<'a>(&'a self, _: u32, _: &'a [u8], _: &'a [u8], _: u32) -> BoxFuture<'a, Result<MapPage, StateError>> {
        Box::pin(async { Ok(MapPage::default()) })
    }

    fn begin_call(&self) {}

    fn end_call(&self, _: bool) {}

    fn entries(&self, _: u32, _: Option<Vec<u8>>, _: usize) -> BoxFuture<'_, Result<EntryPage, StateError>> {
        Box::pin(async { Ok(EntryPage::default()) })
    }

    fn timers(&self, _: TimeDomain) -> BoxFuture<'_, Result<TimerBatch, StateError>> {
        Box::pin(async { Ok(TimerBatch::default()) })
    }

    fn write_timers(&self, _: u64, _: TimeDomain, _: &TimerChanges) -> Result<(), StateError> {
        Ok(())
    }

    fn cut(&self, _: u64) -> Result<(), StateError> {
        Ok(())
    }

    fn seal(&self) {}
}

impl TimerService for Inner {
    fn register(&self, domain: TimeDomain, timers: &TimerBatch) {
        self.timers.lock().unwrap().register(domain, timers);
    }

    fn delete(&self, domain: TimeDomain, timers: &TimerBatch) {
        self.timers.lock().unwrap().delete(domain, timers);
    }
}
