//! Publishes where the inputs of a subtask stand: the watermark and the idleness of each channel and of each input, and the
//! splits of a source.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
};

use wasmill_core::time::{Inputs, NO_WATERMARK};

/// Where one input of a subtask stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputProgress {
    /// The input's name; `in` for a sink.
    pub name: String,
    /// Its watermark, milliseconds since the Unix epoch.
    pub watermark: i64,
    /// Whether it is idle: then it does not hold the operator's watermark back.
    pub idle: bool,
    /// The channels into it, one a sending subtask.
    pub channels: Vec<ChannelProgress>,
}

/// Where one channel into a subtask stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelProgress {
    /// The node that sends.
    pub from: String,
    /// Which of its subtasks.
    pub subtask: u32,
    /// The watermark that came last, milliseconds since the Unix epoch.
    pub watermark: i64,
    /// Whether it is idle.
    pub idle: bool,
}

/// Where the splits of a source's subtask stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SplitsProgress {
    /// Splits that have not ended.
    pub open: usize,
    /// Those of them that are idle.
    pub idle: usize,
    /// Those of them that wait for other sources, being too far ahead.
    pub paused: usize,
    /// The split that holds the subtask's watermark back, and its watermark.
    pub slowest: Option<(String, i64)>,
}

/// What one subtask publishes of its inputs; written where a watermark arrives, read by anybody.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Of a gate.
    Gate { inputs: Vec<(String, Level)>, channels: Vec<Channel> },
    /// Of a source.
    Source(Mutex<SplitsProgress>),
}

/// One channel, and the place of its input among the inputs.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) input: usize,
    pub(crate) from: String,
    pub(crate) subtask: u32,
    pub(crate) level: Level,
}

/// A watermark and whether it counts.
#[derive(Debug)]
pub(crate) struct Level {
    watermark: AtomicI64,
    idle: AtomicBool,
}

impl Default for Level {
    fn default() -> Level {
        Level { watermark: AtomicI64::new(NO_WATERMARK), idle: AtomicBool::new(false) }
    }
}

impl Level {
    fn set(&self, watermark: i64, idle: bool) {
        self.watermark.store(watermark, Relaxed);
        self.idle.store(idle, Relaxed);
    }

    fn get(&self) -> (i64, bool) {
        (self.watermark.load(Relaxed), self.idle.load(Relaxed))
    }
}

impl Standing {
    /// Publishes what changed at a channel, and the inputs.
    pub(crate) fn changed(&self, channel: usize, now: &Inputs) {
        let Standing::Gate { inputs, channels } = self else { return };
        let (watermark, idle) = now.channel(channel);
        channels[channel].level.set(watermark, idle);
        for ((_, level), (_, watermark, idle)) in inputs.iter().zip(now.inputs()) {
            level.set(watermark, idle);
        }
    }

    /// Publishes where the splits of a source stand.
    pub(crate) fn splits(&self, now: SplitsProgress) {
        if let Standing::Source(splits) = self {
            *splits.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
    }

    /// The inputs of a gate; none of a source.
    pub(crate) fn inputs(&self) -> Vec<InputProgress> {
        let Standing::Gate { inputs, channels } = self else { return Vec::new() };
        let input = |(number, (name, level)): (usize, &(String, Level))| {
            let (watermark, idle) = level.get();
            let channel = |channel: &Channel| {
                let (watermark, idle) = channel.level.get();
                ChannelProgress { from: channel.from.clone(), subtask: channel.subtask, watermark, idle }
            };
            let channels = channels.iter().filter(|channel| channel.input == number).map(channel).collect();
            InputProgress { name: name.clone(), watermark, idle, channels }
        };
        inputs.iter().enumerate().map(input).collect()
    }

    /// The splits of a source.
    pub(crate) fn of_source(&self) -> Option<SplitsProgress> {
        match self {
            Standing::Source(splits) => Some(splits.lock().unwrap_or_else(PoisonError::into_inner).clone()),
            Standing::Gate { .. } => None,
        }
    }
}
