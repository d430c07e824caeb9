//! Counts the running time of a call, in ticks, and stops a guest that runs too long.
//!
//! A guest looks up when the interruption epoch reaches its deadline, which is always the next tick from when it began
//! or went on. So what is counted are ticks that passed while it ran. A host call that suspends the guest lets ticks
//! pass that are not the guest's: the deadline that falls into the wait is forgiven.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use wasmill_core::OperatorError;

use crate::ticker::Ticks;

/// The running time of one instance's calls.
pub(crate) struct Budget {
    ticks: Ticks,
    allowed: Duration,
    /// Ticks seen in this call.
    used: u64,
    /// The tick at which the guest began or last went on: its deadline is the next one.
    since: Arc<AtomicU64>,
    /// The deadline passed while the guest was suspended.
    forgiven: bool,
}

/// Gives the executor a turn once.
pub(crate) type Turn = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Budget {
    /// A budget of `allowed` a call.
    pub(crate) fn new(ticks: Ticks, allowed: Duration) -> Budget {
        Budget { ticks, allowed, used: 0, since: Arc::default(), forgiven: false }
    }

    /// A call begins; the store's deadline is set to the next tick.
    pub(crate) fn begin(&mut self) {
        self.used = 0;
        self.forgiven = false;
        self.since.store(self.ticks.now(), Ordering::Relaxed);
    }

    /// The guest looked up. The future gives other subtasks a turn; then the deadline is the next tick.
    ///
    /// # Errors
    /// The limit `call-budget`.
    pub(crate) fn look_up(&mut self) -> Result<Turn, OperatorError> {
        if !std::mem::take(&mut self.forgiven) {
            self.used += 1;
        }
        let (tick, allowed) = (self.ticks.tick(), self.allowed);
        if self.used > u64::try_from(allowed.as_nanos().div_ceil(tick.as_nanos())).unwrap_or(u64::MAX) {
            let message = format!(
                "a call ran for {} ticks of {tick:?}, more than its {allowed:?} of running time; give it less to do, \
                 or raise the limit",
                self.used
            );
            return Err(OperatorError::Limit { limit: "call-budget", message });
        }
        let (ticks, since, yielded) = (self.ticks.clone(), self.since.clone(), AtomicBool::new(false));
        Ok(Box::pin(poll_fn(move |context| {
            if !yielded.swap(true, Ordering::Relaxed) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            since.store(ticks.now(), Ordering::Relaxed);
            Poll::Ready(())
        })))
    }

    /// Runs a host call in which the guest may be suspended at no cost.
    pub(crate) async fn aside<F: Future>(&mut self, call: F) -> F::Output {
        let before = self.ticks.now();
        let mut call = pin!(call);
        let mut suspended = false;
        let output = poll_fn(|context| {
            let polled = call.as_mut().poll(context);
            suspended |= polled.is_pending();
            polled
        })
        .await;
        let since = self.since.load(Ordering::Relaxed);
        if suspended && before <= since && self.ticks.now() > since {
            self.forgiven = true;
        }
        output
    }
}
