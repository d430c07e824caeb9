//! Makes of a checked job what the engine runs: this is where host, connectors, state and engine meet.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use wasmill_core::{
    JobName, OperatorFactory, Quota,
    graph::{NodeId, Role},
    state::StateError,
};
use wasmill_engine::{CheckpointSettings, Job, Settings, SystemClock};
use wasmill_state::{RedbState, StoreOptions};

use crate::{
    checked::Checked,
    job::{Checkpoint, Engine},
    state_directory::Beginning,
};

/// The engine's job, with its state in `directory`, which begins as `beginning` says.
///
/// # Errors
/// When the state store cannot be made there.
pub(crate) fn engine_job(checked: Checked, directory: &Path, beginning: &Beginning) -> Result<Job, StateError> {
    let Checked { job, resolved, operators } = checked;
    let name = JobName::local(&job.name);
    let quota = Quota::new(name.to_string(), job.engine.memory);
    let store = StoreOptions {
        cache_bytes: job.state.store_cache_bytes,
        buffer_bytes: job.state.write_buffer_bytes,
        keep: size(job.checkpoint.keep.into()),
        quota: quota.clone(),
    };
    let state = Arc::new(match beginning {
        Beginning::Newest => RedbState::open(directory, store)?,
        Beginning::Fresh => RedbState::create(directory, store)?,
        Beginning::Savepoint(folder) => RedbState::from_savepoint(folder, directory, store)?,
    });
    let graph = resolved.graph;
    let nodes = graph.nodes.iter().enumerate().filter(|(_, node)| node.role == Role::Operator);
    let operators: BTreeMap<NodeId, Arc<dyn OperatorFactory>> = nodes
        .filter_map(|(id, node)| Some((id, operators.get(&node.id)?.clone() as Arc<dyn OperatorFactory>)))
        .collect();
    let dead_letters = job.operators.iter().filter(|operator| operator.dead_letter);
    let dead_letters: BTreeSet<&str> = dead_letters.map(|operator| operator.place.id.as_str()).collect();
    let dead_letters = graph.nodes.iter().enumerate().filter(|(_, node)| dead_letters.contains(node.id.as_str()));
    let dead_letters: BTreeSet<NodeId> = dead_letters.map(|(id, _)| id).collect();
    Ok(Job {
        name,
        graph,
        sources: resolved.connected.sources,
        operators,
        sinks: resolved.connected.sinks,
        state,
        clock: Arc::new(SystemClock),
        quota,
        settings: settings(&job.engine),
        checkpoints: checkpoints(&job.checkpoint),
        restart: job.restart,
        dead_letters,
        mode: job.mode,
        allow_dropped_state: false,
        crash: None,
    })
}

fn size(of: u64) -> usize {
    usize::try_from(of).unwrap_or(usize::MAX)
}

fn checkpoints(checkpoint: &Checkpoint) -> CheckpointSettings {
    CheckpointSettings {
        interval: checkpoint.interval,
        timeout: checkpoint.timeout,
        min_pause: checkpoint.min_pause,
        tolerated_failures: checkpoint.tolerated_failures,
    }
}

fn settings(engine: &Engine) -> Settings {
    Settings {
        batch_bytes: size(engine.batch_bytes),
        batch_rows: size(engine.batch_rows.into()),
        linger: engine.linger,
        channel_batches: size(engine.channel_batches.into()),
        gate_bytes: size(engine.gate_bytes),
        outbox_bytes: size(engine.outbox_bytes),
        interleaving: engine.interleaving,
    }
}

#[cfg(test)]
mod tests {
    use crate::job::{Job, Overrides};

    use super::*;

    /// A job file that says nothing means what the engine does by default.
    #[test]
    fn the_defaults_of_the_job_file_are_the_engines() {
        let job = Job::parse(Path::new("job.toml"), "name = \"a\"", &Overrides::default()).unwrap();
        assert_eq!(settings(&job.engine), Settings::default());
        assert_eq!(checkpoints(&job.checkpoint), CheckpointSettings::default());
    }
}
