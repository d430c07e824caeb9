//! Measures the queries of Nexmark: the job files as they are, but for the end, where results stay binary and are dropped; with
//! operators in WebAssembly and natively.

mod timed;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use toml_edit::DocumentMut;
use wasmill::{Talk, checked::Checked, job::Overrides};
use wasmill_core::{JobName, OperatorFactory};
use wasmill_engine::{CheckpointSettings, ExecutionMode, Job, RestartStrategy, Settings, SystemClock};
use wasmill_state::{RedbState, StoreOptions};

use timed::{Spent, Timed};

use crate::{
    operators::{NativeOperator, STATE_CACHE_BYTES, Variant},
    usage,
    workload::quota,
};

/// What one process measures.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Case {
    query: String,
    variant: Variant,
    parallelism: u32,
    events: u64,
}

/// What a query took.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Run {
    case: Case,
    /// Rows of the result.
    rows: u64,
    /// CPU time per event, nanoseconds, with that of making the events.
    cpu_ns: f64,
    /// CPU time of making an event, nanoseconds.
    making_ns: f64,
    /// Events per second of wall time.
    per_second: f64,
    /// Peak resident memory, bytes.
    peak_memory: u64,
}

/// Measures and prints the queries, all 23 where none is named.
pub(crate) fn all(queries: &[String], parallelism: &[u32], repeats: usize, events: u64, json: bool) -> Result<()> {
    let every: Vec<String> = (0..23).map(|number| format!("q{number}")).collect();
    let queries = if queries.is_empty() { &every } else { queries };
    if !json {
        println!("{HEAD}");
    }
    for query in queries {
        for &parallelism in parallelism {
            let mut runs = BTreeMap::from([("wasm", Vec::new()), ("native", Vec::new())]);
            for repeat in 0..repeats {
                for variant in [Variant::Wasm, Variant::Native] {
                    eprintln!("{query}, p {parallelism}, {}, run {} ...", variant.name(), repeat + 1);
                    let run = spawn(&Case { query: query.clone(), variant, parallelism, events })?;
                    if json {
                        println!("{}", serde_json::to_string(&run)?);
                    }
                    runs.entry(variant.name()).or_default().push(run);
                }
            }
            let (wasm, native) = (&runs["wasm"], &runs["native"]);
            let rows = wasm.iter().chain(native).map(|run| run.rows);
            // What depends on the machine's clock differs from run to run.
            ensure!(query == "q12" || rows.collect::<BTreeSet<_>>().len() == 1, "{query} has different results");
            if !json {
                print(wasm, native);
            }
        }
    }
    Ok(())
}

const HEAD: &str = "\
CPU nanoseconds (user and system) per event: `all` with operators in WebAssembly, `making` the events alone; `wasm` and `native`, what
the engine and the operators took, which is all without the making. M/s is millions of events per second of wall time, MB the peak of
resident memory, both with operators in WebAssembly. Medians.

query   p      rows      all   making     wasm   native  wasm/native     M/s      MB";

fn print(wasm: &[Run], native: &[Run]) {
    let median = |runs: &[Run], value: fn(&Run) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let Some(Run { case, rows, .. }) = wasm.first() else { return };
    let without_making = |runs| median(runs, |run| run.cpu_ns - run.making_ns);
    println!(
        "{:<5} {:>3} {rows:>9} {:>8.0} {:>8.0} {:>8.0} {:>8.0} {:>12.2} {:>7.2} {:>7.0}",
        case.query,
        case.parallelism,
        median(wasm, |run| run.cpu_ns),
        median(wasm, |run| run.making_ns),
        without_making(wasm),
        without_making(native),
        without_making(wasm) / without_making(native),
        median(wasm, |run| run.per_second) / 1e6,
        median(wasm, |run| run.peak_memory as f64) / 1e6,
    );
}

/// Measures in a process of its own.
fn spawn(case: &Case) -> Result<Run> {
    let output =
        Command::new(std::env::current_exe()?).args(["--nexmark-case", &serde_json::to_string(case)?]).output()?;
    if !output.status.success() {
        bail!("{case:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Measures in this process, and prints the run.
pub(crate) fn one(case: &str) -> Result<()> {
    let case: Case = serde_json::from_str(case)?;
    let jobs = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/nexmark/jobs"));
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("job.toml");
    std::fs::write(&path, throughput(&jobs, &case.query)?)?;
    let overrides =
        Overrides { set: vec![format!("source.events.events={}", case.events)], parallelism: Some(case.parallelism) };
    let checked = Checked::new(&path, &overrides, &Talk::new(false, true)).map_err(|failure| anyhow!("{failure:?}"))?;
    let mut job = job(checked, &case, &folder.path().join("state"))?;
    let spent = Arc::new(Spent::default());
    for source in job.sources.values_mut() {
        source.factory = Arc::new(Timed { source: source.factory.clone(), spent: spent.clone() });
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (cpu, started) = (usage::cpu(), Instant::now());
    let summary = runtime.block_on(async { wasmill_engine::start(job).await?.wait().await })?;
    let (cpu, elapsed) = (usage::cpu() - cpu, started.elapsed());
    let rows =
        summary.progress.nodes.last().map_or(0, |sink| sink.subtasks.iter().map(|subtask| subtask.records_in).sum());
    let run = Run {
        rows,
        cpu_ns: cpu.as_nanos() as f64 / case.events as f64,
        making_ns: spent.total().as_nanos() as f64 / case.events as f64,
        per_second: case.events as f64 / elapsed.as_secs_f64(),
        peak_memory: usage::peak_memory(),
        case,
    };
    println!("{}", serde_json::to_string(&run)?);
    Ok(())
}

/// The job file of a query without its last operator, whose rows go nowhere; paths are absolute.
fn throughput(jobs: &Path, query: &str) -> Result<String> {
    let path = jobs.join(format!("{query}.toml"));
    let text = std::fs::read_to_string(&path).with_context(|| format!("there is no query {query}"))?;
    let mut job: DocumentMut = text.parse()?;
    let operators = job["operator"].as_table_mut().context("a query has operators")?;
    let json = operators.remove("json").context("a query ends with the operator `json`")?;
    let absolute = |item: &mut toml_edit::Item, key: &str| {
        if let Some(path) = item.get(key).and_then(|path| path.as_str()) {
            item[key] = toml_edit::value(jobs.join(path).display().to_string());
        }
    };
    operators.iter_mut().for_each(|(_, operator)| absolute(operator, "component"));
    if let Some(sources) = job["source"].as_table_mut() {
        sources.iter_mut().for_each(|(_, source)| absolute(source, "path"));
    }
    let mut sink = toml_edit::Table::new();
    sink["connector"] = toml_edit::value("discard");
    sink["input"] = json["input"].clone();
    job["sink"]["results"] = toml_edit::Item::Table(sink);
    Ok(job.to_string())
}

/// The engine's job.
fn job(checked: Checked, case: &Case, state: &Path) -> Result<Job> {
    let Checked { job, resolved, operators } = checked;
    let mut factories: BTreeMap<_, Arc<dyn OperatorFactory>> = BTreeMap::new();
    for (node, described) in resolved.graph.nodes.iter().enumerate() {
        let Some(component) = operators.get(&described.id) else { continue };
        let factory: Arc<dyn OperatorFactory> = match case.variant {
            Variant::Native => {
                let operator = job.operators.iter().find(|operator| operator.place.id == described.id);
                let config = operator.map_or("{}", |operator| &operator.config);
                let native = NativeOperator::<nexmark_queries::Operators>::new(config, STATE_CACHE_BYTES);
                Arc::new(native.map_err(anyhow::Error::msg)?)
            }
            _ => component.clone(),
        };
        factories.insert(node, factory);
    }
    let quota = quota();
    Ok(Job {
        name: JobName::local(&case.query),
        graph: resolved.graph,
        sources: resolved.connected.sources,
        operators: factories,
        sinks: resolved.connected.sinks,
        state: Arc::new(RedbState::create(state, StoreOptions::new(quota.clone()))?),
        clock: Arc::new(SystemClock),
        quota,
        settings: Settings::default(),
        checkpoints: CheckpointSettings::default(),
        restart: RestartStrategy::None,
        dead_letters: BTreeSet::new(),
        mode: ExecutionMode::default(),
        allow_dropped_state: false,
        crash: None,
    })
}
