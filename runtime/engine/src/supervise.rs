//! Keeps a job going: runs attempt after attempt, as the restart strategy says.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{
    Job, JobError, Summary,
    attempt::{Attempt, Beginning},
    error::Stop,
    recover::{begin, discard, on_disk, targets},
    run::{Ending, run},
    running::{Handle, Request},
};

/// Runs a job to its end.
pub(crate) async fn supervise(
    job: Arc<Job>,
    handle: Handle,
    mut requests: mpsc::UnboundedReceiver<Request>,
    beginning: Beginning,
    attempt: Attempt,
) -> Result<Summary, JobError> {
    let mut failures = 0;
    let mut next = Ok((beginning, attempt));
    loop {
        let number = next.as_ref().map_or(handle.checkpoints().attempt, |(beginning, _)| beginning.attempt);
        let ending = match next {
            Ok((beginning, attempt)) => {
                let (ending, completed) = run(&job, &handle, &mut requests, &beginning, attempt).await;
                if completed {
                    failures = 0;
                }
                ending
            }
            Err(error) => Ending::Failed { error, uncommitted: true },
        };
        let (error, uncommitted) = match ending {
            Ending::Failed { error, uncommitted } => (error, uncommitted),
            ended => {
                let cancelled = matches!(ended, Ending::Cancelled { .. });
                if matches!(ended, Ending::Cancelled { uncommitted: false }) {
                    remove_rest(&job).await;
                }
                let committed = matches!(ended, Ending::Finished | Ending::Stopped);
                return Ok(Summary {
                    progress: handle.progress(),
                    cancelled,
                    stopped: matches!(ended, Ending::Stopped),
                    already_finished: false,
                    targets: if committed { targets(&job) } else { Vec::new() },
                });
            }
        };
        failures += 1;
        let Some(delay) = job.restart.delay(failures).filter(|_| !error.is_lasting() && !handle.cancel.is_cancelled())
        else {
            if !uncommitted {
                remove_rest(&job).await;
            }
            return Err(error);
        };
        tracing::warn!(job = %job.name, %error, "attempt {number} failed; the next one begins in {delay:?}");
        handle.checkpoints().last_failure = Some(error.to_string());
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = handle.cancel.cancelled() => return Err(error),
        }
        next = again(&job, &handle, number + 1).await;
    }
}

/// Makes another attempt.
async fn again(job: &Arc<Job>, handle: &Handle, number: u64) -> Result<(Beginning, Attempt), JobError> {
    let beginning = begin(job, handle, number).await?;
    match Attempt::make(job, handle, &beginning).await {
        Ok(attempt) => Ok((beginning, attempt)),
        Err(Stop::Failed(error)) => Err(*error),
        Err(Stop::Lost) => unreachable!("nothing is sent before subtasks run"),
    }
}

/// Removes what sinks wrote since the last checkpoint.
async fn remove_rest(job: &Arc<Job>) {
    let job = job.clone();
    let removed = on_disk(move || {
        discard(&job);
        Ok(())
    });
    if let Err(error) = removed.await {
        tracing::warn!(error, "what was not committed could not be removed");
    }
}
