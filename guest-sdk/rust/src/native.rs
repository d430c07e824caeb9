//! Runs an operator as a plain Rust object, on a backend of the caller's: no WebAssembly.
//!
//! An [`Instance`] has the exports of the contract as methods and stands on a [`Backend`] instead of its imports, so that
//! the same operator runs in a component, in a test, and natively in an engine that wants to compare the two. Batches
//! move; their columns have the names of the contract.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use wasmill_sdk::{native::*, prelude::*};
//!
//! #[operator]
//! fn double(record: Record<'_, Bytes, u64>, out: &mut MapValues<u64>) {
//!     out.set(record.value * 2);
//! }
//!
//! #[derive(Default)]
//! struct Rows(Mutex<Vec<Batch>>);
//!
//! impl Emit for Rows {
//!     fn emit(&self, _output: u32, batch: Batch) {
//!         self.0.lock().unwrap().push(batch);
//!     }
//! }
//!
//! // An operator without state and timers asks its backend for nothing but where rows go.
//! struct Outside(Arc<Rows>);
//!
//! impl Backend for Outside {
//!     fn emitter(&self) -> Arc<dyn Emit> {
//!         self.0.clone()
//!     }
//!     fn get_many(&mut self, _: u32, _: &EntryKeys) -> Values {
//!         unreachable!("it has no state")
//!     }
//!     fn write_many(&mut self, _: u32, _: u64, _: &Writes) {}
//!     fn register(&mut self, _: TimeDomain, _: &TimerBatch) {}
//!     fn delete(&mut self, _: TimeDomain, _: &TimerBatch) {}
//! }
//!
//! let rows = Arc::new(Rows::default());
//! let context = context("job", "double", "{}");
//! let mut instance = Instance::<double, Outside>::open(context, Outside(rows.clone())).unwrap();
//! let mut batch = Batch::default();
//! batch.push(7, Some(b"key"), Some(&21u64.to_le_bytes()));
//! instance.process(CallTime { watermark: i64::MIN, processing_time: 0 }, 0, batch).unwrap();
//!
//! let emitted = rows.0.lock().unwrap();
//! assert_eq!(emitted[0].key(0), Some(&b"key"[..]));
//! assert_eq!(emitted[0].value(0), Some(&42u64.to_le_bytes()[..]));
//! ```

pub use crate::{
    backend::{Backend, Emit, EntryKeys, MetricKind, Operation, Page, Sample, TimeDomain, Values, Writes},
    batch::{Batch, TimerBatch},
    bindings::{
        exports::wasmill::operator::guest::Context,
        wasmill::operator::{description, types::Call as CallTime},
    },
    error::{Error, Result},
    instance::Instance,
    operator::Operator,
};

/// A context to change: of the only subtask, at its first attempt, at epoch 1, with a cache of 64 MiB. `config` is a JSON
/// object.
pub fn context(job: &str, operator: &str, config: &str) -> Context {
    Context {
        job: job.to_string(),
        operator: operator.to_string(),
        subtask: 0,
        parallelism: 1,
        max_parallelism: 128,
        first_key_group: 0,
        last_key_group: 127,
        attempt: 1,
        epoch: 1,
        state_cache_bytes: 64 << 20,
        restored: false,
        write_through: false,
        config: config.to_string(),
    }
}
