//! The two views of a job that a Flink user knows: the logical graph as written, and the parallel one as it runs.

mod chain;
mod logical;
mod parallel;

pub use chain::{Chain, chains};
pub use logical::{Edge, Exchange, GraphError, LogicalGraph, Node, NodeId, Role};
pub use parallel::{Channels, ParallelGraph};
