//! Measures counts in windows without WebAssembly: `cargo run --release -p wasmill-sdk --example window_speed`.
//!
//! Rows of 10,000 keys, up to 2 s out of order, a hundred to the millisecond: a row of each key in 100 ms.

use std::{
    collections::BTreeMap,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Deserialize;
use wasmill_sdk::{native::*, prelude::*};

#[derive(Deserialize)]
struct Config {
    windows: String,
}

/// Counts the rows of each key in windows.
struct Count;

#[operator]
impl WindowOperator for Count {
    type Key = u64;
    type Value = ();
    type Accumulator = u64;
    type Output = Output<u64, u64>;

    fn open(setup: &mut Setup) -> Result<(Self, Windows)> {
        let config: Config = setup.config()?;
        let windows = match config.windows.as_str() {
            "tumbling, 10 s" => Windows::tumbling(Duration::from_secs(10)),
            "days of Berlin" => Windows::tumbling(Duration::from_hours(24)).zone("Europe/Berlin"),
            "sliding, 10 s by 2 s" => Windows::sliding(Duration::from_secs(10), Duration::from_secs(2)),
            "sliding, 60 s by 1 s" => Windows::sliding(Duration::from_mins(1), Duration::from_secs(1)),
            "session, 200 ms" => Windows::session(Duration::from_millis(200)),
            "session, 1 s" => Windows::session(Duration::from_secs(1)),
            _ => Windows::count(100),
        };
        Ok((Count, windows))
    }

    fn add(&mut self, _: &Record<'_, u64, ()>, count: &mut u64) -> Result<()> {
        *count += 1;
        Ok(())
    }

    fn merge(&mut self, count: &mut u64, other: &u64) -> Result<()> {
        *count += other;
        Ok(())
    }

    fn emit(&mut self, key: u64, _: Window, count: &u64, out: &mut Self::Output) -> Result<()> {
        out.emit(key, *count);
        Ok(())
    }
}

/// Takes no notice of rows.
struct Nowhere;

impl Emit for Nowhere {
    fn emit(&self, _: u32, batch: Batch) {
        black_box(batch);
    }
}

/// Timers by time, as no key here has two at one time; no state is asked for.
#[derive(Default)]
struct Timers {
    due: BTreeMap<i64, TimerBatch>,
}

impl Backend for Timers {
    fn emitter(&self) -> Arc<dyn Emit> {
        Arc::new(Nowhere)
    }

    fn get_many(&mut self, _: u32, _: &EntryKeys) -> Values {
        unreachable!("nothing was restored")
    }

    fn write_many(&mut self, _: u32, _: u64, _: &Writes) {}

    fn register(&mut self, _: TimeDomain, timers: &TimerBatch) {
        for (row, (&time, &tag)) in timers.times.iter().zip(&timers.tags).enumerate() {
            let key = timers.key_column().get(row).unwrap_or_default();
            self.due.entry(time).or_default().push(time, key, tag);
        }
    }

    fn delete(&mut self, _: TimeDomain, _: &TimerBatch) {}
}

const ROWS: u64 = 20_000_000;
const BATCH: u64 = 8_192;
const KEYS: u64 = 10_000;

fn batch(first: u64) -> Batch {
    let mut batch = Batch::default();
    for row in first..first + BATCH {
        let random = row.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        batch.timestamps.push(((row / 100) as i64 + 2_000) - (random % 2_000) as i64);
        batch.keys.extend_from_slice(&((random / 2_000) % KEYS).to_le_bytes());
        batch.key_ends.push(batch.keys.len() as u32);
    }
    batch
}

fn measure(windows: &str) -> Result<()> {
    let mut context = context("job", "count", &format!("{{\"windows\": \"{windows}\"}}"));
    context.state_cache_bytes = 64 << 20;
    let mut instance = Instance::<Count, Timers>::open(context, Timers::default())?;
    let (mut records, mut timers, mut count) = (Duration::ZERO, Duration::ZERO, 0);
    for first in (0..ROWS).step_by(BATCH as usize) {
        let watermark = (first / 100) as i64;
        let time = CallTime { watermark, processing_time: 0 };
        let batch = batch(first);
        let begin = Instant::now();
        instance.process(time, 0, batch)?;
        records += begin.elapsed();
        while let Some(due) = instance.backend().due.first_entry().filter(|due| *due.key() <= watermark) {
            let due = due.remove();
            count += due.times.len();
            let begin = Instant::now();
            instance.on_timers(time, TimeDomain::EventTime, due)?;
            timers += begin.elapsed();
        }
    }
    let each = timers.as_nanos() as f64 / count.max(1) as f64;
    println!("{windows}: {:.1} ns a record, {count} timers of {each:.0} ns", records.as_nanos() as f64 / ROWS as f64);
    Ok(())
}

fn main() -> Result<()> {
    let kinds = [
        "tumbling, 10 s",
        "days of Berlin",
        "sliding, 10 s by 2 s",
        "sliding, 60 s by 1 s",
        "session, 200 ms",
        "session, 1 s",
        "count, 100",
    ];
    kinds.into_iter().try_for_each(measure)
}
