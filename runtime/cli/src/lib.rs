//! The `wasmill` command: makes, builds and inspects operators; checks, shows and runs jobs.
//!
//! This is where the crates that never import each other are wired: a job file names connectors and components, and this
//! crate turns it into what the engine runs. Tests and tools use it as a library; [`main`] is the command.
//!
//! # Layout
//!
//! - [`args`]: the command line, one definition for parsing, help and completions.
//! - [`commands`]: one command a file.
//! - [`job`]: the job file, what can be wrong with it, and its plan.
//! - [`checked`]: whether a job can run; [`components`]: loads what it names; `wiring`: makes an engine's job of it all.
//! - [`template`]: the projects that `wasmill new` makes.
//! - `control`: how a command talks to a running job.
//! - `crash_test`: crashes a job again and again and compares; [`crash`]: ends the process where it says.
//! - `state_directory`: where a job's state is, and what a run begins from.
//! - [`mod@format`], [`progress`]: how figures and a running job are shown.
//! - [`exit`], [`talk`], [`logging`]: exit codes, standard output and standard error.
//!
//! # Invariants
//!
//! - Standard output is data, standard error is talk.
//! - Nothing runs that did not pass the check, and a check reports all problems at once.
//! - A file the command makes is written aside and renamed.

pub mod args;
pub mod checked;
pub mod commands;
pub mod components;
mod control;
pub mod crash;
mod crash_test;
pub mod exit;
pub mod format;
mod interrupts;
pub mod job;
pub mod logging;
pub mod progress;
mod state_directory;
pub mod talk;
pub mod template;
mod wiring;

use clap::Parser;

pub use exit::{Exit, Failure, Outcome};
pub use talk::Talk;

/// Runs the command line of this process.
pub fn main() -> Exit {
    let cli = args::Cli::parse();
    let talk = Talk::new(cli.global.color.on_stderr(), cli.global.quiet);
    let outcome = logging::start(&talk, cli.global.verbose).and_then(|()| cli.command.run(&talk));
    match outcome {
        Ok(exit) => exit,
        Err(failure) if failure.is_closed_pipe() => Exit::Done,
        Err(failure) => {
            talk.failure(&failure);
            failure.exit
        }
    }
}
