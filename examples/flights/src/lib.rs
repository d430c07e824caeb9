//! Operators over the flights of 2013: departures by event time, delays, sessions, joins with the weather.
//!
//! The job files beside this crate connect them: `jobs/hourly.toml` and so on.

pub mod delays;
pub mod departures;
pub mod flight;
pub mod hourly;
pub mod report;
pub mod rotations;
pub mod sort;
pub mod utc;
pub mod weather;
pub mod with_weather;

wasmill_sdk::operators! {
    "departures" => departures::Departures,
    "hourly" => hourly::Hourly,
    "lines" => flight::lines,
    "rotations" => rotations::Rotations,
    "sort" => sort::Sort,
    "delays" => delays::Delays,
    "report" => report::Report,
    "weather" => weather::weather_by_airport,
    "with-weather" => with_weather::WithWeather,
}
