//! Follows a job from its start to its end: progress, Ctrl-C, the summary.

use std::{pin::pin, time::Duration};

use anyhow::Context;
use wasmill_connectors::stdout::STDOUT_CLOSED;
use wasmill_core::Clock;
use wasmill_engine::{Cause, CheckpointProgress, Handle, Job, JobError, Progress, Summary, SystemClock};
#[cfg(unix)]
use wasmill_engine::{Stop, Stopped};

#[cfg(unix)]
use crate::control::{Met, Request, Server, Wish};
use crate::{
    exit::{Exit, Failure, Outcome, StdoutClosed},
    format,
    interrupts::Interrupts,
    progress::{self, Ending, Live, OperatorMetrics},
    state_directory::{Beginning, StateDirectory},
    talk::{self, Talk},
};

/// A job that had finished has ended by then.
const SETTLED: Duration = Duration::from_millis(50);

/// How a run is shown.
pub(super) struct Shown<'a> {
    /// Whether a table follows the job on the terminal.
    pub(super) live: bool,
    /// Whether the report goes to standard output.
    pub(super) json: bool,
    /// Whether the summary has a breakdown by stage.
    pub(super) stages: bool,
    /// Whether the job does nothing but print, so that it is done when nobody reads any more.
    pub(super) prints_only: bool,
    /// What the operators report of themselves.
    pub(super) metrics: OperatorMetrics,
    /// Where the job's state is.
    pub(super) directory: &'a StateDirectory,
    /// What it begins from.
    pub(super) beginning: Beginning,
}

/// Runs a job to its end.
pub(super) async fn follow(job: Job, shown: Shown<'_>, talk: &Talk) -> Outcome {
    let name = job.name.job.to_string();
    let mut interrupts = Interrupts::new().context("cannot listen for Ctrl-C")?;
    tracing::info!("job `{name}` starts");
    let started = tokio::select! {
        started = wasmill_engine::start(job) => started,
        () = interrupts.next() => return Ok(Exit::Interrupted),
    };
    let running = started.map_err(|error| Failure::new(Exit::Failed, error))?;
    let handle = running.handle();
    let _control = listen(&name, &handle, shown.directory);
    let live = shown.live.then(|| Live::start(talk, name.clone(), handle.clone()));
    let mut end = pin!(running.wait());
    let mut interrupted = false;
    // Whether the job goes on or had finished shows at once, but not before it is waited for.
    let mut settled = pin!(tokio::time::sleep(SETTLED));
    let mut told = false;
    let result = loop {
        tokio::select! {
            result = &mut end => break Some(result),
            () = &mut settled, if !told => {
                resumes(&name, &handle, &shown, talk);
                told = true;
            }
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
    if !told && !matches!(&result, Some(Ok(Summary { already_finished: true, .. }))) {
        resumes(&name, &handle, &shown, talk);
    }
    match result {
        Some(result) => ended(&name, result, &handle, &shown, talk),
        // The second Ctrl-C: nothing is waited for.
        None => Ok(Exit::Interrupted),
    }
}

/// Listens to `wasmill savepoint` and `wasmill stop`, where they can find the job.
#[cfg(unix)]
fn listen(name: &str, handle: &Handle, directory: &StateDirectory) -> Option<Server> {
    let (name, handle, runtime) = (name.to_string(), handle.clone(), tokio::runtime::Handle::current());
    let answer = move |request: Request| {
        if request.job != name {
            return Err(format!("the job with its state here is `{name}`, not `{}`", request.job));
        }
        let stopped = match request.wish {
            Wish::Savepoint(folder) => runtime.block_on(handle.savepoint(folder)),
            Wish::Stop { drain, savepoint } => runtime.block_on(handle.stop(Stop { drain, savepoint })),
        };
        let Stopped { epoch, savepoint } = stopped.map_err(|error| error.to_string())?;
        Ok(Met { epoch, savepoint })
    };
    let server = directory.is_named().then(|| Server::listen(directory.path(), answer))?;
    let unheard = |error| tracing::warn!(%error, "`wasmill stop` and `wasmill savepoint` cannot reach this job");
    server.map_err(unheard).ok()
}

#[cfg(not(unix))]
fn listen(_: &str, _: &Handle, _: &StateDirectory) {}

/// Tells how the job ended.
fn ended(name: &str, result: Result<Summary, JobError>, handle: &Handle, shown: &Shown<'_>, talk: &Talk) -> Outcome {
    let report = |ending: &Ending, progress: &Progress, targets: &[(String, String)]| {
        progress::report(name, ending, progress, SystemClock.now(), &shown.metrics, targets).to_string()
    };
    match result {
        Ok(summary) => {
            let ending = match &summary {
                Summary { cancelled: true, .. } => Ending::Cancelled,
                Summary { stopped: true, .. } => Ending::Stopped,
                Summary { already_finished: true, .. } => Ending::AlreadyFinished,
                _ => Ending::Finished,
            };
            summarize(name, &summary, shown, talk);
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
            let failure = Failure::new(Exit::Failed, error);
            let newest = newest(&handle.progress().checkpoints);
            Err(if newest.is_some() { failure.hint(outlook(newest, shown.directory)) } else { failure })
        }
    }
}

/// The checkpoint that a later run would go on from.
fn newest(checkpoints: &CheckpointProgress) -> Option<u64> {
    checkpoints.last.map(|last| last.epoch).or(checkpoints.restored)
}

fn is_closed_stdout(error: &JobError) -> bool {
    matches!(error, JobError::Subtask { cause: Cause::Connector(error), .. } if error.to_string() == STDOUT_CLOSED)
}

/// Tells what the job goes on from, if it does.
fn resumes(name: &str, handle: &Handle, shown: &Shown<'_>, talk: &Talk) {
    let Some(epoch) = handle.progress().checkpoints.restored else { return };
    let from = match (&shown.beginning, shown.directory.completed(epoch)) {
        (Beginning::Savepoint(folder), _) => format!("the savepoint `{}` of checkpoint {epoch}", folder.display()),
        (_, Some(time)) => format!("checkpoint {epoch} of {}", format::time(time)),
        (_, None) => format!("checkpoint {epoch}"),
    };
    talk.done("Resuming", format_args!("job `{name}` from {from}"));
}

fn summarize(name: &str, summary: &Summary, shown: &Shown<'_>, talk: &Talk) {
    let elapsed = format::duration(summary.progress.elapsed);
    let checkpoints = &summary.progress.checkpoints;
    if summary.already_finished {
        talk.done("Finished", format_args!("job `{name}` before: its result is there; `--fresh` runs it anew"));
    } else {
        if summary.cancelled {
            talk.warn(format_args!("job `{name}` was cancelled after {elapsed}"));
        } else {
            talk.done(if summary.stopped { "Stopped" } else { "Finished" }, format_args!("job `{name}` in {elapsed}"));
        }
        talk.say(format_args!("\n{}", progress::table(&summary.progress, None)));
        if let Some(line) = progress::checkpoints(checkpoints) {
            talk.say(format_args!("{line}\n"));
        }
        if shown.stages {
            talk.say(progress::stages(&summary.progress));
        }
    }
    for line in progress::unconnected(&summary.progress) {
        talk.warn(line);
    }
    for (sink, target) in &summary.targets {
        talk.say(format_args!("result of `{sink}`: {target}"));
    }
    if summary.cancelled || summary.stopped {
        talk.say(outlook(newest(checkpoints), shown.directory));
    }
}

/// What is left of a job that has not finished, and from where it can go on.
fn outlook(newest: Option<u64>, directory: &StateDirectory) -> String {
    match newest {
        None => "no result was written: no checkpoint was completed".to_string(),
        Some(epoch) if directory.is_named() => {
            let shown = directory.path().display();
            format!(
                "what was committed up to checkpoint {epoch} stays; the next run with the state in `{shown}` goes on from it"
            )
        }
        Some(epoch) => format!(
            "what was committed up to checkpoint {epoch} stays; the job cannot go on from it, as its state was in a temporary \
             folder: name one with --state-dir"
        ),
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
            JobError::Subtask { place, cause: Cause::Connector(ConnectorError::new(message.to_string())) }
        };
        assert!(is_closed_stdout(&failed(STDOUT_CLOSED)));
        assert!(!is_closed_stdout(&failed("the disk is full")));
    }

    #[test]
    fn the_last_line_says_from_where_the_job_can_go_on() {
        let named = StateDirectory::new(Some("kept".into()), "words").unwrap();
        let temporary = StateDirectory::new(None, "words").unwrap();
        assert!(outlook(None, &named).contains("no result was written"));
        let resumable = outlook(Some(7), &named);
        assert!(resumable.contains("checkpoint 7") && resumable.contains("`kept` goes on"), "{resumable}");
        let lost = outlook(Some(7), &temporary);
        assert!(
            lost.contains("checkpoint 7 stays") && lost.contains("cannot go on") && lost.contains("--state-dir"),
            "{lost}"
        );
    }
}
