//! Makes the events of an aircraft from the rows of the file: it departs, it arrives.

use std::{fmt::Display, str::FromStr};

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

/// A row of the file, as the source gives it: text by column, `NA` where there is nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    minute: String,
    dep_delay: String,
    carrier: String,
    flight: String,
    tailnum: String,
    origin: String,
    dest: String,
    air_time: String,
    distance: String,
}

/// What happens to an aircraft, in the order in which it is looked at where two things happen in the same minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Movement {
    /// The flight that left at this time, milliseconds since the Unix epoch, is on the ground.
    Arrives(i64),
    /// A flight leaves.
    Departs(Flight),
}

impl Default for Movement {
    fn default() -> Self {
        Movement::Arrives(0)
    }
}

impl Movement {
    /// Its place among the movements of one minute: arrivals come first.
    pub fn place(&self) -> (u8, String) {
        match self {
            Movement::Arrives(departed) => (0, departed.to_string()),
            Movement::Departs(flight) => (1, flight.name.clone()),
        }
    }
}

/// A flight from one of New York City's airports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// Carrier, number, origin and destination: `DL120 JFK-LAX`.
    pub name: String,
    /// How far it goes, miles.
    pub distance: u16,
}

/// Reads a number; `T` bounds it, so that sums of times stay within range.
fn number<T: FromStr<Err: Display>>(column: &str, text: &str) -> Result<T> {
    text.parse().map_err(|error| Error::record(format_args!("`{column}` is `{text}`: {error}")))
}

/// The movements of a flight by aircraft. The event time of the input is the scheduled hour, that of the output the time of the
/// movement; nothing becomes of flights that were cancelled, and no arrival of one that was diverted, as the file has none.
///
/// The time from take-off to landing is known, but not when an aircraft took off after it had left the gate. So an arrival is as
/// early as it can have been.
#[operator(shared)]
pub fn movements(row: Record<'_, (), Json<Row>>, out: &mut Output<Text, Postcard<Movement>>) -> Result<()> {
    let Row { minute, dep_delay, carrier, flight, tailnum, origin, dest, air_time, distance } = row.value;
    let hour = row.timestamp().ok_or_else(|| Error::record("it has no event time, which is its scheduled hour"))?;
    if dep_delay == "NA" {
        return Ok(());
    }
    if tailnum == "NA" {
        return Err(Error::record("it left, but its tail number is not known"));
    }
    let minutes = i64::from(number::<u8>("minute", minute)?) + i64::from(number::<i32>("dep_delay", dep_delay)?);
    let departs = hour + minutes * 60_000;
    let name = format!("{carrier}{flight} {origin}-{dest}");
    out.emit_at(departs, tailnum, &Movement::Departs(Flight { name, distance: number("distance", distance)? }));
    if air_time != "NA" {
        let arrives = departs + i64::from(number::<u16>("air_time", air_time)?) * 60_000;
        out.emit_at(arrives, tailnum, &Movement::Arrives(departs));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use wasmill_sdk::testing::Harness;

    use super::*;

    fn row(dep_delay: &str, air_time: &str) -> Row {
        let row = format!(
            r#"{{"minute": "15", "dep_delay": "{dep_delay}", "carrier": "UA", "flight": "1545", "tailnum": "N14228",
                "origin": "EWR", "dest": "IAH", "air_time": "{air_time}", "distance": "1400"}}"#
        );
        serde_json::from_str(&row).unwrap()
    }

    #[test]
    fn a_flight_departs_and_arrives() {
        let mut harness = Harness::<movements>::open("{}").unwrap();
        for (dep_delay, air_time) in [("2", "227"), ("-3", "NA"), ("NA", "NA")] {
            harness.push((), &row(dep_delay, air_time), 0).unwrap();
        }
        let minutes = |n: i64| n * 60_000;
        let departs = Movement::Departs(Flight { name: "UA1545 EWR-IAH".to_string(), distance: 1400 });
        let row = |movement: &Movement, at| ("N14228".to_string(), movement.clone(), Some(at));
        let expected = [
            row(&departs, minutes(17)),
            row(&Movement::Arrives(minutes(17)), minutes(17 + 227)),
            row(&departs, minutes(12)),
        ];
        assert_eq!(harness.output(), expected);
    }
}
