//! The jobs of examples/flights and examples/turnaround.

use crate::pipeline::{Order, Pipeline, Sink};

const FLIGHTS: &[&str] = &["examples/flights/flights.wasm"];

fn sink(id: &'static str, result: &'static str, order: Order) -> Sink {
    Sink { id, result, order }
}

fn pipeline<const N: usize>(job: &'static str, components: &'static [&'static str], sinks: [Sink; N]) -> Pipeline {
    Pipeline { job, components, sinks: sinks.to_vec(), set: Vec::new() }
}

/// Departures and mean delay by carrier and hour; late flights apart.
pub fn hourly() -> Pipeline {
    let sinks = [sink("hours", "hours", Order::Any), sink("late", "late", Order::Any)];
    pipeline("examples/flights/jobs/hourly.toml", FLIGHTS, sinks)
}

/// Sessions of aircraft.
pub fn rotations() -> Pipeline {
    pipeline("examples/flights/jobs/rotations.toml", FLIGHTS, [sink("found", "rotations", Order::Any)])
}

/// Flights with the weather at their airport.
pub fn weather() -> Pipeline {
    pipeline("examples/flights/jobs/weather.toml", FLIGHTS, [sink("joined", "weather", Order::Any)])
}

/// All flights in order.
pub fn sort() -> Pipeline {
    pipeline("examples/flights/jobs/sort.toml", FLIGHTS, [sink("sorted", "sorted", Order::AsWritten)])
}

/// A table of delays.
pub fn report() -> Pipeline {
    pipeline("examples/flights/jobs/report.toml", FLIGHTS, [sink("table", "report", Order::AsWritten)])
}

/// Patterns of movements.
pub fn turnaround() -> Pipeline {
    let sinks = [sink("alerts", "alerts", Order::Any), sink("overdue", "overdue", Order::Any)];
    pipeline("examples/turnaround/job.toml", &["examples/turnaround/turnaround.wasm"], sinks)
}
