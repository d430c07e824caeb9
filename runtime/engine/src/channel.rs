//! Moves elements from one sending subtask to one receiving subtask, bounded in batches and in bytes.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use flume::r#async::RecvStream;
use futures_util::Stream;
use tokio::sync::Notify;
use wasmill_core::Batch;

use crate::interleaving::inside;

/// What travels in a channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Element {
    /// Rows, at least one.
    Batch(Batch),
    /// The sender's watermark advanced.
    Watermark(i64),
    /// The sender became idle (true) or active (false).
    Idle(bool),
    /// All before belongs to the checkpoint of this epoch, all behind does not.
    Barrier(u64),
    /// Nothing more comes.
    End,
}

/// The bytes that all channels into one gate may hold.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    freed: Notify,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Budget> {
        Arc::new(Budget { limit, used: AtomicUsize::new(0), freed: Notify::new() })
    }

    fn try_take(&self, bytes: usize) -> bool {
        let fits = |used: usize| (used + bytes <= self.limit).then_some(used + bytes);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_ok()
    }

    fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::AcqRel);
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
        self.freed.notify_waiters();
    }
}

/// The receiver is gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// A channel of `capacity` elements, at least 1, that counts its batches against `budget`.
pub(crate) fn channel(capacity: usize, budget: &Arc<Budget>) -> (Sender, Receiver) {
    let (sender, receiver) = flume::bounded(capacity.max(1));
    let receiver = Receiver { elements: receiver.into_stream(), budget: budget.clone() };
    (Sender { elements: sender, budget: budget.clone() }, receiver)
}

/// The sending end.
#[derive(Debug)]
pub(crate) struct Sender {
    elements: flume::Sender<Element>,
    budget: Arc<Budget>,
}

impl Sender {
    /// Sends without waiting; gives the element back when there is no room.
    pub(crate) fn try_send(&self, element: Element) -> Result<Option<Element>, Closed> {
        if self.elements.is_disconnected() {
            return Err(Closed);
        }
        // Nobody else sends here: a channel that is not full now cannot become so before this element is in.
        if self.elements.is_full() {
            return Ok(Some(element));
        }
        if let Element::Batch(batch) = &element
            && !self.budget.try_take(batch.bytes())
        {
            if !self.elements.is_empty() {
                return Ok(Some(element));
            }
            // An empty channel is sure of one batch, whatever the others hold.
            self.budget.take(batch.bytes());
        }
        self.elements.try_send(element).map(|()| None).map_err(|_| Closed)
    }

    /// Sends, waiting for room.
    pub(crate) async fn send(&self, mut element: Element) -> Result<(), Closed> {
        loop {
            // Registered before the attempt, so that room made in between is not missed.
            let mut freed = pin!(self.budget.freed.notified());
            freed.as_mut().enable();
            match self.try_send(element)? {
                None => return Ok(()),
                Some(refused) => element = refused,
            }
            inside(freed).await;
        }
    }
}

/// The receiving end.
pub(crate) struct Receiver {
    elements: RecvStream<'static, Element>,
    budget: Arc<Budget>,
}

impl Receiver {
    /// The next element; `None` when the sender is gone without [`Element::End`].
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Element>> {
        let next = Pin::new(&mut self.elements).poll_next(context);
        if let Poll::Ready(Some(element)) = &next {
            let bytes = if let Element::Batch(batch) = element { batch.bytes() } else { 0 };
            self.budget.give_back(bytes);
        }
        next
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Senders that wait for room find the channel closed. The stream must go first.
        let (_, gone) = flume::bounded(1);
        drop(std::mem::replace(&mut self.elements, gone.into_stream()));
        self.budget.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    fn batch(bytes: usize) -> Element {
        Element::Batch(Batch { values: vec![0; bytes - 4], value_ends: vec![bytes as u32 - 4], ..Batch::default() })
    }

    async fn receive(receiver: &mut Receiver) -> Option<Element> {
        poll_fn(|context| receiver.poll_next(context)).await
    }

    #[tokio::test]
    async fn the_byte_budget_holds_but_each_channel_is_sure_of_one_batch() {
        let budget = Budget::new(100);
        let (a, mut from_a) = channel(8, &budget);
        let (b, _from_b) = channel(8, &budget);
        assert_eq!(a.try_send(batch(90)), Ok(None));
        assert_eq!(b.try_send(batch(90)), Ok(None), "its channel is empty");
        assert_eq!(a.try_send(batch(20)), Ok(Some(batch(20))), "over the budget");
        let sent = tokio::spawn(async move { a.send(batch(20)).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!sent.is_finished());
        assert_eq!(receive(&mut from_a).await, Some(batch(90)));
        assert_eq!(sent.await.unwrap(), Ok(()));
        assert_eq!(receive(&mut from_a).await, Some(batch(20)));
    }

    #[tokio::test]
    async fn a_full_channel_slows_its_sender_and_a_closed_one_frees_it() {
        let budget = Budget::new(1_000_000);
        let (sender, mut receiver) = channel(2, &budget);
        for _ in 0..2 {
            assert_eq!(sender.try_send(batch(10)), Ok(None));
        }
        let blocked = tokio::spawn(async move {
            sender.send(batch(11)).await.unwrap();
            sender.send(batch(12)).await
        });
        assert_eq!(receive(&mut receiver).await, Some(batch(10)));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!blocked.is_finished());
        drop(receiver);
        assert_eq!(blocked.await.unwrap(), Err(Closed));
    }

    #[tokio::test]
    async fn a_sender_that_dies_without_an_end_is_noticed() {
        let budget = Budget::new(100);
        let (sender, mut receiver) = channel(2, &budget);
        sender.try_send(Element::Watermark(3)).unwrap();
        drop(sender);
        assert_eq!(receive(&mut receiver).await, Some(Element::Watermark(3)));
        assert_eq!(receive(&mut receiver).await, None);
    }
}
