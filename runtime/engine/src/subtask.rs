//! The loop of one subtask: one turn takes what its head has, or what time brings, and hands it down its chain.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::yield_now;
use wasmill_core::{Place, Status, sink::Committable};

use crate::{
    chain::Chain,
    channel::Element,
    error::Stop,
    head::{Arrival, Head},
};

/// One parallel subtask: a tokio task that alone owns its head, its chain and their state.
pub(crate) struct Subtask {
    pub(crate) head: Head,
    pub(crate) chain: Chain,
    /// The status of the source at the head, if there is one.
    pub(crate) source: Option<Arc<Status>>,
    /// The status of every node in the subtask.
    pub(crate) statuses: Vec<Arc<Status>>,
    /// The epoch of the checkpoint that ends a bounded job.
    pub(crate) final_epoch: u64,
}

/// What ends the wait for the head.
enum Woken {
    Arrival(Arrival),
    /// Rows have waited for their batch to fill, or a processing-time timer is due.
    Time,
}

impl Subtask {
    /// Runs until the end of its input. Dropped when the job is cancelled.
    pub(crate) async fn run(mut self) -> Result<Vec<(Place, Committable)>, Stop> {
        loop {
            let since = Instant::now();
            let woken = self.wait(since).await?;
            let woke = Instant::now();
            let end = self.turn(woken, woke).await?;
            let worked = self.head.take_worked();
            self.account((woke - since).saturating_sub(worked), worked + woke.elapsed());
            if end {
                break;
            }
            yield_now().await;
        }
        let since = Instant::now();
        let committables = self.chain.finish(self.final_epoch).await?;
        if let Some(source) = &self.source {
            source.finished.add(1);
        }
        self.account(Duration::ZERO, since.elapsed());
        Ok(committables)
    }

    /// Waits for the head, but not past what is due.
    async fn wait(&mut self, now: Instant) -> Result<Woken, Stop> {
        // A source keeps to the linger time itself: what it is waiting for must not be dropped.
        if let Head::Source(_) = self.head {
            return Ok(Woken::Arrival(self.head.next().await?));
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
            Woken::Arrival(Arrival::End) => return Ok(true),
            Woken::Time => {}
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

    /// Publishes where the time of a turn went.
    fn account(&mut self, idle: Duration, turn: Duration) {
        let waited: Duration = self.chain.routers.iter_mut().map(|router| router.take_waited()).sum();
        for status in &self.statuses {
            status.idle_ns.add(idle.as_nanos() as u64);
            status.backpressured_ns.add(waited.as_nanos() as u64);
            status.busy_ns.add(turn.saturating_sub(waited).as_nanos() as u64);
        }
    }
}
