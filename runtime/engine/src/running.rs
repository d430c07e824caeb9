//! A job that runs: watch it, cancel it, wait for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wasmill_core::{
    Status,
    graph::{LogicalGraph, Role},
    status::StatusSnapshot,
};

use crate::JobError;

/// A started job. Dropping it does not end the job; [`Running::cancel`] does.
pub struct Running {
    pub(crate) handle: Handle,
    pub(crate) supervisor: JoinHandle<Result<Summary, JobError>>,
}

/// Watches and cancels a job from anywhere.
#[derive(Clone)]
pub struct Handle {
    pub(crate) nodes: Arc<Vec<NodeStatus>>,
    pub(crate) cancel: CancellationToken,
    pub(crate) started: Instant,
}

/// The live statuses of one node.
pub(crate) struct NodeStatus {
    pub(crate) id: String,
    pub(crate) role: Role,
    pub(crate) subtasks: Vec<Arc<Status>>,
}

/// How a job fares at one moment.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Since the job was started.
    pub elapsed: Duration,
    /// Every node of the graph, in its order.
    pub nodes: Vec<NodeProgress>,
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
}

/// How a job ended that did not fail.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The last counters.
    pub progress: Progress,
    /// Whether it was cancelled: then nothing was committed.
    pub cancelled: bool,
    /// Per sink its id and where its result is.
    pub targets: Vec<(String, String)>,
}

impl Handle {
    pub(crate) fn new(graph: &LogicalGraph) -> Handle {
        let statuses = |count: u32| (0..count).map(|_| Arc::new(Status::default())).collect();
        let nodes = graph.nodes.iter().map(|node| NodeStatus {
            id: node.id.clone(),
            role: node.role,
            subtasks: statuses(node.parallelism),
        });
        Handle { nodes: Arc::new(nodes.collect()), cancel: CancellationToken::new(), started: Instant::now() }
    }

    /// The counters now.
    pub fn progress(&self) -> Progress {
        let node = |node: &NodeStatus| NodeProgress {
            id: node.id.clone(),
            role: node.role,
            subtasks: node.subtasks.iter().map(|status| status.snapshot()).collect(),
        };
        Progress { elapsed: self.started.elapsed(), nodes: self.nodes.iter().map(node).collect() }
    }

    /// Ends the job without committing anything.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }
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

    /// Ends the job without committing anything; [`Running::wait`] then returns a cancelled summary.
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// Waits until the job has ended and its result is committed.
    ///
    /// # Errors
    /// The first error of any subtask, or that of the commit.
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
