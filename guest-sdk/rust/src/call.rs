//! What an operator may do during a call, beside emitting rows.

use std::sync::Arc;

use crate::{
    backend::{Backend, Emit, EntryKeys, TimeDomain, Values, Writes},
    batch::Batch,
    bindings::wasmill::operator::types::Call as CallTime,
    column::Column,
    metrics::{Counter, Gauge, Metrics},
    state::{Access, Directory},
    timers::Timers,
};

/// A call of an operator that takes whole batches.
pub struct Call<'a> {
    pub(crate) time: CallTime,
    pub(crate) backend: &'a mut dyn Backend,
    pub(crate) emit: &'a Arc<dyn Emit>,
    pub(crate) timers: &'a mut Timers,
    pub(crate) metrics: &'a mut Metrics,
}

impl Call<'_> {
    /// The event-time watermark, milliseconds since the Unix epoch: `i64::MIN` before the first, `i64::MAX` after the end
    /// of a bounded input. Constant during the call.
    pub fn watermark(&self) -> i64 {
        self.time.watermark
    }

    /// Processing time, milliseconds since the Unix epoch. Constant during the call.
    pub fn processing_time(&self) -> i64 {
        self.time.processing_time
    }

    /// Emits a batch to output number `output`. Its columns must be a valid batch.
    pub fn emit(&mut self, output: u32, batch: Batch) {
        self.emit.emit(output, batch);
    }

    /// Reads entries of state number `state`, past any cache.
    pub fn get_many(&mut self, state: u32, entries: &EntryKeys) -> Values {
        self.backend.get_many(state, entries)
    }

    /// Writes entries of state number `state` that changed in `epoch`, past any cache.
    pub fn write_many(&mut self, state: u32, epoch: u64, writes: &Writes) {
        self.backend.write_many(state, epoch, writes);
    }

    /// Sets a timer for `key`.
    pub fn register_timer(&mut self, domain: TimeDomain, time: i64, key: &[u8], tag: u64) {
        self.timers.change(domain, time, key, tag, true);
    }

    /// Removes a timer of `key`.
    pub fn delete_timer(&mut self, domain: TimeDomain, time: i64, key: &[u8], tag: u64) {
        self.timers.change(domain, time, key, tag, false);
    }

    /// Adds to a counter.
    pub fn add(&mut self, counter: Counter, amount: f64) {
        self.metrics.add(counter, amount);
    }

    /// Sets a gauge.
    pub fn set(&mut self, gauge: Gauge, value: f64) {
        self.metrics.set(gauge, value);
    }
}

/// A call for one record of a broadcast input. There is no key, and so there are no timers.
pub struct BroadcastCall<'a> {
    pub(crate) time: CallTime,
    pub(crate) metrics: &'a mut Metrics,
}

impl BroadcastCall<'_> {
    /// The event-time watermark, milliseconds since the Unix epoch: `i64::MIN` before the first, `i64::MAX` after the end
    /// of a bounded input. Constant during a batch, and not the same in every subtask.
    pub fn watermark(&self) -> i64 {
        self.time.watermark
    }

    /// Processing time, milliseconds since the Unix epoch. Constant during a batch, and not the same in every subtask.
    pub fn processing_time(&self) -> i64 {
        self.time.processing_time
    }

    /// Adds to a counter.
    pub fn add(&mut self, counter: Counter, amount: f64) {
        self.metrics.add(counter, amount);
    }

    /// Sets a gauge.
    pub fn set(&mut self, gauge: Gauge, value: f64) {
        self.metrics.set(gauge, value);
    }
}

/// A call for one record or timer of a keyed operator. Timers belong to its key.
pub struct KeyedCall<'a> {
    pub(crate) time: CallTime,
    pub(crate) timers: &'a mut Timers,
    pub(crate) metrics: &'a mut Metrics,
    pub(crate) keys: Column<'a>,
    pub(crate) row: usize,
    pub(crate) backend: &'a mut dyn Backend,
    pub(crate) directory: &'a Directory,
}

impl Access for KeyedCall<'_> {
    fn access(&mut self) -> (&mut dyn Backend, &Directory) {
        (self.backend, self.directory)
    }
}

impl KeyedCall<'_> {
    /// The event-time watermark, milliseconds since the Unix epoch: `i64::MIN` before the first, `i64::MAX` after the end
    /// of a bounded input. Constant during a batch.
    pub fn watermark(&self) -> i64 {
        self.time.watermark
    }

    /// Processing time, milliseconds since the Unix epoch. Constant during a batch.
    pub fn processing_time(&self) -> i64 {
        self.time.processing_time
    }

    /// Sets a timer that fires when the watermark reaches `time`; one that is due already fires after this call. `tag` tells
    /// timers of one key and time apart. Setting the same one twice is setting it once.
    pub fn register_event_timer(&mut self, time: i64, tag: u64) {
        self.change(TimeDomain::EventTime, time, tag, true);
    }

    /// Removes an event-time timer; one that does not exist is passed over.
    pub fn delete_event_timer(&mut self, time: i64, tag: u64) {
        self.change(TimeDomain::EventTime, time, tag, false);
    }

    /// Sets a timer that fires when the clock reaches `time`.
    pub fn register_processing_timer(&mut self, time: i64, tag: u64) {
        self.change(TimeDomain::ProcessingTime, time, tag, true);
    }

    /// Removes a processing-time timer; one that does not exist is passed over.
    pub fn delete_processing_timer(&mut self, time: i64, tag: u64) {
        self.change(TimeDomain::ProcessingTime, time, tag, false);
    }

    fn change(&mut self, domain: TimeDomain, time: i64, tag: u64, set: bool) {
        self.timers.change(domain, time, self.keys.get(self.row).unwrap_or_default(), tag, set);
    }

    /// Adds to a counter.
    #[inline]
    pub fn add(&mut self, counter: Counter, amount: f64) {
        self.metrics.add(counter, amount);
    }

    /// Sets a gauge.
    #[inline]
    pub fn set(&mut self, gauge: Gauge, value: f64) {
        self.metrics.set(gauge, value);
    }
}
