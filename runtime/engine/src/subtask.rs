//! The loop of one subtask: one turn takes what its head has, or what time brings, and hands it down its chain; between
//! turns it hands over, step by step, what the last checkpoint cut.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, yield_now},
};
use tokio_util::task::TaskTracker;
use wasmill_core::Status;

use crate::{
    CrashPoint, Handle, Job,
    chain::{Chain, HandOver, PreCommit},
    channel::Element,
    coordinator::{Ack, Command, Report},
    error::Stop,
    head::{Arrival, Head},
    interleaving::{end_turn, inside, note},
};

/// One parallel subtask: a tokio task that alone owns its head, its chain and their state.
pub(crate) struct Subtask {
    pub(crate) head: Head,
    pub(crate) chain: Chain,
    /// The status of the source at the head, if there is one.
    pub(crate) source: Option<Arc<Status>>,
    /// The status of every node in the subtask.
    pub(crate) statuses: Vec<Arc<Status>>,
    pub(crate) checkpoints: Participant,
    /// Whether an operator of the chain has state, so that its pauses tell something.
    pub(crate) stateful: bool,
    /// Time in steps of a hand-over that is published, but is part of a turn that is not.
    pub(crate) stepped: Duration,
}

/// A subtask's part in the checkpoints of its attempt.
pub(crate) struct Participant {
    pub(crate) job: Arc<Job>,
    pub(crate) handle: Handle,
    /// The subtask's number among all.
    pub(crate) subtask: usize,
    pub(crate) reports: mpsc::UnboundedSender<Report>,
    pub(crate) command: watch::Receiver<Command>,
    /// What goes on beside the subtask, and must have ended before another attempt begins.
    pub(crate) beside: TaskTracker,
    /// The last epoch that was cut.
    pub(crate) epoch: u64,
    /// What the last cut left to do.
    pub(crate) cut: Option<Cut>,
    /// The last acknowledgement on its way: they must not overtake each other.
    pub(crate) acknowledging: Option<JoinHandle<()>>,
}

/// An epoch that was cut and is not all handed over.
pub(crate) struct Cut {
    hand_over: HandOver,
    ack: Ack,
    sinks: Vec<PreCommit>,
}

/// How long a subtask that always has something to do keeps its thread from others. To give it up at each turn costs more than
/// a small batch: another thread is woken to look for work.
const STINT: Duration = Duration::from_micros(100);

/// What ends the wait for the head.
enum Woken {
    Arrival(Arrival),
    /// Rows have waited for their batch to fill, a processing-time timer is due, or there is something to hand over.
    Time,
}

impl Subtask {
    /// Runs until the end of its input is part of a checkpoint. Dropped when the attempt is cancelled.
    pub(crate) async fn run(mut self) -> Result<(), Stop> {
        let mut yielded = Instant::now();
        loop {
            let since = Instant::now();
            let woken = self.wait(since).await?;
            let woke = Instant::now();
            self.note(&woken);
            let end = self.turn(woken, woke).await?;
            self.step().await?;
            let worked = self.head.take_worked();
            if let Some(source) = &self.source {
                source.source_ns.add(worked.as_nanos() as u64);
            }
            self.account((woke - since).saturating_sub(worked), worked + woke.elapsed());
            if end {
                break;
            }
            if self.is_driven() || since - yielded >= STINT {
                yielded = since;
                give_way(self.is_driven()).await;
            }
        }
        let since = Instant::now();
        self.chain.finish().await?;
        self.settle().await?;
        if let Some(source) = &self.source {
            source.finished.add(1);
        }
        self.account(Duration::ZERO, since.elapsed());
        let subtask = self.checkpoints.subtask;
        self.checkpoints.report(Report::Ended(subtask))?;
        loop {
            let epoch = self.checkpoints.command.borrow_and_update().epoch;
            if epoch > self.checkpoints.epoch {
                let since = Instant::now();
                self.cut(epoch, true).await?;
                self.account(Duration::ZERO, since.elapsed());
                return self.settle().await;
            }
            inside(self.checkpoints.command.changed()).await.map_err(|_| Stop::Lost)?;
        }
    }

    /// Whether subtasks go on one at a time, in the order of a seed.
    fn is_driven(&self) -> bool {
        self.checkpoints.job.settings.interleaving.is_some()
    }

    /// Notes what the turn is, where the order of turns tells something.
    fn note(&self, woken: &Woken) {
        if self.is_driven() {
            let (kind, size) = match woken {
                Woken::Arrival(Arrival::Batch { input, batch }) => (8 + u64::from(*input), batch.rows() as u64),
                Woken::Arrival(Arrival::Watermark(watermark)) => (1, *watermark as u64),
                Woken::Arrival(Arrival::Idle(idle)) => (2, u64::from(*idle)),
                Woken::Arrival(Arrival::Barrier(epoch)) => (3, *epoch),
                Woken::Arrival(Arrival::End) => (4, 0),
                Woken::Arrival(Arrival::Quiet) | Woken::Time => (5, 0),
            };
            note((self.checkpoints.subtask as u64) << 48 ^ kind << 40 ^ size);
        }
    }

    /// Waits for the head, but not past what is due.
    async fn wait(&mut self, now: Instant) -> Result<Woken, Stop> {
        // A source keeps to the linger time itself: what it is waiting for must not be dropped. Where subtasks are driven, no clock
        // decides.
        if matches!(self.head, Head::Source(_)) || self.is_driven() && self.checkpoints.cut.is_none() {
            return Ok(Woken::Arrival(self.head.next().await?));
        }
        if self.checkpoints.cut.is_some() {
            let mut next = pin!(self.head.next());
            let arrival = poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await;
            return match arrival {
                Poll::Ready(arrival) => Ok(Woken::Arrival(arrival?)),
                Poll::Pending => Ok(Woken::Time),
            };
        }
        let lingering = self.chain.routers.iter().filter_map(|router| router.deadline()).min();
        let ticking = self
            .chain
            .next_tick()
            .map(|time| now + Duration::from_millis(time.saturating_sub(self.chain.clock.now()).max(0) as u64));
        match lingering.into_iter().chain(ticking).min() {
            None => Ok(Woken::Arrival(self.head.next().await?)),
            Some(deadline) => tokio::select! {
                biased;
                arrival = self.head.next() => Ok(Woken::Arrival(arrival?)),
                () = tokio::time::sleep_until(deadline.into()) => Ok(Woken::Time),
            },
        }
    }

    /// One turn; true at the end of the input.
    async fn turn(&mut self, woken: Woken, now: Instant) -> Result<bool, Stop> {
        match woken {
            Woken::Arrival(Arrival::Batch { input, batch }) => {
                if let Some(source) = &self.source {
                    source.records_out.add(batch.rows() as u64);
                    source.bytes_out.add(batch.bytes() as u64);
                }
                self.chain.process(input, batch).await?;
            }
            Woken::Arrival(Arrival::Watermark(watermark)) => {
                if let Some(source) = &self.source {
                    source.set_watermark(watermark);
                }
                self.chain.advance(watermark).await?;
            }
            Woken::Arrival(Arrival::Idle(idle)) => self.chain.announce(Element::Idle(idle)).await?,
            Woken::Arrival(Arrival::Barrier(epoch)) => self.cut(epoch, false).await?,
            Woken::Arrival(Arrival::End) => return Ok(true),
            Woken::Arrival(Arrival::Quiet) | Woken::Time => {}
        }
        if self.chain.next_tick().is_some_and(|time| time <= self.chain.clock.now()) {
            self.chain.tick().await?;
        }
        for router in &mut self.chain.routers {
            if router.deadline().is_some_and(|deadline| deadline <= now) {
                router.flush().await?;
            }
        }
        Ok(false)
    }

    /// Cuts an epoch; the barrier goes on unless the end of the input did before.
    async fn cut(&mut self, epoch: u64, finished: bool) -> Result<(), Stop> {
        // A cut that comes before the last one is handed over waits for that.
        self.settle().await?;
        let since = Instant::now();
        self.checkpoints.epoch = epoch;
        let splits = match self.head.splits() {
            Ok(splits) => splits,
            Err(why) => {
                self.checkpoints.report(Report::Declined { epoch, why })?;
                Vec::new()
            }
        };
        let (hand_over, sinks) = self.chain.cut(epoch).await?;
        // Where the barrier waits for room downstream, records would have waited too: that is no pause.
        self.paused(since);
        if !finished {
            self.chain.announce(Element::Barrier(epoch)).await?;
        }
        self.checkpoints.job.at(CrashPoint::Cut);
        let watermark = self.chain.watermark;
        let ack =
            Ack { subtask: self.checkpoints.subtask, epoch, finished, watermark, splits, committables: Vec::new() };
        self.checkpoints.cut = Some(Cut { hand_over, ack, sinks });
        Ok(())
    }

    /// Hands over a bit of what was cut, if there is anything left; then acknowledges.
    async fn step(&mut self) -> Result<(), Stop> {
        let Some(cut) = &mut self.checkpoints.cut else { return Ok(()) };
        let since = Instant::now();
        let done = self.chain.step(&mut cut.hand_over).await?;
        self.paused(since);
        // The job may end with the acknowledgement: what is counted by then is what its summary has.
        let took = since.elapsed();
        self.stepped += took;
        self.statuses.iter().for_each(|status| status.busy_ns.add(took.as_nanos() as u64));
        if !done {
            self.checkpoints.job.at(CrashPoint::Step);
            return Ok(());
        }
        if let Some(cut) = self.checkpoints.cut.take() {
            self.checkpoints.acknowledge(cut);
        }
        Ok(())
    }

    /// Hands over all that is left of what was cut.
    async fn settle(&mut self) -> Result<(), Stop> {
        while self.checkpoints.cut.is_some() {
            self.step().await?;
            give_way(self.is_driven()).await;
        }
        Ok(())
    }

    /// Publishes how long records waited for a checkpoint.
    fn paused(&self, since: Instant) {
        if self.stateful {
            self.checkpoints.handle.paused(since.elapsed());
        }
    }

    /// Publishes where the time of a turn went.
    fn account(&mut self, idle: Duration, turn: Duration) {
        let waited: Duration = self.chain.routers.iter_mut().map(|router| router.take_waited()).sum();
        if !waited.is_zero() {
            self.head.held_up();
        }
        let turn = turn.saturating_sub(std::mem::take(&mut self.stepped));
        if let Some(head) = self.statuses.first() {
            head.wait_ns.add(idle.as_nanos() as u64);
        }
        for status in &self.statuses {
            status.idle_ns.add(idle.as_nanos() as u64);
            status.backpressured_ns.add(waited.as_nanos() as u64);
            status.busy_ns.add(turn.saturating_sub(waited).as_nanos() as u64);
        }
    }
}

/// Lets others go on.
async fn give_way(is_driven: bool) {
    if is_driven { end_turn().await } else { yield_now().await }
}

impl Participant {
    fn report(&self, report: Report) -> Result<(), Stop> {
        self.reports.send(report).map_err(|_| Stop::Lost)
    }

    /// Tells the coordinator once the sinks have made their rows durable, while records go on.
    fn acknowledge(&mut self, cut: Cut) {
        let Cut { mut ack, sinks, .. } = cut;
        let (job, reports, before) = (self.job.clone(), self.reports.clone(), self.acknowledging.take());
        let acknowledging = self.beside.spawn(async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            for PreCommit { node, place, prepared } in sinks {
                match prepared.await {
                    Ok(committable) => ack.committables.extend(committable.map(|committable| (node, committable))),
                    Err(error) => {
                        let _ = reports.send(Report::Failed(Stop::at(&place, error)));
                        return;
                    }
                }
            }
            job.at(CrashPoint::Acknowledged);
            // Nobody listens when the attempt is over.
            let _ = reports.send(Report::Ack(ack));
        });
        self.acknowledging = Some(acknowledging);
    }
}
