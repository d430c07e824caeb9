//! Holds the arguments of all commands that take a job.

use std::path::PathBuf;

use clap::Args;

use crate::{checked::Checked, exit::Failure, job::Overrides, talk::Talk};

/// A job file, and what the command line says differently.
#[derive(Debug, Args)]
pub struct JobArgs {
    /// The job file
    #[arg(value_name = "JOB")]
    pub job: PathBuf,
    /// Replace a value of the job file by a TOML value or text, such as `source.lines.path=other.txt`; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Replace the job's parallelism: that of every node that does not say its own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32_768))]
    pub parallelism: Option<u32>,
}

impl JobArgs {
    /// Checks the job.
    ///
    /// # Errors
    /// When it cannot run.
    pub(super) fn check(self, talk: &Talk) -> Result<Checked, Failure> {
        let overrides = Overrides { set: self.set, parallelism: self.parallelism };
        Checked::new(&self.job, &overrides, talk)
    }
}
