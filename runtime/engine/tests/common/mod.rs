//! Native sources, operators and sinks to drive the engine with.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "shared by several test binaries, each uses a part")]

pub mod memory;
pub mod script;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use wasmill_core::{
    description::*,
    graph::{Edge, Exchange, LogicalGraph, Node, Role},
    sink::Committable,
    source::{BatchLimit, ConnectorError, SourceEvent},
    time::{TimeDomain, TimerBatch},
    *,
};
use wasmill_engine::{CheckpointSettings, ExecutionMode, Job, RestartStrategy, Settings, SourceSpec};

/// Rows (timestamp, key, value), cut into batches; row i goes to subtask i % parallelism.
pub struct Rows {
    pub rows: Vec<(i64, String, u64)>,
    pub batch_rows: usize,
    pub timed: bool,
    /// Before each batch.
    pub pause: Duration,
}

pub fn numbers(count: u64, keys: u64, batch_rows: usize) -> Rows {
    let rows = (0..count).map(|i| (i as i64, format!("key-{}", i % keys), i)).collect();
    Rows { rows, batch_rows, timed: false, pause: Duration::ZERO }
}

/// Split k of n has the rows k, k + n, k + 2n, ...; n is the parallelism of the first start.
struct Split {
    id: String,
    rows: Vec<(i64, String, u64)>,
    next: usize,
}

struct RowsSource {
    splits: Vec<Split>,
    current: usize,
    batch_rows: usize,
    pause: Duration,
}

impl SourceFactory for Rows {
    fn codecs(&self) -> (Codec, Codec) {
        (Codec::named("text"), Codec::named("u64"))
    }
    fn has_event_time(&self) -> bool {
        self.timed
    }
    fn create(&self, c: SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        let split = |k: usize, n: usize, next: usize| Split {
            id: format!("{k}/{n}"),
            rows: self.rows.iter().skip(k).step_by(n).cloned().collect(),
            next,
        };
        let splits = match c.restored {
            None => vec![split(c.place.subtask as usize, c.parallelism as usize, 0)],
            Some(splits) => {
                let mine = splits.iter().enumerate().filter(|(i, _)| *i as u32 % c.parallelism == c.place.subtask);
                mine.map(|(_, state)| {
                    let (k, n) = state.id.split_once('/').unwrap();
                    let next = u64::from_le_bytes(state.position.as_slice().try_into().unwrap());
                    split(k.parse().unwrap(), n.parse().unwrap(), next as usize)
                })
                .collect()
            }
        };
        Ok(Box::new(RowsSource { splits, current: 0, batch_rows: self.batch_rows, pause: self.pause }))
    }
}

impl Source for RowsSource {
    fn splits(&self) -> Vec<String> {
        self.splits.iter().map(|split| split.id.clone()).collect()
    }
    fn position(&self, split: usize) -> Result<Vec<u8>, ConnectorError> {
        Ok((self.splits[split].next as u64).to_le_bytes().to_vec())
    }
    fn next(&mut self, limit: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        let pause = self.pause;
        let Some(split) = self.splits.get_mut(self.current) else {
            return Box::pin(std::future::ready(Ok(SourceEvent::End)));
        };
        let mut builder = BatchBuilder::default();
        for (timestamp, key, value) in split.rows.iter().skip(split.next).take(self.batch_rows.min(limit.rows)) {
            let value = value.to_le_bytes();
            builder.push(Row { timestamp: *timestamp, key: Some(key.as_bytes()), value: Some(&value), headers: &[] });
        }
        split.next += builder.rows();
        let event = match builder.is_empty() {
            false => SourceEvent::Rows { split: self.current, batch: builder.take() },
            true => {
                self.current += 1;
                SourceEvent::SplitEnd { split: self.current - 1 }
            }
        };
        Box::pin(async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            Ok(event)
        })
    }
}

/// What a native operator does in each call; `Err` fails the call.
pub type Process = dyn Fn(&OperatorContext, CallTime, Call) -> Result<Vec<(u32, Batch)>, OperatorError> + Send + Sync;

pub enum Call {
    Process(u32, Batch),
    Timers(TimeDomain, TimerBatch),
    Finish,
}

pub struct Native {
    pub description: Description,
    pub process: Arc<Process>,
}

struct NativeInstance {
    context: OperatorContext,
    process: Arc<Process>,
}

impl NativeInstance {
    fn call(&mut self, time: CallTime, call: Call) -> BoxFuture<'_, Result<(), OperatorError>> {
        Box::pin(async move {
            for (output, batch) in (self.process)(&self.context, time, call)? {
                self.context.outbox.emit(output, batch).await;
            }
            Ok(())
        })
    }
}

impl Operator for NativeInstance {
    fn process(&mut self, time: CallTime, input: u32, batch: Batch) -> BoxFuture<'_, Result<(), OperatorError>> {
        self.call(time, Call::Process(input, batch))
    }
    fn on_timers(
        &mut self,
        time: CallTime,
        domain: TimeDomain,
        timers: TimerBatch,
    ) -> BoxFuture<'_, Result<(), OperatorError>> {
        self.call(time, Call::Timers(domain, timers))
    }
    fn snapshot(&mut self, _: CallTime, _: u64) -> BoxFuture<'_, Result<(), OperatorError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn snapshot_step(&mut self, _: u32) -> BoxFuture<'_, Result<bool, OperatorError>> {
        Box::pin(std::future::ready(Ok(true)))
    }
    fn finish(&mut self, time: CallTime) -> BoxFuture<'_, Result<(), OperatorError>> {
        self.call(time, Call::Finish)
    }
}

impl OperatorFactory for Native {
    fn description(&self) -> &Description {
        &self.description
    }
    fn create(&self, context: OperatorContext) -> BoxFuture<'_, Result<Box<dyn Operator>, OperatorError>> {
        let instance: Box<dyn Operator> = Box::new(NativeInstance { context, process: self.process.clone() });
        Box::pin(std::future::ready(Ok(instance)))
    }
}

/// A native operator with one input and one output.
pub fn native(
    keyed: bool,
    process: impl Fn(&OperatorContext, CallTime, Call) -> Result<Vec<(u32, Batch)>, OperatorError> + Send + Sync + 'static,
) -> Arc<dyn OperatorFactory> {
    let codec = || Codec::named("bytes");
    let input = InputDescription { name: "in".into(), keyed, columns: Columns::ALL, key: codec(), value: codec() };
    let description = Description {
        name: "native".into(),
        version: "0".into(),
        inputs: vec![input],
        outputs: vec![OutputDescription { name: "out".into(), key: codec(), value: codec() }],
        states: vec![],
        timers: vec![],
    };
    Arc::new(Native { description, process: Arc::new(process) })
}

/// Counts per key in state number 0; tells each row's number among those of its key.
pub fn count(context: &OperatorContext, epoch: &AtomicU64, batch: &Batch) -> BatchBuilder {
    let mut out = BatchBuilder::default();
    for row in batch.iter() {
        let key = row.key.unwrap();
        let entries =
            state::EntryKeys { key_ends: vec![key.len() as u32], keys: key.to_vec(), ..state::EntryKeys::default() };
        let before = context.state.get_many(0, &entries).now_or_never().unwrap().unwrap();
        let count = before.get(0).map_or(0, |value| u64::from_le_bytes(value.try_into().unwrap())) + 1;
        let writes = state::Writes {
            operations: vec![state::StateOperation::Put],
            entries,
            value_ends: vec![8],
            values: count.to_le_bytes().to_vec(),
            expires: vec![],
        };
        context.state.write_many(0, epoch.load(Ordering::Relaxed), &writes).now_or_never().unwrap().unwrap();
        out.push(Row { timestamp: row.timestamp, key: Some(key), value: Some(&count.to_le_bytes()), headers: &[] });
    }
    out
}

/// What a native operator with state does in each call: as [`Process`], and with the epoch that its changes belong to.
pub type Snapshotting =
    dyn Fn(&OperatorContext, &AtomicU64, Call) -> Result<Vec<(u32, Batch)>, OperatorError> + Send + Sync;

struct SnapshottingFactory(Description, Arc<Snapshotting>);

struct SnapshottingInstance {
    context: OperatorContext,
    epoch: AtomicU64,
    process: Arc<Snapshotting>,
}

impl SnapshottingInstance {
    fn call(&mut self, call: Call) -> BoxFuture<'_, Result<(), OperatorError>> {
        Box::pin(async move {
            for (output, batch) in (self.process)(&self.context, &self.epoch, call)? {
                self.context.outbox.emit(output, batch).await;
            }
            Ok(())
        })
    }
}

impl Operator for SnapshottingInstance {
    fn process(&mut self, _: CallTime, input: u32, batch: Batch) -> BoxFuture<'_, Result<(), OperatorError>> {
        self.call(Call::Process(input, batch))
    }
    fn on_timers(
        &mut self,
        _: CallTime,
        domain: TimeDomain,
        timers: TimerBatch,
    ) -> BoxFuture<'_, Result<(), OperatorError>> {
        self.call(Call::Timers(domain, timers))
    }
    fn snapshot(&mut self, _: CallTime, epoch: u64) -> BoxFuture<'_, Result<(), OperatorError>> {
        self.epoch.store(epoch + 1, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(())))
    }
    fn snapshot_step(&mut self, _: u32) -> BoxFuture<'_, Result<bool, OperatorError>> {
        Box::pin(std::future::ready(Ok(true)))
    }
    fn finish(&mut self, _: CallTime) -> BoxFuture<'_, Result<(), OperatorError>> {
        self.call(Call::Finish)
    }
}

impl OperatorFactory for SnapshottingFactory {
    fn description(&self) -> &Description {
        &self.0
    }
    fn create(&self, context: OperatorContext) -> BoxFuture<'_, Result<Box<dyn Operator>, OperatorError>> {
        let epoch = AtomicU64::new(context.epoch);
        let instance: Box<dyn Operator> = Box::new(SnapshottingInstance { context, epoch, process: self.1.clone() });
        Box::pin(std::future::ready(Ok(instance)))
    }
}

/// A native operator with one input, one output, state number 0, and timers.
pub fn snapshotting(
    keyed: bool,
    process: impl Fn(&OperatorContext, &AtomicU64, Call) -> Result<Vec<(u32, Batch)>, OperatorError> + Send + Sync + 'static,
) -> Arc<dyn OperatorFactory> {
    let mut description = native(keyed, |_, _, _| Ok(vec![])).description().clone();
    if keyed {
        let codec = || Codec::named("bytes");
        description.timers = vec![TimeDomain::EventTime];
        description.states = vec![StateDescription {
            name: "count".into(),
            kind: StateKind::Value,
            scope: StateScope::Keyed,
            key: codec(),
            map_key: codec(),
            value: codec(),
            schema_version: 1,
            ttl: None,
        }];
    }
    Arc::new(SnapshottingFactory(description, Arc::new(process)))
}

/// Passes every batch on.
pub fn identity() -> Arc<dyn OperatorFactory> {
    native(false, |_, _, call| match call {
        Call::Process(_, batch) => Ok(vec![(0, batch)]),
        _ => Ok(vec![]),
    })
}

/// Rows by sink subtask.
pub type BySubtask = BTreeMap<u32, Vec<(String, u64)>>;

/// Committed rows by epoch and subtask.
pub type Committed = BTreeMap<(u64, u32), Vec<(String, u64)>>;

/// A sink in memory: what was written, and what is committed, by epoch and subtask.
#[derive(Default, Clone)]
pub struct Collected {
    pub rows: Arc<Mutex<BySubtask>>,
    pub committed: Arc<Mutex<Committed>>,
    pub discarded: Arc<Mutex<u32>>,
    pub delay: Duration,
}

struct CollectSink {
    to: Collected,
    subtask: u32,
    epoch: Vec<(String, u64)>,
}

impl SinkFactory for Collected {
    fn create(&self, context: SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
        Ok(Box::new(CollectSink { to: self.clone(), subtask: context.place.subtask, epoch: Vec::new() }))
    }
    /// A committable holds its rows: "epoch subtask", then a line a row.
    fn commit(&self, committables: &[Committable]) -> Result<(), ConnectorError> {
        for committable in committables {
            let text = String::from_utf8(committable.0.clone()).unwrap();
            let mut lines = text.lines().map(|line| line.split_once(' ').unwrap());
            let (epoch, subtask) = lines.next().unwrap();
            let rows = lines.map(|(value, key)| (key.to_string(), value.parse().unwrap())).collect();
            let place = (epoch.parse().unwrap(), subtask.parse().unwrap());
            if let Some(before) = self.committed.lock().unwrap().insert(place, rows) {
                assert_eq!(before, self.committed.lock().unwrap()[&place], "an epoch was used twice");
            }
        }
        Ok(())
    }
    fn discard(&self) -> Result<(), ConnectorError> {
        *self.discarded.lock().unwrap() += 1;
        Ok(())
    }
    fn target(&self) -> String {
        "memory".into()
    }
}

impl Sink for CollectSink {
    fn write(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), ConnectorError>> {
        Box::pin(async move {
            if !self.to.delay.is_zero() {
                tokio::time::sleep(self.to.delay).await;
            }
            let row = |row: Row<'_>| {
                let key = String::from_utf8_lossy(row.key.unwrap_or_default()).into_owned();
                let value = row.value.unwrap_or(&[0; 8]).try_into().map_or(0, u64::from_le_bytes);
                (key, value)
            };
            let rows: Vec<_> = batch.iter().map(row).collect();
            self.to.rows.lock().unwrap().entry(self.subtask).or_default().extend(rows.clone());
            self.epoch.extend(rows);
            Ok(())
        })
    }
    fn pre_commit(&mut self, epoch: u64) -> BoxFuture<'static, Result<Option<Committable>, ConnectorError>> {
        let mut text = format!("{epoch} {}\n", self.subtask);
        for (key, value) in std::mem::take(&mut self.epoch) {
            text.push_str(&format!("{value} {key}\n"));
        }
        Box::pin(std::future::ready(Ok(Some(Committable(text.into_bytes())))))
    }
}

impl Collected {
    /// All rows, sorted.
    pub fn sorted(&self) -> Vec<(String, u64)> {
        let mut all: Vec<_> = self.rows.lock().unwrap().values().flatten().cloned().collect();
        all.sort();
        all
    }

    /// All rows that are committed, sorted.
    pub fn visible(&self) -> Vec<(String, u64)> {
        let mut all: Vec<_> = self.committed.lock().unwrap().values().flatten().cloned().collect();
        all.sort();
        all
    }
}

pub struct FixedClock;
impl Clock for FixedClock {
    fn now(&self) -> i64 {
        1_000
    }
}

/// A job in a line: source, operators, sink, each with its parallelism, and the exchanges between them.
pub fn line(
    source: Rows,
    operators: Vec<(u32, Arc<dyn OperatorFactory>)>,
    sink: (u32, Collected),
    source_parallelism: u32,
    exchanges: &[Exchange],
) -> Job {
    let node = |id: String, role, parallelism| Node {
        id,
        role,
        title: String::new(),
        parallelism,
        chain: true,
        outputs: if role == Role::Sink { vec![] } else { vec!["out".into()] },
    };
    let mut nodes = vec![node("source".into(), Role::Source, source_parallelism)];
    for (i, (parallelism, _)) in operators.iter().enumerate() {
        nodes.push(node(format!("op{}", i + 1), Role::Operator, *parallelism));
    }
    nodes.push(node("sink".into(), Role::Sink, sink.0));
    let edge = |(i, &exchange): (usize, &Exchange)| Edge { from: i, output: 0, to: i + 1, input: 0, exchange };
    let edges = exchanges.iter().enumerate().map(edge).collect();
    let last = nodes.len() - 1;
    let source = SourceSpec::bounded(Arc::new(source), Duration::ZERO, 10);
    Job {
        name: JobName::local("test"),
        graph: LogicalGraph { nodes, edges, max_parallelism: MaxParallelism::DEFAULT },
        sources: BTreeMap::from([(0, source)]),
        operators: operators.into_iter().enumerate().map(|(i, (_, operator))| (i + 1, operator)).collect(),
        sinks: BTreeMap::from([(last, Arc::new(sink.1) as Arc<dyn SinkFactory>)]),
        state: Arc::new(memory::MemoryStore::default()),
        clock: Arc::new(FixedClock),
        quota: Quota::new("job `test`", 1 << 30),
        settings: Settings::default(),
        checkpoints: CheckpointSettings::default(),
        restart: RestartStrategy::None,
        dead_letters: BTreeSet::new(),
        mode: ExecutionMode::default(),
        allow_dropped_state: false,
        crash: None,
    }
}
