//! Runs tests and lints, with what they need built first.

use anyhow::Result;

use crate::{
    guests,
    tool::{build_binary, cargo, run, say},
};

/// Builds operators and binary, then runs the tests of the whole workspace, or those that `arguments` pick.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    guests::build()?;
    let wasmill = build_binary("wasmill")?;
    say("Running the tests");
    let mut test = cargo();
    test.args(["test", "--release", "--workspace"]).env("WASMILL_BIN", wasmill);
    run(test.args(arguments))
}

/// Format, clippy and rustdoc, warnings denied.
pub(crate) fn lint() -> Result<()> {
    say("Checking the format");
    run(cargo().args(["fmt", "--all", "--check"]))?;
    say("Running clippy");
    run(cargo().args(["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    say("Building the documentation");
    run(cargo().args(["doc", "--release", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}
