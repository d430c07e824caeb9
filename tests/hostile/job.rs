//! A job around one operator: keyed rows, hashed into the operator at parallelism two, into a list.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use wasmill_core::{
    Batch, BatchBuilder, BoxFuture, Codec, JobName, MaxParallelism, Quota, Row, Sink, SinkContext, SinkFactory, Source,
    SourceContext, SourceFactory,
    graph::{Edge, Exchange, LogicalGraph, Node, Role},
    sink::Committable,
    source::{BatchLimit, ConnectorError, SourceEvent},
};
use wasmill_engine::{
    CheckpointSettings, ExecutionMode, Job, JobError, RestartStrategy, Settings, SourceSpec, Summary, SystemClock,
};
use wasmill_host::{Component, ComponentOperator, HostError, Limits, OperatorSettings, Runtime, RuntimeOptions};
use wasmill_tests::built;

/// One runtime for all tests of this binary: a guest that harmed it would harm the others.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Runtime::new(RuntimeOptions { max_instances: 100, ..RuntimeOptions::default() }).expect("a runtime can be made")
});

static HOSTILE: LazyLock<Component> =
    LazyLock::new(|| RUNTIME.load(&built("tests/hostile/guest/hostile-guest.wasm")).expect("the guest compiles"));

/// Limits small enough to be hit soon.
pub(crate) fn limits() -> Limits {
    Limits { memory: 32 << 20, call_budget: Duration::from_millis(200), max_batch_bytes: 4 << 20, ..Limits::default() }
}

/// The operator that does `deed`.
pub(crate) fn operator(deed: &str) -> Result<ComponentOperator, HostError> {
    let settings = OperatorSettings {
        job: JobName::local("hostile"),
        operator: "op".to_string(),
        config: format!(r#"{{"do":"{deed}"}}"#),
        limits: limits(),
        seed: 7,
        state_cache_bytes: 1 << 20,
    };
    ComponentOperator::new(HOSTILE.clone(), settings)
}

/// Ten keyed rows.
struct Ten;

impl SourceFactory for Ten {
    fn codecs(&self) -> (Codec, Codec) {
        (Codec::named("bytes"), Codec::named("bytes"))
    }

    fn has_event_time(&self) -> bool {
        false
    }

    fn create(&self, _: SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        Ok(Box::new(TenSource(false)))
    }
}

struct TenSource(bool);

impl Source for TenSource {
    fn splits(&self) -> Vec<String> {
        vec!["ten".to_string()]
    }

    fn position(&self, _: usize) -> Result<Vec<u8>, ConnectorError> {
        Ok(Vec::new())
    }

    fn next(&mut self, _: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        let event = match std::mem::replace(&mut self.0, true) {
            true => SourceEvent::End,
            false => SourceEvent::Rows { split: 0, batch: ten() },
        };
        Box::pin(std::future::ready(Ok(event)))
    }
}

fn ten() -> Batch {
    let mut builder = BatchBuilder::default();
    for i in 0..10u8 {
        builder.push(Row { timestamp: 0, key: Some(&[i]), value: Some(&[i; 3]), headers: &[] });
    }
    builder.take()
}

/// Rows that reached the sink.
#[derive(Default, Clone)]
pub(crate) struct Arrived(Arc<Mutex<usize>>);

impl Arrived {
    pub(crate) fn rows(&self) -> usize {
        *self.0.lock().unwrap()
    }
}

impl SinkFactory for Arrived {
    fn create(&self, _: SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
        Ok(Box::new(self.clone()))
    }

    fn commit(&self, _: &[Committable]) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn target(&self) -> String {
        "a count".to_string()
    }
}

impl Sink for Arrived {
    fn write(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), ConnectorError>> {
        *self.0.lock().unwrap() += batch.rows();
        Box::pin(std::future::ready(Ok(())))
    }

    fn pre_commit(&mut self, _: u64) -> BoxFuture<'static, Result<Option<Committable>, ConnectorError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// The job around `operator`, with its state in `state`.
pub(crate) fn job(operator: ComponentOperator, sink: Arrived, state: &Path) -> Job {
    let node = |id: &str, role, parallelism| Node {
        id: id.to_string(),
        role,
        title: String::new(),
        parallelism,
        chain: true,
        outputs: if role == Role::Sink { vec![] } else { vec!["out".to_string()] },
    };
    let edge = |from, exchange| Edge { from, output: 0, to: from + 1, input: 0, exchange };
    let name = JobName::local("hostile");
    let quota = Quota::new("job `hostile`", 1 << 30);
    let backend = wasmill_state::RedbState::create(state, wasmill_state::StoreOptions::new(quota.clone()))
        .expect("state can be made");
    let source = SourceSpec::bounded(Arc::new(Ten), Duration::ZERO, 1_000);
    Job {
        name,
        graph: LogicalGraph {
            nodes: vec![node("ten", Role::Source, 1), node("op", Role::Operator, 2), node("sink", Role::Sink, 1)],
            edges: vec![edge(0, Exchange::Hash), edge(1, Exchange::Rebalance)],
            max_parallelism: MaxParallelism::DEFAULT,
        },
        sources: BTreeMap::from([(0, source)]),
        operators: BTreeMap::from([(1, Arc::new(operator) as Arc<dyn wasmill_core::OperatorFactory>)]),
        sinks: BTreeMap::from([(2, Arc::new(sink) as Arc<dyn SinkFactory>)]),
        state: Arc::new(backend),
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

/// Runs the job around the operator that does `deed`; never longer than a minute.
pub(crate) async fn run(deed: &str) -> (Result<Summary, JobError>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let arrived = Arrived::default();
    let job = job(operator(deed).unwrap(), arrived.clone(), &folder.path().join("state"));
    let running = async { wasmill_engine::start(job).await?.wait().await };
    let ended = tokio::time::timeout(Duration::from_secs(60), running).await.expect("the job hangs");
    (ended, arrived.rows())
}
