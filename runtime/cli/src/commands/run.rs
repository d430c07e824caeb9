//! Runs a job to its end.

mod follow;
mod interrupts;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;
use follow::{Shown, follow};

use crate::{
    exit::{Failure, Outcome},
    talk::Talk,
    wiring,
};

/// Run a job to its end
///
/// The job is checked first, as by `wasmill check`. On a terminal a table follows it; at the end a summary goes to
/// standard error. Ctrl-C cancels: nothing is committed then. A second Ctrl-C exits at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wasmill run job.toml
  wasmill run job.toml --parallelism 4
  wasmill run job.toml --set source.lines.path=other.txt
  wasmill run job.toml --quiet --json > report.json")]
pub struct Run {
    /// What to run
    #[command(flatten)]
    pub job: super::JobArgs,
    /// Print a report as one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    /// Folder for the job's state; without it, that of the job file, else one that is removed at the end
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}
