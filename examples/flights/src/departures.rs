//! Reads the rows of the file, gives each flight the time at which it left, and a key.

use serde::Deserialize;
use wasmill_sdk::prelude::*;

use crate::flight::{Flight, Row};

/// What flights are keyed by.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum By {
    Carrier,
    Tail,
    Origin,
    /// The same key for all: `all`.
    Nothing,
}

/// The `config` table of the job file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    by: By,
}

/// The flights with the time at which they left as event time. The event time of the input is the scheduled hour. Flights that
/// were cancelled go to the output `cancelled`, with the time at which they were to leave.
pub struct Departures {
    by: By,
    cancelled: SideOutput<Text, Postcard<Flight>>,
}

#[operator(shared)]
impl RecordOperator for Departures {
    type Key = ();
    type Value = Json<Row>;
    type Output = Output<Text, Postcard<Flight>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        let Config { by } = setup.config()?;
        Ok(Departures { by, cancelled: setup.side_output("cancelled") })
    }

    fn process(&mut self, row: Record<'_, (), Json<Row>>, _: &mut Call<'_>, out: &mut Self::Output) -> Result<()> {
        let hour = row.timestamp().ok_or_else(|| Error::record("it has no event time, which is its scheduled hour"))?;
        let flight = Flight::read(hour, row.value)?;
        let key = match self.by {
            By::Carrier => &flight.carrier,
            By::Tail => &flight.tail,
            By::Origin => &flight.origin,
            By::Nothing => "all",
        };
        match flight.departed() {
            Some(departed) => out.emit_at(departed, key, &flight),
            None => self.cancelled.emit_at(flight.scheduled, key, &flight),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasmill_sdk::testing::Harness;

    use super::*;

    /// The first flight of 2013, with another delay.
    fn row(dep_delay: &str) -> Row {
        let row = format!(
            r#"{{"minute": "15", "dep_delay": "{dep_delay}", "carrier": "UA", "flight": "1545", "tailnum": "N14228",
                "origin": "EWR", "dest": "IAH", "distance": "1400", "year": "2013"}}"#
        );
        serde_json::from_str(&row).unwrap()
    }

    #[test]
    fn a_flight_is_at_the_time_it_left_and_a_cancelled_one_is_apart() {
        const TEN: i64 = 1_357_034_400_000; // 2013-01-01, 10:00 UTC
        let mut harness = Harness::<Departures>::open(r#"{"by": "tail"}"#).unwrap();
        harness.push((), &row("2"), TEN).unwrap();
        harness.push((), &row("NA"), TEN).unwrap();
        let left = harness.output();
        assert_eq!((left[0].0.as_str(), left[0].2), ("N14228", Some(TEN + 17 * 60_000)));
        assert_eq!(left[0].1.line(), "2013-01-01T10:17:00Z UA1545 N14228 EWR-IAH +2");
        let cancelled = harness.side_output::<Text, Postcard<Flight>>("cancelled");
        assert_eq!((cancelled.len(), cancelled[0].2), (1, Some(TEN + 15 * 60_000)));
        let error = harness.push((), &row("soon"), TEN).unwrap_err();
        assert!(error.message().contains("`dep_delay` is `soon`"), "{}", error.message());
        let misspelt = Harness::<Departures>::open(r#"{"by": "pilot"}"#).err().unwrap();
        assert!(misspelt.message().contains("pilot"), "{}", misspelt.message());
    }
}
