//! Computes the delays of each key exactly: mean, median, percentiles and the worst, once the input has ended.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::flight::Flight;

/// About how many bytes of an ordered map are read at once.
const PAGE_BYTES: u32 = 64 * 1024;

/// The key of all results, so that they come together in one place: the report.
pub const REPORT: &str = "report";

/// How late flights left, in minutes. Below zero is early.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Whose flights: the key of the input.
    pub of: String,
    /// How many left.
    pub flights: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// The mean; 0 where none left.
    pub mean: f64,
    /// The least delay that half of the flights did not exceed; so on for 90 and 99 of a hundred. 0 where none left.
    pub median: i32,
    /// Of 90 in a hundred.
    pub p90: i32,
    /// Of 99 in a hundred.
    pub p99: i32,
    /// The longest.
    pub worst: i32,
}

/// Delays of each key. State has a count for each delay that occurs, in order: a percentile is found by counting up to its rank.
#[derive(States)]
pub struct Delays {
    /// Minutes, and how many flights had that delay.
    delays: MapState<i32, u64>,
    cancelled: ValueState<u64>,
}

#[operator(shared)]
impl KeyedOperator for Delays {
    type Key = Text;
    type Value = Postcard<Flight>;
    type Output = Output<Text, Postcard<Statistics>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(Delays { delays: setup.map_state("delays"), cancelled: setup.value_state("cancelled") })
    }

    fn process(
        &mut self,
        record: Record<'_, Text, Postcard<Flight>>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        match record.value.delay {
            Some(delay) => {
                let flights = self.delays.get(call, delay)?.unwrap_or(0);
                self.delays.put(delay, flights + 1);
            }
            None => self.cancelled.update(|cancelled| *cancelled += 1),
        }
        call.register_event_timer(END_OF_TIME, 0);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, Text>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        let mut delays: Vec<(i32, u64)> = Vec::new();
        let mut next = Some(Cursor::first());
        while let Some(cursor) = next {
            let page = self.delays.scan(call, &cursor, PAGE_BYTES)?;
            for entry in page.iter() {
                delays.push(entry?);
            }
            next = page.next();
        }
        let flights: u64 = delays.iter().map(|(_, flights)| flights).sum();
        let minutes: i64 = delays.iter().map(|&(delay, flights)| i64::from(delay) * flights as i64).sum();
        let statistics = Statistics {
            of: timer.key().to_string(),
            flights,
            cancelled: self.cancelled.get().unwrap_or(0),
            mean: if flights == 0 { 0.0 } else { minutes as f64 / flights as f64 },
            median: percentile(&delays, flights, 50),
            p90: percentile(&delays, flights, 90),
            p99: percentile(&delays, flights, 99),
            worst: percentile(&delays, flights, 100),
        };
        out.emit(REPORT, &statistics);
        self.delays.clear();
        self.cancelled.clear();
        Ok(())
    }
}

/// The least value that `percent` of a hundred do not exceed: that of rank `percent` * `count` / 100, rounded up. `values` are
/// sorted, each with how often it occurs, `count` in all.
fn percentile(values: &[(i32, u64)], count: u64, percent: u64) -> i32 {
    let (rank, mut counted) = ((count * percent).div_ceil(100), 0);
    let found = values.iter().find(|(_, times)| {
        counted += times;
        counted >= rank
    });
    found.map_or(0, |&(value, _)| value)
}

#[cfg(test)]
mod tests {
    use wasmill_sdk::testing::Harness;

    use super::*;
    use crate::flight::tests::flight;

    #[test]
    fn percentiles_are_those_of_the_sorted_delays() {
        let mut harness = Harness::<Delays>::open("{}").unwrap();
        let mut sorted: Vec<i32> = (0..1_003).map(|n| n * n % 257 - 40).collect();
        for &delay in &sorted {
            harness.push("UA", &flight("UA", 1, 0, Some(delay)), 0).unwrap();
        }
        for _ in 0..5 {
            harness.push("UA", &flight("UA", 1, 0, None), 0).unwrap();
        }
        harness.push("AA", &flight("AA", 1, 0, None), 0).unwrap();
        harness.finish().unwrap();
        sorted.sort();
        let mut told: Vec<Statistics> = harness.output().into_iter().map(|(_, statistics, _)| statistics).collect();
        told.sort_by(|a, b| a.of.cmp(&b.of));
        let united = Statistics {
            of: "UA".to_string(),
            flights: 1_003,
            cancelled: 5,
            mean: f64::from(sorted.iter().sum::<i32>()) / 1_003.0,
            median: sorted[501],
            // The ranks, counted from 1, are 903 and 993: 902.7 and 992.97 rounded up.
            p90: sorted[902],
            p99: sorted[992],
            worst: sorted[1_002],
        };
        let (median, p90, p99, worst) = (0, 0, 0, 0);
        let american =
            Statistics { of: "AA".to_string(), flights: 0, cancelled: 1, mean: 0.0, median, p90, p99, worst };
        assert_eq!(told, [american, united]);
    }
}
