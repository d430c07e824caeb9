//! Shows a job's logical and parallel graph.

use clap::{Args, ValueEnum};
use wasmill_core::graph::ParallelGraph;

use super::JobArgs;
use crate::{
    exit::{Exit, Outcome},
    job::plan,
    talk::{self, Talk},
};

/// Show a job's logical and parallel graph
///
/// The logical graph is the job as written: sources, operators, sinks, and the exchanges between them. The parallel graph is
/// the job as it runs: chained operators as one subtask, and the channels between subtasks.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wasmill plan job.toml
  wasmill plan job.toml --parallelism 4 --view parallel
  wasmill plan job.toml --view logical --format dot | dot -Tsvg > job.svg")]
pub struct Plan {
    /// What to show
    #[command(flatten)]
    pub job: JobArgs,
    /// Which graph to show
    #[arg(long, value_enum, default_value_t)]
    pub view: View,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Which graph to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum View {
    /// The job as written
    Logical,
    /// The job as it runs
    Parallel,
    /// The one and the other
    #[default]
    Both,
}

/// How to show a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For a terminal
    #[default]
    Text,
    /// A Mermaid flowchart, for Markdown
    Mermaid,
    /// A Graphviz digraph
    Dot,
}

impl Plan {
    pub(crate) fn run(self, talk: &Talk) -> Outcome {
        let graph = ParallelGraph::new(self.job.check(talk)?.resolved.graph);
        let view = match self.view {
            View::Logical => plan::View::Logical,
            View::Parallel => plan::View::Parallel,
            View::Both => plan::View::Both,
        };
        let format = match self.format {
            Format::Text => plan::Format::Text,
            Format::Mermaid => plan::Format::Mermaid,
            Format::Dot => plan::Format::Dot,
        };
        talk::print(&plan::render(&graph, view, format))?;
        Ok(Exit::Done)
    }
}
