//! The two views of a job in three formats.

use wasmill_tests::{built, wasmill};

use crate::run;

#[test]
fn plan_as_text() {
    built("examples/wordcount/split/wordcount-split.wasm");
    insta::assert_snapshot!(run(wasmill().args(["plan", "concepts/job.toml"])));
}

#[test]
fn plan_as_mermaid() {
    insta::assert_snapshot!(run(wasmill().args(["plan", "concepts/job.toml", "--format", "mermaid"])));
}

#[test]
fn plan_as_dot() {
    insta::assert_snapshot!(run(wasmill().args(["plan", "concepts/job.toml", "--format", "dot"])));
}
