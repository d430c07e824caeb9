//! Where the time of a node goes, stage by stage: what is slow on purpose shows where it belongs, and nowhere else.

mod common;

use std::{sync::Arc, thread::sleep, time::Duration};

use common::*;
use wasmill_core::{
    Batch, BoxFuture, CallTime, Codec, Description, Operator, OperatorContext, OperatorError, OperatorFactory, Source,
    SourceContext, SourceFactory,
    graph::Exchange::*,
    source::{BatchLimit, ConnectorError, SourceEvent},
    status::{Crossing, StatusSnapshot},
    time::{TimeDomain, TimerBatch},
};
use wasmill_engine::start;

const NAP: Duration = Duration::from_millis(30);

/// Nanoseconds of so many naps.
fn naps(count: u64) -> u64 {
    NAP.as_nanos() as u64 * count
}

/// Naps before it passes on every other batch, and measures just those calls: of each nap it says to have spent a third on each part of
/// the crossing. Naps in each snapshot step, of which there are two a checkpoint.
struct Slow(Description);

struct SlowInstance {
    context: OperatorContext,
    calls: u64,
    steps: u64,
    nap: bool,
}

impl OperatorFactory for Slow {
    fn description(&self) -> &Description {
        &self.0
    }
    fn create(&self, context: OperatorContext) -> BoxFuture<'_, Result<Box<dyn Operator>, OperatorError>> {
        let instance: Box<dyn Operator> = Box::new(SlowInstance { context, calls: 0, steps: 0, nap: false });
        Box::pin(std::future::ready(Ok(instance)))
    }
}

impl Operator for SlowInstance {
    fn process(&mut self, _: CallTime, _: u32, batch: Batch) -> BoxFuture<'_, Result<(), OperatorError>> {
        self.calls += 1;
        self.nap = self.calls.is_multiple_of(2);
        if self.nap {
            // Before it is polled.
            sleep(NAP);
        }
        Box::pin(async move {
            self.context.outbox.emit(0, batch).await;
            Ok(())
        })
    }
    fn on_timers(&mut self, _: CallTime, _: TimeDomain, _: TimerBatch) -> BoxFuture<'_, Result<(), OperatorError>> {
        unreachable!("it sets none")
    }
    fn snapshot(&mut self, _: CallTime, _: u64) -> BoxFuture<'_, Result<(), OperatorError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn snapshot_step(&mut self, _: u32) -> BoxFuture<'_, Result<bool, OperatorError>> {
        sleep(NAP);
        self.steps += 1;
        Box::pin(std::future::ready(Ok(self.steps.is_multiple_of(2))))
    }
    fn finish(&mut self, _: CallTime) -> BoxFuture<'_, Result<(), OperatorError>> {
        self.nap = false;
        Box::pin(std::future::ready(Ok(())))
    }
    fn crossing(&mut self) -> Option<Crossing> {
        let third = naps(1) / 3;
        self.nap.then_some(Crossing { lower_ns: third, lift_ns: third, state_ns: third, suspended_ns: 0 })
    }
}

/// Nanoseconds by stage.
fn stage(of: &StatusSnapshot, name: &str) -> u64 {
    of.stages()[StatusSnapshot::STAGES.iter().position(|stage| *stage == name).unwrap()]
}

/// That these stages took at least so long, and up to three naps more as the machine is busy; all others together less than a nap.
fn assert_stages(of: &StatusSnapshot, expected: &[(&str, u64)]) {
    let mut others: u64 = of.stages().iter().sum();
    for &(name, least) in expected {
        let took = stage(of, name);
        assert!((least..least + naps(3)).contains(&took), "{name}: {took} ns and not {least} in {of:?}");
        others -= took;
    }
    assert!(others < naps(1), "{others} ns are not of {expected:?} in {of:?}");
}

/// That the stages of the nodes of one chain took no longer than its subtask did.
fn assert_within(chain: &[&StatusSnapshot]) {
    let stages: u64 = chain.iter().flat_map(|node| node.stages()).sum();
    let StatusSnapshot { busy_ns, idle_ns, backpressured_ns, .. } = *chain[0];
    let all = busy_ns + idle_ns + backpressured_ns;
    assert!(stages <= all, "{stages} ns in {all} ns: {chain:?}");
    assert!(all - stages < naps(1), "{} ns of {all} ns in no stage: {chain:?}", all - stages);
}

#[tokio::test]
async fn in_a_chain_each_node_has_its_own() {
    let rows = Rows { pause: NAP, ..numbers(40, 4, 10) };
    let description = identity().description().clone();
    let sink = Collected { delay: NAP, ..Collected::default() };
    let job = line(rows, vec![(1, Arc::new(Slow(description)))], (1, sink), 1, &[Forward, Forward]);
    let progress = start(job).await.unwrap().wait().await.unwrap().progress;
    let [source, operator, sink] = [0, 1, 2].map(|node| progress.nodes[node].subtasks[0]);
    // A nap before each of four batches, the end of the split, and that of the source; meanwhile it waits.
    assert_stages(&source, &[("wait", naps(5))]);
    // One checkpoint at the end of the job.
    assert_stages(
        &operator,
        &[("lower", naps(2) / 3 - 9), ("lift", naps(2) / 3 - 9), ("state", naps(2) / 3 - 9), ("checkpoint", naps(2))],
    );
    assert_stages(&sink, &[("sink", naps(4))]);
    assert_within(&[&source, &operator, &sink]);
}

/// Naps, at once, and ends.
struct Eager;

impl SourceFactory for Eager {
    fn codecs(&self) -> (Codec, Codec) {
        Default::default()
    }
    fn has_event_time(&self) -> bool {
        false
    }
    fn create(&self, _: SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        Ok(Box::new(Eager))
    }
}

impl Source for Eager {
    fn splits(&self) -> Vec<String> {
        vec![]
    }
    fn position(&self, _: usize) -> Result<Vec<u8>, ConnectorError> {
        Err(ConnectorError::new("it has no splits"))
    }
    fn next(&mut self, _: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        sleep(NAP);
        Box::pin(std::future::ready(Ok(SourceEvent::End)))
    }
}

#[tokio::test]
async fn a_source_that_works_before_it_is_polled_does_not_wait() {
    let mut job = line(numbers(0, 1, 1), vec![], (1, Collected::default()), 1, &[Forward]);
    job.sources.get_mut(&0).unwrap().factory = Arc::new(Eager);
    let progress = start(job).await.unwrap().wait().await.unwrap().progress;
    let source = progress.nodes[0].subtasks[0];
    assert_stages(&source, &[("source", naps(1))]);
    assert!(source.busy_ns >= naps(1), "{source:?}");
}

#[tokio::test]
async fn waiting_for_room_is_the_senders_queue_and_the_receiver_waits_for_none() {
    let sink = Collected { delay: NAP, ..Collected::default() };
    let mut job = line(numbers(80, 4, 10), vec![(1, identity())], (1, sink), 1, &[Forward, Rebalance]);
    job.settings.channel_batches = 1;
    job.settings.batch_bytes = 1;
    let progress = start(job).await.unwrap().wait().await.unwrap().progress;
    let [source, operator, sink] = [0, 1, 2].map(|node| progress.nodes[node].subtasks[0]);
    assert_stages(&source, &[]);
    // Of eight batches one is being written and one is in the channel; the barrier at the end waits too.
    assert_stages(&operator, &[("queue", naps(7))]);
    assert_stages(&sink, &[("sink", naps(8))]);
    assert_within(&[&source, &operator]);
    assert_within(&[&sink]);
}

#[tokio::test]
async fn a_native_operator_is_all_guest_and_the_partitioner_has_a_stage_of_its_own() {
    let slow = native(false, |_, _, call| match call {
        Call::Process(_, batch) => {
            sleep(NAP);
            Ok(vec![(0, batch)])
        }
        _ => Ok(vec![]),
    });
    let job = line(numbers(40_000, 1_000, 10_000), vec![(1, slow)], (2, Collected::default()), 1, &[Forward, Hash]);
    let progress = start(job).await.unwrap().wait().await.unwrap().progress;
    let operator = progress.nodes[1].subtasks[0];
    assert!(stage(&operator, "guest") >= naps(operator.batches_in), "{operator:?}");
    for name in ["lower", "lift", "state", "source", "sink", "wait"] {
        assert_eq!(stage(&operator, name), 0, "{name} of {operator:?}");
    }
    // 40,000 rows cannot be hashed and copied in less than a nanosecond each.
    let partition = stage(&operator, "partition");
    assert!((40_000..naps(10)).contains(&partition), "{operator:?}");
}
