//! Holds a flight, and reads it from a row of the source.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::utc;

/// A row of the file, as the source gives it: text by column, `NA` where there is nothing. Columns that are not used are left out.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    minute: String,
    dep_delay: String,
    carrier: String,
    flight: String,
    tailnum: String,
    origin: String,
    dest: String,
    distance: String,
}

/// A flight, as it travels between operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// When it was to leave, milliseconds since the Unix epoch.
    pub scheduled: i64,
    /// How much later it left, minutes; below zero where it left early, `None` where it was cancelled.
    pub delay: Option<i32>,
    /// The airline's code of two characters.
    pub carrier: String,
    /// The airline's number of the flight.
    pub number: u32,
    /// The tail number of the aircraft; of some flights that were cancelled it is not known, and empty.
    pub tail: String,
    /// The airport it left, one of New York City's three.
    pub origin: String,
    /// The airport it went to.
    pub dest: String,
    /// How far that is, miles.
    pub distance: u32,
}

impl Flight {
    /// Reads a row whose scheduled hour is at `hour`, milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// The record's, when a column is not a number that should be one.
    pub fn read(hour: i64, row: &Row) -> Result<Flight> {
        let minute: u8 = number("minute", &row.minute)?;
        Ok(Flight {
            scheduled: hour.saturating_add(i64::from(minute) * 60_000),
            delay: match row.dep_delay.as_str() {
                "NA" => None,
                delay => Some(number("dep_delay", delay)?),
            },
            carrier: row.carrier.clone(),
            number: number("flight", &row.flight)?,
            tail: if row.tailnum == "NA" { String::new() } else { row.tailnum.clone() },
            origin: row.origin.clone(),
            dest: row.dest.clone(),
            distance: number("distance", &row.distance)?,
        })
    }

    /// When it left, milliseconds since the Unix epoch; `None` where it was cancelled.
    pub fn departed(&self) -> Option<i64> {
        Some(self.scheduled.saturating_add(i64::from(self.delay?) * 60_000))
    }

    /// The flight on a line: when it left, carrier and number, aircraft, route and delay.
    pub fn line(&self) -> String {
        let Flight { carrier, number, tail, origin, dest, .. } = self;
        match (self.departed(), self.delay) {
            (Some(departed), Some(delay)) => {
                format!("{} {carrier}{number} {tail} {origin}-{dest} {delay:+}", utc::text(departed))
            }
            _ => format!("{} {carrier}{number} {tail} {origin}-{dest} cancelled", utc::text(self.scheduled)),
        }
    }
}

/// Reads a number.
///
/// # Errors
/// The record's, with the column.
pub(crate) fn number<T: std::str::FromStr<Err: std::fmt::Display>>(column: &str, text: &str) -> Result<T> {
    text.parse().map_err(|error| Error::record(format_args!("`{column}` is `{text}`: {error}")))
}

/// Writes flights as lines.
#[operator(shared)]
pub fn lines(flight: Record<'_, Text, Postcard<Flight>>, out: &mut Output<Text, Text>) {
    out.emit(flight.key, &flight.value.line());
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A flight of an airline, scheduled at `minute` after the epoch.
    pub(crate) fn flight(carrier: &str, number: u32, minute: i64, delay: Option<i32>) -> Flight {
        Flight {
            scheduled: minute * 60_000,
            delay,
            carrier: carrier.to_string(),
            number,
            tail: format!("N{number}"),
            origin: "JFK".to_string(),
            dest: "LAX".to_string(),
            distance: 2475,
        }
    }

    #[test]
    fn a_flight_that_left_early_left_before_its_hour() {
        let early = flight("B6", 7, 60, Some(-5));
        assert_eq!(early.departed(), Some(55 * 60_000));
        assert_eq!(early.line(), "1970-01-01T00:55:00Z B67 N7 JFK-LAX -5");
        assert_eq!(flight("B6", 7, 60, None).line(), "1970-01-01T01:00:00Z B67 N7 JFK-LAX cancelled");
    }
}
