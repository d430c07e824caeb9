//! Timers: what fires, when, in which order and how often, against cases worked by hand. Where not said otherwise, Flink does the
//! same: `advanceWatermark` and `onProcessingTime` of its `InternalTimerServiceImpl` take one due timer after another off the
//! queue, each before its callback, so that what a callback sets or deletes for its key is obeyed at once.

mod common;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{memory::MemoryStore, script::*, *};
use wasmill_core::{
    BatchBuilder, OperatorContext, OperatorError, OperatorFactory, Quota, Row,
    graph::Exchange::*,
    time::{
        END_OF_TIME,
        TimeDomain::{self, EventTime, ProcessingTime},
        TimerBatch, WatermarkStrategy,
    },
};
use wasmill_engine::{ExecutionMode, Job, RestartStrategy, SourceSpec, Stop, start};

/// What happens to an operator: a row, or one timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event<'a> {
    /// Its key and value.
    Row(&'a str, u64),
    /// Domain, time, key and tag.
    Timer(TimeDomain, i64, &'a str, u64),
}

/// What an operator does then, for the key at hand.
#[derive(Debug, Clone, Copy)]
enum Do {
    Set(TimeDomain, i64, u64),
    Delete(TimeDomain, i64, u64),
}

use Do::{Delete, Set};

/// What happened, a line each: `row a 1 at 4`, `event a 5 #0 at 9`, `processing ...`; behind `at` the watermark, where there is one.
type Log = Arc<Mutex<Vec<String>>>;

fn act(context: &OperatorContext, key: &str, actions: &[Do]) {
    for action in actions {
        let mut batch = TimerBatch::default();
        match *action {
            Set(domain, time, tag) => {
                batch.push(time, key.as_bytes(), tag);
                context.timers.register(domain, &batch);
            }
            Delete(domain, time, tag) => {
                batch.push(time, key.as_bytes(), tag);
                context.timers.delete(domain, &batch);
            }
        }
    }
}

/// Does as `script` says at each row and timer, and logs them. At a row it moves `clock` to the row's timestamp.
fn scripted(
    log: &Log,
    clock: &ManualClock,
    script: impl Fn(Event<'_>) -> Vec<Do> + Send + Sync + 'static,
) -> Arc<dyn OperatorFactory> {
    let (log, clock) = (log.clone(), clock.clone());
    native(true, move |context, time, call| {
        let at = if time.watermark < 0 { String::new() } else { format!(" at {}", time.watermark) };
        let at = if time.watermark == END_OF_TIME { " at the end".to_string() } else { at };
        match call {
            Call::Process(_, batch) => {
                for row in batch.iter() {
                    clock.0.fetch_max(row.timestamp, Ordering::SeqCst);
                    let key = std::str::from_utf8(row.key.unwrap()).unwrap();
                    let value = u64::from_le_bytes(row.value.unwrap().try_into().unwrap());
                    log.lock().unwrap().push(format!("row {key} {value}{at}"));
                    act(context, key, &script(Event::Row(key, value)));
                }
            }
            Call::Timers(domain, due) => {
                let name = if domain == EventTime { "event" } else { "processing" };
                for i in 0..due.times.len() {
                    let (time, key, tag) = (due.times[i], std::str::from_utf8(due.key(i)).unwrap(), due.tags[i]);
                    log.lock().unwrap().push(format!("{name} {key} {time} #{tag}{at}"));
                    act(context, key, &script(Event::Timer(domain, time, key, tag)));
                }
            }
            Call::Finish => log.lock().unwrap().push("finish".into()),
        }
        Ok(vec![])
    })
}

/// Each row is followed by the watermark of the highest timestamp less one.
fn marked(rows: Rows) -> SourceSpec {
    SourceSpec::bounded(Arc::new(rows), Duration::ZERO, 1)
}

/// Rows (timestamp, key, value), each a batch of its own.
fn one_by_one(rows: &[(i64, &str, u64)]) -> Rows {
    timed(rows.iter().map(|(timestamp, key, value)| (*timestamp, key.to_string(), *value)).collect(), 1)
}

/// The operator in one chain with its source: each row, and what is due after it, before the next row.
fn job(rows: Rows, operator: Arc<dyn OperatorFactory>, clock: &ManualClock) -> Job {
    let mut job = line(one_by_one(&[]), vec![(1, operator)], (1, Collected::default()), 1, &[Forward, Forward]);
    job.sources.insert(0, marked(rows));
    job.clock = Arc::new(clock.clone());
    job
}

async fn run(rows: &[(i64, &str, u64)], script: impl Fn(Event<'_>) -> Vec<Do> + Send + Sync + 'static) -> Vec<String> {
    run_in(ExecutionMode::Streaming, rows, script).await
}

async fn run_in(
    mode: ExecutionMode,
    rows: &[(i64, &str, u64)],
    script: impl Fn(Event<'_>) -> Vec<Do> + Send + Sync + 'static,
) -> Vec<String> {
    let (log, clock) = (Log::default(), ManualClock::default());
    let mut job = job(one_by_one(rows), scripted(&log, &clock, script), &clock);
    job.mode = mode;
    start(job).await.unwrap().wait().await.unwrap();
    log.lock().unwrap().clone()
}

/// Flink promises the order of times only; here ties have an order as well.
#[tokio::test]
async fn timers_fire_in_the_order_of_time_then_key_then_tag_and_duplicates_once() {
    let log = run(&[(1, "b", 1), (2, "a", 2), (3, "a", 3), (10, "c", 4), (11, "c", 5)], |event| match event {
        Event::Row("b", _) => vec![Set(EventTime, 8, 0), Set(EventTime, 7, 9), Set(EventTime, 7, 9)],
        Event::Row("a", 2) => vec![Set(EventTime, 8, u64::MAX), Set(EventTime, 8, 1), Set(EventTime, 9, 0)],
        Event::Row("a", 3) => vec![Set(EventTime, 8, 1), Set(EventTime, 10, 0)],
        _ => vec![],
    })
    .await;
    let expected = [
        "row b 1",
        "row a 2 at 0",
        "row a 3 at 1",
        "row c 4 at 2",
        // The watermark is 9: what is due at 9 is due, what is due at 10 is not.
        "event b 7 #9 at 9",
        "event a 8 #1 at 9",
        "event a 8 #18446744073709551615 at 9",
        "event b 8 #0 at 9",
        "event a 9 #0 at 9",
        "row c 5 at 9",
        "event a 10 #0 at 10",
        "finish",
    ];
    assert_eq!(log, expected);
}

/// The queue is looked at anew after each timer of a key, so what is due already fires at this same watermark.
#[tokio::test]
async fn a_timer_that_a_callback_sets_and_that_is_due_fires_at_the_same_watermark() {
    let log = run(&[(1, "a", 1), (20, "a", 2), (30, "a", 3)], |event| match event {
        Event::Row(_, 1) => vec![Set(EventTime, 5, 0), Set(EventTime, 12, 0)],
        // Before itself, before and behind the one that waits, at the watermark, and behind it.
        Event::Timer(EventTime, 5, _, 0) => {
            [(3, 7), (11, 7), (13, 7), (19, 7), (20, 7)].map(|(time, tag)| Set(EventTime, time, tag)).to_vec()
        }
        // The one that fires is no longer set: it can be set anew, at its own time too.
        Event::Timer(EventTime, 3, _, 7) => vec![Set(EventTime, 5, 1)],
        _ => vec![],
    })
    .await;
    let expected = [
        "row a 1",
        "row a 2 at 0",
        "event a 5 #0 at 19",
        "event a 3 #7 at 19",
        "event a 5 #1 at 19",
        "event a 11 #7 at 19",
        "event a 12 #0 at 19",
        "event a 13 #7 at 19",
        "event a 19 #7 at 19",
        "row a 3 at 19",
        "event a 20 #7 at 29",
        "finish",
    ];
    assert_eq!(log, expected);
}

/// A timer that was due when its callback began and is deleted by it does not fire; those of other keys do.
#[tokio::test]
async fn a_due_timer_that_a_callback_deletes_does_not_fire() {
    let log = run(&[(1, "a", 1), (1, "b", 2), (20, "a", 3)], |event| match event {
        Event::Row(_, 1 | 2) => {
            [(5, 0), (6, 0), (6, 1), (7, 0), (40, 0)].map(|(time, tag)| Set(EventTime, time, tag)).to_vec()
        }
        // With one that is not set, and itself, which is off the queue by now.
        Event::Timer(EventTime, 5, "a", _) => {
            [(6, 0), (7, 0), (40, 0), (8, 0), (5, 0)].map(|(time, tag)| Delete(EventTime, time, tag)).to_vec()
        }
        // The last word counts.
        Event::Timer(EventTime, 6, "b", 0) => {
            vec![Delete(EventTime, 7, 0), Set(EventTime, 7, 0), Delete(EventTime, 6, 1)]
        }
        _ => vec![],
    })
    .await;
    let expected = [
        "row a 1",
        "row b 2 at 0",
        "row a 3 at 0",
        "event a 5 #0 at 19",
        "event b 5 #0 at 19",
        "event a 6 #1 at 19",
        "event b 6 #0 at 19",
        "event b 7 #0 at 19",
        "event b 40 #0 at the end",
        "finish",
    ];
    assert_eq!(log, expected);
}

/// As many times as it is due by then, and at the end of the input as long as it sets itself.
#[tokio::test]
async fn a_timer_that_sets_itself_later_fires_again() {
    let log = run(&[(1, "a", 1), (36, "a", 2), (41, "a", 3)], |event| match event {
        Event::Row(_, 1) => vec![Set(EventTime, 10, 0)],
        Event::Timer(EventTime, time, _, _) if time < 60 => vec![Set(EventTime, time + 10, 0)],
        _ => vec![],
    })
    .await;
    let expected = [
        "row a 1",
        "row a 2 at 0",
        "event a 10 #0 at 35",
        "event a 20 #0 at 35",
        "event a 30 #0 at 35",
        "row a 3 at 35",
        "event a 40 #0 at 40",
        "event a 50 #0 at the end",
        "event a 60 #0 at the end",
        "finish",
    ];
    assert_eq!(log, expected);
}

/// A row that is late may set a timer that is behind the watermark: it waits for the next one. In Flink too only
/// `advanceWatermark` looks at the queue of event time.
#[tokio::test]
async fn an_event_time_timer_behind_the_watermark_fires_at_the_next_one() {
    let log = run(&[(10, "a", 1), (10, "a", 2), (4, "a", 3), (15, "a", 4)], |event| match event {
        Event::Row(_, 2) => vec![Set(EventTime, 4, 0)],
        _ => vec![],
    })
    .await;
    assert_eq!(log, ["row a 1", "row a 2 at 9", "row a 3 at 9", "row a 4 at 9", "event a 4 #0 at 14", "finish"]);
}

/// The domains have queues of their own. A timer of processing time that is due already fires before anything else comes,
/// whatever set it; one of event time that is set in processing time waits for the next watermark, though it is behind the last.
#[tokio::test]
async fn a_callback_sets_and_deletes_in_the_other_domain() {
    let log = run(&[(1, "a", 1), (20, "a", 2), (30, "a", 3)], |event| match event {
        // The same time and tag in both domains are two timers.
        Event::Row(_, 1) => vec![Set(EventTime, 5, 0), Set(ProcessingTime, 25, 0), Set(EventTime, 25, 0)],
        Event::Timer(EventTime, 5, _, _) => vec![Set(ProcessingTime, 3, 1), Delete(ProcessingTime, 25, 0)],
        Event::Timer(ProcessingTime, 3, _, _) => vec![Set(EventTime, 7, 1)],
        _ => vec![],
    })
    .await;
    let expected = [
        "row a 1",
        "row a 2 at 0",
        "event a 5 #0 at 19",
        "processing a 3 #1 at 19",
        "row a 3 at 19",
        "event a 7 #1 at 29",
        "event a 25 #0 at 29",
        "finish",
    ];
    assert_eq!(log, expected);
}

/// The clock stands at the timestamp of the row that came last. Flink waits a millisecond more (`getProcessingTimeDelay`), so that
/// no row has the time of a timer that has fired; here a timer is due when the clock is at its time.
#[tokio::test]
async fn processing_time_timers_fire_when_the_clock_is_there_and_at_once_where_it_was() {
    let log = run(&[(100, "a", 1), (149, "a", 2), (150, "b", 3), (500, "a", 4), (501, "a", 5)], |event| match event {
        Event::Row(_, 1) => vec![
            Set(ProcessingTime, 200, 1),
            Set(ProcessingTime, 200, 0),
            Set(ProcessingTime, 150, 0),
            Set(ProcessingTime, 150, 0),
            // Long past, and now.
            Set(ProcessingTime, -5, 0),
            Set(ProcessingTime, 100, 0),
        ],
        Event::Timer(_, 200, _, 0) => {
            vec![Delete(ProcessingTime, 200, 1), Set(ProcessingTime, 300, 0), Set(ProcessingTime, 501, 0)]
        }
        _ => vec![],
    })
    .await;
    let expected = [
        "row a 1",
        "processing a -5 #0",
        "processing a 100 #0",
        "row a 2 at 99",
        "row b 3 at 148",
        "processing a 150 #0 at 148",
        "row a 4 at 149",
        "processing a 200 #0 at 149",
        "processing a 300 #0 at 149",
        "row a 5 at 499",
        "processing a 501 #0 at 499",
        "finish",
    ];
    assert_eq!(log, expected);
}

/// Nothing comes; the subtask wakes by itself, in a chain with its source and behind a channel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processing_time_timers_do_not_wait_for_rows() {
    for exchange in [Forward, Rebalance] {
        let (log, clock, fired) = (Log::default(), ManualClock::default(), Gate::default());
        let open = fired.clone();
        let operator = scripted(&log, &clock, move |event| match event {
            Event::Row(..) => vec![Set(ProcessingTime, 50, 0)],
            Event::Timer(..) => {
                open.open();
                vec![]
            }
        });
        let steps = vec![Step::Rows(0, vec![10]), Step::Quiet(30), Step::Quiet(30), Step::Until(fired)];
        let script = Script { splits: 1, steps, clock: clock.clone(), ..Script::default() };
        let specs = vec![spec(script, WatermarkStrategy::None)];
        let mut job = sources(specs, operator, 1, &Collected::default());
        job.graph.edges[0].exchange = exchange;
        job.clock = Arc::new(clock);
        let done = tokio::time::timeout(Duration::from_secs(20), start(job).await.unwrap().wait()).await;
        done.expect("the timer has fired").unwrap();
        assert_eq!(*log.lock().unwrap(), ["row k 10", "processing k 50 #0", "finish"]);
    }
}

/// Flink: at the end of a bounded input the watermark goes to the end of time, so that what is set in event time fires; the timer
/// service is quiesced, and what is pending in processing time is dropped. In its batch mode that fires as well, after event
/// time, whenever it is due, and what is set in processing time then is dropped. There Flink drops what a callback sets in event
/// time too, which here is due and fires.
#[tokio::test]
async fn at_the_end_event_time_timers_fire_and_in_batch_mode_processing_time_timers_too() {
    let script = |event: Event<'_>| match event {
        Event::Row(..) => vec![Set(ProcessingTime, 1_000_000, 0), Set(EventTime, 2_000_000, 0), Set(EventTime, 70, 0)],
        Event::Timer(EventTime, 70, ..) => vec![Set(EventTime, 80, 0)],
        Event::Timer(ProcessingTime, ..) => vec![Set(ProcessingTime, 1_000_001, 0)],
        _ => vec![],
    };
    let rows = [(1, "a", 1)];
    let event = ["event a 70 #0 at the end", "event a 80 #0 at the end", "event a 2000000 #0 at the end"];
    assert_eq!(run(&rows, script).await, [&["row a 1"][..], &event, &["finish"]].concat());
    let rest = ["processing a 1000000 #0 at the end", "finish"];
    assert_eq!(run_in(ExecutionMode::Batch, &rows, script).await, [&["row a 1"][..], &event, &rest].concat());
}

/// What timers emit is before the watermark at which they fire: behind it, it would be late.
#[tokio::test]
async fn what_timers_emit_goes_before_the_watermark() {
    for exchange in [Forward, Hash] {
        let seen: Arc<Mutex<Vec<(i64, i64)>>> = Arc::default();
        // A timer 5 behind each row gives a row of its own time.
        let timing = native(true, |context, _, call| {
            let mut out = BatchBuilder::default();
            match call {
                Call::Process(_, batch) => {
                    let mut timers = TimerBatch::default();
                    batch.iter().for_each(|row| timers.push(row.timestamp + 5, row.key.unwrap(), 0));
                    context.timers.register(EventTime, &timers);
                }
                Call::Timers(_, due) => (0..due.times.len()).for_each(|i| {
                    out.push(Row { timestamp: due.times[i], key: Some(due.key(i)), value: None, headers: &[] });
                }),
                Call::Finish => {}
            }
            Ok(vec![(0, out.take())])
        });
        let note = seen.clone();
        let noting = native(true, move |_, time, call| {
            if let Call::Process(_, batch) = call {
                note.lock().unwrap().extend(batch.iter().map(|row| (row.timestamp, time.watermark)));
            }
            Ok(vec![])
        });
        let operators = vec![(1, timing), (1, noting)];
        let sink = (1, Collected::default());
        let mut job = line(one_by_one(&[]), operators, sink, 1, &[Forward, exchange, Forward]);
        job.sources.insert(0, marked(one_by_one(&[(1, "a", 1), (20, "b", 2), (40, "a", 3)])));
        start(job).await.unwrap().wait().await.unwrap();
        assert_eq!(*seen.lock().unwrap(), [(6, 0), (25, 19), (45, 39)], "{exchange:?}");
    }
}

/// Sets for each row a timer of each domain: 500 ms behind its timestamp, and of its value behind 5 s. Each tells its key and time.
/// Fails once at its call number `fail_at`.
fn lasting(fail_at: Option<u64>) -> Arc<dyn OperatorFactory> {
    let calls = AtomicU64::new(0);
    native(true, move |context, _, call| {
        let mut out = BatchBuilder::default();
        match call {
            Call::Process(_, batch) => {
                let (mut event, mut processing) = (TimerBatch::default(), TimerBatch::default());
                for row in batch.iter() {
                    let value = u64::from_le_bytes(row.value.unwrap().try_into().unwrap());
                    event.push(row.timestamp + 500, row.key.unwrap(), 0);
                    processing.push(5_000 + value as i64, row.key.unwrap(), value % 3);
                }
                context.timers.register(EventTime, &event);
                context.timers.register(ProcessingTime, &processing);
                if fail_at == Some(calls.fetch_add(1, Ordering::Relaxed)) {
                    return Err(OperatorError::Trap("once".into()));
                }
            }
            Call::Timers(domain, due) => {
                for i in 0..due.times.len() {
                    assert!(context.state.owns(due.key(i)), "timers are where their key group is");
                    assert!(domain == EventTime || due.tags[i] == (due.times[i] as u64 - 5_000) % 3, "with their tag");
                    let value = (due.times[i] as u64).to_le_bytes();
                    out.push(Row { timestamp: due.times[i], key: Some(due.key(i)), value: Some(&value), headers: &[] });
                }
            }
            Call::Finish => {}
        }
        Ok(vec![(0, out.take())])
    })
}

/// Each timer fires once, whatever the job goes through, and those of processing time that are due by then as soon as it is up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_survive_crashes_stops_and_other_parallelisms() {
    let (sink, store, clock) = (Collected::default(), MemoryStore::default(), ManualClock::default());
    let make = |parallelism: u32, fail_at: Option<u64>| {
        let rows = common::Rows { pause: Duration::from_millis(1), timed: true, ..numbers(3_000, 37, 20) };
        let operators = vec![(parallelism, lasting(fail_at))];
        let mut job = line(rows, operators, (parallelism, sink.clone()), 1, &[Hash, Rebalance]);
        job.checkpoints.interval = Some(Duration::from_millis(3));
        job.restart = RestartStrategy::FixedDelay { delay: Duration::ZERO, attempts: Some(3) };
        job.state = Arc::new(store.clone());
        job.clock = Arc::new(clock.clone());
        job
    };
    let pending = || store.disk.lock().unwrap().entries.keys().filter(|(_, state, _)| *state >= 1_000).count();
    for (parallelism, fail_at, cancel) in [(1, Some(20), true), (3, None, false), (2, Some(10), true)] {
        let running = start(make(parallelism, fail_at)).await.unwrap();
        let handle = running.handle();
        tokio::time::sleep(Duration::from_millis(40)).await;
        match cancel {
            true => handle.cancel(),
            false => drop(handle.stop(Stop::default()).await.unwrap()),
        }
        let summary = running.wait().await.unwrap();
        assert!(summary.stopped || summary.cancelled, "it has not come to its end");
        assert!(pending() > 100, "timers are stored: {}", pending());
    }
    let event: Vec<_> = (0..3_000u64).map(|i| (format!("key-{}", i % 37), i + 500)).collect();
    let processing: Vec<_> = (0..3_000u64).map(|i| (format!("key-{}", i % 37), i + 5_000)).collect();
    assert!(sink.visible().iter().all(|row| event.contains(row)), "the clock stands at 0");
    clock.0.store(10_000, Ordering::SeqCst);
    start(make(3, None)).await.unwrap().wait().await.unwrap();
    let mut expected = [event, processing].concat();
    expected.sort();
    assert_eq!(sink.visible(), expected);
    assert_eq!(pending(), 0, "what has fired is not stored any more");
}

/// In a call, in a callback that sets more and more that is due, and when timers come back from a checkpoint.
#[tokio::test]
async fn more_timers_than_the_quota_has_room_for_are_an_error_that_names_it() {
    let told = |error: wasmill_engine::JobError| {
        let error = error.to_string();
        assert!(error.starts_with("job `test`, `op1`, subtask 0: "), "{error}");
        assert!(error.contains(" bytes of timers would exceed the memory quota of job `test`: "), "{error}");
    };
    let clock = ManualClock::default();
    let quota = || Quota::new("job `test`", 4 << 20);
    let many = |event: Event<'_>| match event {
        Event::Row(..) => (0..200_000).map(|i| Set(EventTime, i, 0)).collect(),
        _ => vec![],
    };
    let next = AtomicU64::new(0);
    let more = move |event: Event<'_>| match event {
        Event::Row(..) => vec![Set(EventTime, 1, 0)],
        Event::Timer(..) => (0..1_000).map(|_| Set(EventTime, 1, next.fetch_add(1, Ordering::Relaxed))).collect(),
    };
    let operators = [scripted(&Log::default(), &clock, many), scripted(&Log::default(), &clock, more)];
    for operator in operators {
        let mut job = job(one_by_one(&[(1, "a", 1), (10, "a", 2)]), operator, &clock);
        job.quota = quota();
        told(start(job).await.unwrap().wait().await.unwrap_err());
    }
    // What has room in the first quota has none in the second.
    let (store, log) = (MemoryStore::default(), Log::default());
    let make = |quota: Quota| {
        let rows: Vec<_> = (0..10_000).map(|i| (1, "a", i)).collect();
        let rows = Rows { pause: Duration::from_millis(1), ..one_by_one(&rows) };
        let operator = scripted(&log, &clock, |event| match event {
            Event::Row(_, 0) => (0..100_000).map(|i| Set(EventTime, 100 + i, 0)).collect(),
            _ => vec![],
        });
        let mut job = job(rows, operator, &clock);
        job.state = Arc::new(store.clone());
        job.quota = quota;
        job
    };
    let running = start(make(quota())).await.unwrap();
    while log.lock().unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.handle().stop(Stop::default()).await.unwrap();
    running.wait().await.unwrap();
    told(start(make(Quota::new("job `test`", 1_500_000))).await.err().unwrap());
}
