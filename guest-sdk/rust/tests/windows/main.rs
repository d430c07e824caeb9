//! Windows worked out by hand after Flink's semantics.

mod by_time;
mod refusals;
mod sessions;
mod state;
mod sums;
mod triggers;
