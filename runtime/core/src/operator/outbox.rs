//! Carries batches from an operator's call to the subtask that drives it.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use crate::Batch;

/// Batches that an operator emitted and the subtask has not yet taken.
///
/// The operator emits during a call; over the bound its call is suspended until the subtask, which polls that call, has
/// taken them. So chained operators run from the subtask, never on the emitting guest's stack, and a call may emit more
/// than fits in memory. Both sides are one task; the lock is taken once a batch and never contended.
#[derive(Debug, Clone)]
pub struct Outbox {
    inner: Arc<Mutex<Inner>>,
    bound: usize,
}

#[derive(Debug, Default)]
struct Inner {
    batches: VecDeque<(u32, Batch)>,
    bytes: usize,
    suspended: Option<Waker>,
}

impl Outbox {
    /// An outbox that suspends its operator over `bound` bytes.
    pub fn new(bound: usize) -> Outbox {
        Outbox { inner: Arc::default(), bound }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Emits a batch to output number `output`; ready when what waits is within the bound.
    pub async fn emit(&self, output: u32, batch: Batch) {
        {
            let mut inner = self.lock();
            inner.bytes += batch.bytes();
            inner.batches.push_back((output, batch));
        }
        poll_fn(|context| {
            let mut inner = self.lock();
            if inner.bytes <= self.bound {
                return Poll::Ready(());
            }
            inner.suspended = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The oldest batch that waits, with its output.
    pub fn take(&self) -> Option<(u32, Batch)> {
        let mut inner = self.lock();
        let (output, batch) = inner.batches.pop_front()?;
        inner.bytes -= batch.bytes();
        let wake = (inner.bytes <= self.bound).then(|| inner.suspended.take()).flatten();
        drop(inner);
        if let Some(waker) = wake {
            waker.wake();
        }
        Some((output, batch))
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Context};

    use super::*;

    #[test]
    fn over_the_bound_the_emitter_waits() {
        let batch = || Batch { values: vec![0; 60], value_ends: vec![60], ..Batch::default() };
        let outbox = Outbox::new(100);
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(outbox.emit(0, batch())).poll(&mut context).is_ready());
        let mut second = pin!(outbox.emit(1, batch()));
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert_eq!(outbox.take().map(|(output, _)| output), Some(0));
        assert!(second.as_mut().poll(&mut context).is_ready());
        assert_eq!(outbox.take().map(|(output, _)| output), Some(1));
        assert_eq!(outbox.take(), None);
    }
}
