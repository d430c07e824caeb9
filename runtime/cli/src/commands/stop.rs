//! Ends a running job so that nothing is lost.

use std::path::PathBuf;

use clap::Args;

use super::target::{Target, now};
use crate::{
    control::Wish,
    exit::{Exit, Outcome},
    talk::{self, Talk},
};

/// End a running job at a checkpoint, so that it can go on from there
///
/// The job takes a last checkpoint, commits its result up to there, and ends with exit code 0; the next `wasmill run` goes
/// on where it stopped. With --drain its sources end as if their input did: what windows and timers still hold comes out,
/// and the job has finished. The command returns when the job's process has ended.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wasmill stop job.toml
  wasmill stop job.toml --savepoint before-upgrade
  wasmill stop job.toml --state-dir state --drain")]
pub struct Stop {
    /// Which job
    #[command(flatten)]
    pub target: Target,
    /// Also write a savepoint to PATH, new or empty; without PATH, to a new folder below `savepoints` in the state directory
    #[arg(long, value_name = "PATH", num_args = 0..=1)]
    pub savepoint: Option<Option<PathBuf>>,
    /// Let the sources end as if their input did, and the job finish
    #[arg(long)]
    pub drain: bool,
}

impl Stop {
    pub(crate) fn run(self, talk: &Talk) -> Outcome {
        let found = self.target.find(talk)?;
        let savepoint = self.savepoint.map(|named| found.savepoint(named, now())).transpose()?;
        let met = found.ask(Wish::Stop { drain: self.drain, savepoint })?;
        let verb = if self.drain { "Drained" } else { "Stopped" };
        talk.done(verb, format_args!("job `{}` at checkpoint {}", found.name, met.epoch));
        if let Some(folder) = met.savepoint {
            talk::print(&folder.display().to_string())?;
        }
        Ok(Exit::Done)
    }
}
