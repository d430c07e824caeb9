//! Watches over all subtasks: the first error cancels the others; when all have finished, the result is committed.

use std::{any::Any, sync::Arc};

use tokio::task::JoinSet;
use wasmill_core::{Charge, Place, sink::Committable};

use super::FINAL_EPOCH;
use crate::{
    Job, JobError, Summary,
    error::{Cause, Stop},
    running::Handle,
    subtask::Subtask,
};

type Ended = Result<Vec<(Place, Committable)>, Stop>;

/// Runs subtasks to their end and commits. `charge` is held until then.
pub(super) async fn supervise(
    job: Arc<Job>,
    handle: Handle,
    subtasks: Vec<(Place, Subtask)>,
    charge: Charge,
) -> Result<Summary, JobError> {
    let outcome = run(&job, &handle, subtasks).await;
    drop(charge);
    let committed = match outcome {
        Ok(Some(committables)) => commit(&job, committables).await.map(|()| true),
        Ok(None) => Ok(false),
        Err(error) => Err(error),
    };
    if !matches!(committed, Ok(true)) {
        discard(&job).await;
    }
    let committed = committed?;
    let target = |(&node, sink): (&usize, &Arc<dyn wasmill_core::SinkFactory>)| {
        (job.graph.nodes[node].id.clone(), sink.target())
    };
    let targets = if committed { job.sinks.iter().map(target).collect() } else { Vec::new() };
    Ok(Summary { progress: handle.progress(), cancelled: !committed, targets })
}

/// The committables of all subtasks; `None` when the job was cancelled.
async fn run(
    job: &Job,
    handle: &Handle,
    subtasks: Vec<(Place, Subtask)>,
) -> Result<Option<Vec<(Place, Committable)>>, JobError> {
    let mut running: JoinSet<Ended> = JoinSet::new();
    let mut places = std::collections::HashMap::new();
    for (place, subtask) in subtasks {
        let cancel = handle.cancel.clone();
        let task = running.spawn(async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Err(Stop::Lost),
                ended = subtask.run() => ended,
            }
        });
        places.insert(task.id(), place);
    }
    let mut committables = Vec::new();
    let (mut first, mut lost) = (None, false);
    while let Some(ended) = running.join_next_with_id().await {
        let error = match ended {
            Ok((_, Ok(committable))) => {
                committables.extend(committable);
                continue;
            }
            Ok((_, Err(Stop::Lost))) => {
                lost = true;
                continue;
            }
            Ok((_, Err(Stop::Failed(error)))) => *error,
            Err(error) => {
                let place = places.get(&error.id()).cloned().unwrap_or_else(|| job.name.place("?", 0));
                let message = error.try_into_panic().map_or_else(|e| e.to_string(), panic_message);
                JobError::Subtask { place, cause: Cause::Panic(message) }
            }
        };
        handle.cancel.cancel();
        if first.is_none() {
            first = Some(error);
        } else {
            tracing::debug!(%error, "a further error");
        }
    }
    match first {
        Some(error) => Err(error),
        None if lost => Ok(None),
        None => Ok(Some(committables)),
    }
}

/// State first, then what readers see.
async fn commit(job: &Arc<Job>, committables: Vec<(Place, Committable)>) -> Result<(), JobError> {
    let failed = |message: String| JobError::Commit { job: job.name.clone(), message };
    job.state.commit(FINAL_EPOCH).await.map_err(|error| failed(error.to_string()))?;
    let job = job.clone();
    let commit = move || -> Result<(), String> {
        for (place, committable) in committables {
            let node = job.graph.nodes.iter().position(|node| node.id == *place.operator);
            let Some(sink) = node.and_then(|node| job.sinks.get(&node)) else { continue };
            sink.commit(&committable).map_err(|error| format!("{place}: {error}"))?;
        }
        Ok(())
    };
    let done = tokio::task::spawn_blocking(commit).await;
    done.unwrap_or_else(|error| Err(error.to_string())).map_err(failed)
}

/// Removes what an attempt left that was not committed.
async fn discard(job: &Arc<Job>) {
    let job = job.clone();
    let discard = move || {
        for (node, sink) in &job.sinks {
            if let Err(error) = sink.discard() {
                tracing::warn!(sink = job.graph.nodes[*node].id, %error, "what was not committed could not be removed");
            }
        }
    };
    if let Err(error) = tokio::task::spawn_blocking(discard).await {
        tracing::warn!(%error, "what was not committed could not be removed");
    }
}

fn panic_message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_string())
}
