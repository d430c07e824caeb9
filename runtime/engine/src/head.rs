//! Where the rows of a subtask come from: a source with its watermarks, or an input gate.

use std::{
    future::poll_fn,
    time::{Duration, Instant},
};

use wasmill_core::{
    Batch, Place, Source,
    source::{BatchLimit, SourceEvent},
    time::{END_OF_TIME, Splits},
};

use crate::{
    error::Stop,
    gate::{GateEvent, InputGate},
};

/// What a subtask gets from its head.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Rows of one input.
    Batch { input: u32, batch: Batch },
    /// The watermark advanced.
    Watermark(i64),
    /// All input became idle (true) or active (false).
    Idle(bool),
    /// Nothing more comes; the watermark was at the end of time before.
    End,
}

/// The head of a subtask.
pub(crate) enum Head {
    /// Rows come from other subtasks.
    Gate(InputGate),
    /// Rows come from outside.
    Source(Box<SourceHead>),
}

impl Head {
    /// What comes next. Losing nothing when dropped while waiting is promised for gates, and for sources only as far as
    /// [`Source::next`] does: the subtask drops it for a due timer on a gate, on a source only at cancellation.
    pub(crate) async fn next(&mut self) -> Result<Arrival, Stop> {
        match self {
            Head::Source(source) => source.next().await,
            Head::Gate(gate) => match gate.next().await {
                GateEvent::Batch { input, batch } => Ok(Arrival::Batch { input, batch }),
                GateEvent::Watermark(watermark) => Ok(Arrival::Watermark(watermark)),
                GateEvent::Idle(idle) => Ok(Arrival::Idle(idle)),
                GateEvent::End => Ok(Arrival::End),
                GateEvent::Lost => Err(Stop::Lost),
            },
        }
    }
}

impl Head {
    /// How long a source has worked since the last call; a gate does not work.
    pub(crate) fn take_worked(&mut self) -> Duration {
        match self {
            Head::Source(source) => std::mem::take(&mut source.worked),
            Head::Gate(_) => Duration::ZERO,
        }
    }
}

/// A source, and where its watermarks stand: after every so many rows of a split, never inside a batch.
pub(crate) struct SourceHead {
    source: Box<dyn Source>,
    place: Place,
    limit: BatchLimit,
    event_time: Option<EventTime>,
    idle: bool,
    /// Time in the source's own work since it was last asked for.
    worked: Duration,
    /// Rows that came while idle: they follow the news that the source is active.
    held: Option<Batch>,
    ended: bool,
}

struct EventTime {
    splits: Splits,
    /// Rows until the next watermark of each split; `None` for one that ended.
    remaining: Vec<Option<usize>>,
    every: usize,
    due: bool,
}

impl SourceHead {
    /// A head for `source`. `event_time` is the bound of out-of-orderness in milliseconds and the number of rows between
    /// watermarks, where rows carry an event time.
    pub(crate) fn new(
        source: Box<dyn Source>,
        place: Place,
        limit: BatchLimit,
        event_time: Option<(i64, usize)>,
    ) -> SourceHead {
        let splits = source.splits();
        let event_time = event_time.map(|(bound, every)| EventTime {
            splits: Splits::new(splits, bound),
            remaining: vec![Some(every.max(1)); splits],
            every: every.max(1),
            due: false,
        });
        SourceHead { source, place, limit, event_time, idle: false, worked: Duration::ZERO, held: None, ended: false }
    }

    async fn next(&mut self) -> Result<Arrival, Stop> {
        loop {
            if let Some(batch) = self.held.take() {
                return Ok(Arrival::Batch { input: 0, batch });
            }
            if self.ended {
                return Ok(Arrival::End);
            }
            let mut limit = self.limit;
            if let Some(time) = &mut self.event_time {
                if std::mem::take(&mut time.due)
                    && let Some(watermark) = time.splits.advance()
                {
                    return Ok(Arrival::Watermark(watermark));
                }
                limit.rows = time.remaining.iter().flatten().fold(limit.rows, |rows, &left| rows.min(left));
            }
            match self.ask(limit).await? {
                SourceEvent::Rows { split, batch } => {
                    if let Some(time) = &mut self.event_time {
                        time.observe(split, &batch);
                    }
                    if std::mem::take(&mut self.idle) {
                        self.held = Some(batch);
                        return Ok(Arrival::Idle(false));
                    }
                    return Ok(Arrival::Batch { input: 0, batch });
                }
                SourceEvent::SplitEnd { split } => {
                    if let Some(time) = &mut self.event_time {
                        time.splits.end(split);
                        time.remaining[split] = None;
                        // The end of the last split is told by the end of the source.
                        time.due = time.remaining.iter().any(Option::is_some);
                    }
                }
                SourceEvent::Idle => {
                    let due = self.event_time.as_mut().and_then(|time| time.splits.advance());
                    if let Some(watermark) = due {
                        return Ok(Arrival::Watermark(watermark));
                    }
                    if !std::mem::replace(&mut self.idle, true) {
                        return Ok(Arrival::Idle(true));
                    }
                }
                SourceEvent::End => {
                    self.ended = true;
                    return Ok(Arrival::Watermark(END_OF_TIME));
                }
            }
        }
    }
}

impl SourceHead {
    /// Asks the source for rows, and takes note of how long it worked.
    async fn ask(&mut self, limit: BatchLimit) -> Result<SourceEvent, Stop> {
        let (asked, whole) = (Instant::now(), self.source.works_while_pending());
        let mut polled = Duration::ZERO;
        let mut next = self.source.next(limit);
        let event = poll_fn(|context| {
            let since = Instant::now();
            let event = next.as_mut().poll(context);
            polled += since.elapsed();
            event
        })
        .await;
        self.worked += if whole { asked.elapsed() } else { polled };
        event.map_err(|error| Stop::at(&self.place, error))
    }
}

impl EventTime {
    fn observe(&mut self, split: usize, batch: &Batch) {
        self.splits.observe(split, &batch.timestamps);
        if let Some(left) = &mut self.remaining[split] {
            *left = left.saturating_sub(batch.rows());
            if *left == 0 {
                *left = self.every;
                self.due = true;
            }
        }
    }
}
