//! Decides when a window fires: the trait, and what a trigger sees of its window.

mod builtin;

pub use builtin::{
    ContinuousEventTimeTrigger, ContinuousProcessingTimeTrigger, CountTrigger, EventTimeTrigger, ProcessingTimeTrigger,
    PurgingTrigger,
};

use super::Window;
use crate::{backend::TimeDomain, call::KeyedCall};

/// What becomes of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerResult {
    /// Nothing.
    Continue,
    /// It is emitted, and keeps what it has gathered.
    Fire,
    /// It forgets what it has gathered. The window and its timers stay.
    Purge,
    /// It is emitted, and forgets what it has gathered.
    FireAndPurge,
}

impl TriggerResult {
    /// Whether the window is emitted.
    pub fn fires(self) -> bool {
        matches!(self, TriggerResult::Fire | TriggerResult::FireAndPurge)
    }

    /// Whether the window forgets what it has gathered.
    pub fn purges(self) -> bool {
        matches!(self, TriggerResult::Purge | TriggerResult::FireAndPurge)
    }

    /// The same, and forgets if it fires.
    pub fn purging(self) -> TriggerResult {
        match self {
            TriggerResult::Fire => TriggerResult::FireAndPurge,
            other => other,
        }
    }
}

/// Decides when a window fires. One trigger serves all windows of an operator: what it knows of one window is that window's
/// [number](TriggerContext::number), which is kept in state.
///
/// A window that goes through is removed when the watermark is past its last millisecond and the allowed lateness, whatever the trigger says;
/// the trigger is asked for the last time then, as a timer at that time. Timers of a window that is no more do not
/// reach the trigger.
pub trait Trigger: Send + 'static {
    /// A record came, whose time in the domain of the windows is `time`, and was added.
    fn on_element(&mut self, time: i64, window: &mut TriggerContext<'_>) -> TriggerResult;

    /// The watermark has reached `time`, for which the trigger set an event-time timer, or at which the window will be removed.
    fn on_event_time(&mut self, time: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        let _ = (time, window);
        TriggerResult::Continue
    }

    /// The clock is past `time`, for which the trigger set a processing-time timer, or at which the window will be removed.
    fn on_processing_time(&mut self, time: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        let _ = (time, window);
        TriggerResult::Continue
    }

    /// The number of a session that came of two, which had `one` and `other`: their sum, unless implemented.
    fn merge(&self, one: i64, other: i64) -> i64 {
        one.saturating_add(other)
    }

    /// The window, a session, has come of others, or its end was put off: sets the timers that it needs.
    fn on_merge(&mut self, window: &mut TriggerContext<'_>) {
        let _ = window;
    }

    /// The window is removed, or becomes part of another: removes the timers that were set for it.
    fn clear(&mut self, window: &mut TriggerContext<'_>) {
        let _ = window;
    }
}

/// Sets and removes timers of the current key.
pub(crate) trait SetTimer {
    fn set_timer(&mut self, domain: TimeDomain, time: i64, tag: u64, set: bool);
}

impl SetTimer for KeyedCall<'_> {
    fn set_timer(&mut self, domain: TimeDomain, time: i64, tag: u64, set: bool) {
        match (domain, set) {
            (TimeDomain::EventTime, true) => self.register_event_timer(time, tag),
            (TimeDomain::EventTime, false) => self.delete_event_timer(time, tag),
            (TimeDomain::ProcessingTime, true) => self.register_processing_timer(time.saturating_add(1), tag),
            (TimeDomain::ProcessingTime, false) => self.delete_processing_timer(time.saturating_add(1), tag),
        }
    }
}

/// The time that a timer was set for with [`SetTimer`]. As long as the clock shows a time, records may come in it: so, as in
/// Flink, a processing-time timer fires a millisecond later than it says.
pub(crate) fn time_of_timer(domain: TimeDomain, time: i64) -> i64 {
    match domain {
        TimeDomain::ProcessingTime if time != i64::MAX => time - 1,
        _ => time,
    }
}

/// Sets and removes timers of one window.
pub(crate) trait TriggerTimers {
    fn register(&mut self, domain: TimeDomain, time: i64);
    fn delete(&mut self, domain: TimeDomain, time: i64);
}

/// What a trigger sees of its window, and may do for it.
pub struct TriggerContext<'a> {
    pub(crate) window: Window,
    pub(crate) watermark: i64,
    pub(crate) processing_time: i64,
    pub(crate) rows: u64,
    pub(crate) number: &'a mut i64,
    pub(crate) timers: &'a mut dyn TriggerTimers,
}

impl TriggerContext<'_> {
    /// The window.
    pub fn window(&self) -> Window {
        self.window
    }

    /// How many records were added to the window since it was purged.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// A number that is kept with the window; 0 at first. To change it is to set it.
    pub fn number(&mut self) -> &mut i64 {
        self.number
    }

    /// The event-time watermark, milliseconds since the Unix epoch.
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// Processing time, milliseconds since the Unix epoch.
    pub fn processing_time(&self) -> i64 {
        self.processing_time
    }

    /// Asks for [`Trigger::on_event_time`] when the watermark reaches `time`. Setting a timer twice is setting it once.
    pub fn register_event_timer(&mut self, time: i64) {
        self.timers.register(TimeDomain::EventTime, time);
    }

    /// Asks for [`Trigger::on_processing_time`] when the clock is past `time`.
    pub fn register_processing_timer(&mut self, time: i64) {
        self.timers.register(TimeDomain::ProcessingTime, time);
    }

    /// Removes an event-time timer of this window.
    pub fn delete_event_timer(&mut self, time: i64) {
        self.timers.delete(TimeDomain::EventTime, time);
    }

    /// Removes a processing-time timer of this window.
    pub fn delete_processing_timer(&mut self, time: i64) {
        self.timers.delete(TimeDomain::ProcessingTime, time);
    }
}

/// What tells the timers of a key's windows apart: the window's start.
pub(crate) fn tag(window: Window) -> u64 {
    window.start.cast_unsigned()
}
