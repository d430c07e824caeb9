//! Decides when a checkpoint is complete and what its manifest says.
//!
//! Every subtask acknowledges an epoch once. One whose input has ended acknowledges a last time, as finished, and that counts
//! for every later epoch. What sinks prepared for an epoch that was given up belongs to the next one that completes: their
//! rows are not written twice.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wasmill_core::{
    Manifest,
    checkpoint::{NodeManifest, SinkCommittable, SubtaskManifest},
    graph::NodeId,
    sink::Committable,
    source::SplitState,
};

use crate::{Job, error::Stop};

/// What sources, and subtasks whose input has ended, are told; the latest counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Command {
    /// The last checkpoint that was triggered; 0 before the first.
    pub(crate) epoch: u64,
    /// Sources read no more after its barrier.
    pub(crate) hold: bool,
    /// Sources end.
    pub(crate) drain: bool,
}

/// What a subtask tells the coordinator.
#[derive(Debug)]
pub(crate) enum Report {
    /// Its input has ended and it has finished; it waits for an epoch to acknowledge.
    Ended(usize),
    /// All that belongs to an epoch is handed over.
    Ack(Ack),
    /// It cannot take part in an epoch.
    Declined { epoch: u64, why: String },
    /// What it prepared for an epoch failed.
    Failed(Stop),
}

/// What one subtask has for an epoch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ack {
    pub(crate) subtask: usize,
    pub(crate) epoch: u64,
    pub(crate) finished: bool,
    pub(crate) watermark: i64,
    pub(crate) splits: Vec<SplitState>,
    pub(crate) committables: Vec<(NodeId, Committable)>,
}

/// Which nodes a subtask runs, and its index among their subtasks.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) index: u32,
}

/// The checkpoints of one attempt.
pub(crate) struct Coordinator {
    job: Arc<Job>,
    attempt: u64,
    members: Vec<Member>,
    pending: Option<Pending>,
    /// Which subtasks have ended.
    ended: Vec<bool>,
    /// The last acknowledgement of those that have finished.
    finished: Vec<Option<Ack>>,
    /// What sinks prepared and nobody has committed yet.
    committables: Vec<(u64, NodeId, Committable)>,
}

struct Pending {
    epoch: u64,
    since: Instant,
    triggered: i64,
    acks: Vec<Option<Ack>>,
}

/// A checkpoint that every subtask has acknowledged.
pub(crate) struct Complete {
    pub(crate) manifest: Manifest,
    /// Since it was triggered.
    pub(crate) since: Instant,
}

impl Coordinator {
    pub(crate) fn new(job: Arc<Job>, attempt: u64, members: Vec<Member>) -> Coordinator {
        let count = members.len();
        Coordinator {
            job,
            attempt,
            members,
            pending: None,
            ended: vec![false; count],
            finished: vec![None; count],
            committables: Vec::new(),
        }
    }

    /// Begins a checkpoint; there must be none in progress.
    pub(crate) fn trigger(&mut self, epoch: u64, triggered: i64) {
        self.pending = Some(Pending { epoch, since: Instant::now(), triggered, acks: vec![None; self.members.len()] });
    }

    /// The checkpoint in progress.
    pub(crate) fn pending(&self) -> Option<u64> {
        self.pending.as_ref().map(|pending| pending.epoch)
    }

    /// When the checkpoint in progress must be complete.
    pub(crate) fn deadline(&self, timeout: Duration) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.since + timeout)
    }

    /// Gives the checkpoint in progress up.
    pub(crate) fn abort(&mut self) {
        self.pending = None;
    }

    /// A subtask's input has ended.
    pub(crate) fn end(&mut self, subtask: usize) {
        self.ended[subtask] = true;
    }

    /// Whether the input of every subtask has ended.
    pub(crate) fn all_ended(&self) -> bool {
        self.ended.iter().all(|ended| *ended)
    }

    /// Takes an acknowledgement, also of an epoch that was given up.
    pub(crate) fn ack(&mut self, mut ack: Ack) {
        let epoch = ack.epoch;
        self.committables.extend(ack.committables.drain(..).map(|(node, committable)| (epoch, node, committable)));
        if ack.finished {
            self.finished[ack.subtask] = Some(ack.clone());
        }
        if let Some(pending) = self.pending.as_mut().filter(|pending| pending.epoch == epoch) {
            let subtask = ack.subtask;
            pending.acks[subtask] = Some(ack);
        }
    }

    /// The checkpoint in progress, once every subtask has acknowledged it.
    pub(crate) fn complete(&mut self) -> Option<Complete> {
        let pending = self.pending.as_ref()?;
        let acks: Option<Vec<&Ack>> =
            pending.acks.iter().zip(&self.finished).map(|(ack, finished)| ack.as_ref().or(finished.as_ref())).collect();
        let manifest = self.manifest(pending, &acks?);
        let since = pending.since;
        self.pending = None;
        Some(Complete { manifest, since })
    }

    /// Everything that sinks prepared up to an epoch is committed.
    pub(crate) fn committed(&mut self, epoch: u64) {
        self.committables.retain(|(prepared, ..)| *prepared > epoch);
    }

    fn manifest(&self, pending: &Pending, acks: &[&Ack]) -> Manifest {
        let graph = &self.job.graph;
        let of = |node: NodeId| {
            let mut of: Vec<(u32, &Ack)> = (self.members.iter().zip(acks))
                .filter(|(member, _)| member.nodes.contains(&node))
                .map(|(member, ack)| (member.index, *ack))
                .collect();
            of.sort_by_key(|(index, _)| *index);
            of
        };
        let nodes = graph.nodes.iter().enumerate().map(|(id, node)| {
            let acks = of(id);
            let subtask = |(_, ack): &(u32, &Ack)| SubtaskManifest { watermark: ack.watermark, finished: ack.finished };
            let is_source = self.job.sources.contains_key(&id);
            NodeManifest {
                id: node.id.clone(),
                role: node.role,
                description: self.job.operators.get(&id).map(|operator| operator.description().clone()),
                subtasks: acks.iter().map(subtask).collect(),
                splits: acks.iter().filter(|_| is_source).flat_map(|(_, ack)| ack.splits.clone()).collect(),
            }
        });
        let committables = self.committables.iter().filter(|(epoch, ..)| *epoch <= pending.epoch);
        let committables = committables.map(|(_, node, committable)| SinkCommittable {
            sink: graph.nodes[*node].id.clone(),
            committable: committable.clone(),
        });
        Manifest {
            epoch: pending.epoch,
            attempt: self.attempt,
            job: self.job.name.clone(),
            max_parallelism: graph.max_parallelism.get(),
            triggered: pending.triggered,
            finished: acks.iter().all(|ack| ack.finished),
            nodes: nodes.collect(),
            committables: committables.collect(),
        }
    }
}
