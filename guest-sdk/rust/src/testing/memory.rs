//! Keeps state, timers and emitted batches in memory, with the rules of the host.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use super::store::{Content, Store, entries, migrate};
use crate::{
    backend::{Backend, Emit, EntryKeys, MetricKind, Page, Sample, TimeDomain, Values, Writes},
    batch::{Batch, TimerBatch},
    bindings::wasmill::operator::{description::State, types::Call as CallTime},
    error::Result,
    operator::Operator,
};

/// Time, key and tag.
type Timer = (i64, Vec<u8>, u64);

/// The most timers of one call.
const DUE_LIMIT: usize = 4_096;

/// State and timers at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The epoch that was cut.
    pub epoch: u64,
    /// What is stored, by state number and key.
    pub state: Content,
    event: BTreeSet<Timer>,
    processing: BTreeSet<Timer>,
}

impl Snapshot {
    /// The snapshot with state number `state` rewritten by the operator's `migrate` from schema version `from_version`.
    ///
    /// # Errors
    /// The operator's own.
    ///
    /// # Panics
    /// If `migrate` changes keys or the number of entries.
    pub fn migrate<O: Operator>(&self, state: u32, from_version: u32) -> Result<Snapshot> {
        let state = migrate::<O>(&self.state, state, from_version)?;
        Ok(Snapshot { state, ..self.clone() })
    }
}

#[derive(Debug, Default)]
struct Emitted(Mutex<Vec<(u32, Batch)>>);

impl Emit for Emitted {
    fn emit(&self, output: u32, batch: Batch) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((output, batch));
    }
}

/// A backend in memory. It panics where the host would trap.
#[derive(Debug)]
pub struct Memory {
    emitted: Arc<Emitted>,
    store: Store,
    epoch: u64,
    /// Timers of the snapshot whose entries are still being handed over.
    cut: Option<(BTreeSet<Timer>, BTreeSet<Timer>)>,
    event: BTreeSet<Timer>,
    processing: BTreeSet<Timer>,
    metrics: BTreeMap<String, f64>,
    reads: usize,
    writes: usize,
    time: CallTime,
    broadcast: bool,
}

impl Memory {
    pub(crate) fn new(epoch: u64, states: Vec<State>, snapshot: Option<&Snapshot>) -> Memory {
        Memory {
            emitted: Arc::default(),
            store: Store::new(states, epoch, snapshot.map(|snapshot| snapshot.state.clone()).unwrap_or_default()),
            epoch,
            cut: None,
            event: snapshot.map(|snapshot| snapshot.event.clone()).unwrap_or_default(),
            processing: snapshot.map(|snapshot| snapshot.processing.clone()).unwrap_or_default(),
            metrics: BTreeMap::new(),
            reads: 0,
            writes: 0,
            time: CallTime { watermark: i64::MIN, processing_time: 0 },
            broadcast: false,
        }
    }

    /// A call begins; `broadcast` says whether it may change broadcast state.
    pub(crate) fn begin_call(&mut self, time: CallTime, broadcast: bool) {
        (self.time, self.broadcast) = (time, broadcast);
    }

    /// How many times entries were read: values once a state and batch at most.
    pub fn reads(&self) -> usize {
        self.reads
    }

    /// How many entries were written.
    pub fn writes(&self) -> usize {
        self.writes
    }

    /// What is stored now, by state number and key, without what has expired: what was handed over, whether or not it belongs
    /// to a snapshot yet.
    pub fn stored(&self) -> Content {
        self.store.content(self.time)
    }

    /// Timers that are set, in the order in which they fire: time, key and tag.
    pub fn timers(&self, domain: TimeDomain) -> impl Iterator<Item = (i64, &[u8], u64)> {
        let timers = match domain {
            TimeDomain::EventTime => &self.event,
            TimeDomain::ProcessingTime => &self.processing,
        };
        timers.iter().map(|(time, key, tag)| (*time, key.as_slice(), *tag))
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    pub(crate) fn cut(&mut self, epoch: u64) {
        assert!(epoch >= self.epoch && self.cut.is_none(), "epoch {epoch} is cut at {}", self.epoch);
        self.store.cut(epoch);
        self.cut = Some((self.event.clone(), self.processing.clone()));
        self.epoch = epoch + 1;
    }

    pub(crate) fn seal(&mut self) -> Option<Snapshot> {
        let (event, processing) = self.cut.take()?;
        Some(Snapshot { epoch: self.epoch - 1, state: self.store.seal(), event, processing })
    }

    pub(crate) fn take_emitted(&mut self) -> Vec<(u32, Batch)> {
        std::mem::take(&mut self.emitted.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Batches of one output; those of the others stay.
    pub(crate) fn take_output(&mut self, output: u32) -> Vec<Batch> {
        let mut emitted = self.emitted.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, rest) = std::mem::take(&mut *emitted).into_iter().partition(|(of, _)| *of == output);
        *emitted = rest;
        Vec::into_iter(taken).map(|(_, batch)| batch).collect()
    }

    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).copied()
    }

    fn of(&mut self, domain: TimeDomain) -> &mut BTreeSet<Timer> {
        match domain {
            TimeDomain::EventTime => &mut self.event,
            TimeDomain::ProcessingTime => &mut self.processing,
        }
    }

    /// Takes timers due at `now` in order, until a key repeats or 4,096.
    pub(crate) fn take_due(&mut self, domain: TimeDomain, now: i64) -> Option<TimerBatch> {
        let timers = self.of(domain);
        let (mut due, mut keys) = (TimerBatch::default(), BTreeSet::new());
        while due.times.len() < DUE_LIMIT
            && timers.first().is_some_and(|(time, key, _)| *time <= now && !keys.contains(key))
        {
            let Some((time, key, tag)) = timers.pop_first() else { break };
            due.push(time, &key, tag);
            keys.insert(key);
        }
        (!due.times.is_empty()).then_some(due)
    }
}

impl Backend for Memory {
    fn emitter(&self) -> Arc<dyn Emit> {
        self.emitted.clone()
    }

    fn get_many(&mut self, state: u32, keys: &EntryKeys) -> Values {
        self.reads += 1;
        self.store.get_many(state, keys, self.time)
    }

    fn write_many(&mut self, state: u32, epoch: u64, writes: &Writes) {
        self.writes += writes.operations.len();
        self.store.write_many(state, epoch, writes, self.broadcast);
    }

    fn scan(&mut self, state: u32, key: &[u8], from: &[u8], max_bytes: u32) -> Page {
        self.reads += 1;
        self.store.scan(state, key, from, max_bytes, self.time)
    }

    fn register(&mut self, domain: TimeDomain, timers: &TimerBatch) {
        let keys = entries(&timers.key_ends, &timers.keys);
        for ((&time, &tag), key) in timers.times.iter().zip(&timers.tags).zip(keys) {
            self.of(domain).insert((time, key.to_vec(), tag));
        }
    }

    fn delete(&mut self, domain: TimeDomain, timers: &TimerBatch) {
        let keys = entries(&timers.key_ends, &timers.keys);
        for ((&time, &tag), key) in timers.times.iter().zip(&timers.tags).zip(keys) {
            self.of(domain).remove(&(time, key.to_vec(), tag));
        }
    }

    fn report(&mut self, samples: &[Sample]) {
        for sample in samples {
            let value = self.metrics.entry(sample.name.clone()).or_default();
            *value = if sample.kind == MetricKind::Counter { *value + sample.value } else { sample.value };
        }
    }
}
