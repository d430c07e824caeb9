//! The sessions of a month of flights, in batch mode and with sources that wait for each other, against `sessions.py`.

use serde_json::Value;
use wasmill_tests::{built, root, run, sorted_lines, wasmill};

fn expected() -> Vec<String> {
    let mut lines: Vec<String> = include_str!("sessions.tsv").lines().map(str::to_string).collect();
    lines.sort();
    lines
}

/// The sessions of the job as changed by `set`, and the report.
fn sessions(set: &[&str]) -> (Vec<String>, Value) {
    built("examples/sessions/sessions.wasm");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let path = format!("sink.rotations.path={:?}", out.display().to_string());
    let mut command = wasmill();
    command.arg("run").arg(root().join("examples/sessions/job.toml")).args(["--json", "--set", &path]);
    let ended = run(command.args(set.iter().flat_map(|set| ["--set", set])));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    (sorted_lines(&out), serde_json::from_str(&ended.stdout).expect("--json prints one JSON object"))
}

fn has_the_sessions(set: &[&str]) -> Value {
    let (lines, report) = sessions(set);
    assert!(lines == expected(), "the sessions differ from those of sessions.py ({set:?})");
    report
}

#[test]
fn batch_mode_has_the_same_sessions() {
    for parallelism in ["parallelism=1", "parallelism=2", "parallelism=3"] {
        has_the_sessions(&[parallelism, "mode=\"batch\""]);
    }
}

/// In batch mode no row is late, though the job says that none is out of order. In streaming mode some then are: with a gap of
/// an hour such a row begins a session of its own. One file at parallelism 1, so that which rows are late is no chance.
#[test]
fn batch_mode_knows_no_late_rows() {
    let file = root().join("examples/sessions/data/flights-2013-01-week-1.csv.gz").display().to_string();
    let file = format!("source.flights.path={file:?}");
    let of = |mode: &str, bound: &str| {
        let mode = format!("mode={mode:?}");
        let bound = format!("source.flights.event-time.max-out-of-orderness={bound:?}");
        sessions(&[&mode, &bound, &file, "parallelism=1", "operator.sessions.config={gap-hours=1}"]).0
    };
    let right = of("streaming", "1d");
    assert!(of("streaming", "0s") != right, "no row is late even then: the test says nothing");
    assert!(of("batch", "0s") == right);
}

#[test]
fn batch_mode_survives_crashes() {
    built("examples/sessions/sessions.wasm");
    let mut command = wasmill();
    command.arg("test").arg(root().join("examples/sessions/job.toml"));
    let ended = run(command.args(["--crash-every-barrier", "--seed", "1", "--set", "mode=\"batch\""]));
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
}

/// The subtasks of a source wait for each other too, at the tightest, with as little room between subtasks as there can be.
#[test]
fn subtasks_that_wait_for_each_other_have_the_same_sessions() {
    let report = has_the_sessions(&[
        "parallelism=2",
        "source.flights.event-time.max-drift=\"0s\"",
        "engine.channel-batches=1",
        "engine.gate-size=64",
        "engine.batch-rows=100",
    ]);
    let channels = &report["nodes"][1]["subtasks"][0]["inputs"][0]["channels"];
    assert_eq!(channels.as_array().map(Vec::len), Some(2), "{channels}");
    assert_eq!(channels[0]["watermark"], i64::MAX);
}
