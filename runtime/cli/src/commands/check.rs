//! Finds everything that is wrong with a job, without running it.

use std::path::{Path, PathBuf};

use clap::Args;
use wasmill_core::{
    OperatorFactory,
    checkpoint::{NewOperator, compare},
    graph::ParallelGraph,
};
use wasmill_state::Reader;

use super::{JobArgs, state::folder};
use crate::{
    checked::Checked,
    exit::{Exit, Failure, Outcome},
    talk::Talk,
};

/// Find everything that is wrong with a job, without running it
///
/// Reads the job file, loads every component, asks every operator to describe itself under its configuration, and reports
/// all problems at once, each with its line and what to do. Exit code 3 when the job cannot run. With `--against` it also
/// tells what would become of the state in a savepoint or a checkpoint, should the job start from it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wasmill check job.toml
  wasmill check job.toml --parallelism 8 --set sink.counts.path=elsewhere
  wasmill check new-job.toml --against savepoint/")]
pub struct Check {
    /// What to check
    #[command(flatten)]
    pub job: JobArgs,
    /// Compare it with a savepoint or a state directory: what would be restored, migrated, dropped or refused
    #[arg(long, value_name = "PATH")]
    pub against: Option<PathBuf>,
    /// As for `wasmill run`: state of nodes that the job does not have any more may be lost
    #[arg(long, requires = "against")]
    pub allow_dropped_state: bool,
}

impl Check {
    pub(crate) fn run(self, talk: &Talk) -> Outcome {
        let checked = self.job.check(talk)?;
        if let Some(path) = &self.against {
            against(&checked, path, self.allow_dropped_state, talk)?;
        }
        let graph = ParallelGraph::new(checked.resolved.graph);
        let (name, nodes, subtasks) = (checked.job.name, graph.logical.nodes.len(), graph.subtasks());
        let nodes = if nodes == 1 { "1 node".to_string() } else { format!("{nodes} nodes") };
        let subtasks = if subtasks == 1 { "1 subtask".to_string() } else { format!("{subtasks} subtasks") };
        talk.done("Checked", format_args!("job `{name}`: {nodes} in {subtasks}; it can run"));
        Ok(Exit::Done)
    }
}

/// Tells what would become of stored state.
fn against(checked: &Checked, path: &Path, allow_dropped: bool, talk: &Talk) -> Result<(), Failure> {
    let manifest = Reader::newest_manifest(&folder(path)?).map_err(|error| Failure::new(Exit::Failed, error))?;
    let operator = |id: &str| {
        let operator = checked.operators.get(id)?;
        Some(NewOperator { description: operator.description(), migrates: operator.migrates() })
    };
    match compare(&manifest, &checked.resolved.graph, operator, allow_dropped) {
        Ok(changes) => {
            talk.say(format_args!("from checkpoint {} in `{}`:", manifest.epoch, path.display()));
            for change in &changes {
                talk.say(format_args!("  {change}"));
            }
            if changes.is_empty() {
                talk.say("  there is no state");
            }
            Ok(())
        }
        Err(errors) => {
            for error in &errors {
                talk.write(&format!("{} {error}", talk.paint("1;31", "error:")));
            }
            let problems = if errors.len() == 1 { "1 error".to_string() } else { format!("{} errors", errors.len()) };
            Err(Failure::new(
                Exit::Invalid,
                anyhow::anyhow!(
                    "the job cannot start from checkpoint {} in `{}`: {problems}",
                    manifest.epoch,
                    path.display()
                ),
            ))
        }
    }
}
