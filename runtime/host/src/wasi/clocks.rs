//! Answers WASI's clocks with the processing time of the call.

use wasmill_core::OperatorError;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::{
    DynPollable,
    bindings::clocks::{monotonic_clock, wall_clock},
};

use crate::guest::Guest;

const NANOSECONDS_A_MILLISECOND: u64 = 1_000_000;

/// The processing time of the call in progress. Times before 1970 are shown as 1970, since WASI has no earlier ones.
pub(crate) struct CallClock {
    now: u64,
    /// The latest time shown, which a monotonic clock never goes behind.
    latest: u64,
}

impl CallClock {
    /// A clock at `processing_time`, milliseconds since the Unix epoch.
    pub(crate) fn new(processing_time: i64) -> CallClock {
        let now = u64::try_from(processing_time).unwrap_or(0);
        CallClock { now, latest: now }
    }

    /// A call begins at `processing_time`.
    pub(crate) fn set(&mut self, processing_time: i64) {
        self.now = u64::try_from(processing_time).unwrap_or(0);
        self.latest = self.latest.max(self.now);
    }

    fn wall(&self) -> wall_clock::Datetime {
        let nanoseconds = (self.now % 1_000) * NANOSECONDS_A_MILLISECOND;
        wall_clock::Datetime { seconds: self.now / 1_000, nanoseconds: nanoseconds as u32 }
    }

    fn monotonic(&self) -> u64 {
        self.latest.saturating_mul(NANOSECONDS_A_MILLISECOND)
    }
}

fn waiting_is_refused(function: &str) -> wasmtime::Error {
    let message = format!(
        "it waits for a clock (`wasi:clocks/monotonic-clock.{function}`), which is refused; set a timer instead"
    );
    OperatorError::Contract(message).into()
}

impl monotonic_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Instant> {
        Ok(self.clock.monotonic())
    }

    fn resolution(&mut self) -> wasmtime::Result<monotonic_clock::Duration> {
        Ok(NANOSECONDS_A_MILLISECOND)
    }

    fn subscribe_instant(&mut self, _: monotonic_clock::Instant) -> wasmtime::Result<Resource<DynPollable>> {
        Err(waiting_is_refused("subscribe-instant"))
    }

    fn subscribe_duration(&mut self, _: monotonic_clock::Duration) -> wasmtime::Result<Resource<DynPollable>> {
        Err(waiting_is_refused("subscribe-duration"))
    }
}

impl wall_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(self.clock.wall())
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: NANOSECONDS_A_MILLISECOND as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_follows_the_call_and_the_monotonic_one_never_goes_back() {
        let mut clock = CallClock::new(1_500);
        assert_eq!(
            (clock.wall().seconds, clock.wall().nanoseconds, clock.monotonic()),
            (1, 500_000_000, 1_500_000_000)
        );
        clock.set(1_000);
        assert_eq!((clock.wall().seconds, clock.wall().nanoseconds, clock.monotonic()), (1, 0, 1_500_000_000));
        clock.set(-5);
        assert_eq!(clock.wall().seconds, 0);
        clock.set(i64::MAX);
        assert_eq!(clock.monotonic(), u64::MAX);
    }
}
