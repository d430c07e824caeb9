//! Prints the JSON Schema of the job file.

use clap::Args;

use crate::{
    exit::{Exit, Outcome},
    job, talk,
};

/// Print the JSON Schema of the job file
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  wasmill schema > job.schema.json

An editor with TOML support completes and checks a job file that begins with
  #:schema ./job.schema.json")]
pub struct Schema {}

impl Schema {
    pub(crate) fn run(self) -> Outcome {
        talk::print(&format!("{:#}", job::schema::schema()))?;
        Ok(Exit::Done)
    }
}
