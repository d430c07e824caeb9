//! Checkpoints and recovery: whatever fails, and wherever the job goes on, each row counts exactly once.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{memory::MemoryStore, *};
use wasmill_core::{
    BatchBuilder, OperatorError, OperatorFactory, Row, StateBackend,
    graph::Exchange::*,
    time::{TimeDomain, TimerBatch},
};
use wasmill_engine::{CheckpointSettings, Job, RestartStrategy, Stop, start};

/// A counting operator whose call number `n` (over all subtasks and attempts) fails where `fails(n)`.
fn counting(fails: impl Fn(u64) -> bool + Send + Sync + 'static) -> Arc<dyn OperatorFactory> {
    let calls = AtomicU64::new(0);
    snapshotting(true, move |context, epoch, call| match call {
        Call::Process(_, batch) => {
            let out = count(context, epoch, &batch).take();
            match fails(calls.fetch_add(1, Ordering::Relaxed)) {
                true => Err(OperatorError::Trap("out of cheese".into())),
                false => Ok(vec![(0, out)]),
            }
        }
        _ => Ok(vec![]),
    })
}

fn often() -> CheckpointSettings {
    CheckpointSettings { interval: Some(Duration::from_millis(3)), ..CheckpointSettings::default() }
}

fn slow(count: u64, keys: u64) -> common::Rows {
    common::Rows { pause: Duration::from_millis(1), ..numbers(count, keys, 20) }
}

/// The numbers 1 to n of each key, each once.
fn expected(rows: u64, keys: u64) -> Vec<(String, u64)> {
    let of = |key: u64| (1..=(rows - key).div_ceil(keys)).map(move |i| (format!("key-{key}"), i));
    let mut all: Vec<_> = (0..keys).flat_map(of).collect();
    all.sort();
    all
}

fn job(rows: common::Rows, operator: Arc<dyn OperatorFactory>, parallelism: u32, sink: &Collected) -> Job {
    let mut job =
        line(rows, vec![(parallelism, operator)], (parallelism, sink.clone()), parallelism, &[Hash, Rebalance]);
    job.checkpoints = often();
    job
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_fails_again_and_again_counts_each_row_once() {
    for parallelism in [1, 2, 3] {
        let sink = Collected::default();
        let mut job = job(slow(4_000, 13), counting(|call| call % 37 == 36), parallelism, &sink);
        job.restart = RestartStrategy::FixedDelay { delay: Duration::ZERO, attempts: Some(50) };
        let summary = start(job).await.unwrap().wait().await.unwrap();
        assert_eq!(sink.visible(), expected(4_000, 13), "parallelism {parallelism}");
        let checkpoints = summary.progress.checkpoints;
        assert!(checkpoints.attempt > 2 && checkpoints.completed > 2, "{checkpoints:?}");
        assert!(checkpoints.last_failure.unwrap().contains("out of cheese"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_cut_off_goes_on_at_another_parallelism() {
    let (sink, store) = (Collected::default(), MemoryStore::default());
    let mut attempts = 0;
    loop {
        let parallelism = [1, 3, 2][attempts % 3];
        let mut job = job(slow(3_000, 11), counting(|_| false), parallelism, &sink);
        job.state = Arc::new(store.clone());
        let running = start(job).await.unwrap();
        let handle = running.handle();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            handle.cancel();
        });
        let summary = running.wait().await.unwrap();
        assert_eq!(summary.progress.checkpoints.restored.is_some(), attempts > 0);
        attempts += 1;
        assert!(attempts < 100, "it makes no progress");
        if !summary.cancelled {
            break;
        }
    }
    assert!(attempts > 2, "it was never cut off");
    assert_eq!(sink.visible(), expected(3_000, 11));
    // Once it has finished there is nothing left to do.
    let mut again = job(slow(3_000, 11), counting(|_| false), 2, &sink);
    again.state = Arc::new(store);
    assert!(start(again).await.unwrap().wait().await.unwrap().already_finished);
    assert_eq!(sink.visible(), expected(3_000, 11));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_cannot_be_stored_loses_nothing() {
    for (tolerated, fails) in [(2, false), (0, true)] {
        let (sink, store) = (Collected::default(), MemoryStore::default());
        store.disk.lock().unwrap().failures = 2;
        let mut job = job(slow(2_000, 7), counting(|_| false), 2, &sink);
        job.state = Arc::new(store.clone());
        job.checkpoints.tolerated_failures = tolerated;
        let result = start(job).await.unwrap().wait().await;
        if fails {
            let error = result.unwrap_err().to_string();
            assert_eq!(error, "job `test`: checkpoint 1 failed: the state store failed: the disk is full");
            assert!(sink.visible().is_empty());
            continue;
        }
        // What sinks prepared for the checkpoints that failed is committed by the next one.
        let checkpoints = result.unwrap().progress.checkpoints;
        assert_eq!(checkpoints.failed, 2);
        assert_eq!(sink.visible(), expected(2_000, 7));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_are_bounded_and_the_last_error_is_told() {
    let sink = Collected::default();
    let mut job = job(slow(1_000, 5), counting(|_| true), 1, &sink);
    job.restart = RestartStrategy::FixedDelay { delay: Duration::ZERO, attempts: Some(3) };
    let running = start(job).await.unwrap();
    let handle = running.handle();
    let error = running.wait().await.unwrap_err().to_string();
    assert_eq!(error, "job `test`, `op1`, subtask 0: the operator trapped: out of cheese");
    assert_eq!(handle.progress().checkpoints.attempt, 4);
    assert!(sink.visible().is_empty());
}

/// Each key's timer stands at the highest timestamp its rows have, and tells the key once the watermark is there.
fn timing(fail_at: Option<u64>) -> Arc<dyn OperatorFactory> {
    let calls = AtomicU64::new(0);
    snapshotting(true, move |context, epoch, call| match call {
        Call::Process(_, batch) => {
            let mut timers = TimerBatch::default();
            for row in batch.iter() {
                timers.push(row.timestamp + 500, row.key.unwrap(), 0);
            }
            context.timers.register(TimeDomain::EventTime, &timers);
            count(context, epoch, &batch);
            match fail_at == Some(calls.fetch_add(1, Ordering::Relaxed)) {
                true => Err(OperatorError::Trap("once".into())),
                false => Ok(vec![]),
            }
        }
        Call::Timers(_, due) => {
            let mut out = BatchBuilder::default();
            for i in 0..due.times.len() {
                let time = due.times[i].to_le_bytes();
                out.push(Row { timestamp: due.times[i], key: Some(due.key(i)), value: Some(&time), headers: &[] });
            }
            Ok(vec![(0, out.take())])
        }
        Call::Finish => Ok(vec![]),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_and_watermarks_come_back() {
    // Row i has the timestamp i: each row's timer fires once, at i + 500.
    let mut expected: Vec<_> = (0..2_000u64).map(|i| (format!("key-{}", i % 9), i + 500)).collect();
    expected.sort();
    for parallelism in [1, 2] {
        for fail_at in [None, Some(20), Some(61), Some(90)] {
            let sink = Collected::default();
            let rows = common::Rows { timed: true, ..slow(2_000, 9) };
            let mut job = job(rows, timing(fail_at), parallelism, &sink);
            job.restart = RestartStrategy::FixedDelay { delay: Duration::ZERO, attempts: Some(3) };
            let summary = start(job).await.unwrap().wait().await.unwrap();
            assert_eq!(summary.progress.checkpoints.attempt, 1 + u64::from(fail_at.is_some()));
            assert_eq!(sink.visible(), expected, "parallelism {parallelism}, failing at {fail_at:?}");
        }
    }
}

/// One source ends long before the other: checkpoints go on, and what has finished is not finished again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_source_does_not_stop_checkpoints() {
    let finishes = Arc::new(AtomicU64::new(0));
    let told = finishes.clone();
    let telling = snapshotting(false, move |_, _, call| match call {
        Call::Process(_, batch) => Ok(vec![(0, batch)]),
        Call::Finish => {
            told.fetch_add(1, Ordering::Relaxed);
            let mut out = BatchBuilder::default();
            out.push(Row { timestamp: 0, key: Some(b"finished"), value: Some(&[0; 8]), headers: &[] });
            Ok(vec![(0, out.take())])
        }
        Call::Timers(..) => Ok(vec![]),
    });
    let (sink, store) = (Collected::default(), MemoryStore::default());
    let make = |fails: bool| {
        // Split 1 has one row; the operator behind it finishes at once.
        let mut rows = slow(2_000, 1);
        rows.rows = (rows.rows.into_iter()).map(|row| (row.0, format!("key-{}", row.2 % 3), row.2)).collect();
        let mut job = line(
            rows,
            vec![(2, telling.clone()), (2, counting(move |call| fails && call == 30))],
            (1, sink.clone()),
            2,
            &[Forward, Hash, Rebalance],
        );
        job.graph.nodes.iter_mut().for_each(|node| node.chain = false);
        job.sources.get_mut(&0).unwrap().factory = Arc::new(Uneven(job.sources[&0].factory.clone()));
        job.checkpoints = often();
        job.state = Arc::new(store.clone());
        job
    };
    start(make(true)).await.unwrap().wait().await.unwrap_err();
    assert_eq!(finishes.load(Ordering::Relaxed), 1, "the short one has finished");
    let summary = start(make(false)).await.unwrap().wait().await.unwrap();
    assert!(summary.progress.checkpoints.restored.is_some());
    assert_eq!(finishes.load(Ordering::Relaxed), 2, "it did not finish again");
    let finished = sink.visible().iter().filter(|(key, _)| key == "finished").count();
    assert_eq!(finished, 2);
    // Of the even rows all, of the odd ones none but the first.
    let mut counts = BTreeMap::new();
    for i in (0..2_000u64).filter(|i| i % 2 == 0 || *i == 1) {
        *counts.entry(format!("key-{}", i % 3)).or_insert(0) += 1;
    }
    for (key, count) in counts {
        let numbers: Vec<u64> = sink.visible().into_iter().filter(|(of, _)| *of == key).map(|(_, n)| n).collect();
        assert_eq!(numbers, (1..=count).collect::<Vec<u64>>(), "{key}");
    }
}

/// Ends the second split after its first batch of one row.
struct Uneven(Arc<dyn wasmill_core::SourceFactory>);

impl wasmill_core::SourceFactory for Uneven {
    fn codecs(&self) -> (wasmill_core::Codec, wasmill_core::Codec) {
        self.0.codecs()
    }
    fn has_event_time(&self) -> bool {
        false
    }
    fn create(
        &self,
        context: wasmill_core::SourceContext,
    ) -> Result<Box<dyn wasmill_core::Source>, wasmill_core::source::ConnectorError> {
        let short = context.place.subtask == 1 && context.restored.is_none();
        let inner = self.0.create(context)?;
        Ok(Box::new(UnevenSource { inner, left: if short { 1 } else { u64::MAX } }))
    }
}

struct UnevenSource {
    inner: Box<dyn wasmill_core::Source>,
    left: u64,
}

impl wasmill_core::Source for UnevenSource {
    fn splits(&self) -> Vec<String> {
        self.inner.splits()
    }
    fn position(&self, split: usize) -> Result<Vec<u8>, wasmill_core::source::ConnectorError> {
        self.inner.position(split)
    }
    fn next(
        &mut self,
        mut limit: wasmill_core::source::BatchLimit,
    ) -> wasmill_core::BoxFuture<'_, Result<wasmill_core::source::SourceEvent, wasmill_core::source::ConnectorError>>
    {
        use wasmill_core::source::SourceEvent;
        if self.left == 0 {
            self.left = u64::MAX - 1;
            return Box::pin(std::future::ready(Ok(SourceEvent::SplitEnd { split: 0 })));
        }
        if self.left == u64::MAX - 1 {
            return Box::pin(std::future::ready(Ok(SourceEvent::End)));
        }
        if self.left == 1 {
            limit.rows = 1;
            self.left = 0;
        }
        self.inner.next(limit)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn savepoints_and_stops_are_answered() {
    let (sink, store) = (Collected::default(), MemoryStore::default());
    let make = |sink: &Collected, parallelism: u32| {
        let mut job = job(slow(20_000, 7), counting(|_| false), parallelism, sink);
        job.checkpoints.interval = None;
        job.state = Arc::new(store.clone());
        job
    };
    let running = start(make(&sink, 2)).await.unwrap();
    let handle = running.handle();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let savepoint = handle.savepoint("first".into()).await.unwrap();
    assert_eq!((savepoint.epoch, savepoint.savepoint), (1, Some("first".into())));
    let stopped = handle.stop(Stop { drain: false, savepoint: Some("last".into()) }).await.unwrap();
    assert_eq!(stopped.epoch, 2);
    let summary = running.wait().await.unwrap();
    assert!(summary.stopped && !summary.cancelled);
    let saved: Vec<_> = store.disk.lock().unwrap().savepoints.keys().cloned().collect();
    assert_eq!(saved, ["first", "last"].map(std::path::PathBuf::from));
    assert!(handle.savepoint("late".into()).await.is_err(), "the job has ended");
    // It goes on where it stopped, at another parallelism, until it is drained: then all it has read is told.
    let running = start(make(&sink, 3)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    running.handle().stop(Stop { drain: true, savepoint: None }).await.unwrap();
    let summary = running.wait().await.unwrap();
    assert!(!summary.stopped && !summary.cancelled);
    let visible = sink.visible();
    assert!(visible.len() > 100 && visible.len() < 20_000, "{}", visible.len());
    for key in 0..7 {
        let numbers: Vec<u64> =
            visible.iter().filter(|(of, _)| *of == format!("key-{key}")).map(|(_, number)| *number).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "key {key}: none lost, none twice");
    }
    assert!(store.disk.lock().unwrap().manifest.as_ref().unwrap().finished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_cannot_be_processed_go_to_the_dead_letters() {
    // Rows whose value is a multiple of 97 fail, whatever stands beside them.
    let failing = snapshotting(true, |context, epoch, call| match call {
        Call::Process(_, batch) => {
            let out = count(context, epoch, &batch).take();
            let bad = |row: Row<'_>| u64::from_le_bytes(row.value.unwrap().try_into().unwrap()) % 97 == 0;
            match batch.iter().position(bad) {
                None => Ok(vec![(0, out)]),
                Some(row) if batch.value(row).unwrap()[0] % 2 == 0 => Err(OperatorError::Trap("a trap".into())),
                Some(row) => Err(OperatorError::Record { row: row as u32, message: "a bad one".into() }),
            }
        }
        _ => Ok(vec![]),
    });
    let (sink, letters) = (Collected::default(), Collected::default());
    let mut job = job(slow(3_000, 7), failing, 2, &sink);
    job.graph.nodes[1].outputs.push("dead-letter".into());
    let mut node = job.graph.nodes[2].clone();
    node.id = "letters".into();
    job.graph.nodes.push(node);
    job.graph.edges.push(wasmill_core::graph::Edge { from: 1, output: 1, to: 3, input: 0, exchange: Rebalance });
    job.sinks.insert(3, Arc::new(letters.clone()));
    job.dead_letters = BTreeSet::from([1]);
    let summary = start(job).await.unwrap().wait().await.unwrap();
    let bad = (0..3_000u64).filter(|i| i % 97 == 0);
    let mut buried: Vec<_> = bad.clone().map(|i| format!("key-{}", i % 7)).collect();
    buried.sort();
    assert_eq!(letters.visible().into_iter().map(|(key, _)| key).collect::<Vec<_>>(), buried);
    assert_eq!(summary.progress.checkpoints.dead_letters, bad.clone().count() as u64);
    // The others are counted as if the bad ones had never been.
    let mut expected = Vec::new();
    for key in 0..7 {
        let good = (0..3_000u64).filter(|i| i % 7 == key && i % 97 != 0).count() as u64;
        expected.extend((1..=good).map(|number| (format!("key-{key}"), number)));
    }
    expected.sort();
    assert_eq!(sink.visible(), expected);
}

#[tokio::test]
async fn a_failure_that_no_single_record_has_fails_the_attempt() {
    let many = snapshotting(false, |_, _, call| match call {
        Call::Process(_, batch) if batch.rows() > 1 => Err(OperatorError::Trap("too many".into())),
        Call::Process(_, batch) => Ok(vec![(0, batch)]),
        _ => Ok(vec![]),
    });
    let sink = Collected::default();
    let mut job = job(slow(100, 7), many, 1, &sink);
    job.graph.nodes[1].outputs.push("dead-letter".into());
    job.dead_letters = BTreeSet::from([1]);
    let error = start(job).await.unwrap().wait().await.unwrap_err().to_string();
    assert_eq!(error, "job `test`, `op1`, subtask 0: the operator trapped: too many");
    assert!(sink.visible().is_empty());
}

/// What cannot take part in checkpoints says why.
#[tokio::test]
async fn a_source_that_cannot_tell_its_position_fails_checkpoints_and_not_the_end() {
    struct Mute(Arc<dyn wasmill_core::SourceFactory>);
    struct MuteSource(Box<dyn wasmill_core::Source>);
    impl wasmill_core::SourceFactory for Mute {
        fn codecs(&self) -> (wasmill_core::Codec, wasmill_core::Codec) {
            self.0.codecs()
        }
        fn has_event_time(&self) -> bool {
            false
        }
        fn create(
            &self,
            context: wasmill_core::SourceContext,
        ) -> Result<Box<dyn wasmill_core::Source>, wasmill_core::source::ConnectorError> {
            Ok(Box::new(MuteSource(self.0.create(context)?)))
        }
    }
    impl wasmill_core::Source for MuteSource {
        fn splits(&self) -> Vec<String> {
            self.0.splits()
        }
        fn position(&self, _: usize) -> Result<Vec<u8>, wasmill_core::source::ConnectorError> {
            Err(wasmill_core::source::ConnectorError::new("it cannot be read twice"))
        }
        fn next(
            &mut self,
            limit: wasmill_core::source::BatchLimit,
        ) -> wasmill_core::BoxFuture<'_, Result<wasmill_core::source::SourceEvent, wasmill_core::source::ConnectorError>>
        {
            self.0.next(limit)
        }
    }
    for interval in [None, Some(Duration::from_millis(3))] {
        let sink = Collected::default();
        let mut job = job(slow(1_000, 7), counting(|_| false), 1, &sink);
        job.sources.get_mut(&0).unwrap().factory = Arc::new(Mute(job.sources[&0].factory.clone()));
        job.checkpoints.interval = interval;
        let result = start(job).await.unwrap().wait().await;
        match interval {
            None => {
                result.unwrap();
                assert_eq!(sink.visible(), expected(1_000, 7));
            }
            Some(_) => {
                let error = result.unwrap_err().to_string();
                let told = "checkpoint 1 failed: job `test`, `source`, subtask 0: it cannot be read twice";
                assert_eq!(error, format!("job `test`: {told}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_number_of_key_groups_is_refused() {
    let (sink, store) = (Collected::default(), MemoryStore::default());
    let make = |groups: u32| {
        let mut job = job(slow(2_000, 7), counting(|_| false), 1, &sink);
        job.state = Arc::new(store.clone());
        job.graph.max_parallelism = wasmill_core::MaxParallelism::new(groups).unwrap();
        job
    };
    let running = start(make(128)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    running.handle().stop(Stop::default()).await.unwrap();
    running.wait().await.unwrap();
    assert!(store.restore().await.unwrap().manifest.is_some());
    let error = start(make(64)).await.err().unwrap().to_string();
    assert!(error.contains("set `max-parallelism = 128`"), "{error}");
}
