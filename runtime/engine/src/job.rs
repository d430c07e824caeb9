//! Holds what a caller gives the engine to run.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use wasmill_core::{
    Clock, JobName, OperatorFactory, Quota, SinkFactory, SourceFactory, StateBackend,
    graph::{LogicalGraph, NodeId},
};

/// A job, ready to start.
pub struct Job {
    /// Whose job it is and what it is called.
    pub name: JobName,
    /// The graph, without errors ([`LogicalGraph::check`]).
    pub graph: LogicalGraph,
    /// What to put at each source node.
    pub sources: BTreeMap<NodeId, SourceSpec>,
    /// What to put at each operator node.
    pub operators: BTreeMap<NodeId, Arc<dyn OperatorFactory>>,
    /// What to put at each sink node.
    pub sinks: BTreeMap<NodeId, Arc<dyn SinkFactory>>,
    /// Where keyed state lives.
    pub state: Arc<dyn StateBackend>,
    /// Where processing time comes from.
    pub clock: Arc<dyn Clock>,
    /// What the job's memory is charged to.
    pub quota: Quota,
    /// Sizes and times.
    pub settings: Settings,
}

/// A source and how its watermarks are made.
pub struct SourceSpec {
    /// The source.
    pub factory: Arc<dyn SourceFactory>,
    /// How far behind the highest event time a row may still come.
    pub out_of_orderness: Duration,
    /// A watermark is considered after every so many rows of a split, so that where it stands does not depend on how
    /// batches are cut.
    pub watermark_rows: usize,
}

/// Sizes and times of the engine. Results never depend on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// About how many bytes a batch holds.
    pub batch_bytes: usize,
    /// At most how many rows a batch of a source holds.
    pub batch_rows: usize,
    /// How long rows may wait for their batch to fill.
    pub linger: Duration,
    /// How many batches a channel holds.
    pub channel_batches: usize,
    /// How many bytes all channels into one subtask hold; each channel is sure of one batch beyond that.
    pub gate_bytes: usize,
    /// Over how many emitted bytes an operator's call is suspended until they are taken.
    pub outbox_bytes: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            batch_bytes: 256 * 1024,
            batch_rows: 16 * 1024,
            linger: Duration::from_millis(5),
            channel_batches: 4,
            gate_bytes: 16 * 1024 * 1024,
            outbox_bytes: 1024 * 1024,
        }
    }
}
