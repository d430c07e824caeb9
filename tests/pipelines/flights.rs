//! The flights of a month, each job three ways against what DuckDB computed: `oracle/expected.py` beside the examples.

use wasmill_tests::{
    flights::{hourly, report, rotations, sort, turnaround, weather},
    pipeline::{Pipeline, Sink, has_lines_of},
};

fn as_computed(sink: &Sink, found: Vec<String>) {
    has_lines_of(format!("examples/flights/oracle/expected/{}.txt.gz", sink.result), sink, &found);
}

fn as_computed_for_turnaround(sink: &Sink, found: Vec<String>) {
    has_lines_of(format!("examples/turnaround/oracle/expected/{}.txt", sink.result), sink, &found);
}

/// Each attempt is killed after about `patience` milliseconds: later for jobs whose state changes much, which take longer at so many
/// checkpoints.
fn three_ways(pipeline: &Pipeline, patience: u64, check: fn(&Sink, Vec<String>)) {
    (1..=3).for_each(|parallelism| pipeline.whole(parallelism, &check));
    pipeline.killed(50, patience, &[2], &check);
    pipeline.killed(51, patience, &[3, 1, 2], &check);
}

#[test]
fn hourly_departures_and_late_flights() {
    three_ways(&hourly(), 40, as_computed);
}

#[test]
fn rotations_by_session_windows() {
    three_ways(&rotations(), 40, as_computed);
}

#[test]
fn flights_joined_with_the_weather() {
    three_ways(&weather(), 200, as_computed);
}

#[test]
fn all_flights_sorted() {
    three_ways(&sort(), 40, as_computed);
}

#[test]
fn the_report_of_delays() {
    three_ways(&report(), 40, as_computed);
}

#[test]
fn aircraft_that_turn_around_too_fast() {
    three_ways(&turnaround(), 200, as_computed_for_turnaround);
}

/// Where no row is late, results do not depend on the mode.
#[test]
fn batch_mode_has_the_same_results() {
    for (mut pipeline, check) in [
        (rotations(), as_computed as fn(&Sink, Vec<String>)),
        (weather(), as_computed),
        (turnaround(), as_computed_for_turnaround),
    ] {
        pipeline.set.push("mode=\"batch\"".to_string());
        pipeline.whole(2, &check);
    }
}
