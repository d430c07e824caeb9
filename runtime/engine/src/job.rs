//! Holds what a caller gives the engine to run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use wasmill_core::{
    Clock, JobName, OperatorFactory, Place, Quota, SinkFactory, SourceFactory, StateBackend,
    graph::{LogicalGraph, NodeId},
    time::{SplitRules, WatermarkStrategy},
};

use crate::{CrashPlan, CrashPoint, interleaving::choice};

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
    /// When checkpoints are taken.
    pub checkpoints: CheckpointSettings,
    /// What follows a failure.
    pub restart: RestartStrategy,
    /// Operators with `on-error = "dead-letter"`: a record that they cannot process goes to the output behind those they
    /// describe, and the job goes on.
    pub dead_letters: BTreeSet<NodeId>,
    /// When results appear.
    pub mode: ExecutionMode,
    /// Whether state in the checkpoint that the job has no more may be lost.
    pub allow_dropped_state: bool,
    /// Where a test crashes the job.
    pub crash: Option<Arc<dyn CrashPlan>>,
}

impl Job {
    /// The job is at a crash point.
    pub(crate) fn at(&self, point: CrashPoint) {
        if let Some(crash) = &self.crash {
            crash.at(point);
        }
    }
}

/// When checkpoints are taken, and what of them may fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointSettings {
    /// From the start of one to the start of the next; `None` for only the one that ends a bounded job.
    pub interval: Option<Duration>,
    /// One that takes longer has failed.
    pub timeout: Duration,
    /// At least so long from the end of one to the start of the next.
    pub min_pause: Duration,
    /// How many may fail in a row before the attempt does.
    pub tolerated_failures: u32,
}

impl Default for CheckpointSettings {
    fn default() -> CheckpointSettings {
        CheckpointSettings {
            interval: None,
            timeout: Duration::from_secs(600),
            min_pause: Duration::ZERO,
            tolerated_failures: 0,
        }
    }
}

/// What follows a failed attempt. Attempts are counted since the last completed checkpoint; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RestartStrategy {
    /// The job fails.
    #[default]
    None,
    /// A new attempt after a fixed time.
    FixedDelay {
        /// How long.
        delay: Duration,
        /// How many in a row.
        attempts: Option<u32>,
    },
    /// A new attempt after a time that doubles each time.
    ExponentialDelay {
        /// The first time.
        initial: Duration,
        /// The longest.
        max: Duration,
        /// How many in a row.
        attempts: Option<u32>,
    },
}

impl RestartStrategy {
    /// How long to wait before the next attempt after `failures` failures in a row, at least 1; `None` to give up.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasmill_engine::RestartStrategy;
    /// let (initial, max) = (Duration::from_secs(1), Duration::from_secs(5));
    /// let strategy = RestartStrategy::ExponentialDelay { initial, max, attempts: Some(4) };
    /// let delays: Vec<_> = (1..=5).map(|failures| strategy.delay(failures).map(|delay| delay.as_secs())).collect();
    /// assert_eq!(delays, [Some(1), Some(2), Some(4), Some(5), None]);
    /// ```
    pub fn delay(&self, failures: u32) -> Option<Duration> {
        let within = |attempts: Option<u32>| attempts.is_none_or(|attempts| failures <= attempts);
        match *self {
            RestartStrategy::None => None,
            RestartStrategy::FixedDelay { delay, attempts } => within(attempts).then_some(delay),
            RestartStrategy::ExponentialDelay { initial, max, attempts } => {
                let factor = 2u32.saturating_pow(failures.saturating_sub(1));
                within(attempts).then(|| initial.saturating_mul(factor).min(max))
            }
        }
    }
}

/// A source and how its watermarks are made.
pub struct SourceSpec {
    /// The source.
    pub factory: Arc<dyn SourceFactory>,
    /// How the watermark of a split follows from its rows; of no meaning where rows have no event time.
    pub strategy: WatermarkStrategy,
    /// A watermark is considered after every so many rows of a split, so that where it stands does not depend on how
    /// batches are cut.
    pub watermark_rows: usize,
    /// After how long without a row a split is idle and does not hold the watermark back; `None` for never.
    pub idle_after: Option<Duration>,
    /// Which sources it waits for when it is ahead of them.
    pub alignment: Option<WatermarkAlignment>,
}

impl SourceSpec {
    /// A source whose rows may come `out_of_orderness` behind the highest event time, and that is never idle nor waits.
    pub fn bounded(factory: Arc<dyn SourceFactory>, out_of_orderness: Duration, watermark_rows: usize) -> SourceSpec {
        let bound = i64::try_from(out_of_orderness.as_millis()).unwrap_or(i64::MAX);
        let strategy = WatermarkStrategy::Bounded { bound };
        SourceSpec { factory, strategy, watermark_rows, idle_after: None, alignment: None }
    }

    /// How the engine makes its watermarks. In batch mode there are none before the end, and nothing is idle.
    pub(crate) fn rules(&self, mode: ExecutionMode) -> SplitRules {
        let timed = self.factory.has_event_time() && mode == ExecutionMode::Streaming;
        let milliseconds = |after: Duration| i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        SplitRules {
            strategy: if timed { self.strategy } else { WatermarkStrategy::None },
            every: self.watermark_rows as u64,
            idle_after: self.idle_after.filter(|_| mode == ExecutionMode::Streaming).map(milliseconds),
        }
    }
}

/// A source gives no rows while its watermark is too far ahead of the slowest one of its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatermarkAlignment {
    /// What the sources that wait for each other have in common.
    pub group: String,
    /// How far ahead it may be.
    pub max_drift: Duration,
}

/// When results appear.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExecutionMode {
    /// As soon as the watermark says so.
    #[default]
    Streaming,
    /// Once, at the end of a bounded input: until then there is no watermark, and no timer fires. Then those in event time
    /// fire, and after them those in processing time that are set, whenever they are due.
    Batch,
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
    /// Subtasks go on one at a time, in an order that this seed decides, as it does how batches are cut: the same seed, the same
    /// interleaving. For tests: it is slow, and time is the number of turns.
    pub interleaving: Option<u64>,
}

impl Settings {
    /// The same, as the seed of the interleaving changes it.
    pub(crate) fn interleaved(self) -> Settings {
        let Some(seed) = self.interleaving else { return self };
        Settings {
            batch_bytes: 1 << choice(seed, 1, self.batch_bytes.max(2).ilog2() as usize + 1),
            channel_batches: 1 + choice(seed, 2, self.channel_batches),
            ..self
        }
    }

    /// At most how many rows a batch of a subtask of a source holds.
    pub(crate) fn source_rows(&self, place: &Place) -> usize {
        let most = self.batch_rows.max(1);
        let Some(seed) = self.interleaving else { return most };
        let of = place.operator.bytes().fold(u64::from(place.subtask), |hash, byte| hash * 31 + u64::from(byte));
        most.min(1 << choice(seed, of, most.ilog2() as usize + 1))
    }

    /// How long rows may wait for their batch to fill behind an operator.
    pub(crate) fn router_linger(&self) -> Duration {
        // Where no clock may decide, until what follows them tells.
        if self.interleaving.is_some() { Duration::from_secs(86_400) } else { self.linger }
    }
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
            interleaving: None,
        }
    }
}
