//! The triggers that Flink has too.

use std::time::Duration;

use super::{Trigger, TriggerContext, TriggerResult};

/// Fires when the watermark reaches the window's last millisecond, and with each late record after that. That of a window
/// without an end fires when the input has ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventTimeTrigger;

impl Trigger for EventTimeTrigger {
    fn on_element(&mut self, _: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        if window.window().last() <= window.watermark() {
            return TriggerResult::Fire;
        }
        window.register_event_timer(window.window().last());
        TriggerResult::Continue
    }

    fn on_event_time(&mut self, time: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        fires_if(time == window.window().last())
    }

    fn on_merge(&mut self, window: &mut TriggerContext<'_>) {
        if window.window().last() > window.watermark() {
            window.register_event_timer(window.window().last());
        }
    }

    fn clear(&mut self, window: &mut TriggerContext<'_>) {
        window.delete_event_timer(window.window().last());
    }
}

/// Fires when the clock is past the window's last millisecond.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessingTimeTrigger;

impl Trigger for ProcessingTimeTrigger {
    fn on_element(&mut self, _: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        window.register_processing_timer(window.window().last());
        TriggerResult::Continue
    }

    fn on_processing_time(&mut self, time: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        fires_if(time == window.window().last())
    }

    fn on_merge(&mut self, window: &mut TriggerContext<'_>) {
        window.register_processing_timer(window.window().last());
    }

    fn clear(&mut self, window: &mut TriggerContext<'_>) {
        window.delete_processing_timer(window.window().last());
    }
}

/// Fires with each `n`th record. The number of a window counts them.
#[derive(Debug, Clone, Copy)]
pub struct CountTrigger {
    n: i64,
}

impl CountTrigger {
    /// Fires with each `n`th record; 0 is as 1.
    pub fn of(n: u64) -> CountTrigger {
        CountTrigger { n: i64::try_from(n).unwrap_or(i64::MAX) }
    }
}

impl Trigger for CountTrigger {
    fn on_element(&mut self, _: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        let n = self.n;
        let count = window.number();
        *count += 1;
        let full = *count >= n;
        if full {
            *count = 0;
        }
        fires_if(full)
    }
}

/// Forgets what a window has gathered whenever the trigger in it fires.
#[derive(Debug, Clone, Copy)]
pub struct PurgingTrigger<T> {
    trigger: T,
}

impl<T: Trigger> PurgingTrigger<T> {
    /// Purges when `trigger` fires.
    pub fn of(trigger: T) -> PurgingTrigger<T> {
        PurgingTrigger { trigger }
    }
}

impl<T: Trigger> Trigger for PurgingTrigger<T> {
    fn on_element(&mut self, time: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        self.trigger.on_element(time, window).purging()
    }

    fn on_event_time(&mut self, time: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        self.trigger.on_event_time(time, window).purging()
    }

    fn on_processing_time(&mut self, time: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        self.trigger.on_processing_time(time, window).purging()
    }

    fn merge(&self, one: i64, other: i64) -> i64 {
        self.trigger.merge(one, other)
    }

    fn on_merge(&mut self, window: &mut TriggerContext<'_>) {
        self.trigger.on_merge(window);
    }

    fn clear(&mut self, window: &mut TriggerContext<'_>) {
        self.trigger.clear(window);
    }
}

/// The next multiple of `interval` after `time`, or the last millisecond of the window.
fn next_after(time: i64, interval: i64, window: &TriggerContext<'_>) -> i64 {
    time.saturating_sub(time.rem_euclid(interval)).saturating_add(interval).min(window.window().last())
}

/// A time as a window's number, which is 0 for none.
fn held(time: i64) -> i64 {
    if time > 0 { time } else { time.saturating_sub(1) }
}

/// The time of a window's number.
fn time_of(held: i64) -> Option<i64> {
    match held {
        0 => None,
        1.. => Some(held),
        _ => Some(held + 1),
    }
}

fn fires_if(condition: bool) -> TriggerResult {
    if condition { TriggerResult::Fire } else { TriggerResult::Continue }
}

fn milliseconds(interval: Duration) -> i64 {
    i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// The number of the earlier of two times.
fn earlier(one: i64, other: i64) -> i64 {
    time_of(one).into_iter().chain(time_of(other)).min().map_or(0, held)
}

/// Fires at each multiple of an interval that the watermark passes, from the first record of a window on, and at the window's
/// end: early results.
#[derive(Debug, Clone, Copy)]
pub struct ContinuousEventTimeTrigger {
    interval: i64,
}

impl ContinuousEventTimeTrigger {
    /// Fires every `interval`, at least a millisecond.
    pub fn of(interval: Duration) -> ContinuousEventTimeTrigger {
        ContinuousEventTimeTrigger { interval: milliseconds(interval) }
    }

    fn next(&self, time: i64, window: &mut TriggerContext<'_>) {
        let next = next_after(time, self.interval, window);
        *window.number() = held(next);
        window.register_event_timer(next);
    }
}

impl Trigger for ContinuousEventTimeTrigger {
    fn on_element(&mut self, time: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        let last = window.window().last();
        if last <= window.watermark() {
            return TriggerResult::Fire;
        }
        window.register_event_timer(last);
        if *window.number() == 0 {
            self.next(time, window);
        }
        TriggerResult::Continue
    }

    fn on_event_time(&mut self, time: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        if time == window.window().last() {
            return TriggerResult::Fire;
        }
        if time_of(*window.number()) != Some(time) {
            return TriggerResult::Continue;
        }
        self.next(time, window);
        TriggerResult::Fire
    }

    fn merge(&self, one: i64, other: i64) -> i64 {
        earlier(one, other)
    }

    fn on_merge(&mut self, window: &mut TriggerContext<'_>) {
        window.register_event_timer(window.window().last());
        if let Some(next) = time_of(*window.number()) {
            window.register_event_timer(next);
        }
    }

    fn clear(&mut self, window: &mut TriggerContext<'_>) {
        if let Some(next) = time_of(*window.number()) {
            window.delete_event_timer(next);
        }
        window.delete_event_timer(window.window().last());
    }
}

/// Fires at each multiple of an interval that the clock passes, from the first record of a window on: early results.
#[derive(Debug, Clone, Copy)]
pub struct ContinuousProcessingTimeTrigger {
    interval: i64,
}

impl ContinuousProcessingTimeTrigger {
    /// Fires every `interval`, at least a millisecond.
    pub fn of(interval: Duration) -> ContinuousProcessingTimeTrigger {
        ContinuousProcessingTimeTrigger { interval: milliseconds(interval) }
    }

    fn next(&self, time: i64, window: &mut TriggerContext<'_>) {
        let next = next_after(time, self.interval, window);
        *window.number() = held(next);
        window.register_processing_timer(next);
    }
}

impl Trigger for ContinuousProcessingTimeTrigger {
    fn on_element(&mut self, _: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        if *window.number() == 0 {
            self.next(window.processing_time(), window);
        }
        TriggerResult::Continue
    }

    fn on_processing_time(&mut self, time: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        if time_of(*window.number()) != Some(time) {
            return TriggerResult::Continue;
        }
        self.next(time, window);
        TriggerResult::Fire
    }

    fn merge(&self, one: i64, other: i64) -> i64 {
        earlier(one, other)
    }

    fn on_merge(&mut self, window: &mut TriggerContext<'_>) {
        if let Some(next) = time_of(*window.number()) {
            window.register_processing_timer(next);
        }
    }

    fn clear(&mut self, window: &mut TriggerContext<'_>) {
        if let Some(next) = time_of(*window.number()) {
            window.delete_processing_timer(next);
        }
    }
}
