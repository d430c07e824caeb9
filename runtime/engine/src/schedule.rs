//! Decides when the next checkpoint is due, and when checkpoints have failed too often.

use std::time::{Duration, Instant};

use crate::CheckpointSettings;

/// The times of an attempt's checkpoints.
pub(crate) struct Schedule {
    settings: CheckpointSettings,
    /// When the last one was triggered, or the attempt began.
    triggered: Instant,
    /// When the last one ended, well or not.
    ended: Option<Instant>,
    failures: u32,
}

impl Schedule {
    pub(crate) fn new(settings: CheckpointSettings, now: Instant) -> Schedule {
        Schedule { settings, triggered: now, ended: None, failures: 0 }
    }

    /// When the next one is due; `None` for never by itself.
    pub(crate) fn due(&self) -> Option<Instant> {
        let due = self.triggered + self.settings.interval?;
        Some(self.ended.map_or(due, |ended| due.max(ended + self.settings.min_pause)))
    }

    /// Whether so much time has gone by since the last one.
    pub(crate) fn rested(&self, now: Instant, pause: Duration) -> bool {
        now >= self.ended.unwrap_or(self.triggered) + pause
    }

    /// How long one may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// One is triggered.
    pub(crate) fn trigger(&mut self, now: Instant) {
        self.triggered = now;
    }

    /// One is complete and committed.
    pub(crate) fn complete(&mut self, now: Instant) {
        (self.ended, self.failures) = (Some(now), 0);
    }

    /// One has failed; true when that was once too often.
    pub(crate) fn fail(&mut self, now: Instant) -> bool {
        self.ended = Some(now);
        self.failures += 1;
        self.failures > self.settings.tolerated_failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_counts_from_trigger_to_trigger_and_the_pause_from_the_end() {
        let seconds = Duration::from_secs;
        let settings = CheckpointSettings {
            interval: Some(seconds(10)),
            min_pause: seconds(4),
            tolerated_failures: 1,
            ..CheckpointSettings::default()
        };
        let start = Instant::now();
        let mut schedule = Schedule::new(settings, start);
        assert_eq!(schedule.due(), Some(start + seconds(10)));
        schedule.trigger(start + seconds(10));
        schedule.complete(start + seconds(12));
        assert_eq!(schedule.due(), Some(start + seconds(20)));
        schedule.trigger(start + seconds(20));
        assert!(!schedule.fail(start + seconds(28)));
        assert_eq!(schedule.due(), Some(start + seconds(32)));
        assert!(schedule.fail(start + seconds(33)), "two in a row");
        schedule.complete(start + seconds(34));
        assert!(!schedule.fail(start + seconds(35)));
    }

    #[test]
    fn without_an_interval_nothing_is_due() {
        assert_eq!(Schedule::new(CheckpointSettings::default(), Instant::now()).due(), None);
    }
}
