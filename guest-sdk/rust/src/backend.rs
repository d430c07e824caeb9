//! The seam below an operator: where rows go, where state and timers are kept.

use std::sync::Arc;

use crate::batch::{Batch, TimerBatch};
pub use crate::bindings::wasmill::operator::{
    metrics::{Kind as MetricKind, Sample},
    state::{EntryKeys, Operation, Page, Values, Writes},
    types::TimeDomain,
};

/// Where an operator's rows go.
pub trait Emit: Send + Sync {
    /// Takes a batch of output number `output`.
    fn emit(&self, output: u32, batch: Batch);
}

/// What an [`Instance`](crate::Instance) stands on: in WebAssembly the imports of the contract, natively whatever the caller
/// supplies. All is asked for in bulk, a few times a batch.
///
/// Nothing here returns an error: in WebAssembly a failure is a trap. A native backend keeps its failure, answers as if
/// nothing was there, and lets its owner ask after the call.
pub trait Backend {
    /// Where rows go. Asked for once, when the instance is opened.
    fn emitter(&self) -> Arc<dyn Emit>;

    /// Reads entries of state number `state`: one answer an entry, in order.
    fn get_many(&mut self, state: u32, entries: &EntryKeys) -> Values;

    /// Writes entries that changed in `epoch`.
    fn write_many(&mut self, state: u32, epoch: u64, writes: &Writes);

    /// Reads entries of one key's map in the byte order of map keys, from the first that is not below `from`, about
    /// `max_bytes` bytes, at least one if there is one. For operators with map or broadcast state only.
    ///
    /// # Panics
    /// If the backend keeps no maps, which is what one does that does not implement it.
    fn scan(&mut self, state: u32, key: &[u8], from: &[u8], max_bytes: u32) -> Page {
        let _ = (key, from, max_bytes);
        panic!("state number {state} is read as a map, but this backend does not implement `scan`")
    }

    /// Sets timers.
    fn register(&mut self, domain: TimeDomain, timers: &TimerBatch);

    /// Removes timers.
    fn delete(&mut self, domain: TimeDomain, timers: &TimerBatch);

    /// Takes an operator's own metrics, at most once a call.
    fn report(&mut self, samples: &[Sample]) {
        let _ = samples;
    }
}

/// Drops everything: what an operator emits while it is described.
#[derive(Debug)]
pub(crate) struct Nowhere;

impl Emit for Nowhere {
    fn emit(&self, _: u32, _: Batch) {}
}
