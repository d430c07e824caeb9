//! Workload W3: rows counted by key in windows of ten seconds of event time.

use std::time::Duration;

use wasmill_sdk::prelude::*;

const SIZE: i64 = 10_000;

/// Counts in map state, by the end of the window, and tells them by timers.
#[derive(States)]
pub struct WindowTimers {
    counts: MapState<u64, u64>,
}

#[operator(shared)]
impl KeyedOperator for WindowTimers {
    type Key = u64;
    type Value = ();
    type Output = Output<u64, u64>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(WindowTimers { counts: setup.map_state("counts") })
    }

    fn process(&mut self, record: Record<'_, u64, ()>, call: &mut KeyedCall<'_>, _: &mut Self::Output) -> Result<()> {
        let time = record.timestamp().unwrap_or(0);
        let end = time - time.rem_euclid(SIZE) + SIZE;
        let count = self.counts.get(call, end as u64)?;
        if count.is_none() {
            call.register_event_timer(end - 1, 0);
        }
        self.counts.put(end as u64, count.unwrap_or(0) + 1);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, u64>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        let end = (timer.time() + 1) as u64;
        if let Some(count) = self.counts.get(call, end)? {
            out.emit(timer.key(), count);
        }
        self.counts.remove(end);
        Ok(())
    }
}

/// The same with the SDK's windows.
pub struct WindowCount;

#[operator(shared)]
impl WindowOperator for WindowCount {
    type Key = u64;
    type Value = ();
    type Accumulator = u64;
    type Output = Output<u64, u64>;

    fn open(_: &mut Setup) -> Result<(Self, Windows)> {
        Ok((WindowCount, Windows::tumbling(Duration::from_millis(SIZE as u64))))
    }

    fn add(&mut self, _: &Record<'_, u64, ()>, into: &mut u64) -> Result<()> {
        *into += 1;
        Ok(())
    }

    fn merge(&mut self, into: &mut u64, from: &u64) -> Result<()> {
        *into += from;
        Ok(())
    }

    fn emit(&mut self, key: u64, _: Window, gathered: &u64, out: &mut Self::Output) -> Result<()> {
        out.emit(key, *gathered);
        Ok(())
    }
}

wasmill_sdk::operators! { "windows" => WindowCount, "timers" => WindowTimers }
