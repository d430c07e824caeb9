//! Batch mode: results appear once, at the end, and are those of streaming.

mod common;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{script::*, *};
use wasmill_core::{
    BatchBuilder, OperatorError, OperatorFactory, Row,
    graph::Exchange::*,
    time::{END_OF_TIME, NO_WATERMARK, TimeDomain, TimerBatch},
};
use wasmill_engine::{ExecutionMode, RestartStrategy, start};

/// A tumbling window of 10 ms by hand: per key and window how many rows, told by a timer at the window's end.
type Windows = Arc<Mutex<BTreeMap<(Vec<u8>, i64), u64>>>;

/// Windows, and at which watermark each timer fired.
fn windows(fired: &Arc<Mutex<Vec<i64>>>) -> Arc<dyn OperatorFactory> {
    let (windows, fired) = (Windows::default(), fired.clone());
    native(true, move |context, time, call| match call {
        Call::Process(_, batch) => {
            let mut timers = TimerBatch::default();
            for row in batch.iter() {
                let last = row.timestamp / 10 * 10 + 9;
                assert!(last > time.watermark, "no row is late");
                *windows.lock().unwrap().entry((row.key.unwrap().to_vec(), last)).or_default() += 1;
                timers.push(last, row.key.unwrap(), 0);
            }
            context.timers.register(TimeDomain::EventTime, &timers);
            Ok(vec![])
        }
        Call::Timers(_, due) => {
            let mut out = BatchBuilder::default();
            for i in 0..due.times.len() {
                fired.lock().unwrap().push(time.watermark);
                let count = windows.lock().unwrap()[&(due.key(i).to_vec(), due.times[i])];
                let value = (due.times[i] as u64 * 1_000 + count).to_le_bytes();
                out.push(Row { timestamp: due.times[i], key: Some(due.key(i)), value: Some(&value), headers: &[] });
            }
            Ok(vec![(0, out.take())])
        }
        Call::Finish => Ok(vec![]),
    })
}

/// By the naive model: each row counts in the window of its timestamp.
fn expected(rows: &[(i64, String, u64)]) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<(String, i64), u64> = BTreeMap::new();
    for (timestamp, key, _) in rows {
        *counts.entry((key.clone(), timestamp / 10 * 10 + 9)).or_default() += 1;
    }
    let mut all: Vec<_> = counts.into_iter().map(|((key, last), n)| (key, last as u64 * 1_000 + n)).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_have_the_results_of_streaming_once_at_the_end() {
    let rows: Vec<_> = (0..2_000).map(|i| (i as i64 / 3, format!("key-{}", i % 7), i)).collect();
    for mode in [ExecutionMode::Streaming, ExecutionMode::Batch] {
        for parallelism in [1, 2] {
            let (fired, sink) = (Arc::default(), Collected::default());
            let operators = vec![(parallelism, windows(&fired))];
            let mut job = line(timed(rows.clone(), 16), operators, (1, sink.clone()), 2, &[Hash, Rebalance]);
            job.mode = mode;
            job.sources.get_mut(&0).unwrap().idle_after = Some(Duration::from_millis(1));
            start(job).await.unwrap().wait().await.unwrap();
            assert_eq!(sink.visible(), expected(&rows), "{mode:?}");
            let at_end = fired.lock().unwrap().iter().all(|watermark: &i64| *watermark == END_OF_TIME);
            assert_eq!(at_end, mode == ExecutionMode::Batch);
        }
    }
}

/// Rows far behind all others are not late in batch mode.
#[tokio::test]
async fn nothing_is_late() {
    let rows: Vec<_> = (0..500).map(|i| ((i * 7_919 % 500) as i64, "k".to_string(), i)).collect();
    let (fired, sink) = (Arc::default(), Collected::default());
    let mut job = line(timed(rows.clone(), 3), vec![(1, windows(&fired))], (1, sink.clone()), 1, &[Hash, Rebalance]);
    job.mode = ExecutionMode::Batch;
    start(job).await.unwrap().wait().await.unwrap();
    assert_eq!(sink.visible(), expected(&rows));
    let order: Vec<u64> = sink.rows.lock().unwrap()[&0].iter().map(|row| row.1).collect();
    assert!(order.is_sorted(), "windows fire in the order of their ends");
}

/// Timers in event time first, then those in processing time, whenever they are due, and then what these set in event time.
/// One in processing time that is set by then is dropped: it would set itself anew for ever.
#[tokio::test]
async fn processing_time_timers_fire_at_the_end_and_not_again() {
    let seen: Arc<Mutex<Vec<(TimeDomain, i64, i64)>>> = Arc::default();
    let note = seen.clone();
    let operator = native(true, move |context, time, call| {
        let set = |domain, at| {
            let mut timers = TimerBatch::default();
            timers.push(at, b"k", 0);
            context.timers.register(domain, &timers);
        };
        match call {
            Call::Process(..) => {
                assert_eq!(time.watermark, NO_WATERMARK);
                set(TimeDomain::EventTime, 70);
                // Long due, and not due for long.
                set(TimeDomain::ProcessingTime, 5);
                set(TimeDomain::ProcessingTime, 1_000_000_000_000_000);
            }
            Call::Timers(domain, due) => {
                for at in due.times {
                    note.lock().unwrap().push((domain, at, time.watermark));
                    match domain {
                        TimeDomain::EventTime if at < 90 => set(TimeDomain::EventTime, at + 10),
                        TimeDomain::EventTime => {}
                        TimeDomain::ProcessingTime => {
                            set(TimeDomain::ProcessingTime, at + 1);
                            set(TimeDomain::EventTime, 95);
                        }
                    }
                }
            }
            Call::Finish => {}
        }
        Ok(vec![])
    });
    let rows = vec![(1, "k".to_string(), 1)];
    let mut job = line(timed(rows, 1), vec![(1, operator)], (1, Collected::default()), 1, &[Hash, Rebalance]);
    job.mode = ExecutionMode::Batch;
    start(job).await.unwrap().wait().await.unwrap();
    let expected = [
        (TimeDomain::EventTime, 70, END_OF_TIME),
        (TimeDomain::EventTime, 80, END_OF_TIME),
        (TimeDomain::EventTime, 90, END_OF_TIME),
        (TimeDomain::ProcessingTime, 5, END_OF_TIME),
        (TimeDomain::ProcessingTime, 1_000_000_000_000_000, END_OF_TIME),
        (TimeDomain::EventTime, 95, END_OF_TIME),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

/// A batch that fails goes on from its last checkpoint, and its timers are still there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_work_as_in_streaming() {
    let calls = AtomicU64::new(0);
    // Counts rows a key in state; a timer per key tells the count.
    let counting = snapshotting(true, move |context, epoch, call| match call {
        Call::Process(_, batch) => {
            if calls.fetch_add(1, Ordering::Relaxed) % 23 == 22 {
                return Err(OperatorError::Trap("now and then".into()));
            }
            let mut timers = TimerBatch::default();
            batch.iter().for_each(|row| timers.push(7, row.key.unwrap(), 0));
            context.timers.register(TimeDomain::ProcessingTime, &timers);
            count(context, epoch, &batch);
            Ok(vec![])
        }
        Call::Timers(_, due) => {
            // One more for each key, which tells how many there were.
            let mut told = BatchBuilder::default();
            (0..due.times.len())
                .for_each(|i| told.push(Row { timestamp: 0, key: Some(due.key(i)), value: None, headers: &[] }));
            Ok(vec![(0, count(context, epoch, &told.take()).take())])
        }
        Call::Finish => Ok(vec![]),
    });
    let sink = Collected::default();
    let rows = common::Rows { pause: Duration::from_millis(1), timed: true, ..numbers(1_500, 11, 20) };
    let mut job = line(rows, vec![(2, counting)], (1, sink.clone()), 2, &[Hash, Rebalance]);
    job.mode = ExecutionMode::Batch;
    job.checkpoints.interval = Some(Duration::from_millis(3));
    job.restart = RestartStrategy::FixedDelay { delay: Duration::ZERO, attempts: Some(50) };
    let checkpoints = start(job).await.unwrap().wait().await.unwrap().progress.checkpoints;
    assert!(checkpoints.attempt > 2 && checkpoints.completed > 2, "{checkpoints:?}");
    let mut expected: Vec<(String, u64)> =
        (0..11).map(|key| (format!("key-{key}"), (1_500 - key as u64).div_ceil(11) + 1)).collect();
    expected.sort();
    assert_eq!(sink.visible(), expected);
}
