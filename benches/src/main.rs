//! Measures the engine: each workload with operators in WebAssembly, with the same logic as native operators on the same
//! engine, and as a plain loop, in turn in one run.
//!
//! The figure to steer by is CPU time (user and system, all threads) per record: on a shared machine it holds better than
//! wall time. Every measurement is a process of its own, so that peak memory is its own too.

mod checkpoints;
mod curve;
mod ends;
mod latency;
mod nexmark;
mod operators;
mod plain;
mod report;
mod stages;
mod standing;
mod text;
mod usage;
mod workload;

use std::{collections::BTreeMap, process::Command, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use serde::{Deserialize, Serialize};

use crate::{
    operators::Variant,
    workload::{Outcome, Workload},
};

/// Measures Wasmill: CPU time per record with operators in WebAssembly, natively on the same engine, and as a plain loop.
#[derive(Parser)]
#[command(name = "cargo xtask bench --")]
struct Arguments {
    /// Only these workloads.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Workload>,
    /// At these parallelisms.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    parallelism: Vec<u32>,
    /// How often each is measured, in turn; the median is shown.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Records, as a multiple of the usual number.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Print JSON Lines instead of a table.
    #[arg(long)]
    json: bool,
    /// Measure what checkpoints cost: a keyed count over 100,000 and 1,000,000 keys with and without one every second, and the
    /// time to recover.
    #[arg(long, conflicts_with = "only")]
    checkpoints: bool,
    /// Measure how long rows take through W2 at a rate, with checkpoints.
    #[arg(long, conflicts_with_all = ["only", "checkpoints"])]
    latency: bool,
    /// With `--latency`: rows a second.
    #[arg(long, default_value_t = 100_000)]
    rate: u64,
    /// With `--latency`: for how long.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Measure the time from `wasmill run` to the first row, and the memory of 2,000 idle subtasks.
    #[arg(long, conflicts_with_all = ["only", "checkpoints", "latency"])]
    standing: bool,
    /// Measure what a record costs over the size of state: a keyed count over 100,000 to 10,000,000 keys.
    #[arg(long, conflicts_with_all = ["only", "checkpoints", "nexmark"])]
    state_curve: bool,
    /// Measure the queries of Nexmark: their results are dropped.
    #[arg(long, conflicts_with_all = ["only", "checkpoints"])]
    nexmark: bool,
    /// With `--nexmark`: only these queries, as in `q5,q7`.
    #[arg(long, value_delimiter = ',', requires = "nexmark")]
    queries: Vec<String>,
    /// With `--nexmark`: how many events.
    #[arg(long, default_value_t = 2_000_000)]
    events: u64,
    /// Measure one query of Nexmark in this process. What the benchmark runs itself as.
    #[arg(long, hide = true)]
    nexmark_case: Option<String>,
    /// Measure one case of the latencies in this process. What the benchmark runs itself as.
    #[arg(long, hide = true)]
    latency_case: Option<String>,
    /// Measure one point of the curve over the size of state in this process. What the benchmark runs itself as.
    #[arg(long, hide = true)]
    state_curve_case: Option<String>,
    /// Measure one case of the checkpoints in this process. What the benchmark runs itself as.
    #[arg(long, hide = true)]
    checkpoint_case: Option<String>,
    /// Measure one variant in this process: WORKLOAD VARIANT PARALLELISM RECORDS. What the benchmark runs itself as.
    #[arg(long, num_args = 4, hide = true)]
    one: Option<Vec<String>>,
}

/// One run of one variant.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Measurement {
    workload: String,
    variant: Variant,
    parallelism: u32,
    records: u64,
    outcome: Outcome,
    /// CPU time per record, nanoseconds, from before the job is started to its end; compiling is not in it.
    cpu_ns: f64,
    /// Wall time of the same, seconds.
    seconds: f64,
    /// Peak resident memory of the process, bytes.
    peak_memory: u64,
    /// Nanoseconds per record by stage, over all nodes and subtasks; none for a plain loop.
    stages: BTreeMap<String, f64>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(one) = &arguments.one {
        println!("{}", serde_json::to_string(&measure(one)?)?);
        return Ok(());
    }
    if let Some(case) = &arguments.checkpoint_case {
        return checkpoints::one(case);
    }
    if let Some(case) = &arguments.latency_case {
        return latency::one(case);
    }
    if let Some(case) = &arguments.state_curve_case {
        return curve::one(case);
    }
    if arguments.state_curve {
        return curve::all(&arguments.parallelism, arguments.repeats, arguments.scale, arguments.json);
    }
    if let Some(case) = &arguments.nexmark_case {
        return nexmark::one(case);
    }
    if arguments.nexmark {
        let Arguments { queries, parallelism, repeats, events, json, .. } = &arguments;
        return nexmark::all(queries, parallelism, *repeats, *events, *json);
    }
    if arguments.latency {
        let Arguments { parallelism, rate, seconds, json, .. } = &arguments;
        return latency::all(parallelism, *rate, *seconds, *json);
    }
    if arguments.standing {
        return standing::all();
    }
    if arguments.checkpoints {
        return checkpoints::all(&arguments.parallelism, arguments.repeats, arguments.scale, arguments.json);
    }
    let workloads = if arguments.only.is_empty() { Workload::ALL.to_vec() } else { arguments.only.clone() };
    let mut rows = Vec::new();
    for workload in workloads {
        let records = workload.records(arguments.scale)?;
        for &parallelism in &arguments.parallelism {
            let mut runs = Vec::new();
            for repeat in 0..arguments.repeats {
                for variant in Variant::ALL.into_iter().filter(|v| *v != Variant::Plain || parallelism == 1) {
                    let (name, variant_name) = (workload.name(), variant.name());
                    eprintln!("{name}, parallelism {parallelism}, {variant_name}, run {} ...", repeat + 1);
                    runs.push(spawn(workload, variant, parallelism, records)?);
                }
            }
            for run in &runs {
                ensure!(run.outcome == runs[0].outcome, "outcomes differ: {run:?} and {:?}", runs[0]);
                if arguments.json {
                    println!("{}", serde_json::to_string(run)?);
                }
            }
            rows.push(report::Row::new(workload, parallelism, &runs));
        }
    }
    if !arguments.json {
        report::print(&rows);
    }
    Ok(())
}

/// Measures in a process of its own.
fn spawn(workload: Workload, variant: Variant, parallelism: u32, records: u64) -> Result<Measurement> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--one", workload.name(), variant.name(), &parallelism.to_string(), &records.to_string()])
        .output()?;
    if !output.status.success() {
        bail!("{} {}: {}", workload.name(), variant.name(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Measures in this process.
fn measure(one: &[String]) -> Result<Measurement> {
    let [workload, variant, parallelism, records] = one else { bail!("--one takes four values") };
    let workload = Workload::ALL.into_iter().find(|w| w.name() == workload).context("no such workload")?;
    let variant = Variant::ALL.into_iter().find(|v| v.name() == variant).context("no such variant")?;
    let (parallelism, records): (u32, u64) = (parallelism.parse()?, records.parse()?);
    let (outcome, cpu, seconds, stages) = match variant {
        Variant::Plain => {
            let (cpu, started) = (usage::cpu(), Instant::now());
            (workload.plain(records)?, usage::cpu() - cpu, started.elapsed(), BTreeMap::new())
        }
        _ => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let state = tempfile::tempdir()?;
            let (job, sink) = workload.job(variant, parallelism, records, &state.path().join("state"))?;
            let (cpu, started) = (usage::cpu(), Instant::now());
            let summary = runtime.block_on(async { wasmill_engine::start(job).await?.wait().await })?;
            let (cpu, elapsed) = (usage::cpu() - cpu, started.elapsed());
            (sink.outcome(), cpu, elapsed, stages::per_record(&summary.progress, records))
        }
    };
    Ok(Measurement {
        workload: workload.name().to_string(),
        variant,
        parallelism,
        records,
        outcome,
        cpu_ns: cpu.as_nanos() as f64 / records as f64,
        seconds: seconds.as_secs_f64(),
        peak_memory: usage::peak_memory(),
        stages,
    })
}
