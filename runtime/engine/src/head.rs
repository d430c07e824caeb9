//! Where the rows of a subtask come from: a source with its watermarks, or an input gate.

use std::{
    future::poll_fn,
    time::{Duration, Instant},
};

use tokio::sync::watch;
use wasmill_core::{
    Batch, Place, Source,
    source::{BatchLimit, SourceEvent, SplitState},
    time::{END_OF_TIME, SplitWatermarks, Splits},
};

use crate::{
    coordinator::Command,
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
    /// All before belongs to the checkpoint of this epoch.
    Barrier(u64),
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
                GateEvent::Barrier(epoch) => Ok(Arrival::Barrier(epoch)),
                GateEvent::End => Ok(Arrival::End),
                GateEvent::Lost => Err(Stop::Lost),
            },
        }
    }

    /// How long a source has worked since the last call; a gate does not work.
    pub(crate) fn take_worked(&mut self) -> Duration {
        match self {
            Head::Source(source) => std::mem::take(&mut source.worked),
            Head::Gate(_) => Duration::ZERO,
        }
    }

    /// Where the splits of a source stand. An error says why the source cannot tell.
    pub(crate) fn splits(&self) -> Result<Vec<SplitState>, String> {
        match self {
            Head::Source(source) => source.splits(),
            Head::Gate(_) => Ok(Vec::new()),
        }
    }
}

/// A source, and where its watermarks stand: after every so many rows of a split, never inside a batch.
pub(crate) struct SourceHead {
    source: Box<dyn Source>,
    place: Place,
    limit: BatchLimit,
    /// The ids of the splits; `None` for one that ended.
    ids: Vec<Option<String>>,
    watermarks: Splits,
    /// Whether rows carry an event time.
    timed: bool,
    /// Whether the watermark may have advanced.
    due: bool,
    idle: bool,
    /// Time in the source's own work since it was last asked for.
    worked: Duration,
    /// Rows that came while idle: they follow the news that the source is active.
    held: Option<Batch>,
    ended: bool,
    command: watch::Receiver<Command>,
    /// The last epoch whose barrier was sent.
    epoch: u64,
}

/// How a source's watermarks are made.
pub(crate) struct EventTime {
    /// How far behind the highest event time a row may still come, milliseconds.
    pub(crate) bound: i64,
    /// Rows of a split between two watermarks.
    pub(crate) every: u64,
}

impl SourceHead {
    /// A head for `source`; `event_time` where rows carry one. Splits are looked up in what is `restored`.
    pub(crate) fn new(
        source: Box<dyn Source>,
        place: Place,
        limit: BatchLimit,
        event_time: Option<EventTime>,
        restored: &[SplitState],
        command: watch::Receiver<Command>,
    ) -> SourceHead {
        let ids = source.splits();
        let watermarks = |id: &String| {
            restored
                .iter()
                .find(|split| split.id == *id)
                .map_or_else(SplitWatermarks::default, |split| split.watermarks)
        };
        let states = ids.iter().map(watermarks).collect();
        let (timed, time) = (event_time.is_some(), event_time.unwrap_or(EventTime { bound: 0, every: u64::MAX }));
        let epoch = command.borrow().epoch;
        SourceHead {
            source,
            place,
            limit,
            ids: ids.into_iter().map(Some).collect(),
            watermarks: Splits::new(states, time.bound, time.every),
            timed,
            // Without splits nothing is to be waited for, but that is told by the end.
            due: timed && !restored.is_empty(),
            idle: false,
            worked: Duration::ZERO,
            held: None,
            ended: false,
            command,
            epoch,
        }
    }

    fn splits(&self) -> Result<Vec<SplitState>, String> {
        let open = self.ids.iter().enumerate().filter_map(|(split, id)| Some((split, id.as_ref()?)));
        let state = |(split, id): (usize, &String)| {
            let position = self.source.position(split).map_err(|error| format!("{}: {error}", self.place))?;
            let watermarks = self.watermarks.state(split).unwrap_or_default();
            Ok(SplitState { id: id.clone(), position, watermarks })
        };
        // A source that was drained has ended in the middle of its splits.
        if self.ended { Ok(Vec::new()) } else { open.map(state).collect() }
    }

    async fn next(&mut self) -> Result<Arrival, Stop> {
        loop {
            if let Some(batch) = self.held.take() {
                return Ok(Arrival::Batch { input: 0, batch });
            }
            if self.ended {
                return Ok(Arrival::End);
            }
            if std::mem::take(&mut self.due)
                && self.ids.iter().any(Option::is_some)
                && let Some(watermark) = self.watermarks.advance()
            {
                return Ok(Arrival::Watermark(watermark));
            }
            let command = *self.command.borrow_and_update();
            if command.epoch > self.epoch {
                self.epoch = command.epoch;
                return Ok(Arrival::Barrier(command.epoch));
            }
            if command.drain {
                self.ended = true;
                return Ok(Arrival::Watermark(END_OF_TIME));
            }
            if command.hold {
                self.command.changed().await.map_err(|_| Stop::Lost)?;
                continue;
            }
            let mut limit = self.limit;
            if self.timed {
                limit.rows = limit.rows.min(usize::try_from(self.watermarks.allowed()).unwrap_or(usize::MAX));
            }
            match self.ask(limit).await? {
                SourceEvent::Rows { split, batch } => {
                    if self.timed {
                        self.due = self.watermarks.observe(split, &batch.timestamps, batch.rows());
                    }
                    if std::mem::take(&mut self.idle) {
                        self.held = Some(batch);
                        return Ok(Arrival::Idle(false));
                    }
                    return Ok(Arrival::Batch { input: 0, batch });
                }
                SourceEvent::SplitEnd { split } => {
                    self.ids[split] = None;
                    // The end of the last split is told by the end of the source.
                    self.due = self.watermarks.end(split) && self.timed;
                }
                SourceEvent::Idle => {
                    self.watermarks.linger();
                    if self.timed
                        && self.ids.iter().any(Option::is_some)
                        && let Some(watermark) = self.watermarks.advance()
                    {
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
