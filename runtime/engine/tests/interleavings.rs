//! A seed decides the order of turns: the same seed, the same run; and results that go by event time do not depend on it.

mod common;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::*;
use proptest::prelude::*;
use wasmill_core::{
    BatchBuilder, OperatorFactory, Row,
    graph::Exchange::*,
    time::{TimeDomain, TimerBatch},
};
use wasmill_engine::{Job, SourceSpec, Summary, start};

fn run(mut job: Job, seed: Option<u64>) -> Summary {
    job.settings.interleaving = seed;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { start(job).await.unwrap().wait().await.unwrap() })
}

/// Rows of three subtasks in one: their order is that of arrival.
fn arrivals(seed: Option<u64>) -> (Vec<(String, u64)>, Option<u64>) {
    let sink = Collected::default();
    let job = line(numbers(300, 7, 10), vec![(1, identity())], (1, sink.clone()), 3, &[Rebalance, Forward]);
    let summary = run(job, seed);
    let rows = sink.rows.lock().unwrap().remove(&0).unwrap();
    (rows, summary.progress.interleaving)
}

/// The order of arrival is what a seed decides: were it not, this mode would be good for nothing.
#[test]
fn seeds_make_interleavings_and_each_comes_again() {
    let runs: Vec<_> = (0..8).map(|seed| arrivals(Some(seed))).collect();
    for (seed, run) in runs.iter().enumerate() {
        (0..3).for_each(|_| assert_eq!(arrivals(Some(seed as u64)), *run, "seed {seed}"));
        let mut sorted = run.0.clone();
        sorted.sort();
        let mut expected: Vec<_> = (0..300).map(|i| (format!("key-{}", i % 7), i)).collect();
        expected.sort();
        assert_eq!(sorted, expected);
    }
    let orders: std::collections::BTreeSet<_> = runs.iter().map(|(rows, _)| rows).collect();
    let digests: std::collections::BTreeSet<_> = runs.iter().map(|(_, digest)| digest.unwrap()).collect();
    assert!(orders.len() >= 6 && digests.len() == 8, "{} orders, {} digests", orders.len(), digests.len());
    assert_eq!(arrivals(None).1, None);
}

/// With rows that come from outside in their own time, the same seed is the same run all the same.
#[test]
fn a_slow_source_changes_nothing() {
    let run = |pause: u64| {
        let sink = Collected::default();
        let source = Rows { pause: Duration::from_millis(pause), ..numbers(60, 7, 10) };
        let job = line(source, vec![(2, identity())], (1, sink.clone()), 2, &[Rebalance, Rebalance]);
        let digest = run(job, Some(11)).progress.interleaving;
        (sink.rows.lock().unwrap().clone(), digest)
    };
    assert_eq!(run(0), run(3));
}

#[test]
fn what_fails_in_a_driven_subtask_is_told() {
    let fails = |panics: bool| {
        native(false, move |_, _, call| match call {
            Call::Process(..) if panics => panic!("no more"),
            Call::Process(..) => Err(wasmill_core::OperatorError::Contract("no more".into())),
            _ => Ok(vec![]),
        })
    };
    for panics in [false, true] {
        let mut job =
            line(numbers(9, 7, 1), vec![(2, fails(panics))], (1, Collected::default()), 1, &[Rebalance, Rebalance]);
        job.settings.interleaving = Some(3);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let error = runtime.block_on(async { start(job).await.unwrap().wait().await }).unwrap_err();
        assert!(error.to_string().contains("no more"), "{error}");
    }
}

const SIZE: i64 = 50;

/// Counts of each key in windows of 50 ms, told by timers.
fn windows() -> Arc<dyn OperatorFactory> {
    let counts = Mutex::new(BTreeMap::<(Vec<u8>, i64), u64>::new());
    snapshotting(true, move |context, _, call| {
        let (mut out, mut counts) = (BatchBuilder::default(), counts.lock().unwrap());
        match call {
            Call::Process(_, batch) => {
                let mut timers = TimerBatch::default();
                for row in batch.iter() {
                    let end = row.timestamp - row.timestamp.rem_euclid(SIZE) + SIZE;
                    *counts.entry((row.key.unwrap().to_vec(), end)).or_default() += 1;
                    timers.push(end - 1, row.key.unwrap(), 0);
                }
                context.timers.register(TimeDomain::EventTime, &timers);
            }
            Call::Timers(_, timers) => {
                for i in 0..timers.times.len() {
                    let (key, end) = (timers.key(i), timers.times[i] + 1);
                    let count = counts.remove(&(key.to_vec(), end)).unwrap();
                    let name = [key, b"@", end.to_string().as_bytes()].concat();
                    out.push(Row {
                        timestamp: end - 1,
                        key: Some(&name),
                        value: Some(&count.to_le_bytes()),
                        headers: &[],
                    });
                }
            }
            Call::Finish => {}
        }
        Ok(if out.is_empty() { vec![] } else { vec![(0, out.take())] })
    })
}

/// Timestamps that are at most 20 ms behind the highest before them.
fn times() -> impl Strategy<Value = Vec<i64>> {
    proptest::collection::vec((0..15i64, 0..=20i64, any::<bool>()), 0..120).prop_map(|steps| {
        let mut highest = 0;
        let time = |(up, back, forth): (i64, i64, bool)| {
            let time = if forth { highest + up } else { highest - back };
            highest = highest.max(time);
            time
        };
        steps.into_iter().map(time).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Any interleaving, any cut of batches, any parallelism: each window once, with all its rows.
    #[test]
    fn windows_do_not_depend_on_the_interleaving(
        splits in proptest::collection::vec(times(), 1..4), keys in 1..5usize, batch_rows in 1..30usize,
        watermark_rows in 1..20usize, operators in 1..4u32, seed: u64
    ) {
        // Split k has the rows k, k + n, k + 2n, ...: rows that are missing at the end of a shorter one are rows of a key apart.
        let (count, longest) = (splits.len(), splits.iter().map(Vec::len).max().unwrap_or(0));
        let row = |i: usize| {
            let (split, at) = (&splits[i % count], i / count);
            let key = |at: usize| format!("key-{}", (i + at) % keys);
            match split.get(at) {
                Some(time) => (*time, key(at), 1),
                None => (split.iter().max().copied().unwrap_or(0), "apart".to_string(), 1),
            }
        };
        let rows: Vec<(i64, String, u64)> = (0..count * longest).map(row).collect();
        let mut expected = BTreeMap::<String, u64>::new();
        for (time, key, _) in &rows {
            *expected.entry(format!("{key}@{}", time - time.rem_euclid(SIZE) + SIZE)).or_default() += 1;
        }
        let expected: Vec<(String, u64)> = expected.into_iter().collect();
        let go = |seed: Option<u64>| {
            let sink = Collected::default();
            let source = Rows { rows: rows.clone(), batch_rows, timed: true, pause: Duration::ZERO };
            let mut job = line(source, vec![(operators, windows())], (1, sink.clone()), count as u32, &[Hash, Rebalance]);
            let factory = job.sources[&0].factory.clone();
            job.sources.insert(0, SourceSpec::bounded(factory, Duration::from_millis(20), watermark_rows));
            let digest = run(job, seed).progress.interleaving;
            let found: Vec<_> = sink.rows.lock().unwrap().values().flatten().cloned().collect();
            (sink.sorted(), found, digest)
        };
        let first = go(Some(seed));
        prop_assert_eq!(&first.0, &expected);
        prop_assert_eq!(&go(Some(seed)), &first, "the same seed is the same run, to the order of rows");
        prop_assert_eq!(&go(Some(seed ^ 1)).0, &expected);
        prop_assert_eq!(&go(None).0, &expected);
    }
}
