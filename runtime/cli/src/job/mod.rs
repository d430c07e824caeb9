//! The job file: what it may say, what is wrong with it, and what it means.
//!
//! ```text
//! text -> tree (overrides applied) -> validated sections -> Job -> (descriptions of its components) -> LogicalGraph
//! ```
//!
//! [`Job::read`] reads a file; [`Job::resolve`] checks it and makes its graph. What is wrong at one stage does not hide
//! what is wrong at the next: all problems come together. Nothing here knows WebAssembly: descriptions of components
//! are asked for ([`Describe`]).
//!
//! # Layout
//!
//! - [`definition`]: every key, once; [`schema`] and [`mod@reference`] are made of it.
//! - `text`, `tree`: the file, and where everything in it stands; [`Overrides`] changes the tree.
//! - `validate`, `value`, `section`, `units`: from the tree to typed values; `suggest` guesses what was meant.
//! - `read`, `nodes`, `recovery`: the [`Job`]: sources, operators and sinks; checkpoints, and what follows a failure.
//! - `describe`, `connect`, `wire`, `codecs`, `resolve`: from there to the graph.
//! - `problem`: what is wrong, as people see it.
//! - [`plan`]: shows the graph.

pub mod definition;
pub mod plan;
pub mod reference;
pub mod schema;

mod codecs;
mod connect;
mod describe;
mod nodes;
mod overrides;
mod problem;
mod read;
mod recovery;
mod resolve;
mod section;
mod suggest;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod units;
mod validate;
mod value;
mod watermarks;
mod wire;

pub use connect::Connected;
pub use describe::{Describe, DescribeError};
pub use nodes::{DEAD_LETTER, Limits, Operator, Place, Sink, Source};
pub use overrides::Overrides;
pub use problem::{Position, Problem, Severity, Snippet, render, tally};
pub use read::{Engine, Job, State};
pub use recovery::Checkpoint;
pub use resolve::Resolved;
