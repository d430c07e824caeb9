//! Crashes the example jobs many times over, at every parallelism, and compares their results with undisturbed runs.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::{
    guests,
    tool::{build_binary, root, say},
};

/// Which crashes, and how many.
#[derive(Args)]
pub(crate) struct Soak {
    /// At least so many crashes for each job and each way.
    #[arg(long, default_value_t = 200)]
    crashes: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Jobs whose result does not depend on parallelism or timing.
const JOBS: [&str; 2] = ["examples/wordcount/job.toml", "examples/sessions/job.toml"];

/// How they are disturbed: a name, and options of `wasmill test`.
const WAYS: [(&str, &[&str]); 6] = [
    ("a crash at every barrier, parallelism 1", &["--crash-every-barrier", "--parallelism", "1"]),
    ("a crash at every barrier, parallelism 2", &["--crash-every-barrier", "--parallelism", "2"]),
    ("a crash at every barrier, parallelism 3", &["--crash-every-barrier", "--parallelism", "3"]),
    ("a crash at every barrier, another parallelism after each", &["--crash-every-barrier", "--rescale"]),
    ("kill -9 at random", &["--kill", "--parallelism", "2"]),
    ("kill -9 at random, another parallelism after each", &["--kill", "--rescale"]),
];

/// Runs all jobs in all ways until each has crashed often enough.
pub(crate) fn soak(soak: &Soak) -> Result<()> {
    guests::build()?;
    let wasmill = build_binary("wasmill")?;
    let mut crashes_in_all = 0;
    for job in JOBS {
        for (way, options) in WAYS {
            say(&format!("{job}: {way}"));
            let (mut crashes, mut seed) = (0, soak.seed);
            while crashes < soak.crashes {
                let output = Command::new(&wasmill)
                    .current_dir(root())
                    .args(["test", job, "--json", "--seed", &seed.to_string()])
                    .args(options)
                    .output()
                    .context("could not start wasmill")?;
                let said = String::from_utf8_lossy(&output.stderr);
                if !output.status.success() {
                    bail!("{job}, {way}, seed {seed}: {}\n{said}", output.status);
                }
                let report: Value = serde_json::from_slice(&output.stdout)?;
                let happened = report["crashes"].as_u64().context("the report says how many crashes there were")?;
                crashes += happened;
                eprintln!("    seed {seed}: {happened} crashes, {crashes} of {}; the result is the same", soak.crashes);
                if happened == 0 {
                    bail!("{job}, {way}, seed {seed}: the job ended before anything crashed: {said}");
                }
                seed += 1;
            }
            crashes_in_all += crashes;
        }
    }
    say(&format!("{crashes_in_all} crashes, and every result was the same to the byte"));
    Ok(())
}
