//! Runs the benchmarks of the crate under `benches/`.

use std::process::Command;

use anyhow::Result;

use crate::{
    guests,
    tool::{build_binary, run},
};

/// Builds operators and benchmarks, and runs them.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    guests::build()?;
    let benches = build_binary("wasmill-benches")?;
    run(Command::new(benches).args(arguments))
}
