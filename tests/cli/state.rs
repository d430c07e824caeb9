//! `wasmill state` and `wasmill check --against`: what is stored, and what would become of it.

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use wasmill_tests::{Ended, root, wasmill};

/// The word count, run to its end with its state in `folder`.
fn wordcount(folder: &Path) {
    let out = format!("sink.counts.path={:?}", folder.join("out").display().to_string());
    let mut command = wasmill();
    command.arg("run").arg(root().join("examples/wordcount/job.toml")).args(["--quiet", "--set", &out]);
    let ended = wasmill_tests::run(command.arg("--state-dir").arg(folder.join("state")));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

fn state(folder: &Path, arguments: &[&str]) -> Ended {
    let (action, rest) = arguments.split_first().unwrap();
    wasmill_tests::run(wasmill().current_dir(folder).args(["state", action, "state"]).args(rest))
}

fn lines(ended: &Ended) -> Vec<Value> {
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The counts of tests/pipelines/wordcount.py: `emma` occurs 866 times, and there are 13,822 words.
#[test]
fn what_is_stored_can_be_read_without_the_operators_code() {
    let folder = tempfile::tempdir().unwrap();
    wordcount(folder.path());
    let folder = folder.path();

    let report: Value = serde_json::from_str(&state(folder, &["list", "--json"]).stdout).unwrap();
    assert_eq!((&report["job"], &report["finished"], &report["epoch"]), (&json!("wordcount"), &json!(true), &json!(1)));
    let counts = &report["operators"][1]["states"][0];
    assert_eq!(
        (&counts["state"], &counts["kind"], &counts["entries"]),
        (&json!("counts"), &json!("value"), &json!(13822))
    );
    let listed = state(folder, &["list"]);
    assert!(listed.stdout.contains("13,822"), "{}", listed.stdout);

    let found = lines(&state(folder, &["get", "count.counts", "emma"]));
    let expected = json!({ "operator": "count", "state": "counts", "key_group": 52, "key": "emma", "value": EMMA });
    assert_eq!(found, [expected]);
    let missing = state(folder, &["get", "count.counts", "nobody-wrote-this"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (1, ""));
    assert!(missing.stderr.contains("`nobody-wrote-this` has nothing in `count.counts`"), "{}", missing.stderr);

    assert_eq!(lines(&state(folder, &["scan", "count.counts", "--limit", "3"])).len(), 3);
    let exported = lines(&state(folder, &["export"]));
    let mut found: Vec<String> = exported
        .iter()
        .map(|entry| format!("{}\t{}", entry["key"].as_str().unwrap(), entry["value"].as_u64().unwrap()))
        .collect();
    found.sort();
    let mut expected: Vec<&str> = include_str!("../pipelines/wordcount.tsv").lines().collect();
    expected.sort_unstable();
    assert!(found == expected, "the export differs from the counts of wordcount.py");
}

const EMMA: u64 = 866;

#[test]
fn what_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    wordcount(folder.path());
    let folder = folder.path();
    for (arguments, code, part) in [
        (&["get", "count", "emma"][..], 2, "names no state: write OPERATOR.STATE"),
        (&["get", "count.other", "emma"], 1, "has no state `other` of operator `count`, which has `counts`"),
        (&["scan", "nobody.counts"], 1, "has no operator `nobody`; it has `split`, `count`"),
        (&["list", "--checkpoint", "7"], 1, "has no checkpoint 7; it keeps 1"),
    ] {
        let ended = state(folder, arguments);
        assert_eq!(ended.code, code, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(part), "{arguments:?}: {}", ended.stderr);
    }
    let empty = wasmill_tests::run(wasmill().args(["state", "list"]).arg(folder.join("out")));
    assert_eq!(empty.code, 1);
    assert!(empty.stderr.contains("no job has completed a checkpoint there"), "{}", empty.stderr);
    let manifest = folder.join("state/checkpoints/00000000000000000001.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, &text[..text.len() / 2]).unwrap();
    let damaged = state(folder, &["list"]);
    assert_eq!(damaged.code, 1);
    assert!(damaged.stderr.contains("is damaged: the manifest of checkpoint 1"), "{}", damaged.stderr);
}

fn check_against(folder: &Path, changes: &[&str]) -> Ended {
    let mut command: Command = wasmill();
    command.arg("check").arg(root().join("examples/wordcount/job.toml")).arg("--against").arg(folder.join("state"));
    wasmill_tests::run(command.args(changes))
}

#[test]
fn a_new_version_of_a_job_is_compared_with_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    wordcount(folder.path());
    let same = check_against(folder.path(), &[]);
    assert_eq!(same.code, 0, "{}", same.stderr);
    assert!(same.stderr.contains("state `counts` of `count` is restored"), "{}", same.stderr);
    let rescaled = check_against(folder.path(), &["--parallelism", "3"]);
    assert_eq!(rescaled.code, 0, "{}", rescaled.stderr);
    assert!(rescaled.stderr.contains("`count` goes from parallelism 2 to 3"), "{}", rescaled.stderr);
    let other = check_against(folder.path(), &["--set", "max-parallelism=256"]);
    assert_eq!(other.code, 3);
    assert!(other.stderr.contains("set `max-parallelism = 128`"), "{}", other.stderr);

    // The operator under another id: its state would be lost.
    let job = std::fs::read_to_string(root().join("examples/wordcount/job.toml")).unwrap();
    let job = job.replace("[operator.count]", "[operator.tally]").replace("input = \"count\"", "input = \"tally\"");
    let job = job.replace("component = \"", &format!("component = \"{}/examples/wordcount/", root().display()));
    let job = job.replace("data/", &format!("{}/examples/wordcount/data/", root().display()));
    std::fs::write(folder.path().join("job.toml"), job).unwrap();
    let check = |more: &[&str]| {
        let mut command = wasmill();
        command.current_dir(folder.path()).args(["check", "job.toml", "--against", "state"]).args(more);
        wasmill_tests::run(&mut command)
    };
    let refused = check(&[]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("`count` is dropped, with all it held"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--allow-dropped-state"), "{}", refused.stderr);
    assert_eq!(check(&["--allow-dropped-state"]).code, 0);
}
