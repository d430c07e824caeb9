//! The path of a record: exchanges, order, chaining, timers, watermarks, and what reaches the sink.

mod common;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::*;
use wasmill_core::{
    BatchBuilder, MaxParallelism, Row,
    graph::Exchange::*,
    time::{END_OF_TIME, TimeDomain, TimerBatch},
};
use wasmill_engine::{Settings, start};

fn expected(count: u64, keys: u64) -> Vec<(String, u64)> {
    let mut all: Vec<_> = (0..count).map(|i| (format!("key-{}", i % keys), i)).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_arrives_once_by_every_exchange_at_every_parallelism() {
    for exchange in [Hash, Rebalance] {
        for (from, to) in [(1, 1), (1, 3), (3, 1), (2, 4)] {
            let sink = Collected::default();
            let job =
                line(numbers(5_000, 37, 64), vec![(from, identity())], (to, sink.clone()), from, &[Forward, exchange]);
            let summary = start(job).await.unwrap().wait().await.unwrap();
            assert_eq!(sink.sorted(), expected(5_000, 37), "{exchange:?} {from} {to}");
            assert_eq!(sink.committed.lock().unwrap().len(), to as usize);
            let records = |i: usize| summary.progress.nodes[i].subtasks.iter().map(|s| (s.records_in, s.records_out));
            assert_eq!(records(1).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)), (5_000, 5_000));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forward_keeps_subtasks_apart_and_broadcast_reaches_all() {
    let sink = Collected::default();
    let mut job = line(numbers(1_000, 10, 8), vec![(2, identity())], (2, sink.clone()), 2, &[Forward, Forward]);
    job.graph.nodes.iter_mut().for_each(|node| node.chain = false);
    start(job).await.unwrap().wait().await.unwrap();
    for (subtask, rows) in sink.rows.lock().unwrap().iter() {
        let expected: Vec<u64> = (0..1_000).filter(|i| i % 2 == u64::from(*subtask)).collect();
        assert_eq!(rows.iter().map(|row| row.1).collect::<Vec<_>>(), expected);
    }
    let sink = Collected::default();
    let job = line(numbers(100, 10, 8), vec![], (3, sink.clone()), 1, &[Broadcast]);
    start(job).await.unwrap().wait().await.unwrap();
    for rows in sink.rows.lock().unwrap().values() {
        assert_eq!(rows.iter().map(|row| row.1).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }
}

/// What one sender sends one receiver stays in order, whatever the exchange, also under backpressure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_holds_for_each_pair_of_subtasks() {
    for exchange in [Hash, Rebalance, Broadcast] {
        let sink = Collected { delay: Duration::from_micros(200), ..Collected::default() };
        let mut job = line(numbers(4_000, 50, 30), vec![(3, identity())], (2, sink.clone()), 3, &[Forward, exchange]);
        job.settings = Settings { batch_bytes: 500, channel_batches: 1, gate_bytes: 1_000, ..Settings::default() };
        start(job).await.unwrap().wait().await.unwrap();
        for rows in sink.rows.lock().unwrap().values() {
            for sender in 0..3 {
                let from_sender: Vec<u64> = rows.iter().map(|row| row.1).filter(|i| i % 3 == sender).collect();
                assert!(!from_sender.is_empty() && from_sender.is_sorted(), "{exchange:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_keys_meet_in_the_subtask_that_owns_them() {
    let sink = Collected::default();
    let job = line(numbers(3_000, 101, 64), vec![], (4, sink.clone()), 2, &[Hash]);
    start(job).await.unwrap().wait().await.unwrap();
    let max = MaxParallelism::DEFAULT;
    for (subtask, rows) in sink.rows.lock().unwrap().iter() {
        assert!(rows.iter().all(|(key, _)| max.range(*subtask, 4).contains(max.group(key.as_bytes()))));
    }
}

/// The example of Flink's concepts page: source and map at 2 chained, hash into a keyed operator at 2, a sink at 1. The
/// keyed operator counts and tells its counts by timers at the end of time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_concepts_page() {
    type Counts = Arc<Mutex<BTreeMap<u32, BTreeMap<Vec<u8>, u64>>>>;
    let counts = Counts::default();
    let keyed = native(true, move |context, time, call| {
        let mut counts = counts.lock().unwrap();
        let counts = counts.entry(context.place.subtask).or_default();
        match call {
            Call::Process(_, batch) => {
                let mut timers = TimerBatch::default();
                for row in batch.iter() {
                    let count = counts.entry(row.key.unwrap().to_vec()).or_default();
                    *count += 1;
                    timers.push(END_OF_TIME, row.key.unwrap(), 0);
                }
                context.timers.register(TimeDomain::EventTime, &timers);
                Ok(vec![])
            }
            Call::Timers(domain, due) => {
                assert_eq!((domain, time.watermark), (TimeDomain::EventTime, END_OF_TIME));
                let mut out = BatchBuilder::default();
                for i in 0..due.times.len() {
                    let value = counts[due.key(i)].to_le_bytes();
                    out.push(Row { timestamp: 0, key: Some(due.key(i)), value: Some(&value), headers: &[] });
                }
                Ok(vec![(0, out.take())])
            }
            Call::Finish => Ok(vec![]),
        }
    });
    let sink = Collected::default();
    let exchanges = [Forward, Hash, Rebalance];
    let job = line(numbers(900, 9, 50), vec![(2, identity()), (2, keyed)], (1, sink.clone()), 2, &exchanges);
    start(job).await.unwrap().wait().await.unwrap();
    assert_eq!(sink.sorted(), (0..9).map(|i| (format!("key-{i}"), 100)).collect::<Vec<_>>());
}

/// Where watermarks stand is a function of the rows: with one every 10 rows, an operator sees the same watermark before
/// the same row, however its input is cut into batches.
#[tokio::test]
async fn watermarks_do_not_depend_on_batch_cuts() {
    let mut seen = Vec::new();
    for batch_rows in [1, 7, 10, 64] {
        let watermarks: Arc<Mutex<Vec<(u64, i64)>>> = Arc::default();
        let note = watermarks.clone();
        let operator = native(false, move |_, time, call| {
            if let Call::Process(_, batch) = call {
                let value = |row: Row<'_>| u64::from_le_bytes(row.value.unwrap().try_into().unwrap());
                note.lock().unwrap().extend(batch.iter().map(|row| (value(row), time.watermark)));
            }
            Ok(vec![])
        });
        let rows = common::Rows { timed: true, ..numbers(35, 3, batch_rows) };
        let job = line(rows, vec![(1, operator)], (1, Collected::default()), 1, &[Hash, Forward]);
        start(job).await.unwrap().wait().await.unwrap();
        seen.push(std::mem::take(&mut *watermarks.lock().unwrap()));
    }
    let by_hand: Vec<(u64, i64)> =
        (0..35).map(|i| (i, if i < 10 { i64::MIN } else { (i / 10 * 10) as i64 - 2 })).collect();
    assert!(seen.iter().all(|seen| *seen == by_hand), "{seen:?}");
}

/// A call may emit more than the outbox holds: it is suspended, not buffered.
#[tokio::test]
async fn finish_may_emit_more_than_memory() {
    let operator = native(false, |_, _, call| match call {
        Call::Finish => {
            let batch = |i: u64| {
                let mut builder = BatchBuilder::default();
                builder.push(Row { timestamp: 0, key: None, value: Some(&i.to_le_bytes()), headers: &[] });
                builder.take()
            };
            Ok((0..1_000).map(|i| (0, batch(i))).collect())
        }
        _ => Ok(vec![]),
    });
    let sink = Collected::default();
    let mut job = line(
        numbers(3, 3, 1),
        vec![(1, operator), (1, identity())],
        (1, sink.clone()),
        1,
        &[Forward, Forward, Rebalance],
    );
    job.settings = Settings { outbox_bytes: 16, channel_batches: 1, gate_bytes: 1, ..Settings::default() };
    start(job).await.unwrap().wait().await.unwrap();
    assert_eq!(sink.sorted().len(), 1_000);
    assert!(sink.rows.lock().unwrap()[&0].iter().map(|row| row.1).eq(0..1_000));
}

#[tokio::test]
async fn rows_on_an_unconnected_output_are_counted() {
    let operator = native(false, |_, _, call| match call {
        Call::Process(_, batch) => Ok(vec![(1, batch)]),
        _ => Ok(vec![]),
    });
    let mut job = line(numbers(10, 2, 5), vec![(1, operator)], (1, Collected::default()), 1, &[Forward, Forward]);
    job.graph.nodes[1].outputs.push("late".into());
    let summary = start(job).await.unwrap().wait().await.unwrap();
    assert_eq!(summary.progress.nodes[1].subtasks[0].records_unconnected, 10);
}
