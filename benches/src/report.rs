//! Prints the medians as a table.

use crate::{
    Measurement,
    operators::Variant,
    stages::{ENGINE, STAGES},
    workload::Workload,
};

/// One workload at one parallelism.
pub(crate) struct Row {
    workload: Workload,
    parallelism: u32,
    records: u64,
    wasm: Medians,
    native: Medians,
    /// Only at parallelism 1: a plain loop has one thread.
    plain: Option<Medians>,
}

/// Medians over the repeats of one variant.
struct Medians {
    cpu_ns: f64,
    /// In the order of the columns.
    stages: Vec<f64>,
    per_second: f64,
    peak_memory: f64,
}

impl Row {
    /// The medians of all runs of a workload at one parallelism.
    pub(crate) fn new(workload: Workload, parallelism: u32, runs: &[Measurement]) -> Row {
        let of = |variant| medians(runs.iter().filter(|run| run.variant == variant));
        let (wasm, native) = (of(Variant::Wasm), of(Variant::Native));
        let plain = runs.iter().any(|run| run.variant == Variant::Plain).then(|| of(Variant::Plain));
        Row { workload, parallelism, records: runs[0].records, wasm, native, plain }
    }
}

fn medians<'a>(runs: impl Iterator<Item = &'a Measurement>) -> Medians {
    let runs: Vec<&Measurement> = runs.collect();
    Medians {
        cpu_ns: median(runs.iter().map(|run| run.cpu_ns)),
        stages: columns().map(|stage| median(runs.iter().filter_map(|run| run.stages.get(stage).copied()))).collect(),
        per_second: median(runs.iter().map(|run| run.records as f64 / run.seconds)),
        peak_memory: median(runs.iter().map(|run| run.peak_memory as f64)),
    }
}

/// The stages of the breakdown.
fn columns() -> impl Iterator<Item = &'static str> {
    STAGES.into_iter().chain([ENGINE])
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    if values.is_empty() { f64::NAN } else { values[values.len() / 2] }
}

/// Prints all rows.
pub(crate) fn print(rows: &[Row]) {
    println!(
        "CPU nanoseconds (user and system) per record, medians; M/s is millions of records per second of wall time.\n"
    );
    println!(
        "{:<15} {:>2} {:>11} {:>9} {:>9} {:>9} {:>12} {:>9} {:>9}",
        "workload", "p", "records", "wasm", "native", "plain", "wasm/native", "wasm M/s", "wasm MB"
    );
    for row in rows {
        println!(
            "{:<15} {:>2} {:>11} {:>9.1} {:>9.1} {:>9} {:>12.2} {:>9.1} {:>9.0}",
            row.workload.name(),
            row.parallelism,
            row.records,
            row.wasm.cpu_ns,
            row.native.cpu_ns,
            row.plain.as_ref().map_or("-".to_string(), |plain| format!("{:.1}", plain.cpu_ns)),
            row.wasm.cpu_ns / row.native.cpu_ns,
            row.wasm.per_second / 1e6,
            row.wasm.peak_memory / 1e6,
        );
    }

    println!(
        "\nWhere the time goes: nanoseconds per record by stage, over all subtasks, on the clock and not on the CPU.\n"
    );
    print!("{:<15} {:>2} {:<6}", "workload", "p", "");
    columns().for_each(|stage| print!(" {stage:>10}"));
    println!();
    for row in rows {
        for (variant, medians) in [("wasm", &row.wasm), ("native", &row.native)] {
            print!("{:<15} {:>2} {variant:<6}", row.workload.name(), row.parallelism);
            medians.stages.iter().for_each(|nanoseconds| print!(" {nanoseconds:>10.2}"));
            println!();
        }
    }
}
