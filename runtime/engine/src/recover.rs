//! Decides where an attempt begins, and brings the outside world to that point: what the checkpoint's sinks prepared is
//! committed, what came later is removed.

use std::sync::Arc;

use wasmill_core::{
    Manifest,
    checkpoint::{self, NewOperator},
    sink::Committable,
};

use crate::{Handle, Job, JobError, attempt::Beginning};

/// Goes back to the newest complete checkpoint. `attempt` is the least number that the attempt gets.
pub(crate) async fn begin(job: &Arc<Job>, handle: &Handle, attempt: u64) -> Result<Beginning, JobError> {
    let failed = |message: String| JobError::Recovery { job: job.name.clone(), message };
    let restored = job.state.restore().await.map_err(|error| failed(error.to_string()))?;
    for warning in &restored.warnings {
        tracing::warn!(job = %job.name, "{warning}");
    }
    let manifest = restored.manifest.map(Arc::new);
    let changes = manifest.as_deref().map_or(Ok(Vec::new()), |manifest| changes(job, manifest))?;
    let attempt = manifest.as_ref().map_or(attempt, |manifest| attempt.max(manifest.attempt + 1));
    {
        let mut progress = handle.checkpoints();
        progress.attempt = attempt;
        progress.restored = manifest.as_ref().map(|manifest| manifest.epoch);
        progress.pending = None;
        progress.warnings = restored.warnings;
    }
    let (job_, manifest_) = (job.clone(), manifest.clone());
    on_disk(move || settle(&job_, manifest_.as_deref())).await.map_err(failed)?;
    if let Some(manifest) = manifest.as_ref().filter(|manifest| !manifest.committables.is_empty()) {
        told_committed(job, manifest.epoch).await;
    }
    Ok(Beginning { attempt, manifest, changes, epoch: restored.next_epoch.max(1) })
}

/// What a checkpoint means for a job, if it can start from it.
fn changes(job: &Job, manifest: &Manifest) -> Result<Vec<checkpoint::Change>, JobError> {
    let operator = |id: &str| {
        let node = job.graph.nodes.iter().position(|node| node.id == id)?;
        let factory = job.operators.get(&node)?;
        Some(NewOperator { description: factory.description(), migrates: factory.migrates() })
    };
    checkpoint::compare(manifest, &job.graph, operator, job.allow_dropped_state).map_err(|errors| {
        let message: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let message = format!("it cannot start from checkpoint {}: {}", manifest.epoch, message.join("; "));
        JobError::Invalid { job: job.name.clone(), message }
    })
}

/// Commits what a checkpoint lists and removes what is later.
fn settle(job: &Job, manifest: Option<&Manifest>) -> Result<(), String> {
    for (&node, sink) in &job.sinks {
        sink.prepare(manifest.is_some()).map_err(|error| format!("{}: {error}", job.graph.nodes[node].id))?;
    }
    if let Some(manifest) = manifest {
        commit(job, manifest, || {})?;
    }
    discard(job);
    Ok(())
}

/// Has every sink commit what a manifest lists; `between` is called after each sink.
pub(crate) fn commit(job: &Job, manifest: &Manifest, between: impl Fn()) -> Result<(), String> {
    for (&node, sink) in &job.sinks {
        let id = &job.graph.nodes[node].id;
        let mine = manifest.committables.iter().filter(|committable| committable.sink == *id);
        let mine: Vec<Committable> = mine.map(|committable| committable.committable.clone()).collect();
        if !mine.is_empty() {
            sink.commit(&mine).map_err(|error| format!("`{id}`: {error}"))?;
            between();
        }
    }
    for committable in &manifest.committables {
        if !job.graph.nodes.iter().any(|node| node.id == committable.sink) {
            return Err(format!(
                "checkpoint {} has rows of the sink `{}` that are not committed, and the job has no such sink any more: \
                 start the job once with it, then take it away",
                manifest.epoch, committable.sink
            ));
        }
    }
    Ok(())
}

/// Removes what sinks wrote and nobody will commit.
pub(crate) fn discard(job: &Job) {
    for (node, sink) in &job.sinks {
        if let Err(error) = sink.discard() {
            tracing::warn!(sink = job.graph.nodes[*node].id, %error, "what was not committed could not be removed");
        }
    }
}

/// Has the store note that an epoch needs no more commits.
pub(crate) async fn told_committed(job: &Job, epoch: u64) {
    if let Err(error) = job.state.committed(epoch).await {
        // It will be committed once more then, which changes nothing.
        tracing::warn!(%error, epoch, "the store could not note that the checkpoint is committed");
    }
}

/// Runs what waits for the disk on the blocking pool.
pub(crate) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}

/// Where the result of each sink is.
pub(crate) fn targets(job: &Job) -> Vec<(String, String)> {
    job.sinks.iter().map(|(&node, sink)| (job.graph.nodes[node].id.clone(), sink.target())).collect()
}
