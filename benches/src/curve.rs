//! Measures what a record costs over the size of state: a keyed count over more and more keys, up to many more than the caches
//! hold.

use std::{process::Command, sync::Arc, time::Instant};

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};
use wasmill_engine::CheckpointSettings;
use wasmill_state::{RedbState, StoreOptions};

use crate::{
    operators::Variant,
    plain, usage,
    workload::{Outcome, keyed_count, quota},
};

/// Keys of the points of the curve.
const KEYS: [u64; 5] = [100_000, 300_000, 1_000_000, 3_000_000, 10_000_000];

/// What one process measures.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Case {
    variant: Variant,
    parallelism: u32,
    keys: u64,
    records: u64,
}

/// What it took.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Point {
    case: Case,
    outcome: Outcome,
    /// CPU time per record, nanoseconds.
    cpu_ns: f64,
    /// Wall time per record, nanoseconds.
    wall_ns: f64,
    /// Checkpoints that the store asked for.
    checkpoints: u64,
    /// Peak resident memory, bytes.
    peak_memory: u64,
    /// Length of the database at the end, bytes.
    file: u64,
}

/// Measures and prints everything: of each key about `3 * scale` records, 10 million at least.
pub(crate) fn all(parallelism: &[u32], repeats: usize, scale: f64, json: bool) -> Result<()> {
    if !json {
        println!("CPU and wall nanoseconds per record over the number of keys; medians.\n");
        println!("      keys  p variant    records      cpu     wall  checkpoints  peak MB  file MB");
    }
    for keys in KEYS {
        let records = ((3 * keys).max(10_000_000) as f64 * scale) as u64;
        let expected = plain::keyed_count(records, keys);
        for &parallelism in parallelism {
            for variant in [Variant::Wasm, Variant::Native] {
                let case = Case { variant, parallelism, keys, records };
                let mut points = Vec::new();
                for repeat in 0..repeats {
                    eprintln!("{keys} keys, p {parallelism}, {}, run {} ...", variant.name(), repeat + 1);
                    let point = spawn(&case)?;
                    ensure!(point.outcome == expected, "the outcome is {:?} and not {expected:?}", point.outcome);
                    if json {
                        println!("{}", serde_json::to_string(&point)?);
                    }
                    points.push(point);
                }
                points.sort_by(|a, b| a.cpu_ns.total_cmp(&b.cpu_ns));
                if let Some(point) = points.get(points.len() / 2).filter(|_| !json) {
                    println!(
                        "{keys:>10} {parallelism:>2} {:<8} {records:>10} {:>8.0} {:>8.0} {:>12} {:>8.0} {:>8.0}",
                        variant.name(),
                        point.cpu_ns,
                        point.wall_ns,
                        point.checkpoints,
                        point.peak_memory as f64 / 1e6,
                        point.file as f64 / 1e6,
                    );
                }
            }
        }
    }
    Ok(())
}

/// Measures in a process of its own.
fn spawn(case: &Case) -> Result<Point> {
    let output =
        Command::new(std::env::current_exe()?).args(["--state-curve-case", &serde_json::to_string(case)?]).output()?;
    if !output.status.success() {
        bail!("{case:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Measures in this process, and prints the point.
pub(crate) fn one(case: &str) -> Result<()> {
    let case: Case = serde_json::from_str(case)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let state = folder.path().join("state");
    let store = Arc::new(RedbState::create(&state, StoreOptions::new(quota()))?);
    let settings = CheckpointSettings { tolerated_failures: 0, ..CheckpointSettings::default() };
    let (job, sink) = keyed_count(case.variant, case.parallelism, Some(case.records), case.keys, store, settings)?;
    let (cpu, started) = (usage::cpu(), Instant::now());
    let summary = runtime.block_on(async { wasmill_engine::start(job).await?.wait().await })?;
    let (cpu, elapsed) = (usage::cpu() - cpu, started.elapsed());
    let point = Point {
        outcome: sink.outcome(),
        cpu_ns: cpu.as_nanos() as f64 / case.records as f64,
        wall_ns: elapsed.as_nanos() as f64 / case.records as f64,
        checkpoints: summary.progress.checkpoints.completed,
        peak_memory: usage::peak_memory(),
        file: std::fs::metadata(state.join("state.redb")).map_or(0, |file| file.len()),
        case,
    };
    println!("{}", serde_json::to_string(&point)?);
    Ok(())
}
