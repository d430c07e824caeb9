//! An operator that adds up numbers in windows of many kinds, and what tests of it need.

use std::time::Duration;

use serde::Deserialize;
use wasmill_sdk::{
    prelude::*,
    testing::Harness,
    window::trigger::{
        ContinuousEventTimeTrigger, ContinuousProcessingTimeTrigger, CountTrigger, EventTimeTrigger,
        ProcessingTimeTrigger, PurgingTrigger,
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    windows: String,
    #[serde(default)]
    lateness: u64,
}

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn windows(setup: &Setup) -> Result<Windows> {
    let Config { windows, lateness } = setup.config()?;
    let windows = match windows.as_str() {
        "tumbling 10" => Windows::tumbling(ms(10)),
        "tumbling 10 from 3" => Windows::tumbling(ms(10)).offset(ms(3)),
        "sliding 10 by 5" => Windows::sliding(ms(10), ms(5)),
        "sliding 10 by 4 from 3" => Windows::sliding(ms(10), ms(4)).offset(ms(3)),
        "sliding 100000 by 1" => Windows::sliding(ms(100_000), ms(1)),
        "session 5" => Windows::session(ms(5)),
        "session 5, counted" => Windows::session(ms(5)).trigger(CountTrigger::of(3)),
        "session 5, triggered" => Windows::session(ms(5)).trigger(EventTimeTrigger),
        "count 2" => Windows::count(2),
        "count 0" => Windows::count(0),
        "global" => Windows::global(EventTimeTrigger),
        "global, every 10" => Windows::global(ContinuousEventTimeTrigger::of(ms(10))),
        "tumbling 10, counted" => Windows::tumbling(ms(10)).trigger(CountTrigger::of(2)),
        "tumbling 10, purging" => Windows::tumbling(ms(10)).trigger(PurgingTrigger::of(EventTimeTrigger)),
        "tumbling 20, every 5" => Windows::tumbling(ms(20)).trigger(ContinuousEventTimeTrigger::of(ms(5))),
        "tumbling 20, every 5 by the clock" => {
            Windows::tumbling(ms(20)).trigger(ContinuousProcessingTimeTrigger::of(ms(5)))
        }
        "tumbling 10 by the clock" => Windows::tumbling(ms(10)).processing_time(),
        "tumbling 10 by the clock, triggered" => {
            Windows::tumbling(ms(10)).processing_time().trigger(ProcessingTimeTrigger)
        }
        "session 5 by the clock" => Windows::session(ms(5)).processing_time(),
        "tumbling 0" => Windows::tumbling(Duration::ZERO),
        "tumbling 1.5" => Windows::tumbling(Duration::from_micros(1_500)),
        "session for ever" => Windows::session(Duration::MAX),
        "session 5 from 3" => Windows::session(ms(5)).offset(ms(3)),
        "tumbling 2^62" => Windows::tumbling(ms(1 << 62)),
        "tumbling 1" => Windows::tumbling(ms(1)),
        other => return Err(Error::job(format_args!("no windows `{other}` here"))),
    };
    Ok(windows.allowed_lateness(ms(lateness)))
}

/// The sum of a window's numbers.
pub(crate) struct Sum;

#[operator(shared)]
impl WindowOperator for Sum {
    type Key = Text;
    type Value = i64;
    type Accumulator = i64;
    type Output = Output<Text, Postcard<(i64, i64, i64)>>;

    fn open(setup: &mut Setup) -> Result<(Self, Windows)> {
        Ok((Sum, windows(setup)?))
    }

    fn add(&mut self, number: &Record<'_, Text, i64>, sum: &mut i64) -> Result<()> {
        *sum += number.value;
        Ok(())
    }

    fn merge(&mut self, sum: &mut i64, other: &i64) -> Result<()> {
        *sum += other;
        Ok(())
    }

    fn emit(&mut self, key: &str, window: Window, sum: &i64, out: &mut Self::Output) -> Result<()> {
        out.emit(key, &(window.start, window.end, *sum));
        Ok(())
    }
}

pub(crate) fn open(windows: &str) -> Harness<Sum> {
    open_late(windows, 0)
}

pub(crate) fn open_late(windows: &str, lateness: u64) -> Harness<Sum> {
    Harness::open(&format!(r#"{{"windows": "{windows}", "lateness": {lateness}}}"#)).unwrap()
}

/// Gives key `a` numbers with times.
pub(crate) fn push(harness: &mut Harness<Sum>, rows: &[(i64, i64)]) {
    rows.iter().for_each(|(number, time)| harness.push("a", *number, *time).unwrap());
}

/// Start, end and sum of the windows that were emitted, which have their last millisecond as time.
pub(crate) fn fired(harness: &mut Harness<Sum>) -> Vec<(i64, i64, i64)> {
    let rows = harness.output().into_iter();
    rows.map(|(_, window, time)| {
        assert_eq!(time, Some(Window { start: window.0, end: window.1 }.last()));
        window
    })
    .collect()
}

/// Sums, and the times they have.
pub(crate) fn sums(harness: &mut Harness<Sum>) -> Vec<(i64, Option<i64>)> {
    harness.output().into_iter().map(|(_, (_, _, sum), time)| (sum, time)).collect()
}

pub(crate) fn late(harness: &mut Harness<Sum>) -> Vec<i64> {
    harness.side_output::<Text, i64>("late").into_iter().map(|(_, number, _)| number).collect()
}
