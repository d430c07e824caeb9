//! Moves rows from the end of a chain into the channels of one exchange.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wasmill_core::{
    Batch, BatchBuilder, Place, Status,
    partitioner::{Partitioner, Routing},
};

use crate::{
    channel::{Element, Sender},
    error::Stop,
};

/// One exchange, seen from one sending subtask: the partitioner, and a channel and a builder a receiver.
pub(crate) struct Router {
    place: Place,
    partitioner: Box<dyn Partitioner>,
    lanes: Vec<Lane>,
    batch_bytes: usize,
    linger: Duration,
    filled_since: Option<Instant>,
    waited: Duration,
    /// Of the node whose rows these are.
    status: Arc<Status>,
}

struct Lane {
    sender: Sender,
    builder: BatchBuilder,
}

impl Router {
    /// A router of the subtask at `place` towards `senders`, one a receiver. Rows wait for their batch to reach
    /// `batch_bytes`, or `linger`.
    pub(crate) fn new(
        place: Place,
        partitioner: Box<dyn Partitioner>,
        senders: Vec<Sender>,
        batch_bytes: usize,
        linger: Duration,
        status: Arc<Status>,
    ) -> Router {
        let lane = |sender| Lane { sender, builder: BatchBuilder::default() };
        let lanes = senders.into_iter().map(lane).collect();
        Router { place, partitioner, lanes, batch_bytes, linger, filled_since: None, waited: Duration::ZERO, status }
    }

    /// Routes the rows of a batch. A batch for one receiver is moved as it is.
    pub(crate) async fn route(&mut self, batch: Batch) -> Result<(), Stop> {
        let (since, waited) = (Instant::now(), self.waited);
        self.distribute(batch, since).await?;
        let worked = since.elapsed().saturating_sub(self.waited - waited);
        self.status.partition_ns.add(worked.as_nanos() as u64);
        Ok(())
    }

    async fn distribute(&mut self, batch: Batch, now: Instant) -> Result<(), Stop> {
        let routing = self.partitioner.route(&batch).map_err(|absent| Stop::at(&self.place, absent))?;
        match routing {
            Routing::One(receiver) => {
                // Rows that wait in the builder came first.
                flush(&mut self.lanes[receiver], &mut self.waited).await?;
                return send(&self.lanes[receiver].sender, Element::Batch(batch), &mut self.waited).await;
            }
            Routing::All => {
                for lane in &mut self.lanes {
                    flush(lane, &mut self.waited).await?;
                    send(&lane.sender, Element::Batch(batch.clone()), &mut self.waited).await?;
                }
                return Ok(());
            }
            Routing::Rows(rows) => {
                for (lane, rows) in self.lanes.iter_mut().zip(rows) {
                    lane.builder.append_rows(&batch, rows);
                }
            }
            Routing::Runs(runs) => {
                for (receiver, run) in runs {
                    self.lanes[*receiver].builder.append_range(&batch, run.clone());
                }
            }
        }
        let mut waiting = false;
        for lane in &mut self.lanes {
            if lane.builder.bytes() >= self.batch_bytes {
                flush(lane, &mut self.waited).await?;
            }
            waiting |= !lane.builder.is_empty();
        }
        match (waiting, self.filled_since) {
            (false, _) => self.filled_since = None,
            (true, None) => self.filled_since = Some(now),
            (true, Some(_)) => {}
        }
        Ok(())
    }

    /// Sends what waits, then `element` to every receiver.
    pub(crate) async fn announce(&mut self, element: Element) -> Result<(), Stop> {
        self.flush().await?;
        for lane in &self.lanes {
            send(&lane.sender, element.clone(), &mut self.waited).await?;
        }
        Ok(())
    }

    /// Sends what waits.
    pub(crate) async fn flush(&mut self) -> Result<(), Stop> {
        self.filled_since = None;
        for lane in &mut self.lanes {
            flush(lane, &mut self.waited).await?;
        }
        Ok(())
    }

    /// When what waits must be sent.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.filled_since.map(|since| since + self.linger)
    }

    /// How long sends waited for room since the last call.
    pub(crate) fn take_waited(&mut self) -> Duration {
        let waited = std::mem::take(&mut self.waited);
        if !waited.is_zero() {
            self.status.queue_ns.add(waited.as_nanos() as u64);
        }
        waited
    }
}

async fn flush(lane: &mut Lane, waited: &mut Duration) -> Result<(), Stop> {
    if lane.builder.is_empty() {
        return Ok(());
    }
    send(&lane.sender, Element::Batch(lane.builder.take()), waited).await
}

/// Sends, and reads the clock only when there is no room.
async fn send(sender: &Sender, element: Element, waited: &mut Duration) -> Result<(), Stop> {
    let Some(element) = sender.try_send(element).map_err(|_| Stop::Lost)? else { return Ok(()) };
    let since = Instant::now();
    let sent = sender.send(element).await;
    *waited += since.elapsed();
    sent.map_err(|_| Stop::Lost)
}
