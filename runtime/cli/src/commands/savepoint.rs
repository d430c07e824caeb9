//! Has a running job write a savepoint.

use std::path::PathBuf;

use clap::Args;

use super::target::{Target, now};
use crate::{
    control::Wish,
    exit::{Exit, Outcome},
    talk::{self, Talk},
};

/// Have a running job write a savepoint
///
/// A savepoint is a folder with the whole state of a job as of one checkpoint, and depends on nothing outside it: a copy to
/// keep, to move, or to begin from with another version of the job (`wasmill run --from-savepoint`). The job takes a
/// checkpoint for it and goes on. Its folder is printed on standard output.
///
/// The job is found by its state directory, so it must have one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wasmill savepoint job.toml
  wasmill savepoint job.toml before-upgrade --state-dir state")]
pub struct Savepoint {
    /// Which job
    #[command(flatten)]
    pub target: Target,
    /// Folder to write it to, new or empty; without it, a new one below `savepoints` in the state directory
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
}

impl Savepoint {
    pub(crate) fn run(self, talk: &Talk) -> Outcome {
        let found = self.target.find(talk)?;
        let folder = found.savepoint(self.path, now())?;
        let met = found.ask(Wish::Savepoint(folder.clone()))?;
        talk.done("Saved", format_args!("job `{}` at checkpoint {}", found.name, met.epoch));
        talk::print(&met.savepoint.unwrap_or(folder).display().to_string())?;
        Ok(Exit::Done)
    }
}
