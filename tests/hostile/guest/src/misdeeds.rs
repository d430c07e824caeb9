//! The misdeeds, by name. One that the host must refuse never returns normally here: if it does, the test fails.

use std::hint::black_box;

use crate::bindings::{
    exports::wasmill::operator::guest::{Batch, Error, TimeDomain, TimerBatch},
    wasmill::operator::{
        log, metrics,
        output::emit,
        state::{self, EntryKeys, Operation, Writes},
        timers,
        types::RecordError,
    },
};

/// Misdeeds while the operator is described.
pub(crate) fn describe(deed: &str) -> Result<(), String> {
    match deed {
        "describe-spin" => spin(),
        "describe-emit" => emit(0, &empty()),
        "describe-refuse" => return Err("`do` is not to my taste".to_string()),
        _ => {}
    }
    Ok(())
}

/// Misdeeds while a batch is processed; an unknown name passes the batch on.
pub(crate) fn process(deed: &str, batch: &Batch) -> Result<(), Error> {
    match deed {
        "spin" => spin(),
        "allocate" => allocate(),
        "recurse" => drop(black_box(recurse(1))),
        "panic" => panic!("the sky is falling"),
        "sleep" => std::thread::sleep(std::time::Duration::from_secs(3_600)),
        "exit" => std::process::exit(3),
        "ends-decrease" => emit(0, &Batch { value_ends: vec![2, 1], values: vec![0; 1], ..empty() }),
        "ends-beyond" => emit(0, &Batch { value_ends: vec![u32::MAX], values: vec![0; 1], ..empty() }),
        "columns-differ" => emit(0, &Batch { timestamps: vec![1, 2, 3], key_ends: vec![0], ..empty() }),
        "unknown-flags" => emit(0, &Batch { timestamps: vec![1], flags: vec![0x80], ..empty() }),
        "unknown-output" => emit(7, batch),
        "huge-batch" => emit(0, &Batch { value_ends: vec![8 << 20], values: vec![7; 8 << 20], ..empty() }),
        "foreign-key" => foreign_key(),
        "unknown-state" => drop(state::get_many(9, &keys(own(batch)))),
        "wrong-epoch" => state::write_many(0, 77, &put(own(batch))),
        "map-without-keys" | "write-broadcast" => state::write_many(0, 1, &put(own(batch))),
        "keys-of-no-map" => {
            drop(state::get_many(0, &EntryKeys { map_key_ends: vec![1], map_keys: vec![7], ..keys(own(batch)) }))
        }
        "append-value" => state::write_many(0, 1, &Writes { operations: vec![Operation::Append], ..put(own(batch)) }),
        "expire-value" => state::write_many(0, 1, &Writes { expires: vec![5], ..put(own(batch)) }),
        "scan-value" => drop(state::scan(0, own(batch), &[], 1_000)),
        "ragged-state" => drop(state::get_many(0, &EntryKeys { key_ends: vec![5], ..keys(own(batch)) })),
        "undeclared-timer" => timers::register(TimeDomain::ProcessingTime, &timer(own(batch))),
        "foreign-timer" => (0..200u8).for_each(|key| timers::register(TimeDomain::EventTime, &timer(&[key]))),
        "log-flood" => (0..100_000).for_each(|i| log::log(log::Level::Trace, &format!("{i} {}", "x".repeat(10_000)))),
        "good-metrics" => metrics::report(&[
            sample("rows", metrics::Kind::Counter, batch.key_ends.len() as f64),
            sample("Not A Name", metrics::Kind::Gauge, f64::NAN),
        ]),
        "record-error" => return Err(Error::Record(RecordError { row: 1, message: "not a number".to_string() })),
        "batch-error" => return Err(Error::Batch("not today".to_string())),
        _ => {}
    }
    emit(0, batch);
    Ok(())
}

/// Misdeeds while state is handed over.
pub(crate) fn snapshot_step(deed: &str) -> Result<bool, Error> {
    match deed {
        "emit-in-step" => emit(0, &empty()),
        "endless-steps" => return Ok(false),
        _ => {}
    }
    Ok(true)
}

fn spin() {
    let mut i = 0u64;
    while black_box(i) < u64::MAX {
        i = i.wrapping_add(1) % 1_000;
    }
}

fn allocate() {
    let mut all = Vec::new();
    loop {
        all.push(black_box(vec![1u8; 1 << 20]));
    }
}

fn recurse(depth: u64) -> u64 {
    let local = black_box([depth; 64]);
    if depth == 0 { 0 } else { recurse(black_box(depth + 1)) + local[(depth % 64) as usize] }
}

/// Reads one key after the other until one belongs to another subtask.
fn foreign_key() {
    for key in 0..200u8 {
        state::get_many(0, &keys(&[key]));
    }
}

/// A key that belongs to this subtask: that of the first row.
fn own(batch: &Batch) -> &[u8] {
    &batch.keys[..batch.key_ends[0] as usize]
}

fn keys(key: &[u8]) -> EntryKeys {
    EntryKeys { key_ends: vec![key.len() as u32], keys: key.to_vec(), map_key_ends: vec![], map_keys: vec![] }
}

fn put(key: &[u8]) -> Writes {
    Writes {
        operations: vec![Operation::Put],
        entries: keys(key),
        value_ends: vec![1],
        values: vec![1],
        expires: vec![],
    }
}

fn timer(key: &[u8]) -> TimerBatch {
    TimerBatch { times: vec![1], key_ends: vec![key.len() as u32], keys: key.to_vec(), tags: vec![0] }
}

fn sample(name: &str, kind: metrics::Kind, value: f64) -> metrics::Sample {
    metrics::Sample { name: name.to_string(), kind, value }
}

fn empty() -> Batch {
    Batch {
        timestamps: vec![],
        key_ends: vec![],
        keys: vec![],
        value_ends: vec![],
        values: vec![],
        flags: vec![],
        header_ends: vec![],
        headers: vec![],
    }
}
