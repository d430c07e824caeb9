//! Asks a source for rows, tells its watermarks, idleness and barriers between them, and lets it wait for other sources.

use std::{
    future::poll_fn,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;
use wasmill_core::{
    Batch, Clock, Place, Source,
    source::{BatchLimit, SourceEvent, SplitState},
    time::{END_OF_TIME, SplitRules, SplitWatermarks, Splits},
};

use super::Arrival;
use crate::{
    coordinator::Command,
    drift::DriftMember,
    error::Stop,
    interleaving::inside,
    standing::{SplitsProgress, Standing},
};

/// A source, and where its watermarks stand: after every so many rows of a split, never inside a batch.
pub(crate) struct SourceHead {
    source: Box<dyn Source>,
    place: Place,
    limit: BatchLimit,
    /// The ids of the splits; `None` for one that ended.
    ids: Vec<Option<String>>,
    watermarks: Splits,
    /// Whether the watermark may have advanced.
    due: bool,
    /// Whether it was told that all splits are idle.
    idle: bool,
    /// What idleness is measured by; `None` where nothing ever is idle.
    clock: Option<Arc<dyn Clock>>,
    /// Until when the time is accounted for in which rows could have come, milliseconds since the Unix epoch.
    since: i64,
    /// Whether rows could not have come since.
    held_up: bool,
    /// The sources that it waits for when it is ahead of them.
    drift: Option<DriftMember>,
    /// Which splits wait for other sources; `None` when the source cannot leave splits out.
    paused: Option<Vec<bool>>,
    /// Whether the subtask as a whole waits for other sources.
    waiting: bool,
    standing: Arc<Standing>,
    /// Time in the source's own work since it was last asked for.
    worked: Duration,
    /// Rows that came while idle: they follow the news that the source is active.
    held: Option<Batch>,
    ended: bool,
    command: watch::Receiver<Command>,
    /// Whether subtasks go on one at a time, in an order that does not depend on the clock.
    is_driven: bool,
    /// The last epoch whose barrier was sent.
    epoch: u64,
}

/// What a source's head is given beside the source.
pub(crate) struct SourceHeadContext<'a> {
    pub(crate) place: Place,
    pub(crate) limit: BatchLimit,
    /// How its watermarks are made.
    pub(crate) rules: SplitRules,
    /// Where splits are looked up.
    pub(crate) restored: &'a [SplitState],
    /// The subtask's watermark at the checkpoint.
    pub(crate) watermark: i64,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) drift: Option<DriftMember>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) command: watch::Receiver<Command>,
    /// Whether subtasks go on one at a time, in an order that does not depend on the clock.
    pub(crate) is_driven: bool,
}

/// The shortest time between two looks at whether there is something else to do, while a source waits for others.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

impl SourceHead {
    /// A head for `source`.
    pub(crate) fn new(source: Box<dyn Source>, context: SourceHeadContext<'_>) -> SourceHead {
        let SourceHeadContext {
            place,
            limit,
            mut rules,
            restored,
            watermark,
            clock,
            drift,
            standing,
            command,
            is_driven,
        } = context;
        let ids = source.splits();
        let watermarks = |id: &String| {
            restored
                .iter()
                .find(|split| split.id == *id)
                .map_or_else(SplitWatermarks::default, |split| split.watermarks)
        };
        let states = ids.iter().map(watermarks).collect();
        rules.idle_after = rules.idle_after.filter(|_| source.may_be_idle());
        let epoch = command.borrow().epoch;
        let mut head = SourceHead {
            source,
            place,
            limit,
            paused: (ids.len() > 1).then(|| vec![false; ids.len()]),
            ids: ids.into_iter().map(Some).collect(),
            watermarks: Splits::new(states, rules, watermark),
            // Without splits nothing is to be waited for, but that is told by the end.
            due: !restored.is_empty(),
            idle: false,
            since: clock.now(),
            clock: rules.idle_after.map(|_| clock),
            held_up: false,
            drift,
            waiting: false,
            standing,
            worked: Duration::ZERO,
            held: None,
            ended: false,
            command,
            is_driven,
            epoch,
        };
        head.publish();
        head
    }

    /// Rows could not come for a while, for what follows the source was busy.
    pub(super) fn held_up(&mut self) {
        self.held_up = true;
    }

    /// How long the source has worked since the last call.
    pub(super) fn take_worked(&mut self) -> Duration {
        std::mem::take(&mut self.worked)
    }

    /// Where the splits stand. An error says why the source cannot tell.
    pub(super) fn splits(&self) -> Result<Vec<SplitState>, String> {
        let open = self.ids.iter().enumerate().filter_map(|(split, id)| Some((split, id.as_ref()?)));
        let state = |(split, id): (usize, &String)| {
            let position = self.source.position(split).map_err(|error| format!("{}: {error}", self.place))?;
            let watermarks = self.watermarks.state(split).unwrap_or_default();
            Ok(SplitState { id: id.clone(), position, watermarks })
        };
        // A source that was drained has ended in the middle of its splits.
        if self.ended { Ok(Vec::new()) } else { open.map(state).collect() }
    }

    /// What comes next.
    pub(super) async fn next(&mut self) -> Result<Arrival, Stop> {
        loop {
            if let Some(batch) = self.held.take() {
                return Ok(Arrival::Batch { input: 0, batch });
            }
            if self.ended {
                return Ok(Arrival::End);
            }
            if std::mem::take(&mut self.due)
                && self.is_open()
                && let Some(watermark) = self.watermarks.advance()
            {
                self.publish();
                return Ok(Arrival::Watermark(watermark));
            }
            let idle = self.watermarks.is_idle();
            if std::mem::replace(&mut self.idle, idle) != idle {
                self.publish();
                return Ok(Arrival::Idle(idle));
            }
            let command = *self.command.borrow_and_update();
            if command.epoch > self.epoch {
                self.epoch = command.epoch;
                return Ok(Arrival::Barrier(command.epoch));
            }
            if command.drain {
                return Ok(self.end());
            }
            if command.hold || self.is_ahead() {
                return self.wait().await;
            }
            match self.ask().await? {
                SourceEvent::Rows { split, batch } => {
                    let (rows, carried) = (batch.rows(), self.source.carried_watermark());
                    self.due |= self.watermarks.observe(split, &batch.timestamps, rows, carried);
                    self.pass(Some(split));
                    if std::mem::take(&mut self.idle) {
                        self.held = Some(batch);
                        return Ok(Arrival::Idle(false));
                    }
                    return Ok(Arrival::Batch { input: 0, batch });
                }
                SourceEvent::SplitEnd { split } => {
                    self.ids[split] = None;
                    // The end of the last split is told by the end of the source.
                    self.due |= self.watermarks.end(split);
                    self.pass(None);
                    self.publish();
                }
                SourceEvent::Idle => {
                    self.watermarks.linger();
                    self.due = true;
                    self.pass(None);
                    return Ok(Arrival::Quiet);
                }
                SourceEvent::End => return Ok(self.end()),
            }
        }
    }

    fn is_open(&self) -> bool {
        self.ids.iter().any(Option::is_some)
    }

    /// The watermark at the end, which then follows.
    fn end(&mut self) -> Arrival {
        self.ended = true;
        if let Some(drift) = &mut self.drift {
            drift.tell(None);
        }
        self.standing.splits(SplitsProgress::default());
        Arrival::Watermark(END_OF_TIME)
    }

    /// Takes note of the time since it was last looked at, in which only the split `gave` had rows.
    fn pass(&mut self, gave: Option<usize>) {
        let Some(clock) = &self.clock else { return };
        let now = clock.now();
        let passed = now.saturating_sub(std::mem::replace(&mut self.since, now));
        self.due |= self.watermarks.pass(passed, gave);
    }

    /// Whether no split may give rows: all are too far ahead of the slowest source of the group.
    fn is_ahead(&mut self) -> bool {
        let Some(drift) = &mut self.drift else { return false };
        let watermark = self.watermarks.watermark();
        drift.tell((self.ids.iter().any(Option::is_some) && !self.idle).then_some(watermark));
        let allowed = drift.allowed();
        let Some(paused) = &mut self.paused else {
            let ahead = !self.idle && watermark > allowed;
            if std::mem::replace(&mut self.waiting, ahead) != ahead {
                self.publish();
            }
            return ahead;
        };
        let (mut changed, mut all) = (false, true);
        for (split, paused) in paused.iter_mut().enumerate() {
            let Some((watermark, idle)) = self.watermarks.split(split) else { continue };
            let ahead = !idle && watermark > allowed;
            if *paused != ahead {
                if !self.source.pause(split, ahead) {
                    self.paused = None;
                    return self.is_ahead();
                }
                (*paused, changed) = (ahead, true);
                self.watermarks.pause(split, ahead);
            }
            all &= ahead;
        }
        if changed {
            self.publish();
        }
        all && self.is_open()
    }

    /// Waits until there may be something to do again, but not for long: rows downstream wait for their batch to fill, timers
    /// become due, and what a checkpoint cut is handed over.
    async fn wait(&mut self) -> Result<Arrival, Stop> {
        self.held_up = true;
        let drift = async {
            match &mut self.drift {
                Some(drift) => drift.changed().await,
                None => std::future::pending().await,
            }
        };
        let (command, linger) = (&mut self.command, self.limit.linger.max(SHORTEST_WAIT));
        let wait = async {
            tokio::select! {
                changed = command.changed() => changed.map_err(|_| Stop::Lost),
                () = drift => Ok(()),
                () = tokio::time::sleep(linger), if !self.is_driven => Ok(()),
            }
        };
        inside(wait).await?;
        Ok(Arrival::Quiet)
    }

    /// Tells where the splits stand.
    fn publish(&mut self) {
        let (mut now, mut slowest) = (SplitsProgress::default(), None);
        for split in 0..self.ids.len() {
            let Some((watermark, idle)) = self.watermarks.split(split) else { continue };
            now.open += 1;
            now.idle += usize::from(idle);
            now.paused += usize::from(self.paused.as_ref().map_or(self.waiting, |paused| paused[split]));
            if !idle && slowest.is_none_or(|(lowest, _)| watermark < lowest) {
                slowest = Some((watermark, split));
            }
        }
        now.slowest = slowest.and_then(|(watermark, split)| Some((self.ids[split].clone()?, watermark)));
        self.standing.splits(now);
    }

    /// Asks the source for rows, and takes note of how long it worked.
    async fn ask(&mut self) -> Result<SourceEvent, Stop> {
        let mut limit = self.limit;
        limit.rows = limit.rows.min(usize::try_from(self.watermarks.allowed()).unwrap_or(usize::MAX));
        if let Some(clock) = &self.clock {
            if std::mem::take(&mut self.held_up) {
                self.since = clock.now();
            }
            let until_idle = self.watermarks.until_idle().map(|left| Duration::from_millis(left.max(1) as u64));
            limit.linger = until_idle.map_or(limit.linger, |until_idle| limit.linger.min(until_idle));
        }
        let whole = self.source.works_while_pending();
        let asked = Instant::now();
        // The source may do its work before it is first polled.
        let (mut worked, mut first) = (Duration::ZERO, Some(asked));
        let mut next = self.source.next(limit);
        let event = poll_fn(|context| {
            let since = first.take().unwrap_or_else(Instant::now);
            let event = next.as_mut().poll(context);
            let polled = since.elapsed();
            worked = if whole { since - asked } else { worked } + polled;
            event
        })
        .await;
        self.worked += worked;
        event.map_err(|error| Stop::at(&self.place, error))
    }
}
