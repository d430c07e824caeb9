//! `wasmill test`: what it refuses, and that it tells one result from another.

use std::{fs, path::Path};

use serde_json::Value;
use wasmill_tests::{Ended, run, wasmill};

/// Tests a job of a generator and one sink; temporary files are in `folder` too.
fn tested(folder: &Path, source: &str, sink: &str, options: &[&str]) -> Ended {
    let job = format!("name = \"rows\"\n{source}\n[sink.out]\n{sink}\n");
    fs::write(folder.join("job.toml"), job).unwrap();
    let mut command = wasmill();
    command.arg("test").arg("job.toml").args(options).current_dir(folder).env("TMPDIR", folder);
    run(&mut command)
}

const COUNTED: &str = "parallelism = 5\n[source.rows]\nconnector = \"generator\"\ncount = 20000\nrate = 100000";
const ENDLESS: &str = "[source.rows]\nconnector = \"generator\"";
const FILES: &str = "connector = \"file\"\npath = \"out\"\nformat = \"json\"\ninput = \"rows\"";

fn folders(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
}

#[test]
fn a_result_that_does_not_depend_on_crashes() {
    let folder = tempfile::tempdir().unwrap();
    for options in [&["--json", "--crashes", "4"][..], &["--json", "--kill", "--crashes", "4", "--parallelism", "2"]] {
        let ended = tested(folder.path(), COUNTED, FILES, options);
        assert_eq!(ended.code, 0, "{options:?}: {}", ended.stderr);
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!((&report["identical"], &report["lines"]), (&true.into(), &20000.into()), "{report}");
        let crashes = report["crashes"].as_u64().unwrap();
        assert!((1..=4).contains(&crashes), "{report}");
        assert_eq!(report["attempts"], crashes + 1);
    }
    assert_eq!(folders(folder.path()), 0, "results and state are gone, and the job's own were never made");
}

/// Every subtask of the sink gets every row, so the result depends on the parallelism: five times every row undisturbed, at
/// most three times rescaled.
#[test]
fn a_result_that_differs() {
    let folder = tempfile::tempdir().unwrap();
    let sink = FILES.replace("\"rows\"", "{ from = \"rows\", exchange = \"broadcast\" }");
    let ended = tested(folder.path(), COUNTED, &sink, &["--rescale", "--json", "--crashes", "3"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&report["identical"], &report["lines"]), (&false.into(), &100_000.into()), "{report}");
    let difference = &report["differences"][0];
    assert_eq!((&difference["sink"], &difference["added"]), (&"out".into(), &0.into()), "{report}");
    assert!((40_000..=80_000).contains(&difference["missing"].as_u64().unwrap()), "{report}");
    assert!(ended.stderr.contains("sink `out`") && ended.stderr.contains("\n    - {"), "{}", ended.stderr);
    assert_eq!(folders(folder.path()), 1, "both results are kept for whoever has to find out why");
}

#[test]
fn what_cannot_be_tested() {
    let folder = tempfile::tempdir().unwrap();
    let stdout = "connector = \"stdout\"\ninput = \"rows\"";
    for (source, sink, code, says) in [
        (COUNTED, stdout, 1, "--set sink.out.connector=file"),
        (COUNTED, "connector = \"discard\"\ninput = \"rows\"", 1, "nothing to compare"),
        (ENDLESS, FILES, 1, "--set source.rows.count=100000"),
        ("[source.rows]\nconnector = \"stdin\"\nformat = \"text\"", FILES, 1, "cannot be read again"),
        (COUNTED, "connector = \"file\"\ninput = \"rows\"", 3, "`path`"),
    ] {
        let ended = tested(folder.path(), source, sink, &[]);
        assert_eq!(ended.code, code, "{}", ended.stderr);
        assert!(ended.stderr.contains(says), "{says} is not in: {}", ended.stderr);
    }
    let both = tested(folder.path(), COUNTED, FILES, &["--kill", "--crash-every-barrier"]);
    assert_eq!(both.code, 2, "{}", both.stderr);
}

/// A job that fails by itself is no crash, and is told at once.
#[test]
fn a_job_that_fails_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.jsonl"), "{\"a\": 1}\n{\"a\": \n").unwrap();
    let source = "[source.rows]\nconnector = \"file\"\npath = \"bad.jsonl\"\nformat = \"json\"";
    let ended = tested(folder.path(), source, FILES, &[]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    for expected in ["the job failed undisturbed", "bad.jsonl", "`rows`"] {
        assert!(ended.stderr.contains(expected), "{expected} is not in: {}", ended.stderr);
    }
}
