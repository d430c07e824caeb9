//! From what a run begins: a checkpoint in its state directory, a savepoint, or nothing.

use std::{path::Path, process::Command};

use wasmill_tests::{Ended, root, run, sorted_lines, wasmill};

/// The word count, with state and result in `folder`.
fn wordcount(folder: &Path) -> Command {
    let mut command = wasmill();
    let out = format!("sink.counts.path={:?}", folder.join("out").display().to_string());
    command.args(["run", "wordcount/job.toml", "--set", &out]).current_dir(root().join("examples"));
    command.arg("--state-dir").arg(folder.join("state"));
    command
}

fn ends(command: &mut Command, code: i32, says: &[&str]) -> Ended {
    let ended = run(command);
    assert_eq!(ended.code, code, "{}", ended.stderr);
    for expected in says {
        assert!(ended.stderr.contains(expected), "{expected} is not in: {}", ended.stderr);
    }
    ended
}

#[test]
fn a_job_that_had_finished_is_not_run_again() {
    let folder = tempfile::tempdir().unwrap();
    ends(&mut wordcount(folder.path()), 0, &["Finished job `wordcount` in"]);
    let expected = sorted_lines(&folder.path().join("out"));
    assert_eq!(expected.len(), 13_822);
    let again = ends(&mut wordcount(folder.path()), 0, &["Finished job `wordcount` before", "--fresh"]);
    assert!(!again.stderr.contains("Resuming"), "{}", again.stderr);
    assert!(sorted_lines(&folder.path().join("out")) == expected);
    let json = ends(wordcount(folder.path()).arg("--json"), 0, &[]);
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&report["outcome"], &report["already_finished"]), (&"finished".into(), &true.into()));
    // Begun anew it is run again, and replaces its result, as its sink has `overwrite`.
    ends(wordcount(folder.path()).arg("--fresh"), 0, &["Finished job `wordcount` in"]);
    assert!(sorted_lines(&folder.path().join("out")) == expected);
}

#[test]
fn what_a_run_cannot_begin_from() {
    let folder = tempfile::tempdir().unwrap();
    ends(wordcount(folder.path()).arg("--resume"), 1, &["nothing to resume", "holds no checkpoint"]);
    assert!(!folder.path().join("state").exists(), "nothing is made on the way");
    ends(wordcount(folder.path()).args(["--from-savepoint", "nowhere"]), 1, &["`nowhere` is not a savepoint"]);
    ends(&mut wordcount(folder.path()), 0, &[]);
    ends(wordcount(folder.path()).args(["--from-savepoint", "nowhere"]), 1, &["holds checkpoint 1 already", "--fresh"]);
    ends(
        wordcount(folder.path()).args(["--from-savepoint", "nowhere", "--fresh"]),
        1,
        &["`nowhere` is not a savepoint"],
    );
    ends(wordcount(folder.path()).arg("--resume"), 0, &["before"]);
    for both in [["--resume", "--fresh"], ["--resume", "--from-savepoint=a"]] {
        ends(wordcount(folder.path()).args(both), 2, &["cannot be used with"]);
    }
    let nameless = ["run", "wordcount/job.toml", "--resume"];
    ends(
        wasmill().args(nameless).current_dir(root().join("examples")),
        1,
        &["names no state directory", "--state-dir"],
    );
}

/// A job that was killed says from which checkpoint it goes on, and its result is whole.
#[cfg(unix)]
#[test]
fn a_job_that_crashed_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let small = ["--set", "checkpoint.interval=\"5ms\"", "--set", "engine.batch-size=\"4KiB\""];
    let mut crashing = wordcount(folder.path());
    let crashed = run(crashing.args(small).env("WASMILL_CRASH", "triggered:3"));
    assert_eq!(crashed.code, -1, "a signal ends it: {}", crashed.stderr);
    assert!(crashed.stderr.ends_with("wasmill: crash as planned: triggered\n"), "{}", crashed.stderr);
    ends(wordcount(folder.path()).args(["--resume"]), 0, &["Resuming job `wordcount` from checkpoint 2 of 20"]);
    assert_eq!(sorted_lines(&folder.path().join("out")).len(), 13_822);
    let mut misled = wordcount(folder.path());
    ends(misled.env("WASMILL_CRASH", "nap:3"), 2, &["`nap`", "sink-committed"]);
}
