//! Combines the watermarks of the inputs of one operator, each with its channels: the minimum over those that are not idle.
//!
//! The rules are those of Flink's `CombinedWatermarkStatus`: an input that is active again holds the others back at once. The
//! streams of a union are channels of one input ([`Valve`]).

use super::{END_OF_TIME, Valve};

/// What a change of one channel means for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InputsChange {
    /// The operator's watermark advanced.
    pub watermark: Option<i64>,
    /// All inputs became idle (true), or one is active again (false). To be told after the watermark when true, before it when
    /// false.
    pub idle: Option<bool>,
}

/// The watermark of one operator over its inputs. Never goes back.
#[derive(Debug)]
pub struct Inputs {
    /// Per channel its input, by index of `valves`, and its number there.
    channels: Vec<(usize, usize)>,
    /// The number of each input, with its channels.
    valves: Vec<(u32, Valve)>,
    output: i64,
    idle: bool,
}

impl Inputs {
    /// Channels, each with the number of its input, all active; the operator's watermark never goes behind `watermark`.
    pub fn new(channels: &[u32], watermark: i64) -> Inputs {
        let mut numbers: Vec<u32> = channels.to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        let mut counts = vec![0; numbers.len()];
        let place = |input: &u32| {
            let valve = numbers.partition_point(|number| number < input);
            counts[valve] += 1;
            (valve, counts[valve] - 1)
        };
        let channels = channels.iter().map(place).collect();
        let valves = numbers.iter().zip(&counts).map(|(&number, &count)| (number, Valve::new(count))).collect();
        Inputs { channels, valves, output: watermark, idle: false }
    }

    /// The operator's watermark so far.
    pub fn watermark(&self) -> i64 {
        self.output
    }

    /// The inputs in the order of their numbers, each with its watermark and whether it is idle.
    pub fn inputs(&self) -> impl Iterator<Item = (u32, i64, bool)> {
        self.valves.iter().map(|(number, valve)| (*number, valve.watermark(), valve.is_idle()))
    }

    /// The watermark of a channel, and whether it is idle.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn channel(&self, channel: usize) -> (i64, bool) {
        let (valve, place) = self.channels[channel];
        self.valves[valve].1.channel(place)
    }

    /// A watermark arrived on `channel`, which thereby is active.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn advance(&mut self, channel: usize, watermark: i64) -> InputsChange {
        let (valve, place) = self.channels[channel];
        let changed = self.valves[valve].1.advance(place, watermark);
        self.settle(valve, changed)
    }

    /// `channel` became idle or active.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn set_idle(&mut self, channel: usize, idle: bool) -> InputsChange {
        let (valve, place) = self.channels[channel];
        let changed = self.valves[valve].1.set_idle(place, idle);
        self.settle(valve, changed)
    }

    /// `channel` ended.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn end(&mut self, channel: usize) -> InputsChange {
        self.advance(channel, END_OF_TIME)
    }

    /// What a change of the input at `changed` means.
    fn settle(&mut self, changed: usize, has_changed: bool) -> InputsChange {
        if !has_changed {
            return InputsChange::default();
        }
        let open = || self.valves.iter().enumerate().filter(|(_, (_, valve))| valve.watermark() != END_OF_TIME);
        let idle = open().next().is_some() && open().all(|(_, (_, valve))| valve.is_idle());
        let minimum = |last: Option<usize>| {
            let counting = open().filter(|(i, (_, valve))| !valve.is_idle() || Some(*i) == last);
            counting.map(|(_, (_, valve))| valve.watermark()).min()
        };
        let advanced = match open().next() {
            None => Some(END_OF_TIME),
            // An input that became idle just now told its last watermark before.
            Some(_) => minimum(Some(changed)).max(minimum(None)),
        };
        let advanced = advanced.filter(|&watermark| watermark > self.output);
        self.output = advanced.unwrap_or(self.output);
        let idle_before = std::mem::replace(&mut self.idle, idle);
        InputsChange { watermark: advanced, idle: (idle != idle_before).then_some(idle) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::NO_WATERMARK;

    fn watermark(watermark: i64) -> InputsChange {
        InputsChange { watermark: Some(watermark), idle: None }
    }

    #[test]
    fn the_slower_input_counts() {
        let mut inputs = Inputs::new(&[1, 0, 0], NO_WATERMARK);
        assert_eq!(inputs.advance(0, 30), InputsChange::default());
        assert_eq!(inputs.advance(1, 10), InputsChange::default());
        assert_eq!(inputs.advance(2, 20), watermark(10));
        assert_eq!(inputs.advance(1, 40), watermark(20));
        assert_eq!(inputs.inputs().collect::<Vec<_>>(), [(0, 20, false), (1, 30, false)]);
        assert_eq!((inputs.channel(0), inputs.channel(1)), ((30, false), (40, false)));
    }

    #[test]
    fn an_input_that_comes_back_holds_the_others_back() {
        let mut inputs = Inputs::new(&[0, 1], NO_WATERMARK);
        inputs.advance(0, 10);
        assert_eq!(inputs.set_idle(1, true), watermark(10));
        assert_eq!(inputs.set_idle(1, false), InputsChange::default());
        assert_eq!(inputs.advance(0, 20), InputsChange::default(), "input 1 has no watermark yet");
        assert_eq!(inputs.advance(1, 15), watermark(15));
        assert_eq!(inputs.set_idle(0, true), InputsChange::default());
        assert_eq!(inputs.set_idle(1, true), InputsChange { watermark: None, idle: Some(true) });
        assert_eq!(inputs.set_idle(0, false), InputsChange { watermark: Some(20), idle: Some(false) });
    }

    #[test]
    fn one_input_tells_what_it_saw_when_all_its_channels_are_idle() {
        let mut inputs = Inputs::new(&[0, 0], NO_WATERMARK);
        inputs.advance(0, 10);
        inputs.advance(1, 90);
        assert_eq!(inputs.set_idle(1, true), InputsChange::default());
        assert_eq!(inputs.set_idle(0, true), InputsChange { watermark: Some(90), idle: Some(true) });
    }

    /// As in Flink, where the last watermark of an input comes before the news that it is idle.
    #[test]
    fn the_last_input_to_become_idle_tells_what_it_saw() {
        let mut inputs = Inputs::new(&[0, 0, 1], NO_WATERMARK);
        inputs.advance(0, 10);
        inputs.advance(1, 90);
        assert_eq!(inputs.set_idle(2, true), watermark(10));
        inputs.set_idle(1, true);
        assert_eq!(inputs.set_idle(0, true), InputsChange { watermark: Some(90), idle: Some(true) });
    }

    #[test]
    fn an_input_that_ended_neither_holds_back_nor_keeps_active() {
        let mut inputs = Inputs::new(&[0, 1], 5);
        assert_eq!(inputs.end(0), InputsChange::default());
        assert_eq!(inputs.advance(1, 3), InputsChange::default(), "the operator was at 5 before");
        assert_eq!(inputs.advance(1, 6), watermark(6));
        assert_eq!(inputs.set_idle(1, true), InputsChange { watermark: None, idle: Some(true) });
        assert_eq!(inputs.end(1), InputsChange { watermark: Some(END_OF_TIME), idle: Some(false) });
    }
}
