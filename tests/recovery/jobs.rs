//! The example jobs, killed with SIGKILL at moments that a seed decides, against what another program computed.

use wasmill_tests::pipeline::{Order, Pipeline, Sink};

/// A job and the result that another program computed.
struct Case {
    pipeline: Pipeline,
    expected: &'static str,
}

fn case(job: &'static str, id: &'static str, components: &'static [&'static str], expected: &'static str) -> Case {
    let sinks = vec![Sink { id, result: id, order: Order::Any }];
    Case { pipeline: Pipeline { job, components, sinks, set: Vec::new() }, expected }
}

const WORDCOUNT: &[&str] =
    &["examples/wordcount/split/wordcount-split.wasm", "examples/wordcount/count/wordcount-count.wasm"];

fn wordcount() -> Case {
    case("examples/wordcount/job.toml", "counts", WORDCOUNT, include_str!("../pipelines/wordcount.tsv"))
}

fn concepts() -> Case {
    case("examples/concepts/job.toml", "sink", WORDCOUNT, include_str!("../pipelines/wordcount.tsv"))
}

fn sessions() -> Case {
    let expected = include_str!("../pipelines/sessions.tsv");
    case("examples/sessions/job.toml", "rotations", &["examples/sessions/sessions.wasm"], expected)
}

impl Case {
    fn check(&self, found: &[String], how: &str) {
        let mut expected: Vec<&str> = self.expected.lines().collect();
        expected.sort_unstable();
        assert_eq!(found.len(), expected.len(), "{}: {how}", self.pipeline.job);
        assert!(found == expected, "{}: the result differs from the expected one ({how})", self.pipeline.job);
    }

    fn undisturbed(&self, parallelism: usize) {
        let how = format!("undisturbed, parallelism {parallelism}");
        self.pipeline.whole(parallelism, &|_, found| self.check(&found, &how));
    }

    /// Kills the job at times that `seed` decides, until it gets through; `parallelism` of each attempt in turn.
    fn killed(&self, seed: u64, parallelism: &[usize]) {
        let how = format!("killed, seed {seed}, parallelism {parallelism:?}");
        self.pipeline.killed(seed, 20, parallelism, &|_, found| self.check(&found, &how));
    }
}

#[test]
fn wordcount_undisturbed() {
    (1..=3).for_each(|parallelism| wordcount().undisturbed(parallelism));
}

#[test]
fn wordcount_killed() {
    (1..=3).for_each(|parallelism| wordcount().killed(parallelism as u64, &[parallelism]));
}

#[test]
fn wordcount_killed_and_rescaled() {
    (10..=12).for_each(|seed| wordcount().killed(seed, &[2, 3, 1]));
}

#[test]
fn concepts_in_three_ways() {
    concepts().undisturbed(2);
    concepts().killed(21, &[2]);
    concepts().killed(22, &[1, 2, 4]);
}

#[test]
fn sessions_undisturbed() {
    (1..=3).for_each(|parallelism| sessions().undisturbed(parallelism));
}

#[test]
fn sessions_killed() {
    (1..=3).for_each(|parallelism| sessions().killed(30 + parallelism as u64, &[parallelism]));
}

#[test]
fn sessions_killed_and_rescaled() {
    (40..=42).for_each(|seed| sessions().killed(seed, &[3, 1, 2]));
}
