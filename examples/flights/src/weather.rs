//! Holds what the weather was at an airport, and reads it from a row of the source.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::flight::number;

/// A row of the file, as the source gives it: text by column, `NA` where there is nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct WeatherRow {
    origin: String,
    temp: String,
    wind_speed: String,
    precip: String,
    visib: String,
}

/// The weather as it was observed, where it was.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Weather {
    /// Degrees Fahrenheit.
    pub temp: Option<f64>,
    /// Miles an hour.
    pub wind_speed: Option<f64>,
    /// Rain and snow of the hour, inches.
    pub precip: Option<f64>,
    /// How far one can see, miles.
    pub visib: Option<f64>,
}

fn measure(column: &str, text: &str) -> Result<Option<f64>> {
    match text {
        "NA" => Ok(None),
        text => number(column, text).map(Some),
    }
}

/// Observations by airport.
#[operator(shared)]
pub fn weather_by_airport(
    row: Record<'_, (), Json<WeatherRow>>,
    out: &mut Output<Text, Postcard<Weather>>,
) -> Result<()> {
    let WeatherRow { origin, temp, wind_speed, precip, visib } = row.value;
    let weather = Weather {
        temp: measure("temp", temp)?,
        wind_speed: measure("wind_speed", wind_speed)?,
        precip: measure("precip", precip)?,
        visib: measure("visib", visib)?,
    };
    out.emit(origin, &weather);
    Ok(())
}
