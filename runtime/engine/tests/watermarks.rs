//! Watermarks on their way: strategies, idle splits and sources, union and side outputs, and what is told of inputs.

mod common;

use std::{sync::Arc, time::Duration};

use common::{script::*, *};
use wasmill_core::{
    OperatorFactory,
    description::InputDescription,
    graph::{Edge, Exchange, Node, Role},
    time::{END_OF_TIME, NO_WATERMARK, TimeDomain, TimerBatch, WatermarkStrategy},
};
use wasmill_engine::{ChannelProgress, Progress, SourceSpec, SplitsProgress, start};

/// Notes rows and timers with the watermark at which they come; sets a timer at the time of each row, and passes rows on.
fn noting(seen: &Seen) -> Arc<dyn OperatorFactory> {
    let seen = seen.clone();
    native(true, move |context, time, call| match call {
        Call::Process(_, batch) => {
            let mut timers = TimerBatch::default();
            for row in batch.iter() {
                seen.lock().unwrap().push((Some(row.timestamp), time.watermark));
                timers.push(row.timestamp, row.key.unwrap(), 0);
            }
            context.timers.register(TimeDomain::EventTime, &timers);
            Ok(vec![(0, batch)])
        }
        Call::Timers(..) => {
            seen.lock().unwrap().push((None, time.watermark));
            Ok(vec![])
        }
        Call::Finish => Ok(vec![]),
    })
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

/// By hand: Flink's arithmetic, a watermark after each row.
#[tokio::test]
async fn each_strategy_has_flinks_watermarks() {
    let rows = || vec![Step::Carrying(0, vec![100], 60), Step::Rows(0, vec![90]), Step::Carrying(0, vec![200], 50)];
    let cases = [
        (WatermarkStrategy::Bounded { bound: 10 }, [NO_WATERMARK, 89, 89]),
        (WatermarkStrategy::Monotonic, [NO_WATERMARK, 99, 99]),
        (WatermarkStrategy::FromRecord, [NO_WATERMARK, 60, 60]),
        (WatermarkStrategy::None, [NO_WATERMARK; 3]),
    ];
    for (strategy, watermarks) in cases {
        let seen = Seen::default();
        let script = Script { splits: 1, steps: rows(), ..Script::default() };
        let job = sources(vec![spec(script, strategy)], noting(&seen), 1, &Collected::default());
        start(job).await.unwrap().wait().await.unwrap();
        let seen = seen.lock().unwrap();
        let of_rows: Vec<_> = seen.iter().filter_map(|(row, watermark)| Some((row.as_ref()?, *watermark))).collect();
        assert_eq!(of_rows, [(&100, watermarks[0]), (&90, watermarks[1]), (&200, watermarks[2])], "{strategy:?}");
        assert_eq!(seen.last(), Some(&(None, END_OF_TIME)), "the last timer fires at the end");
    }
}

/// The watermark follows the very row that carries it, however many rows come at once.
#[tokio::test]
async fn a_row_that_carries_a_watermark_is_followed_by_it() {
    let seen = Seen::default();
    let steps = vec![Step::Carrying(0, vec![10, 20, 30], 25), Step::Rows(0, vec![24, 26])];
    let mut spec = spec(Script { splits: 1, steps, ..Script::default() }, WatermarkStrategy::FromRecord);
    spec.watermark_rows = 1_000;
    start(sources(vec![spec], noting(&seen), 1, &Collected::default())).await.unwrap().wait().await.unwrap();
    let seen = seen.lock().unwrap();
    let rows: Vec<_> = seen.iter().filter_map(|(row, watermark)| Some(((*row)?, *watermark))).collect();
    assert_eq!(rows, [(10, NO_WATERMARK), (20, NO_WATERMARK), (30, NO_WATERMARK), (24, 25), (26, 25)]);
}

/// Two sources into one input: the second never has a row, and does not hold the first back once it is idle; then it has one
/// that is late, and holds nothing back until it has caught up.
#[tokio::test]
async fn an_idle_source_is_skipped_before_its_first_row_and_catches_up_later() {
    let (seen, clock) = (Seen::default(), ManualClock::default());
    let [idle, late, done] = [(); 3].map(|()| Gate::default());
    let first =
        vec![Step::Rows(0, vec![100]), Step::Until(late.clone()), Step::Rows(0, vec![200]), Step::Until(done.clone())];
    let second = vec![
        Step::Quiet(29_999),
        Step::Until(idle.clone()),
        Step::Quiet(1),
        Step::Until(late.clone()),
        Step::Rows(0, vec![50]),
        Step::Until(done.clone()),
    ];
    let script = |steps| Script { splits: 1, steps, clock: clock.clone(), ..Script::default() };
    let mut second = spec(script(second), WatermarkStrategy::Monotonic);
    second.idle_after = Some(Duration::from_secs(30));
    let first = spec(script(first), WatermarkStrategy::Monotonic);
    let mut job = sources(vec![first, second], noting(&seen), 1, &Collected::default());
    job.clock = Arc::new(clock.clone());
    let running = start(job).await.unwrap();
    let handle = running.handle();
    let inputs = || handle.progress().nodes[2].inputs[0].clone();
    until("the first row is there", || !seen.lock().unwrap().is_empty()).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(handle.progress().nodes[2].subtasks[0].watermark, NO_WATERMARK, "29.999 s are not 30 s");
    idle.open();
    until("the second source is idle", || inputs().iter().all(|input| input.watermark == 99)).await;
    let channel =
        |subtask: &str, watermark, idle| ChannelProgress { from: subtask.into(), subtask: 0, watermark, idle };
    assert_eq!(inputs()[0].channels, [channel("source0", 99, false), channel("source1", NO_WATERMARK, true)]);
    assert_eq!((inputs()[0].name.as_str(), inputs()[0].idle), ("in", false));
    let splits = SplitsProgress { open: 1, idle: 1, ..SplitsProgress::default() };
    until("it is published", || handle.progress().nodes[1].splits == std::slice::from_ref(&splits)).await;
    late.open();
    until("the first source goes on", || handle.progress().nodes[2].subtasks[0].watermark == 199).await;
    until("the late row is there", || seen.lock().unwrap().iter().any(|(row, _)| *row == Some(50))).await;
    until("its watermark is there", || inputs()[0].channels[1].watermark == 49).await;
    assert_eq!(handle.progress().nodes[2].subtasks[0].watermark, 199, "the watermark never goes back");
    let late = seen.lock().unwrap().iter().find(|(row, _)| *row == Some(50)).copied().unwrap();
    assert!(late.1 == 99 || late.1 == 199, "the row is behind the watermark: {late:?}");
    done.open();
    running.wait().await.unwrap();
}

/// The splits of one subtask: one that is idle is skipped, and holds back again from its next row on.
#[tokio::test]
async fn an_idle_split_is_skipped_and_holds_back_again() {
    let (seen, clock) = (Seen::default(), ManualClock::default());
    let steps = vec![
        Step::Rows(0, vec![10]),
        Step::Quiet(60),
        Step::Rows(0, vec![20]),
        Step::Quiet(50),
        Step::Rows(0, vec![30, 40]),
        Step::Rows(1, vec![15]),
        Step::Rows(0, vec![50]),
        Step::Rows(1, vec![41]),
        Step::Rows(0, vec![60]),
    ];
    let script = Script { splits: 2, steps, clock: clock.clone(), ..Script::default() };
    let mut spec = spec(script, WatermarkStrategy::Monotonic);
    spec.idle_after = Some(Duration::from_millis(100));
    let mut job = sources(vec![spec], noting(&seen), 1, &Collected::default());
    job.clock = Arc::new(clock);
    start(job).await.unwrap().wait().await.unwrap();
    let rows: Vec<_> = seen.lock().unwrap().iter().filter_map(|(row, watermark)| Some(((*row)?, *watermark))).collect();
    let by_hand = [(10, NO_WATERMARK), (20, NO_WATERMARK), (30, 19), (40, 29), (15, 39), (50, 39), (41, 39), (60, 40)];
    assert_eq!(rows, by_hand);
}

/// Several streams into one input, and a side output beside the main one: every row once, at the slower watermark.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn union_and_side_outputs_carry_every_row_and_the_slower_watermark() {
    let seen = Seen::default();
    let rows = |from: i64, step: i64| {
        let rows = (0..300).map(|i| (from + i * step, format!("key-{i}"), (from + i * step) as u64));
        SourceSpec::bounded(Arc::new(timed(rows.collect(), 7)), Duration::ZERO, 10)
    };
    // Odd values go to the side output.
    let split = native(true, |_, _, call| match call {
        Call::Process(_, batch) => {
            let part = |odd: u8| {
                let mut builder = wasmill_core::BatchBuilder::default();
                batch.iter().filter(|row| row.value.unwrap()[0] % 2 == odd).for_each(|row| builder.push(row));
                builder.take()
            };
            Ok([(0, part(0)), (1, part(1))].into_iter().filter(|(_, batch)| !batch.is_empty()).collect())
        }
        _ => Ok(vec![]),
    });
    let sink = Collected::default();
    let mut job = sources(vec![rows(0, 2), rows(5_000, 3)], split, 1, &sink);
    // Behind the splitting operator (node 2): another one with both outputs in one input, then the sink (node 3).
    job.graph.nodes[2].outputs.push("late".into());
    job.graph.nodes.push(Node { id: "merged".into(), role: Role::Operator, ..job.graph.nodes[2].clone() });
    job.graph.edges.retain(|edge| edge.to != 3);
    let edge = |from, output, to| Edge { from, output, to, input: 0, exchange: Exchange::Rebalance };
    job.graph.edges.extend([edge(2, 0, 4), edge(2, 1, 4), edge(4, 0, 3)]);
    job.operators.insert(4, noting(&seen));
    let summary = start(job).await.unwrap().wait().await.unwrap();
    let mut expected: Vec<u64> = (0..300).map(|i| 2 * i).chain((0..300).map(|i| 5_000 + 3 * i)).collect();
    expected.sort_unstable();
    let mut values: Vec<u64> = sink.sorted().into_iter().map(|row| row.1).collect();
    values.sort_unstable();
    assert_eq!(values, expected);
    let seen = seen.lock().unwrap();
    let watermarks: Vec<i64> = seen.iter().map(|(_, watermark)| *watermark).collect();
    assert!(watermarks.is_sorted());
    assert!(seen.iter().all(|(row, watermark)| row.is_none_or(|row| row > *watermark)), "nothing is late");
    let channels = &summary.progress.nodes[4].inputs[0][0].channels;
    assert!(channels.len() == 2 && channels.iter().all(|channel| channel.watermark == END_OF_TIME));
}

fn two_inputs(seen: &Seen) -> Arc<dyn OperatorFactory> {
    let one = noting(seen);
    let mut description = one.description().clone();
    let input = |name: &str| InputDescription { name: name.into(), ..description.inputs[0].clone() };
    description.inputs = vec![input("left"), input("right")];
    let seen = seen.clone();
    Arc::new(Native {
        description,
        process: Arc::new(move |_, time, call| {
            if let Call::Process(_, batch) = &call {
                seen.lock().unwrap().push((Some(batch.timestamps[0]), time.watermark));
            }
            Ok(vec![])
        }),
    })
}

#[tokio::test]
async fn the_watermark_of_each_input_is_told() {
    let (seen, done) = (Seen::default(), Gate::default());
    let source = |rows: Vec<i64>| {
        let steps = vec![Step::Rows(0, rows), Step::Until(done.clone())];
        spec(Script { splits: 1, steps, ..Script::default() }, WatermarkStrategy::Monotonic)
    };
    let specs = vec![source(vec![7]), source(vec![31]), source(vec![21])];
    let running = start(sources(specs, two_inputs(&seen), 2, &Collected::default())).await.unwrap();
    let handle = running.handle();
    let told = |progress: &Progress| -> Vec<(String, i64, usize)> {
        let of = &progress.nodes[3].inputs[0];
        of.iter().map(|input| (input.name.clone(), input.watermark, input.channels.len())).collect()
    };
    // Sources 0 and 2 go to the left input, source 1 to the right one.
    let expected = vec![("left".to_string(), 6, 2), ("right".to_string(), 30, 1)];
    until("all is told", || told(&handle.progress()) == expected).await;
    assert_eq!(handle.progress().nodes[3].subtasks[0].watermark, 6);
    let splits = SplitsProgress { open: 1, slowest: Some(("split-0".into(), 20)), ..SplitsProgress::default() };
    assert_eq!(handle.progress().nodes[2].splits, [splits]);
    done.open();
    running.wait().await.unwrap();
}
