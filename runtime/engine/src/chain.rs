//! Holds the operators and sinks of one subtask, and calls them in turn.
//!
//! A chain is a tree in which each link stands after the one that feeds it. What a link emits is taken from its outbox by
//! the subtask and handed to the next links while the call that emitted it is suspended or done: chained operators run on
//! the subtask's stack, never on a guest's.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Instant};

use tokio::task::yield_now;
use wasmill_core::{
    Batch, BoxFuture, CallTime, Clock, KeyedState, Operator, OperatorError, Outbox, Place, Sink, Status,
    sink::Committable,
    time::{END_OF_TIME, TimeDomain},
};

use crate::{channel::Element, error::Stop, router::Router, timers::Timers};

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
}

/// Everything behind a subtask's head.
pub(crate) struct Chain {
    pub(crate) entry: Entry,
    pub(crate) links: Vec<Link>,
    pub(crate) routers: Vec<Router>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// How much a guest should hand over in one snapshot step, bytes.
const STEP_BYTES: u32 = 256 * 1024;

/// The part of a chain that is downstream of a call in progress.
struct Downstream<'a> {
    links: &'a mut [Link],
    /// Index in the chain of the first of `links`.
    first: usize,
    routers: &'a mut [Router],
    clock: &'a dyn Clock,
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
        for index in 0..self.links.len() {
            let (link, mut down) = self.split(index);
            link.status.set_watermark(watermark);
            if let Body::Operator(operator) = &mut link.body {
                operator.watermark = watermark;
            }
            fire(link, &mut down, TimeDomain::EventTime, watermark).await?;
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

    /// The input has ended and the watermark is at the end of time: each operator finishes, then hands its state over as
    /// `epoch`, and sinks prepare to commit. Returns the sinks' committables.
    pub(crate) async fn finish(&mut self, epoch: u64) -> Result<Vec<(Place, Committable)>, Stop> {
        for index in 0..self.links.len() {
            let (link, mut down) = self.split(index);
            if let Body::Operator(body) = &mut link.body {
                let time = CallTime { watermark: END_OF_TIME, processing_time: down.clock.now() };
                let call = body.operator.finish(time);
                down.run(call, &body.outbox, &link.place, &link.status, &link.outputs).await?;
            }
        }
        let mut committables = Vec::new();
        for index in 0..self.links.len() {
            let (link, mut down) = self.split(index);
            match &mut link.body {
                Body::Operator(body) => {
                    let time = CallTime { watermark: body.watermark, processing_time: down.clock.now() };
                    body.state.cut(epoch).map_err(|error| Stop::at(&link.place, error))?;
                    let call = body.operator.snapshot(time, epoch);
                    down.run(call, &body.outbox, &link.place, &link.status, &link.outputs).await?;
                    let step = |error: OperatorError| Stop::at(&link.place, error);
                    while !body.operator.snapshot_step(STEP_BYTES).await.map_err(step)? {
                        yield_now().await;
                    }
                    body.state.seal();
                }
                Body::Sink(sink) => {
                    let committable = sink.pre_commit(epoch).await.map_err(|error| Stop::at(&link.place, error))?;
                    committables.extend(committable.map(|committable| (link.place.clone(), committable)));
                }
            }
            link.status.finished.add(1);
        }
        self.announce(Element::End).await?;
        Ok(committables)
    }
}

/// Calls an operator with its due timers until none is due: what a call sets or removes is obeyed.
async fn fire(link: &mut Link, down: &mut Downstream<'_>, domain: TimeDomain, now: i64) -> Result<(), Stop> {
    let Body::Operator(body) = &mut link.body else { return Ok(()) };
    while let Some(due) = body.timers.take_due(domain, now) {
        let time = CallTime { watermark: body.watermark, processing_time: down.clock.now() };
        let call = body.operator.on_timers(time, domain, due);
        down.run(call, &body.outbox, &link.place, &link.status, &link.outputs).await?;
        // An operator may set due timers for ever; the job can still be cancelled.
        yield_now().await;
    }
    match body.timers.over_quota() {
        Some(over) => Err(Stop::at(&link.place, over)),
        None => Ok(()),
    }
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
                    link.status.operator_ns.add(since.elapsed().as_nanos() as u64);
                    Ok(())
                }
                Body::Operator(body) => {
                    let mut down = Downstream { links, first: index + 1, routers: self.routers, clock: self.clock };
                    let time = CallTime { watermark: body.watermark, processing_time: self.clock.now() };
                    let call = body.operator.process(time, input, batch);
                    down.run(call, &body.outbox, &link.place, &link.status, &link.outputs).await?;
                    match body.timers.over_quota() {
                        Some(over) => Err(Stop::at(&link.place, over)),
                        None => Ok(()),
                    }
                }
            }
        })
    }

    /// Drives one call of an operator: polls it, and hands on what it emits whenever it is suspended or done.
    async fn run<T>(
        &mut self,
        mut call: BoxFuture<'_, Result<T, OperatorError>>,
        outbox: &Outbox,
        place: &Place,
        status: &Status,
        outputs: &[Vec<Target>],
    ) -> Result<T, Stop> {
        loop {
            let mut emitted = None;
            let done = poll_fn(|context| {
                let since = Instant::now();
                let polled = call.as_mut().poll(context);
                status.operator_ns.add(since.elapsed().as_nanos() as u64);
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
                let targets = outputs.get(output as usize).map_or(&[][..], Vec::as_slice);
                let rows = batch.rows() as u64;
                status.records_out.add(rows);
                status.bytes_out.add(batch.bytes() as u64);
                if targets.is_empty() {
                    status.records_unconnected.add(rows);
                }
                self.deliver(targets, batch).await?;
                emitted = outbox.take();
            }
            if let Some(Ok(value)) = done {
                return Ok(value);
            }
        }
    }
}
