//! Follows a job from its start to its end: progress, Ctrl-C, the summary.

use std::pin::pin;

use anyhow::Context;
use wasmill_connectors::stdout::STDOUT_CLOSED;
use wasmill_engine::{Cause, Handle, Job, JobError, Progress, Summary};

use crate::{
    exit::{Exit, Failure, Outcome, StdoutClosed},
    format,
    interrupts::Interrupts,
    progress::{self, Ending, Live, OperatorMetrics},
    talk::{self, Talk},
};

/// How a run is shown.
pub(super) struct Shown {
    /// Whether a table follows the job on the terminal.
    pub(super) live: bool,
    /// Whether the report goes to standard output.
    pub(super) json: bool,
    /// Whether the job does nothing but print, so that it is done when nobody reads any more.
    pub(super) prints_only: bool,
    /// What the operators report of themselves.
    pub(super) metrics: OperatorMetrics,
}

/// Runs a job to its end.
pub(super) async fn follow(job: Job, shown: Shown, talk: &Talk) -> Outcome {
    let name = job.name.job.to_string();
    let mut interrupts = Interrupts::new().context("cannot listen for Ctrl-C")?;
    tracing::info!("job `{name}` starts");
    let started = tokio::select! {
        started = wasmill_engine::start(job) => started,
        () = interrupts.next() => return Ok(Exit::Interrupted),
    };
    let running = started.map_err(|error| Failure::new(Exit::Failed, error))?;
    let handle = running.handle();
    let live = shown.live.then(|| Live::start(talk, name.clone(), handle.clone()));
    let mut end = pin!(running.wait());
    let mut interrupted = false;
    let result = loop {
        tokio::select! {
            result = &mut end => break Some(result),
            () = interrupts.next() => {
                if interrupted {
                    break None;
                }
                interrupted = true;
                talk.say(format_args!("cancelling job `{name}`; press Ctrl-C again to exit at once"));
                handle.cancel();
            }
        }
    };
    if let Some(live) = live {
        live.stop();
    }
    match result {
        Some(result) => ended(&name, result, &handle, &shown, talk),
        // The second Ctrl-C: nothing is waited for.
        None => Ok(Exit::Interrupted),
    }
}

/// Tells how the job ended.
fn ended(name: &str, result: Result<Summary, JobError>, handle: &Handle, shown: &Shown, talk: &Talk) -> Outcome {
    let report = |ending: &Ending, progress: &Progress, targets: &[(String, String)]| {
        progress::report(name, ending, progress, &shown.metrics, targets).to_string()
    };
    match result {
        Ok(summary) => {
            let ending = match &summary {
                Summary { cancelled: true, .. } => Ending::Cancelled,
                Summary { stopped: true, .. } => Ending::Stopped,
                Summary { already_finished: true, .. } => Ending::AlreadyFinished,
                _ => Ending::Finished,
            };
            summarize(name, &summary, talk);
            if shown.json {
                talk::print(&report(&ending, &summary.progress, &summary.targets))?;
            }
            Ok(if summary.cancelled { Exit::Interrupted } else { Exit::Done })
        }
        Err(error) if shown.prints_only && is_closed_stdout(&error) => Err(Failure::new(Exit::Done, StdoutClosed)),
        Err(error) => {
            if shown.json {
                let ending = Ending::Failed(error.to_string());
                talk::print(&report(&ending, &handle.progress(), &[]))?;
            }
            Err(Failure::new(Exit::Failed, error))
        }
    }
}

fn is_closed_stdout(error: &JobError) -> bool {
    matches!(error, JobError::Subtask { cause: Cause::Connector(error), .. } if error.0 == STDOUT_CLOSED)
}

fn summarize(name: &str, summary: &Summary, talk: &Talk) {
    let elapsed = format::duration(summary.progress.elapsed);
    if summary.cancelled {
        talk.warn(format_args!("job `{name}` was cancelled after {elapsed}: no result was written"));
    } else {
        talk.done("Finished", format_args!("job `{name}` in {elapsed}"));
    }
    talk.say(format_args!("\n{}", progress::table(&summary.progress, None)));
    for line in progress::unconnected(&summary.progress) {
        talk.warn(line);
    }
    if !summary.cancelled {
        for (sink, target) in &summary.targets {
            talk.say(format_args!("result of `{sink}`: {target}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use wasmill_core::{JobName, source::ConnectorError};

    use super::*;

    #[test]
    fn only_a_closed_standard_output_ends_a_job_in_silence() {
        let failed = |message: &str| {
            let place = JobName::local("words").place("out", 0);
            JobError::Subtask { place, cause: Cause::Connector(ConnectorError(message.to_string())) }
        };
        assert!(is_closed_stdout(&failed(STDOUT_CLOSED)));
        assert!(!is_closed_stdout(&failed("the disk is full")));
    }
}
