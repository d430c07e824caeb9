//! The example jobs, killed with SIGKILL at moments that a seed decides.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use wasmill_tests::{built, root, sorted_lines, wasmill};

/// A job, its sink, and the result that another program computed.
struct Case {
    job: &'static str,
    sink: &'static str,
    components: &'static [&'static str],
    expected: &'static str,
}

const WORDCOUNT: Case = Case {
    job: "examples/wordcount/job.toml",
    sink: "counts",
    components: &["examples/wordcount/split/wordcount-split.wasm", "examples/wordcount/count/wordcount-count.wasm"],
    expected: include_str!("../pipelines/wordcount.tsv"),
};

const CONCEPTS: Case = Case { job: "examples/concepts/job.toml", sink: "sink", ..WORDCOUNT };

const SESSIONS: Case = Case {
    job: "examples/sessions/job.toml",
    sink: "rotations",
    components: &["examples/sessions/sessions.wasm"],
    expected: include_str!("../pipelines/sessions.tsv"),
};

impl Case {
    fn command(&self, folder: &Path, parallelism: usize) -> Command {
        self.components.iter().for_each(|component| drop(built(component)));
        let mut command = wasmill();
        command.arg("run").arg(root().join(self.job)).args(["--quiet", "--parallelism", &parallelism.to_string()]);
        command.arg("--state-dir").arg(folder.join("state"));
        let out = format!("sink.{}.path={:?}", self.sink, folder.join("out").display().to_string());
        // Small batches and many checkpoints, so that there is much to be interrupted.
        command.args(["--set", &out, "--set", "checkpoint.interval=\"5ms\"", "--set", "engine.batch-size=\"4KiB\""]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn check(&self, folder: &Path, how: &str) {
        let mut expected: Vec<&str> = self.expected.lines().collect();
        expected.sort_unstable();
        let found = sorted_lines(&folder.join("out"));
        assert_eq!(found.len(), expected.len(), "{}: {how}", self.job);
        assert!(found == expected, "{}: the result differs from the expected one ({how})", self.job);
    }

    fn undisturbed(&self, parallelism: usize) {
        let folder = tempfile::tempdir().unwrap();
        let output = self.command(folder.path(), parallelism).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.check(folder.path(), &format!("undisturbed, parallelism {parallelism}"));
    }

    /// Kills the job after times that `seed` decides, until it gets through; `parallelism` of each attempt in turn.
    fn killed(&self, seed: u64, parallelism: &[usize]) {
        let folder = tempfile::tempdir().unwrap();
        let (mut random, mut kills) = (seed, 0u32);
        for attempt in 0.. {
            assert!(attempt < 300, "{}: it does not get through after {kills} kills", self.job);
            let mut child = self.command(folder.path(), parallelism[attempt % parallelism.len()]).spawn().unwrap();
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Longer each time: a machine that is busy must get through as well.
            let patience = Duration::from_millis(20 + (random >> 33) % 60 + 3 * attempt as u64);
            let since = Instant::now();
            let ended = loop {
                match child.try_wait().unwrap() {
                    Some(status) => break Some(status),
                    None if since.elapsed() >= patience => break None,
                    None => std::thread::sleep(Duration::from_millis(1)),
                }
            };
            match ended {
                Some(status) => {
                    let output = child.wait_with_output().unwrap();
                    assert!(status.success(), "{}, seed {seed}: {}", self.job, String::from_utf8_lossy(&output.stderr));
                    break;
                }
                None => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    kills += 1;
                }
            }
        }
        assert!(kills > 0, "{}: it was never interrupted", self.job);
        self.check(folder.path(), &format!("seed {seed}, {kills} kills, parallelism {parallelism:?}"));
    }
}

#[test]
fn wordcount_undisturbed() {
    (1..=3).for_each(|parallelism| WORDCOUNT.undisturbed(parallelism));
}

#[test]
fn wordcount_killed() {
    (1..=3).for_each(|parallelism| WORDCOUNT.killed(parallelism as u64, &[parallelism]));
}

#[test]
fn wordcount_killed_and_rescaled() {
    (10..=12).for_each(|seed| WORDCOUNT.killed(seed, &[2, 3, 1]));
}

#[test]
fn concepts_in_three_ways() {
    CONCEPTS.undisturbed(2);
    CONCEPTS.killed(21, &[2]);
    CONCEPTS.killed(22, &[1, 2, 4]);
}

#[test]
fn sessions_undisturbed() {
    (1..=3).for_each(|parallelism| SESSIONS.undisturbed(parallelism));
}

#[test]
fn sessions_killed() {
    (1..=3).for_each(|parallelism| SESSIONS.killed(30 + parallelism as u64, &[parallelism]));
}

#[test]
fn sessions_killed_and_rescaled() {
    (40..=42).for_each(|seed| SESSIONS.killed(seed, &[3, 1, 2]));
}
