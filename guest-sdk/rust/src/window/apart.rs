//! Moves records to windows that each hold what they gathered for themselves: sessions, the window of all time, and windows
//! with a trigger of their own.
//!
//! Without a trigger, a window is to be looked at at its end, and when it is removed, and a key has one timer at a time for all of
//! its windows: that of the first. A session whose end is put off is looked at when it would have ended, and not before:
//! its records set no timers. With a trigger, each window has its timers for itself, and they move with it, as triggers expect.

mod held;

use held::{Held, Pending};

use super::{
    Trigger, Window, WindowOperator, Windows,
    open::{OpenWindows, Opened},
    operator::GatheredOf,
    panes::{Grid, Taken, no_time},
    trigger::{SetTimer, TriggerContext, TriggerResult, tag, time_of_timer},
    windows::Kind,
};
use crate::{
    backend::TimeDomain,
    batch::NO_TIME,
    call::KeyedCall,
    codec::{Codec, StateValue},
    error::{Error, Result},
    record::{Record, Timer},
    setup::Setup,
    state::{Slot, State, StateColumn, ValueState},
};

/// Windows that each hold what they gathered for themselves.
pub(crate) struct Apart<A: StateValue> {
    state: ValueState<OpenWindows<Held<A>>>,
    kind: Kind,
    /// Of tumbling and sliding windows.
    grid: Option<Grid>,
    rules: Rules,
}

/// When windows fire and are removed.
struct Rules {
    domain: TimeDomain,
    allowed_lateness: i64,
    /// Whether there is one window only, whose results have no time of their own.
    global: bool,
    /// What fires windows, if not their end.
    trigger: Option<Box<dyn Trigger>>,
}

impl<A: StateValue<Owned: Default>> Apart<A> {
    pub(crate) fn new(setup: &mut Setup, windows: Windows) -> Result<Apart<A>> {
        let grid = Grid::of(&windows)?;
        let Windows { kind, domain, allowed_lateness, trigger, .. } = windows;
        if domain == TimeDomain::EventTime || trigger.is_some() {
            setup.event_timers();
        }
        if domain == TimeDomain::ProcessingTime || trigger.is_some() {
            setup.processing_timers();
        }
        let rules = Rules { domain, allowed_lateness, global: kind == Kind::Global, trigger };
        Ok(Apart { state: setup.value_state("windows"), kind, grid, rules })
    }

    #[inline(always)]
    pub(crate) fn select(&mut self, slot: Slot) {
        self.state.select(slot);
    }

    pub(crate) fn column(&mut self) -> &mut dyn StateColumn {
        self.state.column()
    }

    /// Takes a record.
    ///
    /// # Errors
    /// The operator's, and the record's when it has no time.
    pub(crate) fn take<O: WindowOperator<Accumulator = A>>(
        &mut self,
        operator: &mut O,
        record: &Record<'_, O::Key, O::Value>,
        call: &mut KeyedCall<'_>,
        out: &mut O::Output,
    ) -> Result<Taken> {
        let time = match self.rules.domain {
            TimeDomain::EventTime if record.timestamp == NO_TIME && !self.rules.global => return Err(no_time()),
            TimeDomain::EventTime => record.timestamp,
            TimeDomain::ProcessingTime => call.processing_time(),
        };
        match self.kind {
            Kind::Aligned { .. } => self.take_aligned(operator, record, call, out),
            Kind::Global => self.take_in(Window::GLOBAL, time, operator, record, call, out).map(|()| Taken::Gathered),
            Kind::Session { gap } => {
                let window = Window { start: time, end: time.saturating_add(gap) };
                let joins =
                    self.state.get().is_some_and(|opened| opened.iter().any(|held| touches(held.window, window)));
                if !joins && self.rules.is_late(window, call) {
                    return Ok(Taken::Late);
                }
                self.take_in(window, time, operator, record, call, out).map(|()| Taken::Gathered)
            }
        }
    }

    fn take_aligned<O: WindowOperator<Accumulator = A>>(
        &mut self,
        operator: &mut O,
        record: &Record<'_, O::Key, O::Value>,
        call: &mut KeyedCall<'_>,
        out: &mut O::Output,
    ) -> Result<Taken> {
        let Some(grid) = &mut self.grid else { return Ok(Taken::Between) };
        let pane = grid.pane(record.timestamp, call)?;
        let time = if grid.domain == TimeDomain::EventTime { record.timestamp } else { call.processing_time() };
        let mut taken = if self.rules.is_late_in_gap(time, call) { Taken::Late } else { Taken::Between };
        let windows = grid.windows_of(pane);
        for number in windows {
            let Some(grid) = &self.grid else { break };
            let window = grid.window(number);
            if !self.rules.is_late(window, call) {
                self.take_in(window, time, operator, record, call, out)?;
                taken = Taken::Gathered;
            }
        }
        Ok(taken)
    }

    /// Adds a record to `window`, which is not late, or to the session that it joins.
    fn take_in<O: WindowOperator<Accumulator = A>>(
        &mut self,
        window: Window,
        time: i64,
        operator: &mut O,
        record: &Record<'_, O::Key, O::Value>,
        call: &mut KeyedCall<'_>,
        out: &mut O::Output,
    ) -> Result {
        let Apart { state, rules, kind, .. } = self;
        let is_empty = state.update(|opened| {
            let held = match kind {
                Kind::Session { .. } => session(opened, window, operator, rules, call)?,
                Kind::Aligned { .. } | Kind::Global => opened.at(window.start, || Held::new(window)),
            };
            operator.add(record, held.gathered.get_or_insert_default())?;
            held.rows += 1;
            let result = rules.on_element(held, time, call);
            rules.emit(
                held,
                result,
                if rules.global { time } else { held.window.last() },
                operator,
                record.key,
                out,
            )?;
            rules.set_timer(held, call);
            let (place, is_idle, timer) = (held.window.start, held.is_idle(), held.timer);
            if is_idle {
                opened.take(place);
            }
            if let Some(timer) = timer {
                rules.arm(timer, opened, call);
            }
            opened.weigh();
            Ok::<_, Error>(opened.is_empty())
        })?;
        if is_empty {
            state.clear();
        }
        Ok(())
    }

    /// Takes a timer that is due.
    ///
    /// # Errors
    /// The operator's.
    pub(crate) fn on_timer<O: WindowOperator<Accumulator = A>>(
        &mut self,
        operator: &mut O,
        timer: &Timer<'_, O::Key>,
        call: &mut KeyedCall<'_>,
        out: &mut O::Output,
    ) -> Result {
        let Apart { state, rules, .. } = self;
        let time = time_of_timer(timer.domain, timer.time);
        let is_its = |held: &Held<A>| rules.is_of(held, timer.domain, time, timer.tag);
        if !state.get().is_some_and(|opened| opened.armed == time || opened.iter().any(is_its)) {
            return Ok(());
        }
        let is_empty = state.update(|opened| {
            // One may be that of two sessions: of the end of one, and of the removal of the other.
            while let Some(held) = opened.find(|held| rules.is_of(held, timer.domain, time, timer.tag)) {
                let is_own = timer.domain == rules.domain && held.timer.take_if(|own| *own == time).is_some();
                held.pending.retain(|pending| *pending != (timer.domain, time));
                let result = rules.on_timer(held, time, timer.domain, call);
                let at = if rules.global { time } else { held.window.last() };
                rules.emit(held, result, at, operator, timer.key, out)?;
                let is_removed = is_own && time >= rules.removal(held.window);
                match is_removed {
                    true => rules.clear(held, call),
                    false => rules.set_timer_after(held, time, call),
                }
                if is_removed || held.is_idle() {
                    let place = held.window.start;
                    opened.take(place);
                }
                if rules.trigger.is_some() {
                    break;
                }
            }
            if opened.armed <= time {
                opened.armed = i64::MAX;
                if let Some(next) = opened.iter().filter_map(|held| held.timer).min() {
                    rules.arm(next, opened, call);
                }
            }
            opened.weigh();
            Ok::<_, Error>(opened.is_empty())
        })?;
        if is_empty {
            state.clear();
        }
        Ok(())
    }
}

/// Whether two sessions are one; those that touch are.
fn touches(one: Window, other: Window) -> bool {
    one.start <= other.end && other.start <= one.end
}

/// The session that a record with the session `window` belongs to: all that it touches become one.
fn session<'a, O: WindowOperator>(
    opened: &'a mut Opened<Held<O::Accumulator>>,
    window: Window,
    operator: &mut O,
    rules: &mut Rules,
    call: &mut KeyedCall<'_>,
) -> Result<&'a mut Held<O::Accumulator>> {
    let (first, more) = {
        let mut joined = opened.iter().map(|held| held.window).filter(|held| touches(*held, window));
        (joined.next(), joined.next().is_some())
    };
    let Some(first) = first else { return Ok(opened.at(window.start, || Held::new(window))) };
    if !more && first.cover(window) == first {
        return Ok(opened.at(first.start, || Held::new(first)));
    }
    if !more && rules.trigger.is_none() && first.start <= window.start {
        let held = opened.at(first.start, || Held::new(first));
        held.window = first.cover(window);
        return Ok(held);
    }
    let all: Vec<i64> =
        opened.iter().filter(|held| touches(held.window, window)).map(|held| held.window.start).collect();
    let mut merged = Held::new(window);
    for start in all {
        let Some(mut held) = opened.take(start) else { continue };
        rules.clear(&mut held, call);
        merge(operator, rules, &mut merged, held)?;
    }
    rules.on_merge(&mut merged, call);
    let start = merged.window.start;
    Ok(opened.at(start, || merged))
}

/// Adds one session to another.
fn merge<O: WindowOperator>(
    operator: &mut O,
    rules: &Rules,
    into: &mut Held<O::Accumulator>,
    from: Held<O::Accumulator>,
) -> Result {
    into.window = into.window.cover(from.window);
    into.rows += from.rows;
    if let Some(trigger) = &rules.trigger {
        into.number = trigger.merge(into.number, from.number);
    } else {
        into.timer = into.timer.into_iter().chain(from.timer).min();
    }
    match (&mut into.gathered, from.gathered) {
        (Some(gathered), Some(other)) => operator.merge(gathered, &other)?,
        (none @ None, other) => *none = other,
        (Some(_), None) => {}
    }
    Ok(())
}

impl Rules {
    /// Whether a timer is that of a window.
    fn is_of<A: StateValue>(&self, held: &Held<A>, domain: TimeDomain, time: i64, timer: u64) -> bool {
        let is_own = domain == self.domain && held.timer == Some(time);
        match self.trigger {
            None => is_own,
            Some(_) => tag(held.window) == timer && (is_own || held.pending.contains(&(domain, time))),
        }
    }

    fn is_late(&self, window: Window, call: &KeyedCall<'_>) -> bool {
        self.domain == TimeDomain::EventTime && !self.global && self.removal(window) <= call.watermark()
    }

    /// Whether a record that is in no window counts as late.
    fn is_late_in_gap(&self, time: i64, call: &KeyedCall<'_>) -> bool {
        self.domain == TimeDomain::EventTime && time.saturating_add(self.allowed_lateness) <= call.watermark()
    }

    fn removal(&self, window: Window) -> i64 {
        window.last().saturating_add(self.allowed_lateness)
    }

    /// Runs the trigger, if there is one, on a window.
    fn ask<A: StateValue>(
        &mut self,
        held: &mut Held<A>,
        call: &mut KeyedCall<'_>,
        ask: impl FnOnce(&mut dyn Trigger, &mut TriggerContext<'_>) -> TriggerResult,
    ) -> Option<TriggerResult> {
        let trigger = self.trigger.as_deref_mut()?;
        let (watermark, processing_time) = (call.watermark(), call.processing_time());
        let own = held.timer.map(|time| (self.domain, time));
        let Held { window, number, pending, rows, .. } = held;
        let mut timers = Timers { pending, own, tag: tag(*window), call };
        let mut context =
            TriggerContext { window: *window, watermark, processing_time, rows: *rows, number, timers: &mut timers };
        Some(ask(trigger, &mut context))
    }

    fn on_element<A: StateValue>(&mut self, held: &mut Held<A>, time: i64, call: &mut KeyedCall<'_>) -> TriggerResult {
        let result = self.ask(held, call, |trigger, window| trigger.on_element(time, window));
        let has_fired = self.domain == TimeDomain::EventTime && held.window.last() <= call.watermark();
        result.unwrap_or(if has_fired { TriggerResult::Fire } else { TriggerResult::Continue })
    }

    fn on_timer<A: StateValue>(
        &mut self,
        held: &mut Held<A>,
        time: i64,
        domain: TimeDomain,
        call: &mut KeyedCall<'_>,
    ) -> TriggerResult {
        let result = self.ask(held, call, |trigger, window| match domain {
            TimeDomain::EventTime => trigger.on_event_time(time, window),
            TimeDomain::ProcessingTime => trigger.on_processing_time(time, window),
        });
        result.unwrap_or(if time == held.window.last() { TriggerResult::Fire } else { TriggerResult::Continue })
    }

    fn on_merge<A: StateValue>(&mut self, held: &mut Held<A>, call: &mut KeyedCall<'_>) {
        self.ask(held, call, |trigger, window| {
            trigger.on_merge(window);
            TriggerResult::Continue
        });
    }

    /// The window goes: its trigger clears it, and no timer of it is left.
    fn clear<A: StateValue>(&mut self, held: &mut Held<A>, call: &mut KeyedCall<'_>) {
        if self.trigger.is_none() {
            return;
        }
        self.ask(held, call, |trigger, window| {
            trigger.clear(window);
            TriggerResult::Continue
        });
        let own = held.timer.take().map(|time| (self.domain, time));
        for (domain, time) in held.pending.drain(..).chain(own) {
            call.set_timer(domain, time, tag(held.window), false);
        }
    }

    /// Emits the window, if it fires and has gathered anything, with the time `at`; purges it.
    fn emit<O: WindowOperator>(
        &self,
        held: &mut Held<O::Accumulator>,
        result: TriggerResult,
        at: i64,
        operator: &mut O,
        key: <O::Key as Codec>::View<'_>,
        out: &mut O::Output,
    ) -> Result {
        if result.fires()
            && let Some(gathered) = &held.gathered
        {
            let gathered: &GatheredOf<O> = gathered;
            crate::output::OutputKind::begin_row(out, at);
            operator.emit(key, held.window, gathered, out)?;
        }
        if result.purges() {
            held.purge();
        }
        Ok(())
    }

    /// Sees to it that the window is looked at when it is due, after a record.
    fn set_timer<A: StateValue>(&self, held: &mut Held<A>, call: &mut KeyedCall<'_>) {
        let last = held.window.last();
        let has_fired = self.domain == TimeDomain::EventTime && last <= call.watermark();
        let due = if self.trigger.is_none() && !has_fired { last } else { self.removal(held.window) };
        self.set_timer_at(held, due, call);
    }

    /// The same, after a timer at `time`.
    fn set_timer_after<A: StateValue>(&self, held: &mut Held<A>, time: i64, call: &mut KeyedCall<'_>) {
        let last = held.window.last();
        let due = if self.trigger.is_none() && time < last { last } else { self.removal(held.window) };
        self.set_timer_at(held, due, call);
    }

    fn set_timer_at<A: StateValue>(&self, held: &mut Held<A>, due: i64, call: &mut KeyedCall<'_>) {
        match self.trigger {
            // One that is set for earlier will set this one.
            None if held.timer.is_some_and(|timer| timer <= due) => {}
            None => held.timer = Some(due),
            // What has no end is not removed.
            Some(_) if held.timer == Some(due) || due == i64::MAX => {}
            Some(_) => {
                held.timer = Some(due);
                call.set_timer(self.domain, due, tag(held.window), true);
            }
        }
    }

    /// A window without a trigger is to be looked at at `due`: registers a timer, unless the key has one that is earlier.
    fn arm<A: StateValue>(&self, due: i64, opened: &mut Opened<Held<A>>, call: &mut KeyedCall<'_>) {
        // One for the end of time looks like none: it is set more than once, which is as once.
        if self.trigger.is_none() && (due < opened.armed || due == i64::MAX) {
            opened.armed = opened.armed.min(due);
            call.set_timer(self.domain, due, 0, true);
        }
    }
}

/// The timers of a trigger.
struct Timers<'a, 'b> {
    pending: &'a mut Vec<Pending>,
    /// The window's own, which may be at the same time.
    own: Option<Pending>,
    tag: u64,
    call: &'a mut KeyedCall<'b>,
}

impl super::trigger::TriggerTimers for Timers<'_, '_> {
    fn register(&mut self, domain: TimeDomain, time: i64) {
        if !self.pending.contains(&(domain, time)) {
            self.pending.push((domain, time));
            self.call.set_timer(domain, time, self.tag, true);
        }
    }

    fn delete(&mut self, domain: TimeDomain, time: i64) {
        let before = self.pending.len();
        self.pending.retain(|pending| *pending != (domain, time));
        if self.pending.len() < before && self.own != Some((domain, time)) {
            self.call.set_timer(domain, time, self.tag, false);
        }
    }
}
