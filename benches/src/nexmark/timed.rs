//! Measures what a source costs by itself, so that it can be told apart from what is done with its rows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};
use wasmill_core::{
    BoxFuture, Codec, Source, SourceContext, SourceFactory,
    source::{BatchLimit, ConnectorError, SourceEvent},
};

/// A source, with the CPU time that all its subtasks spend on making rows.
pub(super) struct Timed {
    pub(super) source: Arc<dyn SourceFactory>,
    pub(super) spent: Arc<Spent>,
}

/// CPU time, nanoseconds.
#[derive(Default)]
pub(super) struct Spent(AtomicU64);

impl Spent {
    /// All of it so far.
    pub(super) fn total(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }
}

impl SourceFactory for Timed {
    fn codecs(&self) -> (Codec, Codec) {
        self.source.codecs()
    }

    fn has_event_time(&self) -> bool {
        self.source.has_event_time()
    }

    fn create(&self, context: SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        Ok(Box::new(TimedSubtask { source: self.source.create(context)?, spent: self.spent.clone() }))
    }
}

struct TimedSubtask {
    source: Box<dyn Source>,
    spent: Arc<Spent>,
}

impl Source for TimedSubtask {
    fn splits(&self) -> Vec<String> {
        self.source.splits()
    }

    fn position(&self, split: usize) -> Result<Vec<u8>, ConnectorError> {
        self.source.position(split)
    }

    fn next(&mut self, limit: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        let spent = self.spent.clone();
        let mut next = self.source.next(limit);
        // Between two polls the thread does other things; within one it does this alone.
        Box::pin(std::future::poll_fn(move |context| {
            let before = thread_time();
            let polled = next.as_mut().poll(context);
            spent.0.fetch_add(thread_time().saturating_sub(before).as_nanos() as u64, Relaxed);
            polled
        }))
    }

    fn works_while_pending(&self) -> bool {
        self.source.works_while_pending()
    }

    fn carried_watermark(&self) -> Option<i64> {
        self.source.carried_watermark()
    }

    fn may_be_idle(&self) -> bool {
        self.source.may_be_idle()
    }

    fn pause(&mut self, split: usize, paused: bool) -> bool {
        self.source.pause(split, paused)
    }
}

/// CPU time of this thread so far.
fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
