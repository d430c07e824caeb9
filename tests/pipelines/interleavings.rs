//! Whole jobs in interleavings that seeds decide: `wasmill test --interleavings`, and a run that is replayed.

use std::{fs, path::Path};

use serde_json::Value;
use wasmill_tests::{built, root, run, wasmill};

const SESSIONS: &str = "examples/sessions/sessions.wasm";

#[test]
fn interleavings_do_not_change_the_result() {
    for (job, component) in [
        ("examples/sessions/job.toml", SESSIONS),
        ("examples/flights/jobs/weather.toml", "examples/flights/flights.wasm"),
    ] {
        built(component);
        let ended =
            run(wasmill().arg("test").arg(root().join(job)).args(["--interleavings", "4", "--seed", "3", "--json"]));
        assert_eq!(ended.code, 0, "{job}: {}", ended.stderr);
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!((&report["interleavings"], &report["identical"]), (&4.into(), &true.into()), "{report}");
        assert!(report["lines"].as_u64() > Some(1_000), "{report}");
    }
}

/// With no room for rows that are out of order some are late, and which ones is chance: an interleaving shows it, and its seed
/// shows it again.
#[test]
fn a_difference_is_told_with_the_seed_that_replays_it() {
    built(SESSIONS);
    let late = [
        "--set",
        "source.flights.event-time.max-out-of-orderness=\"0s\"",
        "--set",
        "operator.sessions.config={gap-hours=1}",
    ];
    let job = root().join("examples/sessions/job.toml");
    let mut command = wasmill();
    command.arg("test").arg(&job).args(late).args(["--interleavings", "50", "--json"]);
    let ended = run(&mut command);
    assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let seed = report["differs_at_seed"].as_u64().unwrap();
    let replay = format!("--set engine.interleaving-seed={seed}");
    assert!(ended.stderr.contains(&replay), "{}", ended.stderr);
    let folder = tempfile::tempdir().unwrap();
    let go = |name: &str, seed: u64| {
        let out = folder.path().join(name);
        let mut command = wasmill();
        command.arg("run").arg(&job).args(["--quiet", "--json"]).args(late);
        command.args(["--set", &format!("sink.rotations.path={:?}", out.display().to_string())]);
        let ended = run(command.args(["--set", &format!("engine.interleaving-seed={seed}")]));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        (report["interleaving"].as_str().unwrap().to_string(), files(&out))
    };
    let first = go("first", seed);
    assert!(go("again", seed) == first, "the same seed is the same run, row for row");
    assert_ne!(go("other", seed + 1).0, first.0, "another seed is another interleaving");
}

/// The names and contents of the part files.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}
