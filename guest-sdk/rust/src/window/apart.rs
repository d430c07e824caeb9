//! Moves records to windows that each hold what they gathered for themselves: sessions, the window of all time, and windows
//! with a trigger of their own.
//!
//! Without a trigger, a window is to be looked at at its end, and when it is removed, and a key has one timer at a time for all of
//! its windows: that of the first. A session whose end is put off is looked at when it would have ended, and not before:
//! its records set no timers. With a trigger, each window has its timers for itself, and they move with it, as triggers expect.

mod held;
mod rules;

use held::Held;
use rules::Rules;

use super::{
    Window, WindowOperator, Windows,
    open::{OpenWindows, Opened},
    panes::{Grid, Taken, no_time},
    trigger::time_of_timer,
    windows::Kind,
};
use crate::{
    backend::TimeDomain,
    batch::NO_TIME,
    call::KeyedCall,
    codec::StateValue,
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
