//! Time: the clock that is injected, watermarks, and timers.

mod inputs;
#[cfg(test)]
mod interleavings;
mod strategy;
mod timer;
mod valve;
mod watermark;

pub use inputs::{Inputs, InputsChange};
pub use strategy::WatermarkStrategy;
pub use timer::{DUE_LIMIT, DueTimers, TimeDomain, TimerBatch, TimerError, TimerQueue, TimerService};
pub use valve::Valve;
pub use watermark::{SplitRules, SplitWatermarks, Splits};

/// The watermark before the first one: nothing is known.
pub const NO_WATERMARK: i64 = i64::MIN;

/// The watermark after the end of a bounded input: nothing is to come.
pub const END_OF_TIME: i64 = i64::MAX;

/// When an operator is called; constant during the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallTime {
    /// The operator's event-time watermark, milliseconds since the Unix epoch.
    pub watermark: i64,
    /// Processing time, milliseconds since the Unix epoch.
    pub processing_time: i64,
}

/// Where processing time comes from. Injected, so that tests and replays are deterministic.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now(&self) -> i64;
}
