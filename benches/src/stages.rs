//! Adds up where the time of a job went, stage by stage.

use std::collections::BTreeMap;

use wasmill_core::{graph::Role, status::StatusSnapshot};
use wasmill_engine::Progress;

/// The stages, as [`StatusSnapshot::STAGES`] has them.
pub(crate) const STAGES: [&str; 10] = StatusSnapshot::STAGES;

/// What subtasks were busy with beyond the stages.
pub(crate) const ENGINE: &str = "engine";

/// Nanoseconds per record of the workload in each stage, of all nodes and subtasks.
pub(crate) fn per_record(progress: &Progress, records: u64) -> BTreeMap<String, f64> {
    let mut stages: BTreeMap<&str, u64> = BTreeMap::new();
    let mut busy = 0;
    for node in &progress.nodes {
        // Each node has the times of its chain: those of the head count.
        let heads = node.role == Role::Source || node.inputs.iter().any(|inputs| !inputs.is_empty());
        for subtask in &node.subtasks {
            for (stage, nanoseconds) in STAGES.into_iter().zip(subtask.stages()) {
                *stages.entry(stage).or_default() += nanoseconds;
            }
            busy += if heads { subtask.busy_ns } else { 0 };
        }
    }
    let working: u64 = stages.iter().filter(|(stage, _)| !matches!(**stage, "queue" | "wait")).map(|(_, ns)| ns).sum();
    stages.insert(ENGINE, busy.saturating_sub(working));
    stages.into_iter().map(|(stage, ns)| (stage.to_string(), ns as f64 / records as f64)).collect()
}
