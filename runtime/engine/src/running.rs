//! A job that runs: watch it, ask it for a savepoint, stop it, wait for it.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use wasmill_core::{
    Status,
    graph::{LogicalGraph, Role},
    status::StatusSnapshot,
};

use crate::{
    JobError,
    standing::{InputProgress, SplitsProgress, Standing},
};

/// A started job. Dropping it does not end the job; [`Running::cancel`] does.
pub struct Running {
    pub(crate) handle: Handle,
    pub(crate) supervisor: JoinHandle<Result<Summary, JobError>>,
}

/// Watches and steers a job from anywhere.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    pub(crate) cancel: CancellationToken,
    requests: mpsc::UnboundedSender<Request>,
}

struct Shared {
    started: Instant,
    /// Those of the attempt that runs.
    nodes: Mutex<Arc<Vec<NodeStatus>>>,
    checkpoints: Mutex<CheckpointProgress>,
    interleaving: Arc<AtomicU64>,
}

/// The live statuses of one node.
pub(crate) struct NodeStatus {
    pub(crate) id: String,
    pub(crate) role: Role,
    pub(crate) subtasks: Vec<Arc<Status>>,
    /// Where the inputs of each subtask stand; of nodes at the head of a chain, once they are made.
    pub(crate) standings: Vec<OnceLock<Arc<Standing>>>,
}

/// What somebody asks of a running job.
pub(crate) struct Request {
    pub(crate) wish: Wish,
    pub(crate) answer: oneshot::Sender<Result<Stopped, RequestError>>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    Savepoint(PathBuf),
    Stop(Stop),
}

/// How to stop a job.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Sources end as if they were bounded: the watermark goes to the end of time, timers fire, operators finish. Else the
    /// job stops at a barrier and can go on from there.
    pub drain: bool,
    /// Also write a savepoint into this folder.
    pub savepoint: Option<PathBuf>,
}

/// The checkpoint that a request led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Its epoch.
    pub epoch: u64,
    /// Where the savepoint is, if one was asked for.
    pub savepoint: Option<PathBuf>,
}

/// Why a request was not met; the job goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RequestError(pub String);

/// How a job fares at one moment.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Since the job was started.
    pub elapsed: Duration,
    /// Every node of the graph, in its order; counted since the attempt began.
    pub nodes: Vec<NodeProgress>,
    /// Checkpoints and restarts.
    pub checkpoints: CheckpointProgress,
    /// Where a seed decides the order of turns: a digest of which subtask got what in each turn of the attempt. Equal digests,
    /// equal interleavings.
    pub interleaving: Option<u64>,
}

/// How one node fares.
#[derive(Debug, Clone)]
pub struct NodeProgress {
    /// The id in the job file.
    pub id: String,
    /// What it does.
    pub role: Role,
    /// Its subtasks.
    pub subtasks: Vec<StatusSnapshot>,
    /// Where the inputs of each subtask stand; none for those that are called by another node of the same subtask, and have
    /// its watermark.
    pub inputs: Vec<Vec<InputProgress>>,
    /// Where the splits of each subtask stand, of a source.
    pub splits: Vec<SplitsProgress>,
}

/// How checkpoints and restarts fare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckpointProgress {
    /// The incarnation that runs, from 1.
    pub attempt: u64,
    /// The checkpoint that it began from; `None` for a fresh start.
    pub restored: Option<u64>,
    /// How many were completed since the job was started.
    pub completed: u64,
    /// How many failed.
    pub failed: u64,
    /// The one in progress.
    pub pending: Option<u64>,
    /// The last one completed.
    pub last: Option<CheckpointStats>,
    /// Why the last attempt ended, if there was one before.
    pub last_failure: Option<String>,
    /// What restoring passed over, for people.
    pub warnings: Vec<String>,
    /// How long records of a subtask with state waited at a time, in each cut and each step of a hand-over, microseconds; the
    /// last 100,000.
    pub pauses: Vec<u32>,
    /// Records that went to a dead-letter output.
    pub dead_letters: u64,
}

/// A completed checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckpointStats {
    /// Its number.
    pub epoch: u64,
    /// From its trigger until the sinks had committed.
    pub duration: Duration,
    /// From its trigger until every subtask had acknowledged.
    pub acknowledged: Duration,
    /// Entries of state that were written.
    pub entries: u64,
    /// Bytes that were written for them.
    pub bytes: u64,
}

/// How a job ended that did not fail.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The last counters.
    pub progress: Progress,
    /// Whether it was cancelled: then nothing is committed since the last checkpoint.
    pub cancelled: bool,
    /// Whether it was stopped at a barrier, so that it can go on from there.
    pub stopped: bool,
    /// Whether it had finished before, so that nothing was left to do but to make sure of its result.
    pub already_finished: bool,
    /// Per sink its id and where its result is.
    pub targets: Vec<(String, String)>,
}

/// Pauses that are remembered.
const PAUSES: usize = 100_000;

impl Handle {
    pub(crate) fn new(graph: &LogicalGraph) -> (Handle, mpsc::UnboundedReceiver<Request>) {
        let (requests, receiver) = mpsc::unbounded_channel();
        let shared = Shared {
            started: Instant::now(),
            nodes: Mutex::new(statuses(graph)),
            checkpoints: Mutex::new(CheckpointProgress { attempt: 1, ..CheckpointProgress::default() }),
            interleaving: Arc::default(),
        };
        (Handle { shared: Arc::new(shared), cancel: CancellationToken::new(), requests }, receiver)
    }

    /// Begins to count anew, for a new attempt.
    pub(crate) fn begin_attempt(&self, graph: &LogicalGraph) -> Arc<Vec<NodeStatus>> {
        let nodes = statuses(graph);
        *lock(&self.shared.nodes) = nodes.clone();
        nodes
    }

    /// What is published of checkpoints.
    pub(crate) fn checkpoints(&self) -> MutexGuard<'_, CheckpointProgress> {
        lock(&self.shared.checkpoints)
    }

    /// A digest of all turns of subtasks so far, where a seed decides their order.
    pub(crate) fn interleaving(&self) -> Arc<AtomicU64> {
        self.shared.interleaving.clone()
    }

    /// A subtask's records waited so long for a checkpoint.
    pub(crate) fn paused(&self, pause: Duration) {
        let mut checkpoints = self.checkpoints();
        if checkpoints.pauses.len() >= PAUSES {
            checkpoints.pauses.drain(..PAUSES / 2);
        }
        checkpoints.pauses.push(u32::try_from(pause.as_micros()).unwrap_or(u32::MAX));
    }

    /// The counters now.
    pub fn progress(&self) -> Progress {
        fn standings(node: &NodeStatus) -> impl Iterator<Item = Option<&Standing>> {
            node.standings.iter().map(|standing| standing.get().map(|standing| &**standing))
        }
        let node = |node: &NodeStatus| NodeProgress {
            id: node.id.clone(),
            role: node.role,
            subtasks: node.subtasks.iter().map(|status| status.snapshot()).collect(),
            inputs: standings(node).map(|standing| standing.map(Standing::inputs).unwrap_or_default()).collect(),
            splits: standings(node).filter_map(|standing| standing?.of_source()).collect(),
        };
        let nodes = lock(&self.shared.nodes).clone();
        Progress {
            elapsed: self.shared.started.elapsed(),
            nodes: nodes.iter().map(node).collect(),
            checkpoints: self.checkpoints().clone(),
            interleaving: Some(self.shared.interleaving.load(Ordering::Acquire)).filter(|digest| *digest != 0),
        }
    }

    /// Ends the job at once: nothing is committed since the last checkpoint.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Takes a checkpoint and writes it as a savepoint into `folder`, which must not exist or be empty, while the job goes
    /// on. Its sinks have committed the checkpoint before, so that the savepoint needs none of their files.
    ///
    /// # Errors
    /// Why there is none; the job goes on.
    pub async fn savepoint(&self, folder: PathBuf) -> Result<Stopped, RequestError> {
        self.ask(Wish::Savepoint(folder)).await
    }

    /// Takes a last checkpoint and ends the job.
    ///
    /// # Errors
    /// Why it could not; the job goes on, or failed on its own.
    pub async fn stop(&self, stop: Stop) -> Result<Stopped, RequestError> {
        self.ask(Wish::Stop(stop)).await
    }

    async fn ask(&self, wish: Wish) -> Result<Stopped, RequestError> {
        let (answer, answered) = oneshot::channel();
        let ended = || RequestError("the job has ended".to_string());
        self.requests.send(Request { wish, answer }).map_err(|_| ended())?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

fn statuses(graph: &LogicalGraph) -> Arc<Vec<NodeStatus>> {
    let statuses = |count: u32| (0..count).map(|_| Arc::new(Status::default())).collect();
    let nodes = graph.nodes.iter().map(|node| NodeStatus {
        id: node.id.clone(),
        role: node.role,
        subtasks: statuses(node.parallelism),
        standings: (0..node.parallelism).map(|_| OnceLock::new()).collect(),
    });
    Arc::new(nodes.collect())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    /// A handle that may outlive this.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The counters now.
    pub fn progress(&self) -> Progress {
        self.handle.progress()
    }

    /// Ends the job at once; [`Running::wait`] then returns a cancelled summary.
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// Waits until the job has ended and its result is committed.
    ///
    /// # Errors
    /// The first error of the last attempt.
    ///
    /// # Panics
    /// If the engine itself panicked.
    pub async fn wait(self) -> Result<Summary, JobError> {
        match self.supervisor.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
