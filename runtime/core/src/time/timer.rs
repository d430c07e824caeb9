//! What a timer is, timers as columns, and who sets and removes them.

mod chunk;
mod ordered;
mod queue;

pub use queue::{DUE_LIMIT, DueTimers, TimerQueue};

use crate::batch;

/// The two times a timer can be set in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeDomain {
    /// Fires when the watermark reaches it.
    EventTime,
    /// Fires when the clock reaches it.
    ProcessingTime,
}

/// Timers as columns; the `timer-batch` record of the WIT contract.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TimerBatch {
    /// When each is due, milliseconds since the Unix epoch.
    pub times: Vec<i64>,
    /// End offset of each key in `keys`, bytes.
    pub key_ends: Vec<u32>,
    /// The keys.
    pub keys: Vec<u8>,
    /// A number the operator chose.
    pub tags: Vec<u64>,
}

/// Columns that do not describe timers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimerError {
    /// The columns have different numbers of rows, or the keys do not add up.
    #[error("timers are not valid: {0}")]
    Columns(String),
}

impl TimerBatch {
    /// Verifies that all columns have the same number of rows and that the keys are whole.
    ///
    /// # Errors
    /// [`TimerError::Columns`] with the column at fault.
    pub fn check(&self) -> Result<(), TimerError> {
        let rows = self.times.len();
        if self.tags.len() != rows || self.key_ends.len() != rows {
            let (keys, tags) = (self.key_ends.len(), self.tags.len());
            return Err(TimerError::Columns(format!("{rows} times, {keys} keys, {tags} tags")));
        }
        batch::check_ends("key-ends", &self.key_ends, self.keys.len(), rows)
            .map_err(|e| TimerError::Columns(e.to_string()))
    }

    /// The key of timer `i`.
    ///
    /// # Panics
    /// If `i` is out of bounds or the columns are not valid.
    pub fn key(&self, i: usize) -> &[u8] {
        batch::slice(&self.key_ends, &self.keys, i)
    }

    /// Adds one timer.
    pub fn push(&mut self, time: i64, key: &[u8], tag: u64) {
        self.times.push(time);
        self.keys.extend_from_slice(key);
        self.key_ends.push(self.keys.len() as u32);
        self.tags.push(tag);
    }
}

/// Sets and removes timers of one subtask's keys; what the host gives a guest. Keys were checked for ownership before.
pub trait TimerService: Send + Sync {
    /// Sets timers; the same one twice is one.
    fn register(&self, domain: TimeDomain, timers: &TimerBatch);
    /// Removes timers; one that does not exist is passed over.
    fn delete(&self, domain: TimeDomain, timers: &TimerBatch);
}
