//! Combines the watermarks of many channels into one: the minimum over those that are not idle.
//!
//! The idea is Flink's `StatusWatermarkValve`.

use super::{END_OF_TIME, NO_WATERMARK};

/// What a change of one channel means for the whole input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValveChange {
    /// The input's watermark advanced.
    Watermark(i64),
    /// All channels are idle: the input is.
    Idle,
    /// The input was idle and is active again.
    Active,
}

/// The watermark of one input over its channels. Never goes back. A channel that ended counts as at the end of time.
#[derive(Debug)]
pub struct Valve {
    channels: Vec<Channel>,
    output: i64,
    idle: bool,
}

#[derive(Debug, Clone)]
struct Channel {
    watermark: i64,
    idle: bool,
}

impl Valve {
    /// A valve over `channels` channels, all active and without a watermark.
    pub fn new(channels: usize) -> Valve {
        Valve {
            channels: vec![Channel { watermark: NO_WATERMARK, idle: false }; channels],
            output: NO_WATERMARK,
            idle: false,
        }
    }

    /// A valve whose input was at `watermark` before: it never goes back behind it.
    #[must_use]
    pub fn restored(mut self, watermark: i64) -> Valve {
        self.output = watermark;
        self
    }

    /// The input's watermark so far.
    pub fn watermark(&self) -> i64 {
        self.output
    }

    /// A watermark arrived on `channel`, which thereby is active. One that goes back is passed over.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn advance(&mut self, channel: usize, watermark: i64) -> Option<ValveChange> {
        let c = &mut self.channels[channel];
        c.watermark = c.watermark.max(watermark);
        c.idle = false;
        self.settle()
    }

    /// `channel` became idle or active.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn set_idle(&mut self, channel: usize, idle: bool) -> Option<ValveChange> {
        self.channels[channel].idle = idle;
        self.settle()
    }

    /// `channel` ended.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn end(&mut self, channel: usize) -> Option<ValveChange> {
        self.advance(channel, END_OF_TIME)
    }

    fn settle(&mut self) -> Option<ValveChange> {
        // A channel that ended has nothing to wait for and nothing to say about idleness, unless all have ended.
        let open = || self.channels.iter().filter(|c| c.watermark != END_OF_TIME);
        let idle = open().next().is_some() && open().all(|c| c.idle);
        let was_idle = std::mem::replace(&mut self.idle, idle);
        if idle {
            return (!was_idle).then_some(ValveChange::Idle);
        }
        let minimum = self.channels.iter().filter(|c| !c.idle).map(|c| c.watermark).min().unwrap_or(END_OF_TIME);
        if minimum > self.output {
            self.output = minimum;
            return Some(ValveChange::Watermark(minimum));
        }
        was_idle.then_some(ValveChange::Active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimum_counts_and_never_goes_back() {
        let mut valve = Valve::new(2);
        assert_eq!(valve.advance(0, 10), None);
        assert_eq!(valve.advance(1, 7), Some(ValveChange::Watermark(7)));
        assert_eq!(valve.advance(1, 5), None);
        assert_eq!(valve.advance(1, 12), Some(ValveChange::Watermark(10)));
    }

    #[test]
    fn an_idle_channel_is_skipped_even_before_its_first_watermark() {
        let mut valve = Valve::new(2);
        assert_eq!(valve.advance(0, 10), None);
        assert_eq!(valve.set_idle(1, true), Some(ValveChange::Watermark(10)));
        assert_eq!(valve.set_idle(0, true), Some(ValveChange::Idle));
        assert_eq!(valve.set_idle(1, false), Some(ValveChange::Active));
        // Channel 1 is behind: the output waits, but does not go back.
        assert_eq!(valve.advance(1, 3), None);
        assert_eq!(valve.watermark(), 10);
    }

    #[test]
    fn ended_channels_hold_nothing_back() {
        let mut valve = Valve::new(2);
        assert_eq!(valve.end(0), None);
        assert_eq!(valve.advance(1, 4), Some(ValveChange::Watermark(4)));
        assert_eq!(valve.set_idle(1, true), Some(ValveChange::Idle));
        assert_eq!(valve.end(1), Some(ValveChange::Watermark(END_OF_TIME)));
    }
}
