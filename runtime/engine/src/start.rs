//! Starts a job: decides where it begins, makes its first attempt, and leaves it to its supervisor.

use std::sync::Arc;

use wasmill_core::graph::Role;

use crate::{
    Job, JobError, Running,
    attempt::Attempt,
    error::Stop,
    interleaving::TurnClock,
    recover::{begin, targets},
    running::{Handle, Summary},
    supervise::supervise,
};

/// Makes and opens every source, operator and sink of a job, wires them and spawns their subtasks. Where the store has a
/// checkpoint, the job goes on from there; a job that had finished is not run again, but its result is made sure of. Must
/// be called within a tokio runtime with time enabled.
///
/// # Errors
/// When the graph has errors, something is missing at a node, the checkpoint is not one that this job can start from, or an
/// instance cannot be made. Nothing runs then.
pub async fn start(mut job: Job) -> Result<Running, JobError> {
    verify(&job)?;
    if job.settings.interleaving.is_some() {
        job.settings = job.settings.interleaved();
        job.clock = Arc::new(TurnClock);
        // A checkpoint is triggered by the clock: only the one that ends the job is taken.
        job.checkpoints.interval = None;
    }
    let (handle, requests) = Handle::new(&job.graph);
    let job = Arc::new(job);
    let beginning = begin(&job, &handle, 1).await?;
    if beginning.manifest.as_ref().is_some_and(|manifest| manifest.finished) {
        let summary = Summary {
            progress: handle.progress(),
            cancelled: false,
            stopped: false,
            already_finished: true,
            targets: targets(&job),
        };
        return Ok(Running { handle, supervisor: tokio::spawn(async { Ok(summary) }) });
    }
    let attempt = Attempt::make(&job, &handle, &beginning).await.map_err(|stop| match stop {
        Stop::Failed(error) => *error,
        Stop::Lost => unreachable!("nothing is sent before subtasks run"),
    })?;
    let supervisor = tokio::spawn(supervise(job, handle.clone(), requests, beginning, attempt));
    Ok(Running { handle, supervisor })
}

/// Whether the graph is sound and everything at its nodes is there.
fn verify(job: &Job) -> Result<(), JobError> {
    let invalid = |message: String| JobError::Invalid { job: job.name.clone(), message };
    if let Some(error) = job.graph.check().into_iter().next() {
        return Err(invalid(error.message));
    }
    for (id, node) in job.graph.nodes.iter().enumerate() {
        let there = match node.role {
            Role::Source => job.sources.contains_key(&id),
            Role::Operator => job.operators.contains_key(&id),
            Role::Sink => job.sinks.contains_key(&id),
        };
        if !there {
            return Err(invalid(format!("nothing was given to run at `{}`", node.id)));
        }
    }
    Ok(())
}
