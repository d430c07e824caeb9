//! Runs a job to its end.

mod follow;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use follow::{Shown, follow};

use crate::{
    exit::{Exit, Failure, Outcome},
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

impl Run {
    pub(crate) fn run(self, talk: &Talk) -> Outcome {
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
        let state =
            StateDirectory::new(self.state_dir.or_else(|| checked.job.state.directory.clone()), &checked.job.name)?;
        let metrics = checked.operators.iter().map(|(id, operator)| (id.clone(), operator.metrics())).collect();
        let job = wiring::engine_job(checked, state.path()).map_err(|error| Failure::new(Exit::Failed, error))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start the threads that run the job")?;
        let outcome = runtime.block_on(follow(job, Shown { live, json: self.json, prints_only, metrics }, talk));
        // A thread that waits for standard input, or a guest that spins, is not waited for.
        runtime.shutdown_background();
        outcome
    }
}

/// Where the job's state is: a folder of the user's, or one that is removed when this is dropped.
enum StateDirectory {
    Named(PathBuf),
    Temporary(tempfile::TempDir),
}

impl StateDirectory {
    fn new(named: Option<PathBuf>, job: &str) -> anyhow::Result<StateDirectory> {
        if let Some(path) = named {
            return Ok(StateDirectory::Named(path));
        }
        let temporary = tempfile::Builder::new().prefix(&format!("wasmill-{job}-")).tempdir();
        Ok(StateDirectory::Temporary(temporary.context("cannot make a temporary folder for the job's state")?))
    }

    fn path(&self) -> &Path {
        match self {
            StateDirectory::Named(path) => path,
            StateDirectory::Temporary(folder) => folder.path(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_temporary_folder_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let temporary = StateDirectory::new(None, "words").unwrap();
        let path = temporary.path().to_path_buf();
        assert!(path.is_dir() && path.file_name().unwrap().to_string_lossy().starts_with("wasmill-words-"));
        drop(temporary);
        assert!(!path.exists());
        drop(StateDirectory::new(Some(folder.path().to_path_buf()), "words").unwrap());
        assert!(folder.path().is_dir());
    }
}
