//! Finds everything that is wrong with a job, without running it.

use clap::Args;
use wasmill_core::graph::ParallelGraph;

use super::JobArgs;
use crate::{
    exit::{Exit, Outcome},
    talk::Talk,
};

/// Find everything that is wrong with a job, without running it
///
/// Reads the job file, loads every component, asks every operator to describe itself under its configuration, and reports
/// all problems at once, each with its line and what to do. Exit code 3 when the job cannot run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wasmill check job.toml
  wasmill check job.toml --parallelism 8 --set sink.counts.path=elsewhere")]
pub struct Check {
    /// What to check
    #[command(flatten)]
    pub job: JobArgs,
}

impl Check {
    pub(crate) fn run(self, talk: &Talk) -> Outcome {
        let checked = self.job.check(talk)?;
        let graph = ParallelGraph::new(checked.resolved.graph);
        let (name, nodes, subtasks) = (checked.job.name, graph.logical.nodes.len(), graph.subtasks());
        let nodes = if nodes == 1 { "1 node".to_string() } else { format!("{nodes} nodes") };
        let subtasks = if subtasks == 1 { "1 subtask".to_string() } else { format!("{subtasks} subtasks") };
        talk.done("Checked", format_args!("job `{name}`: {nodes} in {subtasks}; it can run"));
        Ok(Exit::Done)
    }
}
