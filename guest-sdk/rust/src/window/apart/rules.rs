//! Decides when a window that holds what it gathered for itself fires, and when it is removed.

use super::held::{Held, Pending};
use crate::{
    backend::TimeDomain,
    call::KeyedCall,
    codec::{Codec, StateValue},
    error::Result,
    output::OutputKind,
    window::{
        Trigger, Window, WindowOperator,
        open::Opened,
        operator::GatheredOf,
        trigger::{SetTimer, TriggerContext, TriggerResult, TriggerTimers, tag},
    },
};

/// When windows fire and are removed.
pub(super) struct Rules {
    pub(super) domain: TimeDomain,
    pub(super) allowed_lateness: i64,
    /// Whether there is one window only, whose results have no time of their own.
    pub(super) global: bool,
    /// What fires windows, if not their end.
    pub(super) trigger: Option<Box<dyn Trigger>>,
}

impl Rules {
    /// Whether a timer is that of a window.
    pub(super) fn is_of<A: StateValue>(&self, held: &Held<A>, domain: TimeDomain, time: i64, timer: u64) -> bool {
        let is_own = domain == self.domain && held.timer == Some(time);
        match self.trigger {
            None => is_own,
            Some(_) => tag(held.window) == timer && (is_own || held.pending.contains(&(domain, time))),
        }
    }

    pub(super) fn is_late(&self, window: Window, call: &KeyedCall<'_>) -> bool {
        self.domain == TimeDomain::EventTime && !self.global && self.removal(window) <= call.watermark()
    }

    /// Whether a record that is in no window counts as late.
    pub(super) fn is_late_in_gap(&self, time: i64, call: &KeyedCall<'_>) -> bool {
        self.domain == TimeDomain::EventTime && time.saturating_add(self.allowed_lateness) <= call.watermark()
    }

    pub(super) fn removal(&self, window: Window) -> i64 {
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

    pub(super) fn on_element<A: StateValue>(
        &mut self,
        held: &mut Held<A>,
        time: i64,
        call: &mut KeyedCall<'_>,
    ) -> TriggerResult {
        let result = self.ask(held, call, |trigger, window| trigger.on_element(time, window));
        let has_fired = self.domain == TimeDomain::EventTime && held.window.last() <= call.watermark();
        result.unwrap_or(if has_fired { TriggerResult::Fire } else { TriggerResult::Continue })
    }

    pub(super) fn on_timer<A: StateValue>(
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

    pub(super) fn on_merge<A: StateValue>(&mut self, held: &mut Held<A>, call: &mut KeyedCall<'_>) {
        self.ask(held, call, |trigger, window| {
            trigger.on_merge(window);
            TriggerResult::Continue
        });
    }

    /// The window goes: its trigger clears it, and no timer of it is left.
    pub(super) fn clear<A: StateValue>(&mut self, held: &mut Held<A>, call: &mut KeyedCall<'_>) {
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
    pub(super) fn emit<O: WindowOperator>(
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
            out.begin_row(at);
            operator.emit(key, held.window, gathered, out)?;
        }
        if result.purges() {
            held.purge();
        }
        Ok(())
    }

    /// Sees to it that the window is looked at when it is due, after a record.
    pub(super) fn set_timer<A: StateValue>(&self, held: &mut Held<A>, call: &mut KeyedCall<'_>) {
        let last = held.window.last();
        let has_fired = self.domain == TimeDomain::EventTime && last <= call.watermark();
        let due = if self.trigger.is_none() && !has_fired { last } else { self.removal(held.window) };
        self.set_timer_at(held, due, call);
    }

    /// The same, after a timer at `time`.
    pub(super) fn set_timer_after<A: StateValue>(&self, held: &mut Held<A>, time: i64, call: &mut KeyedCall<'_>) {
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
    pub(super) fn arm<A: StateValue>(&self, due: i64, opened: &mut Opened<Held<A>>, call: &mut KeyedCall<'_>) {
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

impl TriggerTimers for Timers<'_, '_> {
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
