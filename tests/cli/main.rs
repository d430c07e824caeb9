//! What the command prints, as snapshots in `snapshots/`: review a change with `cargo insta review`, or by deleting the
//! snapshot and running the test with `INSTA_UPDATE=always`.

mod check;
mod control;
mod crash;
mod help;
mod new;
mod plan;
mod resume;
mod run;
mod state;

use std::process::Command;

use wasmill_tests::{Ended, root};

/// Runs a command in `examples/`, so that paths in its messages are the same everywhere.
fn run(command: &mut Command) -> String {
    let ended = wasmill_tests::run(command.current_dir(root().join("examples")));
    let Ended { code, stdout, stderr } = ended;
    let root = root().display().to_string();
    format!("exit code: {code}\n----- stdout -----\n{stdout}\n----- stderr -----\n{stderr}").replace(&root, "[ROOT]")
}
