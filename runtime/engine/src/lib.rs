//! Runs a job: subtasks on tokio, the channels between them, and the path of a record through them.
//!
//! ```text
//! source -> chain of operators -> router -> channel -> gate -> chain of operators -> ... -> sink
//! ```
//!
//! A [`Job`] is a checked logical graph with the sources, operators and sinks to put at its nodes. [`start`] unfolds it,
//! makes every instance, wires them and spawns one tokio task a subtask; [`Running`] watches and ends it. The engine knows
//! operators only as `core::Operator`: it runs native ones in its tests and components in the product.
//!
//! # Layout
//!
//! - `start`: unfolds the graph, makes instances, spawns subtasks, commits at the end.
//! - `subtask`: the loop of one subtask; `head` is where its rows come from (a source or an input gate).
//! - `drift`: which sources wait for others; `standing` is what is told of inputs.
//! - `chain`: the operators and sinks of one subtask, called in turn; `timers` is what they set timers in.
//! - `router`, `channel`, `gate`: from the end of one chain to the head of the next.
//! - `job`, `running`, `error`, `clock`: what a caller sees.
//!
//! # Invariants
//!
//! - Order holds for each (sending subtask, receiving subtask): one bounded channel a pair, one builder a channel.
//! - Nothing on the path of a record is shared between subtasks but channels; a lock is taken once a batch at most.
//! - A subtask yields to the executor after each turn (one batch).
//! - The first error wins: it cancels all subtasks, and a subtask that merely lost its neighbour reports nothing.

mod attempt;
mod chain;
mod channel;
mod clock;
mod coordinator;
mod crash;
mod dead_letter;
mod drift;
mod error;
mod gate;
mod head;
mod interleaving;
mod job;
mod migration;
mod recover;
mod router;
mod run;
mod running;
mod schedule;
mod seed;
mod standing;
mod start;
mod subtask;
mod supervise;
mod timers;

pub use clock::SystemClock;
pub use crash::{CrashPlan, CrashPoint};
pub use error::{Cause, JobError};
pub use job::{CheckpointSettings, ExecutionMode, Job, RestartStrategy, Settings, SourceSpec, WatermarkAlignment};
pub use running::{
    CheckpointProgress, CheckpointStats, Handle, NodeProgress, Progress, RequestError, Running, Stop, Stopped, Summary,
};
pub use standing::{ChannelProgress, InputProgress, SplitsProgress};
pub use start::start;
