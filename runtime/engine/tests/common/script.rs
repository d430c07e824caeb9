//! A source that does what a script says, a clock that scripts move, and graphs of several sources.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use wasmill_core::{
    graph::{Edge, Exchange, Node, NodeId, Role},
    source::{BatchLimit, ConnectorError, SourceEvent},
    time::WatermarkStrategy,
    *,
};
use wasmill_engine::{Job, SourceSpec};

use super::{Collected, Rows, line, numbers};

/// What a scripted source does next.
#[derive(Debug, Clone)]
pub enum Step {
    /// Gives rows of a split with these timestamps; the value of each is its timestamp.
    Rows(usize, Vec<i64>),
    /// The same, and the last row carries a watermark.
    Carrying(usize, Vec<i64>, i64),
    /// Has nothing for so many milliseconds.
    Quiet(i64),
    /// Has nothing until somebody lets it go on.
    Until(Gate),
    /// A split ends.
    SplitEnd(usize),
}

/// Opens once.
#[derive(Debug, Clone, Default)]
pub struct Gate(pub Arc<AtomicBool>);

impl Gate {
    pub fn open(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
    pub fn is_open(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A clock that stands still but for [`Step::Quiet`].
#[derive(Debug, Clone, Default)]
pub struct ManualClock(pub Arc<AtomicI64>);

impl Clock for ManualClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A source of one subtask.
#[derive(Clone, Default)]
pub struct Script {
    pub splits: usize,
    pub steps: Vec<Step>,
    pub clock: ManualClock,
    /// Whether it can leave splits out.
    pub pausable: bool,
    /// The highest timestamp given so far.
    pub given: Arc<AtomicI64>,
}

struct Scripted {
    script: Script,
    steps: VecDeque<Step>,
    paused: Vec<bool>,
    carried: Option<i64>,
}

impl SourceFactory for Script {
    fn codecs(&self) -> (Codec, Codec) {
        (Codec::named("text"), Codec::named("u64"))
    }
    fn has_event_time(&self) -> bool {
        true
    }
    fn create(&self, _: SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        let (steps, paused) = (self.steps.clone().into(), vec![false; self.splits]);
        Ok(Box::new(Scripted { script: self.clone(), steps, paused, carried: None }))
    }
}

impl Source for Scripted {
    fn splits(&self) -> Vec<String> {
        (0..self.script.splits).map(|split| format!("split-{split}")).collect()
    }
    fn position(&self, _: usize) -> Result<Vec<u8>, ConnectorError> {
        Ok(vec![])
    }
    fn carried_watermark(&self) -> Option<i64> {
        self.carried
    }
    fn pause(&mut self, split: usize, paused: bool) -> bool {
        self.paused[split] = paused && self.script.pausable;
        self.script.pausable
    }
    fn next(&mut self, limit: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        Box::pin(async move {
            self.carried = None;
            // The first step of a split that is not left out.
            let paused = |step: &Step| match step {
                Step::Rows(split, _) | Step::Carrying(split, ..) | Step::SplitEnd(split) => self.paused[*split],
                _ => false,
            };
            let Some(at) = self.steps.iter().position(|step| !paused(step)) else {
                if self.steps.is_empty() {
                    return Ok(SourceEvent::End);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                return Ok(SourceEvent::Idle);
            };
            if let Step::Until(gate) = &self.steps[at]
                && !gate.is_open()
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
                return Ok(SourceEvent::Idle);
            }
            let step = self.steps.remove(at).unwrap();
            let (split, mut rows, carried) = match step {
                Step::Rows(split, rows) => (split, rows, None),
                Step::Carrying(split, rows, watermark) => (split, rows, Some(watermark)),
                Step::SplitEnd(split) => return Ok(SourceEvent::SplitEnd { split }),
                Step::Until(_) => return Ok(SourceEvent::Idle),
                Step::Quiet(milliseconds) => {
                    self.script.clock.0.fetch_add(milliseconds, Ordering::SeqCst);
                    return Ok(SourceEvent::Idle);
                }
            };
            if rows.len() > limit.rows {
                let rest = rows.split_off(limit.rows);
                let rest = match carried {
                    Some(watermark) => Step::Carrying(split, rest, watermark),
                    None => Step::Rows(split, rest),
                };
                self.steps.insert(at, rest);
            } else {
                self.carried = carried;
            }
            let mut builder = BatchBuilder::default();
            for &timestamp in &rows {
                let value = timestamp.to_le_bytes();
                builder.push(Row { timestamp, key: Some(b"k"), value: Some(&value), headers: &[] });
                self.script.given.fetch_max(timestamp, Ordering::SeqCst);
            }
            Ok(SourceEvent::Rows { split, batch: builder.take() })
        })
    }
}

/// A source of a script, with a mark at every row.
pub fn spec(script: Script, strategy: WatermarkStrategy) -> SourceSpec {
    SourceSpec { factory: Arc::new(script), strategy, watermark_rows: 1, idle_after: None, alignment: None }
}

/// A job of these sources, all into each input of `operator` in turn (source i into input i modulo `inputs`), and a sink.
pub fn sources(specs: Vec<SourceSpec>, operator: Arc<dyn OperatorFactory>, inputs: u32, sink: &Collected) -> Job {
    let mut job = line(numbers(0, 1, 1), vec![(1, operator)], (1, sink.clone()), 1, &[Exchange::Rebalance; 2]);
    let edge = |from: NodeId, to, input| Edge { from, output: 0, to, input, exchange: Exchange::Rebalance };
    let (operator, sink) = (job.operators.remove(&1).unwrap(), job.sinks.remove(&2).unwrap());
    let (source, others) = (job.graph.nodes[0].clone(), job.graph.nodes.split_off(1));
    let count = specs.len();
    job.graph.nodes = (0..count).map(|i| Node { id: format!("source{i}"), ..source.clone() }).chain(others).collect();
    job.graph.edges =
        (0..count).map(|i| edge(i, count, i as u32 % inputs)).chain([edge(count, count + 1, 0)]).collect();
    job.sources = specs.into_iter().enumerate().collect();
    job.operators = [(count, operator)].into();
    job.sinks = [(count + 1, sink)].into();
    assert!(job.graph.nodes.iter().filter(|node| node.role == Role::Source).count() == count);
    job
}

/// Rows with event times, of one split.
pub fn timed(rows: Vec<(i64, String, u64)>, batch_rows: usize) -> Rows {
    Rows { rows, batch_rows, timed: true, pause: Duration::ZERO }
}

/// What an operator saw: the timestamp of a row, or `None` for a timer, and the watermark then.
pub type Seen = Arc<Mutex<Vec<(Option<i64>, i64)>>>;
