//! `wasmill test`: the crash test that users run.

use serde_json::Value;
use wasmill_tests::{built, root, run, wasmill};

/// Crashes a job as `options` say, and returns how often.
fn crashes(job: &str, seed: u64, options: &[&str]) -> u64 {
    let mut command = wasmill();
    command.arg("test").arg(root().join(job)).args(["--json", "--seed", &seed.to_string()]).args(options);
    let ended = run(&mut command);
    assert_eq!(ended.code, 0, "{job}, seed {seed}, {options:?}: {}", ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).expect("--json prints one JSON object");
    report["crashes"].as_u64().expect("the report says how many crashes there were")
}

fn crashed_everywhere(job: &str) {
    for (seed, options) in [
        (1, &["--crash-every-barrier", "--parallelism", "1"][..]),
        (2, &["--crash-every-barrier", "--parallelism", "2"]),
        (3, &["--crash-every-barrier", "--parallelism", "3"]),
        (4, &["--crash-every-barrier", "--rescale"]),
        (5, &["--kill", "--rescale"]),
    ] {
        assert!(crashes(job, seed, options) >= 3, "{job}, seed {seed}, {options:?}: it hardly crashed");
    }
}

#[test]
fn wordcount_crashes_at_every_barrier() {
    built("examples/wordcount/split/wordcount-split.wasm");
    built("examples/wordcount/count/wordcount-count.wasm");
    crashed_everywhere("examples/wordcount/job.toml");
}

#[test]
fn sessions_crash_at_every_barrier() {
    built("examples/sessions/sessions.wasm");
    crashed_everywhere("examples/sessions/job.toml");
}
