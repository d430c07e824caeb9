//! Combines the watermarks of the channels of one input: the minimum over those that are not idle.
//!
//! The rules are those of Flink's `StatusWatermarkValve`. A channel that is active again but behind what was told is
//! *catching up*: it does not count until it is no longer behind, so that the others go on. When the last channel becomes
//! idle that held the input back, the input's watermark becomes the highest of all, since nothing is awaited from any. Unlike
//! in Flink, a channel that ended is no active one: an input whose open channels are all idle is idle.

use super::{END_OF_TIME, NO_WATERMARK};

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
    /// Whether it counts: active, and not behind the output.
    aligned: bool,
}

impl Valve {
    /// A valve over `channels` channels, all active and without a watermark.
    pub fn new(channels: usize) -> Valve {
        Valve {
            channels: vec![Channel { watermark: NO_WATERMARK, idle: false, aligned: true }; channels],
            output: NO_WATERMARK,
            idle: false,
        }
    }

    /// The input's watermark so far.
    pub fn watermark(&self) -> i64 {
        self.output
    }

    /// Whether all channels that have not ended are idle, and there is one.
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// The watermark of a channel, and whether it is idle.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn channel(&self, channel: usize) -> (i64, bool) {
        (self.channels[channel].watermark, self.channels[channel].idle)
    }

    /// A watermark arrived on `channel`, which thereby is active. One that goes back is passed over. True when the input's
    /// watermark advanced or its idleness changed.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn advance(&mut self, channel: usize, watermark: i64) -> bool {
        let c = &mut self.channels[channel];
        c.watermark = c.watermark.max(watermark);
        (c.idle, c.aligned) = (false, c.aligned || c.watermark >= self.output);
        self.settle()
    }

    /// `channel` became idle or active. True when the input's watermark advanced or its idleness changed.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn set_idle(&mut self, channel: usize, idle: bool) -> bool {
        let c = &mut self.channels[channel];
        if c.watermark == END_OF_TIME || c.idle == idle {
            return false;
        }
        let held_back = c.aligned && c.watermark == self.output;
        (c.idle, c.aligned) = (idle, !idle && c.watermark >= self.output);
        let flush = idle && held_back && self.all_idle();
        let flushed = flush && {
            let open = self.channels.iter().map(|c| c.watermark).filter(|&watermark| watermark != END_OF_TIME);
            self.raise(open.max().unwrap_or(NO_WATERMARK))
        };
        self.settle() || flushed
    }

    /// `channel` ended. True when the input's watermark advanced or its idleness changed.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn end(&mut self, channel: usize) -> bool {
        self.advance(channel, END_OF_TIME)
    }

    fn all_idle(&self) -> bool {
        let mut open = self.channels.iter().filter(|c| c.watermark != END_OF_TIME).peekable();
        open.peek().is_some() && open.all(|c| c.idle)
    }

    fn raise(&mut self, watermark: i64) -> bool {
        let raised = watermark > self.output;
        self.output = self.output.max(watermark);
        raised
    }

    fn settle(&mut self) -> bool {
        let idle = self.all_idle();
        let was_idle = std::mem::replace(&mut self.idle, idle);
        let open = || self.channels.iter().filter(|c| c.watermark != END_OF_TIME);
        let minimum = open().filter(|c| c.aligned).map(|c| c.watermark).min();
        let raised = match minimum {
            Some(minimum) => self.raise(minimum),
            None if open().next().is_none() => self.raise(END_OF_TIME),
            // Those that are open are idle or catching up.
            None => false,
        };
        raised || idle != was_idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimum_counts_and_never_goes_back() {
        let mut valve = Valve::new(2);
        assert!(!valve.advance(0, 10));
        assert!(valve.advance(1, 7));
        assert_eq!(valve.watermark(), 7);
        assert!(!valve.advance(1, 5));
        assert!(valve.advance(1, 12));
        assert_eq!(valve.watermark(), 10);
    }

    #[test]
    fn an_idle_channel_is_skipped_even_before_its_first_watermark() {
        let mut valve = Valve::new(2);
        assert!(!valve.advance(0, 10));
        assert!(valve.set_idle(1, true));
        assert_eq!((valve.watermark(), valve.is_idle()), (10, false));
        assert!(valve.set_idle(0, true));
        assert!(valve.is_idle());
        assert!(valve.set_idle(1, false));
        assert_eq!((valve.watermark(), valve.is_idle()), (10, false));
    }

    /// As Flink's `StatusWatermarkValveTest`, "multiple input watermark status toggling" and "unaligned" cases, by hand.
    #[test]
    fn a_channel_that_is_behind_when_it_comes_back_does_not_count_until_it_has_caught_up() {
        let mut valve = Valve::new(2);
        valve.advance(0, 10);
        valve.set_idle(1, true);
        assert!(!valve.set_idle(1, false), "channel 1 is behind");
        assert!(valve.advance(0, 12));
        assert!(!valve.advance(1, 3));
        assert!(valve.advance(0, 15));
        assert_eq!(valve.watermark(), 15, "it does not hold the other back");
        assert!(!valve.advance(1, 15));
        assert!(!valve.advance(0, 20));
        assert_eq!(valve.watermark(), 15, "it has caught up, and counts");
        assert!(valve.advance(1, 18));
        assert_eq!(valve.watermark(), 18);
    }

    #[test]
    fn when_all_are_idle_nothing_that_was_seen_is_held_back() {
        let mut valve = Valve::new(3);
        valve.advance(0, 100);
        valve.advance(1, 50);
        valve.advance(2, 40);
        valve.set_idle(0, true);
        valve.set_idle(2, true);
        assert_eq!((valve.watermark(), valve.is_idle()), (50, false));
        assert!(valve.set_idle(1, true));
        assert_eq!((valve.watermark(), valve.is_idle()), (100, true));
        // Channel 1 comes back behind that, and catches up.
        assert!(valve.set_idle(1, false));
        assert!(!valve.advance(1, 90));
        assert!(valve.advance(1, 110));
        assert_eq!(valve.watermark(), 110);
    }

    #[test]
    fn ended_channels_hold_nothing_back() {
        let mut valve = Valve::new(2);
        assert!(!valve.end(0));
        assert!(valve.advance(1, 4));
        assert_eq!(valve.watermark(), 4);
        assert!(valve.set_idle(1, true));
        assert_eq!((valve.watermark(), valve.is_idle()), (4, true), "the end of another is no watermark of this one");
        assert!(valve.end(1));
        assert_eq!((valve.watermark(), valve.is_idle()), (END_OF_TIME, false));
    }
}
