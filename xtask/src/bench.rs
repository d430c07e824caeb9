//! Runs the benchmarks of the crate under `benches/`.

use anyhow::Result;

use crate::{
    guests,
    tool::{cargo, run, say},
};

/// Builds operators and benchmarks, and runs them.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    guests::build()?;
    say("Building the benchmarks");
    run(cargo().args(["build", "--release", "--package", "wasmill-benches"]))?;
    run(cargo().args(["run", "--release", "--quiet", "--package", "wasmill-benches", "--"]).args(arguments))
}
