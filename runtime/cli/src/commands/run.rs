//! Runs a job to its end.

mod follow;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;
use follow::{Shown, follow};

use crate::{
    crash,
    exit::{Exit, Failure, Outcome},
    state_directory::{StateDirectory, Wanted},
    talk::Talk,
    wiring,
};

/// Run a job to its end
///
/// The job is checked first, as by `wasmill check`. On a terminal a table follows it; at the end a summary goes to
/// standard error. Ctrl-C cancels: what checkpoints committed stays, nothing is committed after. A second Ctrl-C exits
/// at once.
///
/// With a state directory a job outlives its process: the next run goes on from the newest checkpoint there, however the
/// last one ended. A job that had finished is not run again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wasmill run job.toml
  wasmill run job.toml --state-dir state          go on from the checkpoint in `state`, if there is one
  wasmill run job.toml --state-dir state --fresh  begin anew
  wasmill run job.toml --state-dir new --from-savepoint before-upgrade
  wasmill run job.toml --parallelism 4
  wasmill run job.toml --set source.lines.path=other.txt
  wasmill run job.toml --stages                   show where the time went
  wasmill run job.toml --quiet --json > report.json")]
pub struct Run {
    /// What to run
    #[command(flatten)]
    pub job: super::JobArgs,
    /// Print a report as one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    /// Show at the end where the time went: nanoseconds per record in each stage of each node
    #[arg(long)]
    pub stages: bool,
    /// Folder for the job's state and checkpoints; without it, that of the job file, else one that is removed at the end
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Begin anew: remove the checkpoints in the state directory
    #[arg(long, conflicts_with = "resume")]
    pub fresh: bool,
    /// Refuse to run if there is no checkpoint to go on from
    #[arg(long)]
    pub resume: bool,
    /// Begin from the savepoint in this folder, which stays as it is
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub from_savepoint: Option<PathBuf>,
    /// Go on although the checkpoint has state that the job has no operator or declaration for any more: that state is lost
    #[arg(long)]
    pub allow_dropped_state: bool,
}

impl Run {
    pub(crate) fn run(self, talk: &Talk) -> Outcome {
        let crash = crash::from_environment()?;
        let checked = self.job.check(talk)?;
        let to_stdout =
            checked.job.sinks.iter().find(|sink| sink.connector == "stdout").map(|sink| sink.place.id.clone());
        if let (true, Some(sink)) = (self.json, &to_stdout) {
            let message =
                format!("the sink `{sink}` writes to standard output, where --json would write its report too");
            return Err(Failure::usage(message).hint("let the sink write to a file, or leave --json out"));
        }
        // A table and rows on one terminal would write over each other.
        let live = talk.is_live() && !(to_stdout.is_some() && io::stdout().is_terminal());
        let prints_only = checked.job.sinks.iter().all(|sink| matches!(sink.connector, "stdout" | "discard"));
        let directory = self.state_dir.or_else(|| checked.job.state.directory.clone());
        let directory = StateDirectory::new(directory, &checked.job.name)?;
        let wanted = Wanted { fresh: self.fresh, resume: self.resume, savepoint: self.from_savepoint };
        let beginning = wanted.decide(&directory, directory.newest()?)?;
        let metrics = checked.operators.iter().map(|(id, operator)| (id.clone(), operator.metrics())).collect();
        let job = wiring::engine_job(checked, directory.path(), &beginning);
        let mut job = job.map_err(|error| Failure::new(Exit::Failed, error))?;
        job.allow_dropped_state = self.allow_dropped_state;
        job.crash = crash;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start the threads that run the job")?;
        let (json, stages) = (self.json, self.stages);
        let shown = Shown { live, json, stages, prints_only, metrics, directory: &directory, beginning };
        let outcome = runtime.block_on(follow(job, shown, talk));
        // A thread that waits for standard input, or a guest that spins, is not waited for.
        runtime.shutdown_background();
        outcome
    }
}
