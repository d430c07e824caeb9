//! Holds the operators and sinks of one subtask, and calls them in turn.
//!
//! A chain is a tree in which each link stands after the one that feeds it. What a link emits is taken from its outbox by
//! the subtask and handed to the next links while the call that emitted it is suspended or done: chained operators run on
//! the subtask's stack, never on a guest's.

use std::{
    future::poll_fn,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use tokio::task::yield_now;
use wasmill_core::{
    Batch, BoxFuture, CallTime, Clock, KeyedState, Operator, OperatorError, Outbox, Place, Sink, Status,
    graph::NodeId,
    sink::Committable,
    source::ConnectorError,
    status::CallStages,
    time::{END_OF_TIME, TimeDomain},
};

use crate::{ExecutionMode, channel::Element, dead_letter::DeadLetters, error::Stop, router::Router, timers::Timers};

/// Where an output leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A later link of this chain, and which of its inputs.
    Link { index: usize, input: u32 },
    /// An exchange.
    Router(usize),
}

/// Where the rows of a subtask's head lead.
pub(crate) enum Entry {
    /// From a gate to the first link.
    Gate,
    /// From a source to wherever its edges lead.
    Source(Vec<Target>),
}

/// One operator or sink of a subtask.
pub(crate) struct Link {
    pub(crate) node: NodeId,
    pub(crate) place: Place,
    pub(crate) status: Arc<Status>,
    pub(crate) body: Body,
    /// Per output of the operator, where it leads.
    pub(crate) outputs: Vec<Vec<Target>>,
}

/// What a link is.
pub(crate) enum Body {
    Operator(OperatorLink),
    Sink(Box<dyn Sink>),
}

/// An operator with what it shares with its subtask.
pub(crate) struct OperatorLink {
    pub(crate) operator: Box<dyn Operator>,
    pub(crate) outbox: Outbox,
    pub(crate) timers: Arc<Timers>,
    pub(crate) state: Arc<dyn KeyedState>,
    pub(crate) watermark: i64,
    /// Whether its input had ended in the checkpoint it is restored from: then it does nothing any more.
    pub(crate) finished: bool,
    /// Where records go that it cannot process, if the job goes on without them.
    pub(crate) dead_letters: Option<Box<DeadLetters>>,
    /// Where the time inside it goes.
    pub(crate) stages: CallStages,
}

impl OperatorLink {
    /// The time of a call that is about to be made; its state is told.
    pub(crate) fn time(&self, clock: &dyn Clock) -> CallTime {
        let time = CallTime { watermark: self.watermark, processing_time: clock.now() };
        self.state.set_time(time);
        time
    }

    /// A call is done that was inside the operator for so long.
    pub(crate) fn called(&mut self, status: &Status, inside: Duration) {
        let crossing = self.operator.crossing();
        self.stages.add(status, nanoseconds(inside), crossing);
    }
}

/// How far the hand-over of an epoch that was cut is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HandOver {
    epoch: u64,
    /// Links before this one have handed over all.
    link: usize,
    /// Whether the guest of this one has; its timers follow.
    guest: bool,
}

/// A sink that makes the rows of an epoch durable.
pub(crate) struct PreCommit {
    pub(crate) node: NodeId,
    pub(crate) place: Place,
    pub(crate) prepared: BoxFuture<'static, Result<Option<Committable>, ConnectorError>>,
}

/// Everything behind a subtask's head.
pub(crate) struct Chain {
    pub(crate) entry: Entry,
    pub(crate) links: Vec<Link>,
    pub(crate) routers: Vec<Router>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The watermark that came last.
    pub(crate) watermark: i64,
    pub(crate) mode: ExecutionMode,
}

/// How much a guest should hand over in one snapshot step, bytes.
const STEP_BYTES: u32 = 256 * 1024;

/// The part of a chain that is downstream of a call in progress.
pub(crate) struct Downstream<'a> {
    links: &'a mut [Link],
    /// Index in the chain of the first of `links`.
    first: usize,
    routers: &'a mut [Router],
    pub(crate) clock: &'a dyn Clock,
}

impl Chain {
    /// The link at `index` and all behind it.
    fn split(&mut self, index: usize) -> (&mut Link, Downstream<'_>) {
        let (link, links) = self.links[index..].split_first_mut().expect("the index is that of a link");
        (link, Downstream { links, first: index + 1, routers: &mut self.routers, clock: &*self.clock })
    }

    /// Takes rows from the head; `input` is the number of the gate's input they came by.
    pub(crate) async fn process(&mut self, input: u32, batch: Batch) -> Result<(), Stop> {
        let mut down = Downstream { links: &mut self.links, first: 0, routers: &mut self.routers, clock: &*self.clock };
        match &self.entry {
            Entry::Gate => down.process(0, input, batch).await,
            Entry::Source(targets) => down.deliver(targets, batch).await,
        }
    }

    /// The watermark advanced: due timers fire, their output goes out, then the watermark.
    pub(crate) async fn advance(&mut self, watermark: i64) -> Result<(), Stop> {
        self.watermark = watermark;
        for index in 0..self.links.len() {
            let mode = self.mode;
            let (link, mut down) = self.split(index);
            link.status.set_watermark(watermark);
            if let Body::Operator(operator) = &mut link.body {
                operator.watermark = watermark;
            }
            fire(link, &mut down, TimeDomain::EventTime, watermark).await?;
            if watermark == END_OF_TIME && mode == ExecutionMode::Batch {
                fire_rest(link, &mut down).await?;
            }
        }
        self.announce(Element::Watermark(watermark)).await
    }

    /// Fires the processing-time timers that are due.
    pub(crate) async fn tick(&mut self) -> Result<(), Stop> {
        for index in 0..self.links.len() {
            let now = self.clock.now();
            let (link, mut down) = self.split(index);
            fire(link, &mut down, TimeDomain::ProcessingTime, now).await?;
        }
        Ok(())
    }

    /// When the first processing-time timer is due, milliseconds since the Unix epoch.
    pub(crate) fn next_tick(&self) -> Option<i64> {
        if self.mode == ExecutionMode::Batch {
            return None;
        }
        let timers = self.links.iter().filter_map(|link| match &link.body {
            Body::Operator(operator) => operator.timers.head(TimeDomain::ProcessingTime),
            Body::Sink(_) => None,
        });
        timers.min()
    }

    /// Sends an element to every receiver of every exchange, after the rows that wait.
    pub(crate) async fn announce(&mut self, element: Element) -> Result<(), Stop> {
        for router in &mut self.routers {
            router.announce(element.clone()).await?;
        }
        Ok(())
    }

    /// The input has ended and the watermark is at the end of time: each operator finishes, then the end goes on.
    pub(crate) async fn finish(&mut self) -> Result<(), Stop> {
        for index in 0..self.links.len() {
            let (link, mut down) = self.split(index);
            if let Body::Operator(body) = &mut link.body
                && !body.finished
            {
                let time = body.time(down.clock);
                let called = Instant::now();
                let call = body.operator.finish(time);
                let (_, inside) =
                    down.run(call, called, &body.outbox, &link.place, &link.status, &link.outputs).await?;
                body.called(&link.status, inside);
                body.stages.finish(&link.status);
            }
            link.status.finished.add(1);
        }
        self.announce(Element::End).await
    }

    /// Cuts an epoch: what changed so far belongs to it. What must go before the barrier is emitted; what changed is handed
    /// over by [`Chain::step`], and what sinks wrote is made durable by what is returned.
    pub(crate) async fn cut(&mut self, epoch: u64) -> Result<(HandOver, Vec<PreCommit>), Stop> {
        let mut sinks = Vec::new();
        for index in 0..self.links.len() {
            let (link, mut down) = self.split(index);
            let since = Instant::now();
            match &mut link.body {
                Body::Operator(body) => {
                    body.state.cut(epoch).map_err(|error| Stop::at(&link.place, error))?;
                    body.timers.cut();
                    let time = body.time(down.clock);
                    let called = Instant::now();
                    let call = body.operator.snapshot(time, epoch);
                    let (_, inside) =
                        down.run(call, called, &body.outbox, &link.place, &link.status, &link.outputs).await?;
                    // What it emitted took time downstream, which is told there.
                    let behind = Instant::now();
                    if let Some(dead_letters) = &mut body.dead_letters {
                        // An instance that may be made anew at any call must not owe anything.
                        dead_letters.epoch = epoch + 1;
                        hand_over_all(&mut *body.operator, &link.place).await?;
                    }
                    link.status.checkpoint_ns.add(nanoseconds(called - since + inside + behind.elapsed()));
                }
                Body::Sink(sink) => {
                    let prepared = sink.pre_commit(epoch);
                    sinks.push(PreCommit { node: link.node, place: link.place.clone(), prepared });
                    link.status.checkpoint_ns.add(nanoseconds(since.elapsed()));
                }
            }
        }
        Ok((HandOver { epoch, link: 0, guest: false }, sinks))
    }

    /// Hands over a bit of what was cut; true when all is.
    pub(crate) async fn step(&mut self, hand_over: &mut HandOver) -> Result<bool, Stop> {
        let Some(link) = self.links.get_mut(hand_over.link) else { return Ok(true) };
        let since = Instant::now();
        let done = link.step(hand_over).await?;
        link.status.checkpoint_ns.add(nanoseconds(since.elapsed()));
        if done {
            (hand_over.link, hand_over.guest) = (hand_over.link + 1, false);
        }
        Ok(hand_over.link == self.links.len())
    }
}

impl Link {
    /// Hands over a bit of what was cut; true when all of this link is.
    async fn step(&mut self, hand_over: &mut HandOver) -> Result<bool, Stop> {
        let Body::Operator(body) = &mut self.body else { return Ok(true) };
        if !hand_over.guest {
            let step = body.operator.snapshot_step(STEP_BYTES).await;
            hand_over.guest = step.map_err(|error| Stop::at(&self.place, error))?;
            return Ok(false);
        }
        if let Some((domain, changes)) = body.timers.hand_over() {
            let written = body.state.write_timers(hand_over.epoch, domain, &changes);
            return written.map(|()| false).map_err(|error| Stop::at(&self.place, error));
        }
        body.state.seal();
        Ok(true)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// Runs all snapshot steps at once.
async fn hand_over_all(operator: &mut dyn Operator, place: &Place) -> Result<(), Stop> {
    while !operator.snapshot_step(STEP_BYTES).await.map_err(|error| Stop::at(place, error))? {
        yield_now().await;
    }
    Ok(())
}

/// Calls an operator with its due timers until none is due: what a call sets or removes is obeyed.
async fn fire(link: &mut Link, down: &mut Downstream<'_>, domain: TimeDomain, now: i64) -> Result<(), Stop> {
    let Body::Operator(body) = &mut link.body else { return Ok(()) };
    if body.finished {
        return Ok(());
    }
    while let Some(due) = body.timers.take_due(domain, now) {
        let time = body.time(down.clock);
        let called = Instant::now();
        let call = body.operator.on_timers(time, domain, due);
        let (_, inside) = down.run(call, called, &body.outbox, &link.place, &link.status, &link.outputs).await?;
        body.called(&link.status, inside);
        if let Some(over) = body.timers.over_quota() {
            return Err(Stop::at(&link.place, over));
        }
        // An operator may set due timers for ever; the job can still be cancelled.
        yield_now().await;
    }
    Ok(())
}

/// At the end of a batch: fires the processing-time timers that are set, in order, whenever they are due. One that such a call
/// sets is dropped, as in Flink: a timer that sets itself anew would fire for ever.
async fn fire_rest(link: &mut Link, down: &mut Downstream<'_>) -> Result<(), Stop> {
    if let Body::Operator(body) = &mut link.body {
        body.timers.close(TimeDomain::ProcessingTime);
    }
    fire(link, down, TimeDomain::ProcessingTime, END_OF_TIME).await?;
    // What such calls set in event time is due.
    fire(link, down, TimeDomain::EventTime, END_OF_TIME).await
}

impl Downstream<'_> {
    /// Hands a batch to where an output leads; copied but for the last target.
    async fn deliver(&mut self, targets: &[Target], batch: Batch) -> Result<(), Stop> {
        let Some((last, others)) = targets.split_last() else { return Ok(()) };
        for target in others {
            self.hand(*target, batch.clone()).await?;
        }
        self.hand(*last, batch).await
    }

    async fn hand(&mut self, target: Target, batch: Batch) -> Result<(), Stop> {
        match target {
            Target::Router(index) => self.routers[index].route(batch).await,
            Target::Link { index, input } => self.process(index, input, batch).await,
        }
    }

    /// Calls the link at `index` with a batch. Boxed, since a chain is as deep as the job says.
    fn process(&mut self, index: usize, input: u32, batch: Batch) -> BoxFuture<'_, Result<(), Stop>> {
        Box::pin(async move {
            let (link, links) = self.links[index - self.first..].split_first_mut().expect("targets are links");
            link.status.records_in.add(batch.rows() as u64);
            link.status.batches_in.add(1);
            link.status.bytes_in.add(batch.bytes() as u64);
            match &mut link.body {
                Body::Sink(sink) => {
                    let since = Instant::now();
                    sink.write(batch).await.map_err(|error| Stop::at(&link.place, error))?;
                    let elapsed = nanoseconds(since.elapsed());
                    link.status.operator_ns.add(elapsed);
                    link.status.sink_ns.add(elapsed);
                    Ok(())
                }
                Body::Operator(body) => {
                    let mut down = Downstream { links, first: index + 1, routers: self.routers, clock: self.clock };
                    if body.dead_letters.is_some() {
                        down.process_or_bury(body, &link.place, &link.status, &link.outputs, input, batch).await?;
                        return Ok(());
                    }
                    let time = body.time(self.clock);
                    let called = Instant::now();
                    let call = body.operator.process(time, input, batch);
                    let (_, inside) =
                        down.run(call, called, &body.outbox, &link.place, &link.status, &link.outputs).await?;
                    body.called(&link.status, inside);
                    match body.timers.over_quota() {
                        Some(over) => Err(Stop::at(&link.place, over)),
                        None => Ok(()),
                    }
                }
            }
        })
    }

    /// Hands on what an operator emitted, and counts it.
    pub(crate) async fn emit(
        &mut self,
        status: &Status,
        outputs: &[Vec<Target>],
        output: u32,
        batch: Batch,
    ) -> Result<(), Stop> {
        let targets = outputs.get(output as usize).map_or(&[][..], Vec::as_slice);
        let rows = batch.rows() as u64;
        status.records_out.add(rows);
        status.bytes_out.add(batch.bytes() as u64);
        if targets.is_empty() {
            status.records_unconnected.add(rows);
        }
        self.deliver(targets, batch).await
    }

    /// Drives one call of an operator, which was made at `called`: polls it, and hands on what it emits whenever it is suspended
    /// or done. Also tells how long it was inside the operator.
    async fn run<T>(
        &mut self,
        mut call: BoxFuture<'_, Result<T, OperatorError>>,
        called: Instant,
        outbox: &Outbox,
        place: &Place,
        status: &Status,
        outputs: &[Vec<Target>],
    ) -> Result<(T, Duration), Stop> {
        let mut inside = Duration::ZERO;
        // It may have done its work by now.
        let mut first = Some(called);
        loop {
            let mut emitted = None;
            let done = poll_fn(|context| {
                let since = first.take().unwrap_or_else(Instant::now);
                let polled = call.as_mut().poll(context);
                let elapsed = since.elapsed();
                status.operator_ns.add(nanoseconds(elapsed));
                inside += elapsed;
                emitted = outbox.take();
                match polled {
                    Poll::Ready(done) => Poll::Ready(Some(done)),
                    Poll::Pending if emitted.is_some() => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await;
            if let Some(Err(error)) = done {
                return Err(Stop::at(place, error));
            }
            while let Some((output, batch)) = emitted {
                self.emit(status, outputs, output, batch).await?;
                emitted = outbox.take();
            }
            if let Some(Ok(value)) = done {
                return Ok((value, inside));
            }
        }
    }
}
