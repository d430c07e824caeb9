//! What a complete checkpoint says: everything but the state itself.

mod compatibility;

pub use compatibility::{Change, Incompatible, NewOperator, compare};

use crate::{Description, JobName, graph::Role, sink::Committable, source::SplitState};

/// A complete checkpoint. Written last, atomically: a checkpoint without its manifest does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The checkpoint's number; never used twice in the life of a job.
    pub epoch: u64,
    /// The incarnation of the job that took it, from 1.
    pub attempt: u64,
    /// Whose it is.
    pub job: JobName,
    /// The number of key groups; fixed for the life of the state.
    pub max_parallelism: u32,
    /// Processing time when it was triggered, milliseconds since the Unix epoch.
    pub triggered: i64,
    /// Whether all subtasks had finished: nothing is left to do but to commit.
    pub finished: bool,
    /// Every node of the graph.
    pub nodes: Vec<NodeManifest>,
    /// What the sinks prepared and the job did not yet see committed, the earlier first.
    pub committables: Vec<SinkCommittable>,
}

/// One source, operator or sink in a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeManifest {
    /// The id in the job file: by it the node is found again.
    pub id: String,
    /// What it does.
    pub role: Role,
    /// What an operator said of itself; else `None`.
    pub description: Option<Description>,
    /// Its subtasks, as many as its parallelism.
    pub subtasks: Vec<SubtaskManifest>,
    /// Of a source the splits that have not ended.
    pub splits: Vec<SplitState>,
}

/// One subtask in a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubtaskManifest {
    /// Its watermark at the barrier.
    pub watermark: i64,
    /// Whether its input had ended and it had finished: restored, it does nothing more.
    pub finished: bool,
}

/// A committable and the sink it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkCommittable {
    /// The sink's id in the job file.
    pub sink: String,
    /// What the sink prepared.
    pub committable: Committable,
}

impl Manifest {
    /// The node with an id.
    pub fn node(&self, id: &str) -> Option<&NodeManifest> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The watermark of the slowest subtask: what background work on state may rely on after a recovery.
    pub fn watermark(&self, id: &str) -> Option<i64> {
        self.node(id)?.subtasks.iter().map(|subtask| subtask.watermark).min()
    }
}

impl NodeManifest {
    /// What subtask `subtask` of `parallelism` starts from: its own entry where the parallelism is the same, else what
    /// holds for all.
    pub fn restored(&self, subtask: u32, parallelism: u32) -> SubtaskManifest {
        match self.subtasks.get(subtask as usize) {
            Some(own) if self.subtasks.len() == parallelism as usize => *own,
            _ => SubtaskManifest {
                watermark: self.subtasks.iter().map(|s| s.watermark).min().unwrap_or(crate::time::NO_WATERMARK),
                finished: !self.subtasks.is_empty() && self.subtasks.iter().all(|s| s.finished),
            },
        }
    }

    /// The same of a source, whose splits are dealt out anew: a subtask may get splits of any other, so it is not further
    /// than the slowest that has not finished, and one that had finished goes on where it gets some.
    pub fn restored_source(&self, subtask: u32, parallelism: u32, has_splits: bool) -> SubtaskManifest {
        let own = self.restored(subtask, parallelism);
        let open = self.subtasks.iter().filter(|subtask| !subtask.finished);
        match open.map(|subtask| subtask.watermark).min() {
            Some(watermark) if has_splits || !own.finished => SubtaskManifest { watermark, finished: false },
            _ => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_gets_splits_of_others_is_not_further_than_they_were() {
        let subtask = |watermark, finished| SubtaskManifest { watermark, finished };
        let mut node = NodeManifest {
            id: "source".into(),
            role: Role::Source,
            description: None,
            subtasks: vec![subtask(i64::MAX, true), subtask(50, false), subtask(10, false)],
            splits: vec![],
        };
        assert_eq!(node.restored_source(0, 3, true), subtask(10, false), "it had finished, and has work again");
        assert_eq!(node.restored_source(0, 3, false), subtask(i64::MAX, true));
        assert_eq!([1, 2].map(|i| node.restored_source(i, 3, true)), [subtask(10, false); 2]);
        assert_eq!(node.restored_source(1, 2, false), subtask(10, false), "at another parallelism");
        node.subtasks = vec![subtask(i64::MAX, true)];
        assert_eq!(node.restored_source(0, 1, false), subtask(i64::MAX, true));
    }

    #[test]
    fn a_subtask_starts_from_its_own_entry_or_from_what_holds_for_all() {
        let subtask = |watermark, finished| SubtaskManifest { watermark, finished };
        let mut node = NodeManifest {
            id: "op".into(),
            role: Role::Operator,
            description: None,
            subtasks: vec![subtask(7, true), subtask(5, false)],
            splits: vec![],
        };
        assert_eq!([0, 1].map(|i| node.restored(i, 2)), [subtask(7, true), subtask(5, false)]);
        // At another parallelism nobody is further than the slowest, and only all together have finished.
        assert_eq!(node.restored(2, 3), subtask(5, false));
        node.subtasks[1].finished = true;
        assert_eq!(node.restored(0, 1), subtask(5, true));
        node.subtasks.clear();
        assert_eq!(node.restored(0, 1), subtask(i64::MIN, false), "a node that is new");
    }
}
