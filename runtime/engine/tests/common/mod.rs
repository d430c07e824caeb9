//! Native sources, operators and sinks to drive the engine with.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "shared by several test binaries, each uses a part")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use wasmill_core::{
    description::*,
    graph::{Edge, Exchange, LogicalGraph, Node, Role},
    sink::Committable,
    source::{BatchLimit, ConnectorError, SourceEvent},
    state::*,
    time::{TimeDomain, TimerBatch},
    *,
};
use wasmill_engine::{Job, Settings, SourceSpec};

/// Rows (timestamp, key, value), cut into batches; row i goes to subtask i % parallelism.
pub struct Rows {
    pub rows: Vec<(i64, String, u64)>,
    pub batch_rows: usize,
    pub timed: bool,
}

pub fn numbers(count: u64, keys: u64, batch_rows: usize) -> Rows {
    let rows = (0..count).map(|i| (i as i64, format!("key-{}", i % keys), i)).collect();
    Rows { rows, batch_rows, timed: false }
}

struct RowsSource {
    rows: std::vec::IntoIter<(i64, String, u64)>,
    batch_rows: usize,
    split_ended: bool,
}

impl SourceFactory for Rows {
    fn codecs(&self) -> (Codec, Codec) {
        (Codec::named("text"), Codec::named("u64"))
    }
    fn has_event_time(&self) -> bool {
        self.timed
    }
    fn create(&self, c: SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        let mine =
            |(i, row): (usize, &(i64, String, u64))| (i as u32 % c.parallelism == c.place.subtask).then(|| row.clone());
        let rows: Vec<_> = self.rows.iter().enumerate().filter_map(mine).collect();
        Ok(Box::new(RowsSource { rows: rows.into_iter(), batch_rows: self.batch_rows, split_ended: false }))
    }
}

impl Source for RowsSource {
    fn splits(&self) -> usize {
        1
    }
    fn next(&mut self, limit: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        let mut builder = BatchBuilder::default();
        for (timestamp, key, value) in self.rows.by_ref().take(self.batch_rows.min(limit.rows)) {
            let value = value.to_le_bytes();
            builder.push(Row { timestamp, key: Some(key.as_bytes()), value: Some(&value), headers: &[] });
        }
        let event = match (builder.is_empty(), self.split_ended) {
            (false, _) => SourceEvent::Rows { split: 0, batch: builder.take() },
            (true, false) => {
                self.split_ended = true;
                SourceEvent::SplitEnd { split: 0 }
            }
            (true, true) => SourceEvent::End,
        };
        Box::pin(std::future::ready(Ok(event)))
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

/// Passes every batch on.
pub fn identity() -> Arc<dyn OperatorFactory> {
    native(false, |_, _, call| match call {
        Call::Process(_, batch) => Ok(vec![(0, batch)]),
        _ => Ok(vec![]),
    })
}

/// Rows by sink subtask.
pub type BySubtask = BTreeMap<u32, Vec<(String, u64)>>;

/// Rows by sink subtask, in the order they came; `committed` once the job has.
#[derive(Default, Clone)]
pub struct Collected {
    pub rows: Arc<Mutex<BySubtask>>,
    pub committed: Arc<Mutex<Vec<Vec<u8>>>>,
    pub discarded: Arc<Mutex<u32>>,
    pub delay: Duration,
}

struct CollectSink(Collected, u32);

impl SinkFactory for Collected {
    fn create(&self, context: SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
        Ok(Box::new(CollectSink(self.clone(), context.place.subtask)))
    }
    fn commit(&self, committable: &Committable) -> Result<(), ConnectorError> {
        self.committed.lock().unwrap().push(committable.0.clone());
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
            if !self.0.delay.is_zero() {
                tokio::time::sleep(self.0.delay).await;
            }
            let row = |row: Row<'_>| {
                let key = String::from_utf8_lossy(row.key.unwrap_or_default()).into_owned();
                (key, u64::from_le_bytes(row.value.unwrap_or(&[0; 8]).try_into().unwrap()))
            };
            self.0.rows.lock().unwrap().entry(self.1).or_default().extend(batch.iter().map(row));
            Ok(())
        })
    }
    fn pre_commit(&mut self, _: u64) -> BoxFuture<'_, Result<Option<Committable>, ConnectorError>> {
        Box::pin(std::future::ready(Ok(Some(Committable(self.1.to_le_bytes().to_vec())))))
    }
}

impl Collected {
    /// All rows, sorted.
    pub fn sorted(&self) -> Vec<(String, u64)> {
        let mut all: Vec<_> = self.rows.lock().unwrap().values().flatten().cloned().collect();
        all.sort();
        all
    }
}

/// No state: only ownership of keys.
pub struct NoState;
struct NoKeyedState(MaxParallelism, KeyGroupRange);

impl KeyedState for NoKeyedState {
    fn owns(&self, key: &[u8]) -> bool {
        self.1.contains(self.0.group(key))
    }
    fn get_many<'a>(&'a self, _: u32, _: &'a EntryKeys) -> BoxFuture<'a, Result<Values, StateError>> {
        Box::pin(std::future::ready(Err(StateError::Contract("no state".into()))))
    }
    fn write_many<'a>(&'a self, _: u32, _: u64, _: &'a Writes) -> BoxFuture<'a, Result<(), StateError>> {
        Box::pin(std::future::ready(Err(StateError::Contract("no state".into()))))
    }
    fn cut(&self, _: u64) -> Result<(), StateError> {
        Ok(())
    }
    fn seal(&self) {}
}

impl StateBackend for NoState {
    fn open(&self, request: StateScopeRequest) -> Result<Arc<dyn KeyedState>, StateError> {
        Ok(Arc::new(NoKeyedState(request.max_parallelism, request.range)))
    }
    fn commit(&self, _: u64) -> BoxFuture<'_, Result<(), StateError>> {
        Box::pin(std::future::ready(Ok(())))
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
    let source = SourceSpec { factory: Arc::new(source), out_of_orderness: Duration::ZERO, watermark_rows: 10 };
    Job {
        name: JobName::local("test"),
        graph: LogicalGraph { nodes, edges, max_parallelism: MaxParallelism::DEFAULT },
        sources: BTreeMap::from([(0, source)]),
        operators: operators.into_iter().enumerate().map(|(i, (_, operator))| (i + 1, operator)).collect(),
        sinks: BTreeMap::from([(last, Arc::new(sink.1) as Arc<dyn SinkFactory>)]),
        state: Arc::new(NoState),
        clock: Arc::new(FixedClock),
        quota: Quota::new("job `test`", 1 << 30),
        settings: Settings::default(),
    }
}
