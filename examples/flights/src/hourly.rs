//! Counts departures and their delays by carrier and hour, in windows of event time.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{flight::Flight, utc};

/// The `config` table of the job file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    /// For how many minutes after its end an hour still takes flights, and is told anew.
    allowed_lateness_minutes: u64,
}

/// What has been gathered of an hour.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Gathered {
    flights: u64,
    /// Of all flights together.
    delay_minutes: i64,
}

/// An hour of a carrier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hour {
    /// Its beginning, UTC.
    pub hour: String,
    /// How many flights left in it.
    pub departures: u64,
    /// How much later than scheduled they left, minutes.
    pub mean_delay: f64,
}

/// Departures and mean delay of each carrier in each hour. A flight that comes when its hour has been told, but within the allowed
/// lateness, has the hour told again; one that comes later goes to the output `late`.
pub struct Hourly;

#[operator(shared)]
impl WindowOperator for Hourly {
    type Key = Text;
    type Value = Postcard<Flight>;
    type Accumulator = Postcard<Gathered>;
    type Output = Output<Text, Json<Hour>>;

    fn open(setup: &mut Setup) -> Result<(Self, Windows)> {
        let Config { allowed_lateness_minutes } = setup.config()?;
        let lateness = Duration::from_secs(allowed_lateness_minutes.saturating_mul(60));
        Ok((Hourly, Windows::tumbling(Duration::from_hours(1)).allowed_lateness(lateness)))
    }

    fn add(&mut self, flight: &Record<'_, Text, Postcard<Flight>>, gathered: &mut Gathered) -> Result<()> {
        gathered.flights += 1;
        gathered.delay_minutes += i64::from(flight.value.delay.unwrap_or(0));
        Ok(())
    }

    fn merge(&mut self, gathered: &mut Gathered, other: &Gathered) -> Result<()> {
        gathered.flights += other.flights;
        gathered.delay_minutes += other.delay_minutes;
        Ok(())
    }

    fn emit(&mut self, carrier: &str, window: Window, gathered: &Gathered, out: &mut Self::Output) -> Result<()> {
        let hour = Hour {
            hour: utc::text(window.start),
            departures: gathered.flights,
            mean_delay: gathered.delay_minutes as f64 / gathered.flights as f64,
        };
        out.emit(carrier, &hour);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasmill_sdk::testing::Harness;

    use super::*;
    use crate::flight::tests::flight;

    #[test]
    fn an_hour_is_told_again_within_ten_minutes_and_then_no_more() {
        let mut harness = Harness::<Hourly>::open(r#"{"allowed-lateness-minutes": 10}"#).unwrap();
        let push = |harness: &mut Harness<Hourly>, minute: i64, delay: i32| {
            let flight = flight("UA", 1, minute, Some(delay));
            harness.push("UA", &flight, flight.departed().unwrap()).unwrap();
        };
        let minutes = |n: i64| n * 60_000;
        push(&mut harness, 10, 4);
        push(&mut harness, 50, 9);
        push(&mut harness, 50, 10);
        harness.watermark(minutes(60) - 1).unwrap();
        push(&mut harness, 20, 5);
        harness.watermark(minutes(70) - 2).unwrap();
        push(&mut harness, 21, 0);
        harness.watermark(minutes(70) - 1).unwrap();
        push(&mut harness, 22, 0);
        harness.finish().unwrap();
        let told: Vec<_> =
            harness.output().into_iter().map(|(_, hour, _)| (hour.departures, hour.mean_delay)).collect();
        // 50 + 10 minutes is the next hour's; that hour is told in the end.
        assert_eq!(told, [(2, 6.5), (3, 6.0), (4, 4.5), (1, 10.0)]);
        let late = harness.side_output::<Text, Postcard<Flight>>("late");
        assert_eq!(late.iter().map(|(_, flight, _)| flight.scheduled).collect::<Vec<_>>(), [minutes(22)]);
    }
}
