//! The vocabulary and the decisions of Wasmill.
//!
//! Nothing here reads a file, a clock or a socket, spawns a task or knows WebAssembly: every decision (which subtask owns
//! a key, where a row goes, what the watermark is, which timers are due, how operators chain) is a pure function or a
//! small state machine with its tests beside it. The crates that do I/O meet in the traits defined here and never import
//! each other: [`Operator`] (made by the host, driven by the engine), [`KeyedState`] and [`StateBackend`] (kept in redb),
//! [`TimerService`], [`Source`] and [`Sink`] (connectors), [`Clock`], [`Quota`].
//!
//! # Layout
//!
//! - [`batch`]: rows as columns, and the builder that sources and routers fill.
//! - [`key_group`]: the stored hash, key groups and who owns them.
//! - [`partitioner`]: forward, hash, rebalance and broadcast, one file each.
//! - [`time`]: watermarks, the valve that combines them, timers.
//! - [`graph`]: the logical graph, chaining, and the parallel graph.
//! - [`checkpoint`], [`alignment`]: what a complete checkpoint says, what may start from it, when its barriers have come.
//! - [`operator`], [`description`], [`state`], [`source`], [`sink`]: what the crates meet in.
//! - [`codec`]: declared formats, so that bytes can be shown without user code.
//! - [`place`], [`quota`], [`status`]: who is running, what it may use, how it fares.

pub mod alignment;
pub mod batch;
pub mod checkpoint;
pub mod codec;
pub mod description;
pub mod graph;
pub mod key_group;
pub mod operator;
pub mod partitioner;
pub mod place;
pub mod quota;
pub mod sink;
pub mod source;
pub mod state;
pub mod status;
pub mod time;

pub use batch::{Batch, BatchBuilder, Row};
pub use checkpoint::Manifest;
pub use codec::Codec;
pub use description::Description;
pub use key_group::{KeyGroup, KeyGroupRange, MaxParallelism};
pub use operator::{Operator, OperatorContext, OperatorError, OperatorFactory, Outbox};
pub use place::{JobName, Place};
pub use quota::{Charge, Quota};
pub use sink::{Sink, SinkContext, SinkFactory};
pub use source::{Source, SourceContext, SourceFactory};
pub use state::{KeyedState, StateBackend};
pub use status::Status;
pub use time::{CallTime, Clock, TimerService};

/// A boxed future, so that traits which meet here can be asynchronous without naming an executor.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
