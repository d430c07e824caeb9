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
/// an hour such a row begins a session of its own.
#[test]
fn batch_mode_knows_no_late_rows() {
    let set = |mode: &'static str, bound: &'static str| [mode, bound, "operator.sessions.config={gap-hours=1}"];
    let (day, none) = (
        "source.flights.event-time.max-out-of-orderness=\"1d\"",
        "source.flights.event-time.max-out-of-orderness=\"0s\"",
    );
    let (right, _) = sessions(&set("mode=\"streaming\"", day));
    assert!(sessions(&set("mode=\"streaming\"", none)).0 != right, "no row is late even then: the test says nothing");
    assert!(sessions(&set("mode=\"batch\"", none)).0 == right);
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
