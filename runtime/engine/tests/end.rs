//! How a job ends: the first error wins, cancellation commits nothing, a slow sink slows its source.

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::*;
use wasmill_core::{OperatorError, graph::Exchange::*};
use wasmill_engine::{Settings, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_error_ends_the_job_and_nothing_is_committed() {
    let failing = native(false, |context, _, call| match call {
        Call::Process(_, batch) if context.place.subtask == 1 && batch.value(0) > Some(&100u64.to_le_bytes()) => {
            Err(OperatorError::Job("out of cheese".into()))
        }
        Call::Process(_, batch) => Ok(vec![(0, batch)]),
        _ => Ok(vec![]),
    });
    let sink = Collected::default();
    let job = line(numbers(100_000, 9, 50), vec![(2, failing)], (2, sink.clone()), 2, &[Forward, Hash]);
    let error = start(job).await.unwrap().wait().await.unwrap_err();
    assert_eq!(error.to_string(), "job `test`, `op1`, subtask 1: out of cheese");
    assert!(sink.committed.lock().unwrap().is_empty());
    assert_eq!(*sink.discarded.lock().unwrap(), 2, "before it began, and at its end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_an_error_with_its_place() {
    let failing = native(false, |_, _, _| panic!("a native bug"));
    let job = line(numbers(10, 9, 5), vec![(1, failing)], (1, Collected::default()), 1, &[Rebalance, Hash]);
    let error = start(job).await.unwrap().wait().await.unwrap_err();
    assert_eq!(error.to_string(), "job `test`, `op1`, subtask 0: it panicked: a native bug");
}

#[tokio::test]
async fn a_row_without_a_key_names_the_sender() {
    let unkeyed = native(false, |_, _, call| match call {
        Call::Process(_, mut batch) => {
            batch.keys.clear();
            batch.key_ends.clear();
            Ok(vec![(0, batch)])
        }
        _ => Ok(vec![]),
    });
    let job = line(numbers(10, 9, 5), vec![(1, unkeyed)], (1, Collected::default()), 1, &[Forward, Hash]);
    let error = start(job).await.unwrap().wait().await.unwrap_err().to_string();
    assert!(error.starts_with("job `test`, `op1`, subtask 0: row 0 has no key"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_ends_a_job_that_waits_for_room_and_commits_nothing() {
    let sink = Collected { delay: Duration::from_secs(3_600), ..Collected::default() };
    let mut job = line(numbers(100_000, 9, 10), vec![(2, identity())], (1, sink.clone()), 2, &[Forward, Hash]);
    job.settings = Settings { batch_bytes: 100, channel_batches: 1, gate_bytes: 100, ..Settings::default() };
    let running = start(job).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    running.cancel();
    let summary = tokio::time::timeout(Duration::from_secs(10), running.wait()).await.unwrap().unwrap();
    assert!(summary.cancelled && summary.targets.is_empty());
    assert!(sink.committed.lock().unwrap().is_empty());
    assert_eq!(*sink.discarded.lock().unwrap(), 2, "before it began, and at its end");
}

/// A slow sink holds its source back to what channels, budgets and batches in hand can hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backpressure_reaches_the_source() {
    let sink = Collected { delay: Duration::from_secs(3_600), ..Collected::default() };
    let passed = Arc::new(Mutex::new(0));
    let count = passed.clone();
    let counting = native(false, move |_, _, call| match call {
        Call::Process(_, batch) => {
            *count.lock().unwrap() += batch.rows();
            Ok(vec![(0, batch)])
        }
        _ => Ok(vec![]),
    });
    let mut job = line(numbers(100_000, 9, 10), vec![(1, counting)], (1, sink), 1, &[Forward, Rebalance]);
    job.settings = Settings { channel_batches: 3, ..Settings::default() };
    let running = start(job).await.unwrap();
    for _ in 0..1_000 {
        if *passed.lock().unwrap() >= 50 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    // In the sink 1 batch, in the channel 3, and 1 that waits for room: of 10 rows each.
    assert_eq!(*passed.lock().unwrap(), 50);
    running.cancel();
    let progress = running.wait().await.unwrap().progress;
    assert!(progress.nodes[1].subtasks[0].records_in == 50);
}
