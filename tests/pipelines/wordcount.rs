//! The words of six novels, at several parallelisms and by several exchanges, against `wordcount.py`.

use std::path::Path;

use serde_json::Value;
use wasmill_tests::{Ended, built, root, run, sorted_lines, wasmill};

/// `word<TAB>count`, sorted; made by `wordcount.py`.
pub(crate) fn expected() -> Vec<String> {
    let mut lines: Vec<String> = include_str!("wordcount.tsv").lines().map(str::to_string).collect();
    lines.sort();
    lines
}

/// Runs a job of the examples with its sink's path set to `out`.
pub(crate) fn run_example(job: &str, sink: &str, out: &Path, arguments: &[&str]) -> Ended {
    built("examples/wordcount/split/wordcount-split.wasm");
    built("examples/wordcount/count/wordcount-count.wasm");
    let path = format!("sink.{sink}.path={:?}", out.display().to_string());
    let job = root().join(job);
    let mut command = wasmill();
    command.arg("run").arg(job).args(["--json", "--set", &path]).args(arguments);
    run(&mut command)
}

fn counts_the_words(arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let ended = run_example("examples/wordcount/job.toml", "counts", &out, arguments);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(sorted_lines(&out) == expected(), "the counts differ from those of wordcount.py ({arguments:?})");
    let summary: Value = serde_json::from_str(&ended.stdout).expect("--json prints one JSON object");
    assert!(summary.to_string().contains("729531"), "all words went from split to count: {summary}");
}

#[test]
fn at_parallelism_1() {
    counts_the_words(&["--parallelism", "1"]);
}

#[test]
fn at_parallelism_2() {
    counts_the_words(&["--parallelism", "2"]);
}

#[test]
fn at_parallelism_4() {
    counts_the_words(&["--parallelism", "4"]);
}

#[test]
fn lines_rebalanced_to_another_parallelism() {
    counts_the_words(&[
        "--set",
        "operator.split.parallelism=3",
        "--set",
        r#"operator.split.input={from="lines",exchange="rebalance"}"#,
    ]);
}

#[test]
fn forward_without_chaining() {
    counts_the_words(&[
        "--set",
        "operator.split.chain=false",
        "--set",
        r#"operator.split.input={from="lines",exchange="forward"}"#,
    ]);
}

#[test]
fn counts_hashed_to_the_sink() {
    counts_the_words(&[
        "--set",
        "sink.counts.parallelism=3",
        "--set",
        r#"sink.counts.input={from="count",exchange="hash"}"#,
    ]);
}

#[test]
fn tiny_batches_and_channels() {
    counts_the_words(&["--set", r#"engine.batch-size="1KiB""#]);
}

/// Three operators at parallelism two, hash between the second and the third, a sink at parallelism one.
#[test]
fn the_concepts_page() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let ended = run_example("examples/concepts/job.toml", "sink", &out, &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(sorted_lines(&out) == expected());
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1, "a sink at parallelism one writes one file");
}
