//! Measures how long rows take through a live job: W2 at a rate, with exactly-once checkpoints.

use std::{
    process::Command,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use wasmill_connectors::generator::GeneratorSource;
use wasmill_core::{
    Batch, BoxFuture, Codec, Sink, SinkContext, SinkFactory, Source, SourceContext, SourceFactory,
    sink::Committable,
    source::{BatchLimit, ConnectorError, SourceEvent},
};
use wasmill_engine::CheckpointSettings;
use wasmill_state::{RedbState, StoreOptions};

use crate::{
    operators::Variant,
    usage,
    workload::{KEYS, keyed_count_of, quota},
};

/// What one process measures.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Case {
    variant: Variant,
    parallelism: u32,
    /// Rows a second.
    rate: u64,
    seconds: u64,
    /// How long rows wait for their batch to fill, milliseconds.
    linger_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Run {
    case: Case,
    rows: usize,
    /// From when a row was due at the source until it reached the sink, milliseconds.
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
    /// Checkpoints that were completed.
    checkpoints: u64,
    /// CPU time per record, nanoseconds.
    cpu_ns: f64,
}

/// Rows that come before this are not counted: the job starts.
const WARM_UP: Duration = Duration::from_secs(2);

/// Measures and prints everything.
pub(crate) fn all(parallelism: &[u32], rate: u64, seconds: u64, json: bool) -> Result<()> {
    if !json {
        println!(
            "W2 at {rate} rows a second for {seconds} s, exactly-once checkpoints every second; from when a row was due until it reached \
             the sink, ms.\n\n p variant  linger      p50      p99    p99.9      max  checkpoints  CPU ns a row"
        );
    }
    for &parallelism in parallelism {
        for variant in [Variant::Wasm, Variant::Native] {
            for linger_ms in [5, 1] {
                let run = spawn(&Case { variant, parallelism, rate, seconds, linger_ms })?;
                match json {
                    true => println!("{}", serde_json::to_string(&run)?),
                    false => println!(
                        "{:>2} {:<8} {:>6} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>12} {:>13.0}",
                        parallelism,
                        variant.name(),
                        linger_ms,
                        run.p50,
                        run.p99,
                        run.p999,
                        run.max,
                        run.checkpoints,
                        run.cpu_ns
                    ),
                }
            }
        }
    }
    Ok(())
}

/// Measures in a process of its own.
fn spawn(case: &Case) -> Result<Run> {
    let case = serde_json::to_string(case)?;
    let output = Command::new(std::env::current_exe()?).args(["--latency-case", &case]).output()?;
    if !output.status.success() {
        bail!("{case}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Measures in this process, and prints the run.
pub(crate) fn one(case: &str) -> Result<()> {
    let case: Case = serde_json::from_str(case)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let count = case.rate * case.seconds;
    // The event time of a row is its number, so that the sink knows when it was due.
    let generator =
        GeneratorSource { rate: Some(case.rate), event_time: Some((0, 1)), ..GeneratorSource::counting(count, KEYS) };
    let begun = Arc::new(OnceLock::new());
    let arrivals = Arrivals { begun: begun.clone(), rate: case.rate as f64, waits: Arc::default() };
    let store = Arc::new(RedbState::create(&folder.path().join("state"), StoreOptions::new(quota()))?);
    let source = Arc::new(Begun { source: generator, begun });
    let checkpoints = CheckpointSettings {
        interval: Some(Duration::from_secs(1)),
        tolerated_failures: 0,
        ..CheckpointSettings::default()
    };
    let mut job = keyed_count_of(case.variant, case.parallelism, source, arrivals.clone(), store, checkpoints)?;
    job.settings.linger = Duration::from_millis(case.linger_ms);
    let cpu = usage::cpu();
    let summary = runtime.block_on(async { wasmill_engine::start(job).await?.wait().await })?;
    let cpu = usage::cpu() - cpu;
    let mut waits = std::mem::take(&mut *arrivals.waits.lock().unwrap_or_else(PoisonError::into_inner));
    let rows = waits.len();
    ensure!(rows as u64 == count, "{rows} rows reached the sink, of {count}");
    let counted =
        |(number, wait): (i64, u32)| (number as f64 >= WARM_UP.as_secs_f64() * case.rate as f64).then_some(wait);
    let mut waits: Vec<u32> = waits.drain(..).filter_map(counted).collect();
    waits.sort_unstable();
    let last = waits.len().checked_sub(1).context("the run is shorter than its warm-up of 2 s")?;
    let quantile = |part: f64| f64::from(waits[(last as f64 * part) as usize]) / 1e3;
    let run = Run {
        rows,
        p50: quantile(0.5),
        p99: quantile(0.99),
        p999: quantile(0.999),
        max: quantile(1.0),
        checkpoints: summary.progress.checkpoints.completed,
        cpu_ns: cpu.as_nanos() as f64 / count as f64,
        case,
    };
    println!("{}", serde_json::to_string(&run)?);
    Ok(())
}

/// A source that tells when it was first asked for rows: row i is due i / rate seconds later.
struct Begun {
    source: GeneratorSource,
    begun: Arc<OnceLock<Instant>>,
}

struct BegunSource {
    source: Box<dyn Source>,
    begun: Arc<OnceLock<Instant>>,
}

impl SourceFactory for Begun {
    fn codecs(&self) -> (Codec, Codec) {
        self.source.codecs()
    }

    fn has_event_time(&self) -> bool {
        true
    }

    fn create(&self, context: SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        Ok(Box::new(BegunSource { source: self.source.create(context)?, begun: self.begun.clone() }))
    }
}

impl Source for BegunSource {
    fn splits(&self) -> Vec<String> {
        self.source.splits()
    }

    fn position(&self, split: usize) -> Result<Vec<u8>, ConnectorError> {
        self.source.position(split)
    }

    fn next(&mut self, limit: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        self.begun.get_or_init(Instant::now);
        self.source.next(limit)
    }
}

/// A sink that notes for each row its number and how long after it was due it came, microseconds.
#[derive(Clone)]
struct Arrivals {
    begun: Arc<OnceLock<Instant>>,
    rate: f64,
    waits: Arc<Mutex<Vec<(i64, u32)>>>,
}

impl SinkFactory for Arrivals {
    fn create(&self, _: SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
        Ok(Box::new(self.clone()))
    }

    fn commit(&self, _: &[Committable]) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn target(&self) -> String {
        "the latencies".to_string()
    }
}

impl Sink for Arrivals {
    fn write(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), ConnectorError>> {
        let now = self.begun.get().map(Instant::elapsed).unwrap_or_default().as_secs_f64();
        let wait = |number: &i64| (*number, ((now - *number as f64 / self.rate).max(0.0) * 1e6) as u32);
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).extend(batch.timestamps.iter().map(wait));
        Box::pin(std::future::ready(Ok(())))
    }

    fn pre_commit(&mut self, _: u64) -> BoxFuture<'static, Result<Option<Committable>, ConnectorError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
