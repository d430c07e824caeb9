//! Groups the flights of each aircraft into rotations: session windows by tail number.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{flight::Flight, utc};

/// The `config` table of the job file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    /// Within a rotation there are at most this many hours from one departure to the next.
    gap_hours: u64,
}

/// What has been gathered of a rotation.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Gathered {
    flights: u64,
    miles: u64,
    worst_delay: Option<i32>,
}

/// A run of departures of an aircraft from New York City.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// The first departure, UTC.
    pub first: String,
    /// The last departure, UTC.
    pub last: String,
    /// How many departures.
    pub flights: u64,
    /// How far these flights went together.
    pub miles: u64,
    /// The longest delay of a departure, minutes.
    pub worst_delay: i32,
}

/// The rotations of each aircraft.
pub struct Rotations {
    /// Milliseconds.
    gap: i64,
}

#[operator(shared)]
impl WindowOperator for Rotations {
    type Key = Text;
    type Value = Postcard<Flight>;
    type Accumulator = Postcard<Gathered>;
    type Output = Output<Text, Json<Rotation>>;

    fn open(setup: &mut Setup) -> Result<(Self, Windows)> {
        let Config { gap_hours } = setup.config()?;
        let gap = Duration::from_secs(gap_hours.saturating_mul(3600));
        let milliseconds = i64::try_from(gap.as_millis()).unwrap_or(i64::MAX);
        Ok((Rotations { gap: milliseconds }, Windows::session(gap)))
    }

    fn add(&mut self, flight: &Record<'_, Text, Postcard<Flight>>, gathered: &mut Gathered) -> Result<()> {
        gathered.flights += 1;
        gathered.miles += u64::from(flight.value.distance);
        gathered.worst_delay = gathered.worst_delay.max(flight.value.delay);
        Ok(())
    }

    fn merge(&mut self, gathered: &mut Gathered, other: &Gathered) -> Result<()> {
        gathered.flights += other.flights;
        gathered.miles += other.miles;
        gathered.worst_delay = gathered.worst_delay.max(other.worst_delay);
        Ok(())
    }

    fn emit(&mut self, tail: &str, window: Window, gathered: &Gathered, out: &mut Self::Output) -> Result<()> {
        let rotation = Rotation {
            first: utc::text(window.start),
            // A session ends a gap after its last record.
            last: utc::text(window.end.saturating_sub(self.gap)),
            flights: gathered.flights,
            miles: gathered.miles,
            worst_delay: gathered.worst_delay.unwrap_or(0),
        };
        out.emit(tail, &rotation);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasmill_sdk::testing::Harness;

    use super::*;
    use crate::flight::tests::flight;

    #[test]
    fn a_flight_that_comes_out_of_order_joins_two_rotations() {
        let mut harness = Harness::<Rotations>::open(r#"{"gap-hours": 24}"#).unwrap();
        for (hour, delay) in [(1, 0), (31, 60), (16, -3), (100, 7)] {
            let flight = flight("UA", 1, hour * 60, Some(delay));
            harness.push("N1", &flight, flight.departed().unwrap()).unwrap();
        }
        harness.finish().unwrap();
        let told: Vec<_> = harness.output().into_iter().map(|(_, rotation, _)| rotation).collect();
        let rotation = |first: &str, last: &str, flights, worst_delay| Rotation {
            first: first.to_string(),
            last: last.to_string(),
            flights,
            miles: 2475 * flights,
            worst_delay,
        };
        let first = rotation("1970-01-01T01:00:00Z", "1970-01-02T08:00:00Z", 3, 60);
        assert_eq!(told, [first, rotation("1970-01-05T04:07:00Z", "1970-01-05T04:07:00Z", 1, 7)]);
    }
}
