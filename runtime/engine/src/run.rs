//! Runs one attempt: spawns its subtasks, takes its checkpoints, and meets what is asked of the job.

use std::{
    any::Any,
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    task::{Id, JoinError, JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;
use wasmill_core::{BoxFuture, Manifest, Place, state::Committed};

use crate::{
    CheckpointStats, CrashPoint, Handle, Job, JobError, Stopped,
    attempt::{Attempt, Beginning},
    coordinator::{Command, Complete, Coordinator, Report},
    error::{Cause, Stop},
    interleaving::{drive, driven},
    recover::{commit, on_disk, told_committed},
    running::{Request, RequestError, Wish},
    schedule::Schedule,
};

/// How an attempt ends.
#[derive(Debug)]
pub(crate) enum Ending {
    /// All is done and committed.
    Finished,
    /// It was stopped at a checkpoint.
    Stopped,
    /// It was cancelled. `uncommitted`: a stored checkpoint lists what its sinks have not committed.
    Cancelled { uncommitted: bool },
    /// It failed.
    Failed { error: JobError, uncommitted: bool },
}

/// How often the store is asked whether it wants a checkpoint.
const PRESSURE: Duration = Duration::from_millis(100);

/// A completed checkpoint on its way to the store and to the sinks.
struct Storing {
    epoch: u64,
    finished: bool,
    since: Instant,
    acknowledged: Duration,
    task: JoinHandle<Result<Committed, NotStored>>,
}

/// Why a checkpoint is not stored, or not committed.
struct NotStored {
    message: String,
    /// Whether the manifest is stored, but a sink could not commit.
    stored: bool,
}

/// One attempt while it runs.
struct Run<'a> {
    job: &'a Arc<Job>,
    handle: &'a Handle,
    coordinator: Coordinator,
    schedule: Schedule,
    command: watch::Sender<Command>,
    next_epoch: u64,
    storing: Option<Storing>,
    /// Asked for, and not yet part of a checkpoint.
    asked: Vec<Request>,
    /// To be answered by the checkpoint in progress.
    serving: Vec<Request>,
    /// To be answered by the checkpoint that ends the job.
    at_end: Vec<Request>,
    working: Option<JoinHandle<()>>,
    /// Ends background work.
    stop_work: CancellationToken,
    completed: bool,
    uncommitted: bool,
}

/// Runs an attempt to its end; also tells whether it completed a checkpoint.
pub(crate) async fn run(
    job: &Arc<Job>,
    handle: &Handle,
    requests: &mut mpsc::UnboundedReceiver<Request>,
    beginning: &Beginning,
    attempt: Attempt,
) -> (Ending, bool) {
    let Attempt { subtasks, members, mut reports, command, beside, charge } = attempt;
    let cancel = handle.cancel.child_token();
    let mut running = JoinSet::new();
    let (mut places, mut all) = (HashMap::new(), Vec::new());
    for (place, subtask) in subtasks {
        let cancel = cancel.clone();
        let mut end: BoxFuture<'static, _> = Box::pin(subtask.run());
        if job.settings.interleaving.is_some() {
            let (one, its_end) = driven(end);
            all.push(one);
            end = Box::pin(its_end);
        }
        let task = running.spawn(async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Err(Stop::Lost),
                ended = end => ended,
            }
        });
        places.insert(task.id(), place);
    }
    if let Some(seed) = job.settings.interleaving {
        let (cancel, digest) = (cancel.clone(), handle.interleaving());
        let driving = drive(all, seed, digest);
        beside.spawn(async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                // What a subtask takes of its own thread's budget would not be given back before all are ready.
                () = tokio::task::unconstrained(driving) => {}
            }
        });
    }
    let mut run = Run {
        job,
        handle,
        coordinator: Coordinator::new(job.clone(), beginning.attempt, members),
        schedule: Schedule::new(job.checkpoints.clone(), Instant::now()),
        command,
        next_epoch: beginning.epoch,
        storing: None,
        asked: Vec::new(),
        serving: Vec::new(),
        at_end: Vec::new(),
        working: None,
        stop_work: CancellationToken::new(),
        completed: false,
        uncommitted: false,
    };
    run.work();
    let ended = run.follow(&mut running, &places, &mut reports, requests).await;
    cancel.cancel();
    let mut first = match ended {
        Ok(ending) => Err(ending),
        Err(error) => Ok(error),
    };
    while let Some(joined) = running.join_next_with_id().await {
        match run.failure(joined, &places) {
            Some(error) if matches!(first, Ok(None)) => first = Ok(Some(error)),
            Some(error) => tracing::debug!(%error, "a further error"),
            None => {}
        }
    }
    // Whatever goes on beside the subtasks must have ended before another attempt begins.
    beside.close();
    beside.wait().await;
    drop(charge);
    run.stop_work.cancel();
    if let Some(storing) = run.storing.take() {
        let epoch = storing.epoch;
        match storing.task.await {
            Ok(Ok(_)) => {}
            Ok(Err(not)) => {
                run.uncommitted |= not.stored;
                tracing::debug!(epoch, message = not.message, "the checkpoint in progress failed too");
            }
            Err(error) => tracing::debug!(epoch, %error, "the checkpoint in progress failed too"),
        }
    }
    if let Some(working) = run.working.take() {
        let _ = working.await;
    }
    let uncommitted = run.uncommitted;
    let ending = match first {
        Err(ending) => ending,
        Ok(Some(error)) => Ending::Failed { error, uncommitted },
        // All lost their neighbours, or were cancelled from outside.
        Ok(None) => Ending::Cancelled { uncommitted },
    };
    (ending, run.completed)
}

type Joined = Result<(Id, Result<(), Stop>), JoinError>;

impl Run<'_> {
    /// Takes part in the attempt until it ends; `Err(None)` when some subtask was lost without a reason, `Err(Some(_))` with
    /// the first error.
    async fn follow(
        &mut self,
        running: &mut JoinSet<Result<(), Stop>>,
        places: &HashMap<Id, Place>,
        reports: &mut mpsc::UnboundedReceiver<Report>,
        requests: &mut mpsc::UnboundedReceiver<Request>,
    ) -> Result<Ending, Option<JobError>> {
        let cancelled = self.handle.cancel.clone();
        loop {
            self.trigger();
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err(None),
                Some(joined) = running.join_next_with_id() => {
                    let lost = matches!(joined, Ok((_, Err(Stop::Lost))));
                    if let Some(error) = self.failure(joined, places) {
                        return Err(Some(error));
                    }
                    if lost {
                        // Its neighbour has the reason, and is about to end.
                        while let Some(joined) = running.join_next_with_id().await {
                            if let Some(error) = self.failure(joined, places) {
                                return Err(Some(error));
                            }
                        }
                        return Err(None);
                    }
                }
                Some(report) = reports.recv() => self.report(report)?,
                Some(request) = requests.recv() => self.ask(request),
                stored = stored(&mut self.storing) => {
                    if let Some(ending) = self.stored(stored).await? {
                        return Ok(ending);
                    }
                }
                () = tokio::time::sleep_until(deadline.into()) => self.late()?,
            }
        }
    }

    /// The error of a subtask that has ended, if it has one of its own.
    fn failure(&self, joined: Joined, places: &HashMap<Id, Place>) -> Option<JobError> {
        match joined {
            Ok((_, Ok(()) | Err(Stop::Lost))) => None,
            Ok((_, Err(Stop::Failed(error)))) => Some(*error),
            Err(error) => {
                let place = places.get(&error.id()).cloned().unwrap_or_else(|| self.job.name.place("?", 0));
                let message = error.try_into_panic().map_or_else(|e| e.to_string(), panic_message);
                Some(JobError::Subtask { place, cause: Cause::Panic(message) })
            }
        }
    }

    /// Until when there is nothing to do unless something comes.
    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let timeout = self.coordinator.deadline(self.schedule.timeout());
        let due = self.schedule.due().filter(|_| timeout.is_none() && self.storing.is_none());
        [timeout, due].into_iter().flatten().fold(now + PRESSURE, Instant::min)
    }

    /// Begins a checkpoint, if one is due and none is in progress.
    fn trigger(&mut self) {
        if self.coordinator.pending().is_some() || self.storing.is_some() {
            return;
        }
        let now = Instant::now();
        let ended = self.coordinator.all_ended();
        let due = self.schedule.due().is_some_and(|due| due <= now);
        if !ended && self.asked.is_empty() && !due && !self.pressed(now) {
            return;
        }
        self.serving.append(&mut self.asked);
        if ended {
            self.serving.append(&mut self.at_end);
        }
        let epoch = self.next_epoch;
        self.next_epoch += 1;
        self.job.at(CrashPoint::Triggered);
        self.schedule.trigger(now);
        self.coordinator.trigger(epoch, self.job.clock.now());
        self.handle.checkpoints().pending = Some(epoch);
        let hold = self.serving.iter().any(|request| matches!(request.wish, Wish::Stop(_)));
        self.command.send_modify(|command| (command.epoch, command.hold) = (epoch, hold));
    }

    /// Whether the store needs a checkpoint before its time.
    fn pressed(&self, now: Instant) -> bool {
        self.job.state.wants_checkpoint() && self.schedule.rested(now, PRESSURE)
    }

    fn ask(&mut self, request: Request) {
        match &request.wish {
            Wish::Stop(stop) if stop.drain => {
                self.command.send_modify(|command| command.drain = true);
                self.at_end.push(request);
            }
            _ => self.asked.push(request),
        }
    }

    fn report(&mut self, report: Report) -> Result<(), Option<JobError>> {
        match report {
            Report::Ended(subtask) => self.coordinator.end(subtask),
            Report::Failed(Stop::Failed(error)) => return Err(Some(*error)),
            Report::Failed(Stop::Lost) => {}
            Report::Declined { epoch, why } if self.coordinator.pending() == Some(epoch) => {
                self.coordinator.abort();
                return self.failed(epoch, why);
            }
            Report::Declined { .. } => {}
            Report::Ack(ack) => {
                self.coordinator.ack(ack);
                if let Some(complete) = self.coordinator.complete() {
                    self.store(complete);
                }
            }
        }
        Ok(())
    }

    /// Stores a checkpoint and has its sinks commit, beside the subtasks.
    fn store(&mut self, Complete { manifest, since }: Complete) {
        let job = self.job.clone();
        let (epoch, finished, acknowledged) = (manifest.epoch, manifest.finished, since.elapsed());
        let task = tokio::spawn(async move { store(&job, manifest).await });
        self.storing = Some(Storing { epoch, finished, since, acknowledged, task });
    }

    /// A checkpoint is stored and committed, or not.
    async fn stored(
        &mut self,
        result: Result<Result<Committed, NotStored>, JoinError>,
    ) -> Result<Option<Ending>, Option<JobError>> {
        let Some(Storing { epoch, finished, since, acknowledged, .. }) = self.storing.take() else { return Ok(None) };
        let result = result.unwrap_or_else(|error| {
            let message = error.try_into_panic().map_or_else(|e| e.to_string(), panic_message);
            Err(NotStored { message, stored: true })
        });
        let committed = match result {
            Ok(committed) => committed,
            Err(NotStored { message, stored: false }) => {
                self.failed(epoch, message)?;
                return Ok(None);
            }
            Err(NotStored { message, stored: true }) => {
                self.uncommitted = true;
                return Err(Some(JobError::Commit { job: self.job.name.clone(), message }));
            }
        };
        (self.completed, self.uncommitted) = (true, false);
        self.coordinator.committed(epoch);
        self.schedule.complete(Instant::now());
        let stats = CheckpointStats {
            epoch,
            duration: since.elapsed(),
            acknowledged,
            entries: committed.entries,
            bytes: committed.bytes,
        };
        tracing::debug!(job = %self.job.name, ?stats, "checkpoint completed");
        {
            let mut progress = self.handle.checkpoints();
            (progress.pending, progress.last) = (None, Some(stats));
            progress.completed += 1;
        }
        if finished {
            // There will be no later one: this is what everybody waited for.
            self.serving.append(&mut self.asked);
            self.serving.append(&mut self.at_end);
        }
        let stop = self.answer(epoch).await;
        self.work();
        Ok(match (finished, stop) {
            (true, _) => Some(Ending::Finished),
            (false, true) => Some(Ending::Stopped),
            (false, false) => None,
        })
    }

    /// Answers whoever waited for a checkpoint; true when the job is to stop.
    async fn answer(&mut self, epoch: u64) -> bool {
        let mut stop = false;
        for Request { wish, answer } in std::mem::take(&mut self.serving) {
            let (stops, savepoint) = match wish {
                Wish::Savepoint(folder) => (false, Some(folder)),
                Wish::Stop(how) => (true, how.savepoint),
            };
            let written = match savepoint.clone() {
                None => Ok(()),
                Some(folder) => self.savepoint(epoch, folder).await,
            };
            stop |= stops && written.is_ok();
            let _ = answer.send(written.map(|()| Stopped { epoch, savepoint }));
        }
        if !stop {
            self.command.send_modify(|command| command.hold = false);
        }
        stop
    }

    async fn savepoint(&self, epoch: u64, folder: PathBuf) -> Result<(), RequestError> {
        let shown = folder.display().to_string();
        let written = self.job.state.savepoint(epoch, folder).await;
        written.map_err(|error| RequestError(format!("the savepoint could not be written to {shown}: {error}")))
    }

    /// The checkpoint in progress takes too long.
    fn late(&mut self) -> Result<(), Option<JobError>> {
        let timeout = self.schedule.timeout();
        if let Some(epoch) = self.coordinator.pending()
            && self.coordinator.deadline(timeout).is_some_and(|deadline| deadline <= Instant::now())
        {
            self.coordinator.abort();
            return self
                .failed(epoch, format!("it was not complete after {timeout:?}, the `timeout` of `[checkpoint]`"));
        }
        Ok(())
    }

    /// A checkpoint failed; the attempt does when that was once too often.
    fn failed(&mut self, epoch: u64, why: String) -> Result<(), Option<JobError>> {
        tracing::warn!(job = %self.job.name, epoch, why, "the checkpoint failed");
        {
            let mut progress = self.handle.checkpoints();
            progress.pending = None;
            progress.failed += 1;
        }
        let serving = std::mem::take(&mut self.serving);
        // Whoever asked is told; the job goes on, unless this was to be its end.
        let tolerated = !serving.is_empty() && !self.coordinator.all_ended();
        for request in serving {
            let _ = request.answer.send(Err(RequestError(format!("checkpoint {epoch} failed: {why}"))));
        }
        self.command.send_modify(|command| command.hold = false);
        match self.schedule.fail(Instant::now()) && !tolerated {
            false => Ok(()),
            true => Err(Some(JobError::Checkpoint { job: self.job.name.clone(), epoch, message: why })),
        }
    }

    /// Has the store do its background work.
    fn work(&mut self) {
        if self.working.as_ref().is_some_and(|working| !working.is_finished()) {
            return;
        }
        let (job, stop) = (self.job.clone(), self.stop_work.clone());
        self.working = Some(tokio::spawn(async move {
            while !stop.is_cancelled() {
                match job.state.work().await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => {
                        tracing::warn!(job = %job.name, %error, "background work on state failed; it is tried again later");
                        return;
                    }
                }
            }
        }));
    }
}

/// The end of what is being stored; never, when nothing is.
async fn stored(storing: &mut Option<Storing>) -> Result<Result<Committed, NotStored>, JoinError> {
    match storing {
        Some(storing) => (&mut storing.task).await,
        None => std::future::pending().await,
    }
}

/// State and manifest first, then what readers see.
async fn store(job: &Arc<Job>, manifest: Manifest) -> Result<Committed, NotStored> {
    job.at(CrashPoint::Complete);
    let epoch = manifest.epoch;
    let committed = job.state.commit(manifest.clone()).await;
    let committed = committed.map_err(|error| NotStored { message: error.to_string(), stored: false })?;
    job.at(CrashPoint::Stored);
    let (job_, some) = (job.clone(), !manifest.committables.is_empty());
    let done = on_disk(move || commit(&job_, &manifest, || job_.at(CrashPoint::SinkCommitted))).await;
    done.map_err(|message| NotStored { message, stored: true })?;
    job.at(CrashPoint::Committed);
    if some {
        told_committed(job, epoch).await;
    }
    Ok(committed)
}

fn panic_message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_string())
}
