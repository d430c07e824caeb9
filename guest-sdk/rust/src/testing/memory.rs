//! Keeps state, timers and emitted batches in memory, with the rules of the host.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    backend::{Backend, Emit, EntryKeys, MetricKind, Operation, Sample, TimeDomain, Values, Writes},
    batch::{Batch, TimerBatch},
    column::Column,
};

/// A value by state and key.
type State = BTreeMap<(u32, Vec<u8>), Vec<u8>>;

/// Time, key and tag.
type Timer = (i64, Vec<u8>, u64);

/// The most timers of one call.
const DUE_LIMIT: usize = 4_096;

/// State and timers at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The epoch that was cut.
    pub epoch: u64,
    /// Values by state number and key.
    pub state: State,
    event: BTreeSet<Timer>,
    processing: BTreeSet<Timer>,
}

#[derive(Debug, Default)]
struct Emitted(Mutex<Vec<(u32, Batch)>>);

impl Emit for Emitted {
    fn emit(&self, output: u32, batch: Batch) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((output, batch));
    }
}

/// A value and the epoch it was written in; `None` where it was removed.
type Versioned = (u64, Option<Vec<u8>>);

/// A backend in memory. It panics where the host would trap.
#[derive(Debug)]
pub struct Memory {
    emitted: Arc<Emitted>,
    /// By state and key.
    state: BTreeMap<(u32, Vec<u8>), Versioned>,
    epoch: u64,
    /// The snapshot whose entries are still being handed over.
    cut: Option<Snapshot>,
    event: BTreeSet<Timer>,
    processing: BTreeSet<Timer>,
    metrics: BTreeMap<String, f64>,
    reads: usize,
}

impl Memory {
    pub(crate) fn new(epoch: u64) -> Memory {
        Memory {
            emitted: Arc::default(),
            state: BTreeMap::new(),
            epoch,
            cut: None,
            event: BTreeSet::new(),
            processing: BTreeSet::new(),
            metrics: BTreeMap::new(),
            reads: 0,
        }
    }

    pub(crate) fn restore(snapshot: &Snapshot) -> Memory {
        let state = snapshot.state.iter().map(|(key, value)| (key.clone(), (0, Some(value.clone())))).collect();
        let (event, processing) = (snapshot.event.clone(), snapshot.processing.clone());
        Memory { state, event, processing, ..Memory::new(snapshot.epoch + 1) }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many times entries were read: once a state and batch at most.
    pub fn reads(&self) -> usize {
        self.reads
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
        let present = self.state.iter().filter_map(|(key, (_, value))| Some((key.clone(), value.clone()?)));
        let state = present.collect();
        let (event, processing) = (self.event.clone(), self.processing.clone());
        self.cut = Some(Snapshot { epoch, state, event, processing });
        self.epoch = epoch + 1;
    }

    pub(crate) fn seal(&mut self) -> Option<Snapshot> {
        self.cut.take()
    }

    pub(crate) fn take_emitted(&mut self) -> Vec<(u32, Batch)> {
        std::mem::take(&mut self.emitted.0.lock().unwrap_or_else(PoisonError::into_inner))
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

fn column<'a>(ends: &'a [u32], bytes: &'a [u8]) -> Column<'a> {
    Column { ends, bytes, flags: &[], absent: 0 }
}

/// The entries of a column that has no nulls.
fn entries<'a>(ends: &'a [u32], bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    column(ends, bytes).iter(ends.len()).map(|entry| entry.expect("the column is valid"))
}

impl Backend for Memory {
    fn emitter(&self) -> Arc<dyn Emit> {
        self.emitted.clone()
    }

    fn get_many(&mut self, state: u32, keys: &EntryKeys) -> Values {
        self.reads += 1;
        let mut values = Values { present: Vec::new(), value_ends: Vec::new(), values: Vec::new() };
        for key in entries(&keys.key_ends, &keys.keys) {
            let value = self.state.get(&(state, key.to_vec())).and_then(|(_, value)| value.as_deref());
            values.present.push(u8::from(value.is_some()));
            values.values.extend_from_slice(value.unwrap_or_default());
            values.value_ends.push(values.values.len() as u32);
        }
        values
    }

    fn write_many(&mut self, state: u32, epoch: u64, writes: &Writes) {
        let of_cut = self.cut.as_ref().is_some_and(|cut| cut.epoch == epoch);
        assert!(epoch == self.epoch || of_cut, "a write of epoch {epoch} at {}", self.epoch);
        let rows = writes.operations.len();
        assert!(writes.entries.key_ends.len() == rows && writes.value_ends.len() == rows, "writes are not valid");
        let keys = entries(&writes.entries.key_ends, &writes.entries.keys);
        let values = entries(&writes.value_ends, &writes.values);
        for ((operation, key), value) in writes.operations.iter().zip(keys).zip(values) {
            let key = (state, key.to_vec());
            let value = match operation {
                Operation::Put => Some(value.to_vec()),
                Operation::Delete | Operation::Clear => None,
                Operation::Append => panic!("a value cannot be appended to"),
            };
            if let (true, Some(cut)) = (of_cut, &mut self.cut) {
                match value.clone() {
                    Some(value) => cut.state.insert(key.clone(), value),
                    None => cut.state.remove(&key),
                };
            }
            // What was cut may be handed over after the entry was written anew.
            let held = self.state.entry(key).or_insert((0, None));
            if held.0 <= epoch {
                *held = (epoch, value);
            }
        }
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
