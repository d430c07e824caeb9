//! Decides which split gives rows, and when.
//!
//! A rate is one of the whole source; each split has an equal share of it, wherever it runs.

use std::time::Duration;

use tokio::time::Instant;

use super::{Made, Numbered};

impl<M: Made> Numbered<M> {
    /// The split to take rows of and how many may be taken now, at most `limit`; waits until there are some, and, unless a batch
    /// is full before, for `linger` since the last ones, so that rows travel together. `None` when all have ended or are left out.
    pub(super) async fn due(&mut self, limit: usize, linger: Duration) -> Option<(usize, usize)> {
        let Some(rate) = self.rate else {
            return self.live().next().map(|split| (split, limit));
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        let live = self.splits.iter().filter(|split| split.is_live());
        let (first, of) = live.map(|split| (split.made, split.of())).min_by_key(|(made, of)| made * of)?;
        let at = |number: u64| Duration::try_from_secs_f64(number as f64 / rate as f64).unwrap_or(Duration::MAX);
        let (next, full) = (at(first * of), at((first + limit as u64) * of));
        let rested = self.gave.map_or(Duration::ZERO, |gave| gave + linger);
        let wait = next.max(rested.min(full)).saturating_sub(since.elapsed());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let elapsed = since.elapsed();
        self.gave = Some(elapsed);
        let (split, due) = self.most_due(rate, elapsed)?;
        Some((split, due.min(limit as u64) as usize))
    }

    /// The split that is furthest behind its share of the rate, and by how many rows; among equals that whose turn it is.
    fn most_due(&self, rate: u64, elapsed: Duration) -> Option<(usize, u64)> {
        let due = |split: usize| {
            let split = &self.splits[split];
            let share = (elapsed.as_secs_f64() * rate as f64 / split.of() as f64) as u64 + 1;
            share.saturating_sub(split.made)
        };
        self.live().map(|split| (split, due(split))).reduce(|best, other| if other.1 > best.1 { other } else { best })
    }

    /// The splits that may give rows, from that on whose turn it is.
    fn live(&self) -> impl Iterator<Item = usize> {
        (self.turn..self.splits.len()).chain(0..self.turn).filter(|&split| self.splits[split].is_live())
    }
}
