//! The workloads: what runs at each node, in which shape, and what must come out.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use wasmill_connectors::{file::FileSource, generator::GeneratorSource, rows::RowFormat};
use wasmill_core::{
    JobName, MaxParallelism, OperatorFactory, Quota, SinkFactory, SourceFactory, StateBackend,
    graph::{Edge, Exchange, LogicalGraph, Node, Role},
};
use wasmill_engine::{CheckpointSettings, ExecutionMode, Job, RestartStrategy, Settings, SourceSpec, SystemClock};
use wasmill_state::{RedbState, StoreOptions};

use crate::{
    ends::{self, Checksum, Lines, MadeUp, novels},
    operators::{Operators, Variant},
    plain, text,
};

/// Keys of the keyed count.
pub(crate) const KEYS: u64 = 100_000;

/// How far behind the highest event time so far a row of W3 may be.
const OUT_OF_ORDER: Duration = Duration::from_secs(2);

/// Words in one pass over the novels.
const WORDS: u64 = 729_531;

/// What comes out of a workload: the same for every variant at the same number of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Rows that reached the sink.
    pub(crate) rows: u64,
    /// The sum of their values.
    pub(crate) sum: u64,
}

/// A workload by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Workload {
    /// Generator, one operator that passes rows on, sink: all in one chain.
    Pass,
    /// The same with a channel before the operator.
    PassChannel,
    /// W1: records of a number and 100 bytes, a map that reads and writes digits, a filter that keeps half: all in one chain.
    W1,
    /// The same with a channel before the map.
    W1c,
    /// The same with a channel before the map, the filter and the sink.
    W1s,
    /// Rows over 100,000 keys, hashed into a count a key in value state, each count emitted.
    W2,
    /// The same with `on-error = "dead-letter"`: each call is a transaction, and hands over all that it changed.
    W2DeadLetter,
    /// W3: rows over 10,000 keys, 2 s out of order, counted in windows of 10 s of event time.
    W3,
    /// The same with map state and timers.
    W3t,
    /// W6: words of 200 MB of text in files, hashed into a running count a word, each count emitted; a record is a word.
    W6,
    /// Words of the six novels, hashed into a count a word, emitted at the end; a record is a word.
    Words,
}

impl Workload {
    /// All of them.
    pub(crate) const ALL: [Workload; 11] = [
        Workload::Pass,
        Workload::PassChannel,
        Workload::W1,
        Workload::W1c,
        Workload::W1s,
        Workload::W2,
        Workload::W2DeadLetter,
        Workload::W3,
        Workload::W3t,
        Workload::W6,
        Workload::Words,
    ];

    /// The name on the command line and in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Workload::Pass => "pass",
            Workload::PassChannel => "pass-channel",
            Workload::W1 => "w1",
            Workload::W1c => "w1c",
            Workload::W1s => "w1s",
            Workload::W2 => "w2",
            Workload::W2DeadLetter => "w2-dead-letter",
            Workload::W3 => "w3",
            Workload::W3t => "w3t",
            Workload::W6 => "w6",
            Workload::Words => "words",
        }
    }

    /// Records of a run of usual length: a few seconds at most. Of W6 all words, whatever the scale.
    ///
    /// # Errors
    /// When there is no text.
    pub(crate) fn records(self, scale: f64) -> Result<u64> {
        let records = match self {
            Workload::W6 => {
                let mut words = 0;
                text::each_word(&text::folder()?, |_| words += 1)?;
                return Ok(words);
            }
            Workload::Pass | Workload::PassChannel => 40_000_000.0,
            Workload::W1 | Workload::W1c | Workload::W1s => 20_000_000.0,
            Workload::W2 => 40_000_000.0,
            Workload::W3 | Workload::W3t => 20_000_000.0,
            Workload::W2DeadLetter => 10_000_000.0,
            Workload::Words => 20.0 * WORDS as f64,
        };
        Ok(self.whole((records * scale) as u64))
    }

    /// The nearest number of records that the workload can have.
    fn whole(self, records: u64) -> u64 {
        match self {
            Workload::Words => (records / WORDS).max(1) * WORDS,
            _ => records.max(1),
        }
    }

    /// Runs it as a plain loop; the outcome that every variant must have.
    pub(crate) fn plain(self, records: u64) -> Result<Outcome> {
        Ok(match self {
            Workload::Pass | Workload::PassChannel => plain::pass(records),
            Workload::W1 | Workload::W1c | Workload::W1s => plain::records(records),
            Workload::W2 | Workload::W2DeadLetter => plain::keyed_count(records, KEYS),
            Workload::W3 | Workload::W3t => plain::windows(records),
            Workload::W6 => plain::running_word_count(&text::folder()?)?,
            Workload::Words => plain::word_count(&novels()?, records / WORDS),
        })
    }

    /// The job, and the sink to read the outcome from.
    pub(crate) fn job(self, variant: Variant, parallelism: u32, records: u64, state: &Path) -> Result<(Job, Checksum)> {
        let name = JobName::local(self.name());
        let operators = Operators::new(variant, name.clone())?;
        let generator = |keys| -> Arc<dyn SourceFactory> { Arc::new(GeneratorSource::counting(records, keys)) };
        let made_up = |codecs, timed, make, row_bytes| -> Arc<dyn SourceFactory> {
            Arc::new(MadeUp { count: records, codecs, timed, make, row_bytes })
        };
        let (source, nodes): (_, Vec<Step>) = match self {
            Workload::W1 | Workload::W1c | Workload::W1s => {
                let (first, second) = match self {
                    Workload::W1 => (Exchange::Forward, Exchange::Forward),
                    Workload::W1c => (Exchange::Rebalance, Exchange::Forward),
                    _ => (Exchange::Rebalance, Exchange::Rebalance),
                };
                let nodes = vec![("parse", first, operators.parse()?), ("half", second, operators.half()?)];
                (made_up(("bytes", "bytes"), false, ends::records, ends::RECORD + 4), nodes)
            }
            Workload::W3 | Workload::W3t => {
                let operator =
                    if self == Workload::W3 { operators.window_count()? } else { operators.window_timers()? };
                let nodes = vec![("windows", Exchange::Hash, operator)];
                (made_up(("u64", "bytes"), true, ends::stamped, 20), nodes)
            }
            Workload::Pass => (generator(KEYS), vec![("pass", Exchange::Forward, operators.pass()?)]),
            Workload::PassChannel => (generator(KEYS), vec![("pass", Exchange::Rebalance, operators.pass()?)]),
            Workload::W2 | Workload::W2DeadLetter => {
                (generator(KEYS), vec![("count", Exchange::Hash, operators.count()?)])
            }
            Workload::W6 => {
                let files = FileSource::new(&text::files(&text::folder()?)?, RowFormat::default(), u64::MAX)?;
                let split = ("split", Exchange::Forward, operators.words()?);
                (Arc::new(files), vec![split, ("count", Exchange::Hash, operators.running_count()?)])
            }
            Workload::Words => {
                let lines = Arc::new(Lines { lines: Arc::new(novels()?), repeats: records / WORDS });
                let split = ("split", Exchange::Forward, operators.split()?);
                (lines, vec![split, ("count", Exchange::Hash, operators.word_count()?)])
            }
        };
        let sink = Checksum::default();
        let quota = quota();
        let backend = RedbState::create(state, StoreOptions::new(quota.clone())).context("the state store")?;
        let mut job = assemble(name, source, nodes, sink.clone(), Arc::new(backend), parallelism, quota);
        if self == Workload::W1s
            && let Some(last) = job.graph.edges.last_mut()
        {
            last.exchange = Exchange::Rebalance;
        }
        if matches!(self, Workload::W3 | Workload::W3t) {
            job.sources
                .values_mut()
                .for_each(|spec| *spec = SourceSpec::bounded(spec.factory.clone(), OUT_OF_ORDER, 1_000));
        }
        if self == Workload::W2DeadLetter {
            job.graph.nodes[1].outputs.push("dead-letter".to_string());
            job.dead_letters.insert(1);
        }
        Ok((job, sink))
    }
}

/// A keyed count over `keys` keys, the job of the checkpoint benchmark; `records` rows, or without end.
pub(crate) fn keyed_count(
    variant: Variant,
    parallelism: u32,
    records: Option<u64>,
    keys: u64,
    state: Arc<dyn StateBackend>,
    checkpoints: CheckpointSettings,
) -> Result<(Job, Checksum)> {
    let source = Arc::new(GeneratorSource { count: records, ..GeneratorSource::counting(0, keys) });
    let sink = Checksum::default();
    Ok((keyed_count_of(variant, parallelism, source, sink.clone(), state, checkpoints)?, sink))
}

/// A keyed count of the rows of a source, into a sink.
pub(crate) fn keyed_count_of(
    variant: Variant,
    parallelism: u32,
    source: Arc<dyn SourceFactory>,
    sink: impl SinkFactory + 'static,
    state: Arc<dyn StateBackend>,
    checkpoints: CheckpointSettings,
) -> Result<Job> {
    let name = JobName::local("keyed-count");
    let operators = Operators::new(variant, name.clone())?;
    let nodes = vec![("count", Exchange::Hash, operators.count()?)];
    let job = assemble(name, source, nodes, sink, state, parallelism, quota());
    Ok(Job { checkpoints, ..job })
}

/// What the jobs of the benchmarks may use.
pub(crate) fn quota() -> Quota {
    Quota::new("the benchmark", 8 << 30)
}

/// An operator of a line, and the exchange before it.
type Step = (&'static str, Exchange, Arc<dyn OperatorFactory>);

/// A job in a line.
fn assemble(
    name: JobName,
    source: Arc<dyn SourceFactory>,
    operators: Vec<Step>,
    sink: impl SinkFactory + 'static,
    state: Arc<dyn StateBackend>,
    parallelism: u32,
    quota: Quota,
) -> Job {
    let node = |id: &str, role| Node {
        id: id.to_string(),
        role,
        title: String::new(),
        parallelism,
        chain: true,
        outputs: if role == Role::Sink { Vec::new() } else { vec!["out".to_string()] },
    };
    let mut nodes = vec![node("source", Role::Source)];
    let mut edges = Vec::new();
    let mut at_nodes = BTreeMap::new();
    for (id, exchange, operator) in operators {
        edges.push(Edge { from: nodes.len() - 1, output: 0, to: nodes.len(), input: 0, exchange });
        at_nodes.insert(nodes.len(), operator);
        nodes.push(node(id, Role::Operator));
    }
    let last = nodes.len();
    edges.push(Edge { from: last - 1, output: 0, to: last, input: 0, exchange: Exchange::Forward });
    nodes.push(node("sink", Role::Sink));
    let spec = SourceSpec::bounded(source, Duration::ZERO, 1_000);
    Job {
        name,
        graph: LogicalGraph { nodes, edges, max_parallelism: MaxParallelism::DEFAULT },
        sources: BTreeMap::from([(0, spec)]),
        operators: at_nodes,
        sinks: BTreeMap::from([(last, Arc::new(sink) as Arc<dyn SinkFactory>)]),
        state,
        clock: Arc::new(SystemClock),
        quota,
        settings: Settings::default(),
        checkpoints: CheckpointSettings::default(),
        restart: RestartStrategy::None,
        dead_letters: BTreeSet::new(),
        mode: ExecutionMode::default(),
        allow_dropped_state: false,
        crash: None,
    }
}
