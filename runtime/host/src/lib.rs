//! A WebAssembly component becomes an operator.
//!
//! A [`Runtime`] is made once a process: wasmtime's engine, its pool of instances, the ticker behind call budgets, and
//! the cache of compiled code. [`Runtime::load`] reads and compiles a [`Component`]; a [`ComponentOperator`] is a
//! component under a job's configuration and [`Limits`], described once in a throw-away instance, and makes one
//! instance per parallel subtask. To the engine it is a `core::OperatorFactory` like any native one.
//!
//! # The sandbox
//!
//! One store an instance. A guest has no files, no network, no environment and no clock of its own: WASI preview 2 is
//! linked with nothing granted. It is stopped by its memory limit, by its call budget (counted in ticks seen while it
//! runs, so that neither a busy machine nor backpressure kills an innocent), by the end of its stack, and by the bytes
//! that may cross in one call. Whatever it does ends as an `OperatorError` that says what happened and which limit of
//! the job file applies; the store is then dropped, and the process and other instances go on.
//!
//! # Invariant
//!
//! Nothing here names an executor. Instances run under any `block_on`: what suspends is the outbox, the state and the
//! turn that a long call gives away at each tick. wasmtime's WASI would reach for tokio in files, sockets and sleeping;
//! the first two are not granted and the last is refused.
//!
//! # Layout
//!
//! - `runtime`, `ticker`, `cache`, `component`: what is shared by a process; from a file to compiled code.
//! - `imports`: which imports are linked, which refused. `import/`: the contract's imports, one file each. `wasi/`:
//!   clocks, random numbers and standard streams in place of wasmtime's.
//! - `limits`, `memory`, `budget`: what an instance may use.
//! - `guest`: what a store holds; `instance`: the calls; `factory`, `describe`, `migrate`: from a component to
//!   instances.
//! - `convert`: between the contract's types and those of `core`; `failure`: from a trap to an error that names its
//!   cause.

mod bindings;
mod block_on;
mod budget;
mod cache;
mod component;
mod convert;
mod describe;
mod error;
mod factory;
mod failure;
mod guest;
mod import;
mod imports;
mod instance;
mod limits;
mod memory;
mod migrate;
mod runtime;
mod stopwatch;
mod ticker;
mod wasi;

pub use component::Component;
pub use error::HostError;
pub use factory::{ComponentOperator, OperatorSettings};
pub use import::metrics::{MetricKind, MetricSample, Metrics};
pub use limits::{Limits, STACK_BYTES};
pub use runtime::{Runtime, RuntimeOptions};
