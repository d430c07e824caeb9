//! Queries 11 and 12: how many bids each bidder made in a session, and in 10 seconds of processing time.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{
    row::{Rows, rows},
    windows::{SIZE, start_of, time_of},
};

/// Queries 11 and 12: a bidder's bids from `starttime` to before `endtime`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Activity {
    bidder: u64,
    bid_count: u64,
    starttime: i64,
    endtime: i64,
}

rows!(Activity);

/// Query 11: counts bids in sessions, which end 10 seconds after their last bid.
pub struct BidderSessions;

#[operator(shared)]
impl WindowOperator for BidderSessions {
    type Key = u64;
    type Value = ();
    type Accumulator = u64;
    type Output = Output<(), Rows<Activity>>;

    fn open(_: &mut Setup) -> Result<(Self, Windows)> {
        Ok((BidderSessions, Windows::session(Duration::from_secs(10))))
    }

    fn add(&mut self, _: &Record<'_, u64, ()>, bid_count: &mut u64) -> Result<()> {
        *bid_count += 1;
        Ok(())
    }

    fn merge(&mut self, bid_count: &mut u64, other: &u64) -> Result<()> {
        *bid_count += other;
        Ok(())
    }

    fn emit(&mut self, bidder: u64, window: Window, bid_count: &u64, out: &mut Self::Output) -> Result<()> {
        let Window { start: starttime, end: endtime, .. } = window;
        out.emit((), Activity { bidder, bid_count: *bid_count, starttime, endtime });
        Ok(())
    }
}

/// The `config` table of [`ProcessingTimeCounts`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// `processing`, or `event`: a clock that is injected, and says the time of the bid that is being processed.
    clock: Option<Clock>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Clock {
    Processing,
    Event,
}

/// Timers: the input ends.
const END: u64 = 1;

/// Query 12: counts bids in windows of 10 seconds of processing time. What is open when the input ends is told then.
#[derive(States)]
pub struct ProcessingTimeCounts {
    clock: Clock,
    /// When windows begin, and their bids. There is more than one only where the clock was set back.
    open: ValueState<Postcard<Vec<(i64, u64)>>>,
}

#[operator(shared)]
impl KeyedOperator for ProcessingTimeCounts {
    type Key = u64;
    type Value = ();
    type Output = Output<(), Rows<Activity>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        setup.processing_timers();
        let clock = setup.config::<Config>()?.clock.unwrap_or(Clock::Processing);
        Ok(ProcessingTimeCounts { clock, open: setup.value_state("open") })
    }

    fn process(&mut self, bid: Record<'_, u64, ()>, call: &mut KeyedCall<'_>, _: &mut Self::Output) -> Result<()> {
        let now = match self.clock {
            Clock::Processing => call.processing_time(),
            Clock::Event => time_of(&bid)?,
        };
        let start = start_of(now, SIZE);
        if self.open.get().is_none() {
            call.register_event_timer(END_OF_TIME, END);
        }
        let is_new = self.open.update(|open| match open.iter_mut().find(|(of, _)| *of == start) {
            Some((_, bids)) => {
                *bids += 1;
                false
            }
            None => {
                open.push((start, 1));
                true
            }
        });
        if is_new {
            match self.clock {
                Clock::Processing => call.register_processing_timer(start.saturating_add(SIZE), 0),
                Clock::Event => call.register_event_timer(start.saturating_add(SIZE), 0),
            }
        }
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, u64>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        let ended = if timer.tag() == END { i64::MAX } else { timer.time() };
        let is_empty = self.open.update(|open| {
            open.retain(|&(starttime, bid_count)| {
                let (endtime, bidder) = (starttime.saturating_add(SIZE), timer.key());
                if endtime <= ended {
                    out.emit_at(endtime - 1, (), Activity { bidder, bid_count, starttime, endtime });
                }
                endtime > ended
            });
            open.is_empty()
        });
        if is_empty {
            self.open.clear();
            call.delete_event_timer(END_OF_TIME, END);
        }
        Ok(())
    }
}
