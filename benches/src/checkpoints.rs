//! Measures what checkpoints cost: a keyed count with and without one every second, and the time to come back after it was cut
//! off.

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use wasmill_engine::{CheckpointProgress, CheckpointSettings};
use wasmill_state::{RedbState, StoreOptions};

use crate::{
    operators::Variant,
    plain, usage,
    workload::{Outcome, keyed_count, quota},
};

/// From one checkpoint to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// What one process measures.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Case {
    variant: Variant,
    parallelism: u32,
    keys: u64,
    records: u64,
    checkpoints: bool,
}

/// What a run with or without checkpoints took.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Run {
    case: Case,
    outcome: Outcome,
    /// CPU time per record, nanoseconds.
    cpu_ns: f64,
    /// Records per second of wall time.
    per_second: f64,
    /// Checkpoints that were completed.
    completed: u64,
    /// How long records waited in a cut, microseconds.
    pause_p50: u32,
    pause_p99: u32,
    /// Bytes and entries of the last checkpoint, and how long it took from its trigger to the sinks' commit, milliseconds.
    bytes: u64,
    entries: u64,
    checkpoint_ms: f64,
    /// Peak resident memory, bytes.
    peak_memory: u64,
    /// From opening the store of a job that was cut off to the first row behind its keyed state, milliseconds; 0 where there
    /// are no checkpoints.
    recovery_ms: f64,
}

/// Measures and prints everything. `scale` multiplies the number of records.
pub(crate) fn all(parallelism: &[u32], repeats: usize, scale: f64, json: bool) -> Result<()> {
    if !json {
        println!("{HEAD}");
    }
    for (keys, records) in [(100_000, 120_000_000.0), (1_000_000, 60_000_000.0)] {
        let records = (records * scale) as u64;
        let expected = plain::keyed_count(records, keys);
        for &parallelism in parallelism {
            for variant in [Variant::Wasm, Variant::Native] {
                let mut runs = [Vec::new(), Vec::new()];
                for repeat in 0..repeats {
                    for checkpoints in [false, true] {
                        let case = Case { variant, parallelism, keys, records, checkpoints };
                        eprintln!(
                            "{keys} keys, p {parallelism}, {}, {checkpoints}, run {} ...",
                            variant.name(),
                            repeat + 1
                        );
                        let run = spawn(&case)?;
                        ensure!(run.outcome == expected, "the outcome is {:?} and not {expected:?}", run.outcome);
                        if json {
                            println!("{}", serde_json::to_string(&run)?);
                        }
                        runs[usize::from(checkpoints)].push(run);
                    }
                }
                if !json {
                    print(&runs[0], &runs[1]);
                }
            }
        }
    }
    Ok(())
}

const HEAD: &str = "\
CPU nanoseconds per record and records per second (millions) without and with a checkpoint every second; medians.
Pauses in milliseconds; a checkpoint's size in MB and its time from trigger to commit; time to recover in ms.

     keys  p variant   cpu off  cpu on   M/s off  M/s on   lost %  pause p50     p99   MB/ckpt  ms/ckpt  recover  peak MB";

fn print(off: &[Run], on: &[Run]) {
    let median = |runs: &[Run], value: fn(&Run) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let case = &on[0].case;
    let (fast, slow) = (median(off, |run| run.per_second), median(on, |run| run.per_second));
    println!(
        "{:>9} {:>2} {:<8} {:>8.1} {:>7.1} {:>9.2} {:>7.2} {:>8.1} {:>10.3} {:>7.3} {:>9.1} {:>8.0} {:>8.0} {:>8.0}",
        case.keys,
        case.parallelism,
        case.variant.name(),
        median(off, |run| run.cpu_ns),
        median(on, |run| run.cpu_ns),
        fast / 1e6,
        slow / 1e6,
        (1.0 - slow / fast) * 100.0,
        median(on, |run| f64::from(run.pause_p50)) / 1e3,
        median(on, |run| f64::from(run.pause_p99)) / 1e3,
        median(on, |run| run.bytes as f64) / 1e6,
        median(on, |run| run.checkpoint_ms),
        median(on, |run| run.recovery_ms),
        median(on, |run| run.peak_memory as f64) / 1e6,
    );
}

/// Measures in a process of its own.
fn spawn(case: &Case) -> Result<Run> {
    let output =
        Command::new(std::env::current_exe()?).args(["--checkpoint-case", &serde_json::to_string(case)?]).output()?;
    if !output.status.success() {
        bail!("{case:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Measures in this process, and prints the run.
pub(crate) fn one(case: &str) -> Result<()> {
    let case: Case = serde_json::from_str(case)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let settings = CheckpointSettings {
        interval: case.checkpoints.then_some(INTERVAL),
        tolerated_failures: 0,
        ..CheckpointSettings::default()
    };
    let store = Arc::new(RedbState::create(&folder.path().join("state"), StoreOptions::new(quota()))?);
    let (job, sink) =
        keyed_count(case.variant, case.parallelism, Some(case.records), case.keys, store, settings.clone())?;
    let (cpu, started) = (usage::cpu(), Instant::now());
    let summary = runtime.block_on(async { wasmill_engine::start(job).await?.wait().await })?;
    let (cpu, elapsed) = (usage::cpu() - cpu, started.elapsed());
    let CheckpointProgress { completed, last, mut pauses, .. } = summary.progress.checkpoints;
    pauses.sort_unstable();
    let pause = |part: f64| pauses.get(((pauses.len() as f64 * part) as usize).min(pauses.len() - 1)).copied();
    let last = last.unwrap_or_default();
    let peak_memory = usage::peak_memory();
    let recovery = match case.checkpoints {
        true => runtime.block_on(recover(&case, &settings, &folder.path().join("cut-off")))?,
        false => Duration::ZERO,
    };
    let run = Run {
        outcome: sink.outcome(),
        cpu_ns: cpu.as_nanos() as f64 / case.records as f64,
        per_second: case.records as f64 / elapsed.as_secs_f64(),
        completed,
        pause_p50: pause(0.5).unwrap_or_default(),
        pause_p99: pause(0.99).unwrap_or_default(),
        bytes: last.bytes,
        entries: last.entries,
        checkpoint_ms: last.duration.as_secs_f64() * 1e3,
        peak_memory,
        recovery_ms: recovery.as_secs_f64() * 1e3,
        case,
    };
    println!("{}", serde_json::to_string(&run)?);
    Ok(())
}

/// Cuts a job off that has seen all its keys, and has another one go on from its last checkpoint.
async fn recover(case: &Case, settings: &CheckpointSettings, state: &Path) -> Result<Duration> {
    let job = |store: RedbState| {
        keyed_count(case.variant, case.parallelism, None, case.keys, Arc::new(store), settings.clone())
    };
    {
        let (job, sink) = job(RedbState::create(state, StoreOptions::new(quota()))?)?;
        let running = wasmill_engine::start(job).await?;
        // Of so many rows, each key has some with near certainty.
        while sink.outcome().rows < case.keys * 12 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let seen = running.progress().checkpoints.completed;
        while running.progress().checkpoints.completed < seen + 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        running.cancel();
        running.wait().await?;
    }
    let since = Instant::now();
    let (job, sink) = job(RedbState::open(state, StoreOptions::new(quota())).context("the store of the job cut off")?)?;
    let running = wasmill_engine::start(job).await?;
    while sink.outcome().rows == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let recovery = since.elapsed();
    ensure!(running.progress().checkpoints.restored.is_some(), "it began anew");
    running.cancel();
    running.wait().await?;
    Ok(recovery)
}
