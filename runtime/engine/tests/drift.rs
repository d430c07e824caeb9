//! Sources that are ahead of others wait for them, and nothing else does.

mod common;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use common::{script::*, *};
use wasmill_core::{OperatorFactory, time::WatermarkStrategy};
use wasmill_engine::{ExecutionMode, Handle, Job, Settings, SourceSpec, Stop, WatermarkAlignment, start};

const DRIFT: i64 = 100;

fn aligned(script: Script, drift: i64) -> SourceSpec {
    let max_drift = Duration::from_millis(drift as u64);
    let alignment = Some(WatermarkAlignment { group: "g".into(), max_drift });
    SourceSpec { alignment, ..spec(script, WatermarkStrategy::Monotonic) }
}

/// Rows of a split with the timestamps from `from` to `to`, each its own step.
fn climb(split: usize, from: i64, to: i64) -> Vec<Step> {
    (from..=to).map(|timestamp| Step::Rows(split, vec![timestamp])).collect()
}

/// Takes rows in, and gives nothing.
fn swallow() -> Arc<dyn OperatorFactory> {
    native(false, |_, _, _| Ok(vec![]))
}

/// As little room between subtasks as there can be.
fn tight(mut job: Job) -> Job {
    job.settings =
        Settings { channel_batches: 1, gate_bytes: 1, linger: Duration::from_millis(1), ..Settings::default() };
    job
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..5_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("waited in vain until {what}");
}

/// Long enough for a source that need not wait to go far.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(30)).await;
}

fn given(script: &Script) -> i64 {
    script.given.load(Ordering::SeqCst)
}

fn script(steps: Vec<Step>) -> Script {
    Script { splits: 1, steps, ..Script::default() }
}

/// The slow source stands at 1,000 (watermark 999) until it is let go: the fast one gives 1,100 (watermark 1,099, which is
/// within 100) and 1,101 (1,100, which is not), and then waits. By hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fast_source_waits_until_the_slow_one_has_caught_up() {
    let go = Gate::default();
    let fast = script(climb(0, 900, 1_500));
    let slow = script([climb(0, 1_000, 1_000), vec![Step::Until(go.clone())], climb(0, 1_001, 1_200)].concat());
    let specs = vec![aligned(fast.clone(), DRIFT), aligned(slow.clone(), DRIFT)];
    let running = start(tight(sources(specs, swallow(), 1, &Collected::default()))).await.unwrap();
    until("the fast source is ahead", || given(&fast) == 1_101).await;
    a_while().await;
    assert_eq!(given(&fast), 1_101);
    go.open();
    // The slow source ends at 1,200, and then nobody waits for it.
    running.wait().await.unwrap();
    assert_eq!((given(&fast), given(&slow)), (1_500, 1_200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_has_not_begun_is_waited_for_unless_it_is_idle() {
    let (go, idle, clock) = (Gate::default(), Gate::default(), ManualClock::default());
    let fast = script(climb(0, 1, 500));
    let mut late = script(vec![Step::Until(idle.clone()), Step::Quiet(50), Step::Until(go.clone())]);
    late.clock = clock.clone();
    let mut second = aligned(late, DRIFT);
    second.idle_after = Some(Duration::from_millis(50));
    let mut job = sources(vec![aligned(fast.clone(), DRIFT), second], swallow(), 1, &Collected::default());
    job.clock = Arc::new(clock);
    let running = start(tight(job)).await.unwrap();
    until("the first source begins", || given(&fast) == 1).await;
    a_while().await;
    assert_eq!(given(&fast), 1, "with its first watermark it is ahead of one that has none");
    idle.open();
    until("nobody waits for the idle source", || given(&fast) == 500).await;
    go.open();
    running.wait().await.unwrap();
}

async fn ahead(handle: &Handle, fast: &Script) {
    until("the fast source is ahead", || given(fast) == 1_101).await;
    // Its subtask waits, which is no idleness.
    until("it is told to wait", || handle.progress().nodes[0].splits[0].paused == 1).await;
    assert_eq!(handle.progress().nodes[0].splits[0].idle, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn savepoints_draining_and_cancelling_reach_a_source_that_waits() {
    for wish in ["savepoint", "drain", "cancel"] {
        let fast = script(climb(0, 900, 1_500));
        let slow = script([climb(0, 1_000, 1_000), vec![Step::Until(Gate::default())]].concat());
        let specs = vec![aligned(fast.clone(), DRIFT), aligned(slow, DRIFT)];
        let mut job = tight(sources(specs, swallow(), 1, &Collected::default()));
        job.checkpoints.interval = Some(Duration::from_millis(5));
        let running = start(job).await.unwrap();
        let handle = running.handle();
        ahead(&handle, &fast).await;
        let before = handle.progress().checkpoints.completed;
        until("checkpoints go on", || handle.progress().checkpoints.completed > before + 1).await;
        let stop = |drain| Stop { drain, savepoint: Some("end".into()) };
        match wish {
            "savepoint" => {
                handle.savepoint("there".into()).await.unwrap();
                handle.stop(stop(false)).await.unwrap();
            }
            "drain" => drop(handle.stop(stop(true)).await.unwrap()),
            _ => handle.cancel(),
        }
        let summary = running.wait().await.unwrap();
        assert_eq!((summary.cancelled, summary.stopped), (wish == "cancel", wish == "savepoint"), "{wish}");
        assert_eq!(given(&fast), 1_101);
    }
}

/// Split 0 runs ahead of split 1 and of the other source. Where the source can leave a split out, only that one waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_waits_alone_where_the_source_can_leave_it_out() {
    let go = Gate::default();
    let steps = [climb(1, 1_000, 1_000), climb(0, 1_000, 1_400), climb(1, 1_001, 1_300)].concat();
    let both = Script { splits: 2, steps, pausable: true, ..Script::default() };
    let slow = script([climb(0, 1_000, 1_000), vec![Step::Until(go.clone())]].concat());
    let specs = vec![aligned(both.clone(), DRIFT), aligned(slow, DRIFT)];
    let running = start(tight(sources(specs, swallow(), 1, &Collected::default()))).await.unwrap();
    let handle = running.handle();
    until("both splits wait", || handle.progress().nodes[0].splits[0].paused == 2).await;
    a_while().await;
    assert_eq!(given(&both), 1_101);
    let splits = handle.progress().nodes[0].splits[0].clone();
    assert_eq!(splits.slowest.unwrap().1, 1_100, "split 1 came as far as split 0");
    go.open();
    running.wait().await.unwrap();
    assert_eq!(given(&both), 1_400);
}

/// Where it cannot, the subtask waits by its own watermark, which is that of its slowest split: it must not wait for a split
/// that it has yet to read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn splits_that_are_read_one_after_the_other_do_not_wait_for_each_other() {
    let steps = [climb(0, 1, 500), vec![Step::SplitEnd(0)], climb(1, 1, 500)].concat();
    let files = Script { splits: 2, steps, ..Script::default() };
    let other = script(climb(0, 1, 500));
    let specs = vec![aligned(files.clone(), DRIFT), aligned(other.clone(), 0)];
    let job = tight(sources(specs, swallow(), 1, &Collected::default()));
    let ended = tokio::time::timeout(Duration::from_secs(20), start(job).await.unwrap().wait());
    ended.await.expect("nobody waits for ever").unwrap();
    assert_eq!((given(&files), given(&other)), (500, 500));
}

/// In batch mode there is no watermark to wait for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_in_batch_mode() {
    let go = Gate::default();
    let fast = script(climb(0, 900, 1_500));
    let slow = script(vec![Step::Until(go.clone())]);
    let specs = vec![aligned(fast.clone(), DRIFT), aligned(slow, DRIFT)];
    let mut job = sources(specs, swallow(), 1, &Collected::default());
    job.mode = ExecutionMode::Batch;
    let running = start(job).await.unwrap();
    until("the fast source is through", || given(&fast) == 1_500).await;
    go.open();
    running.wait().await.unwrap();
}
