//! Everything that is wrong with a job, at once, with file, line and hint.

use wasmill_tests::{root, wasmill};

use crate::run;

/// Checks a job file with this text, which stands in the folder of the word count so that its components are there.
fn check(name: &str, text: &str) -> String {
    let path = root().join("examples/wordcount").join(name);
    std::fs::write(&path, text).unwrap();
    let printed = run(wasmill().args(["check", &format!("wordcount/{name}")]));
    std::fs::remove_file(&path).unwrap();
    printed
}

#[test]
fn a_sound_job() {
    insta::assert_snapshot!(run(wasmill().args(["check", "wordcount/job.toml"])));
}

#[test]
fn many_mistakes_at_once() {
    let text = r#"name = "many mistakes"
paralelism = 2

[limits]
memory = "lots"
call-budget = 10

[source.lines]
connector = "file"
path = "data/*.txt.gz"
format = "txt"

[operator.split]
component = "split/wordcount-split.wasm"
input = "line"

[operator.count]
component = "count/wordcont-count.wasm"
input = { from = "split", exchange = "forward" }
parallelism = 200

[sink.counts]
connector = "file"
input = "count"
"#;
    insta::assert_snapshot!(check("many-mistakes.toml", text));
}

#[test]
fn mistakes_that_need_the_components() {
    let text = r#"name = "wiring"
parallelism = 2

[source.lines]
connector = "file"
path = "data/*.txt.gz"
format = "text"

[operator.split]
component = "split/wordcount-split.wasm"
input = { from = "lines", as = "left" }

[operator.count]
component = "count/wordcount-count.wasm"
input = { from = "split", exchange = "rebalance" }

[sink.counts]
connector = "discard"
input = "count.late"
"#;
    insta::assert_snapshot!(check("wiring.toml", text));
}

#[test]
fn broken_toml() {
    insta::assert_snapshot!(check("broken.toml", "name = \"broken\n[source.lines]\n"));
}

#[test]
fn a_missing_file() {
    insta::assert_snapshot!(run(wasmill().args(["check", "nowhere/job.toml"])));
}
