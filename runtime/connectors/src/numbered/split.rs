//! Holds how far one split is.

use serde::{Deserialize, Serialize};
use wasmill_core::source::{ConnectorError, SplitState};

use crate::failed;

/// Every `of`-th row from number `split` on. In checkpoints it is JSON: `{"split":0,"of":2,"next":14}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Split {
    split: u64,
    of: u64,
    /// The number of the row that comes next.
    next: u64,
    /// Rows made since the attempt began.
    #[serde(skip)]
    pub(super) made: u64,
    /// Whether its end was told.
    #[serde(skip)]
    pub(super) ended: bool,
    /// Whether it is left out, being ahead of other sources.
    #[serde(skip)]
    pub(super) paused: bool,
}

impl Split {
    /// The split of a subtask when the job is first started.
    pub(super) fn first(subtask: u32, parallelism: u32) -> Split {
        let (split, of) = (u64::from(subtask), u64::from(parallelism.max(1)));
        Split { split, of, next: split, made: 0, ended: false, paused: false }
    }

    /// The split of a checkpoint.
    ///
    /// # Errors
    /// When the position is not one of a generator.
    pub(super) fn restore(state: &SplitState) -> Result<Split, ConnectorError> {
        let wrong =
            |why: String| failed(format!("the checkpoint's position of `{}` is of no use here: {why}", state.id));
        let split: Split = serde_json::from_slice(&state.position)
            .map_err(|error| wrong(format!("it is not one of a generator ({error})")))?;
        // Row numbers are event times too, which are signed; so no sum below overflows.
        let sound = split.split < split.of && split.of <= u64::from(u32::MAX) && i64::try_from(split.next).is_ok();
        if !sound || split.next % split.of != split.split {
            return Err(wrong("its numbers do not fit together".into()));
        }
        Ok(split)
    }

    /// Whether it may give rows.
    pub(super) fn is_live(&self) -> bool {
        !self.ended && !self.paused
    }

    /// What identifies it: `0/2`.
    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.split, self.of)
    }

    /// Where it stands, for a checkpoint.
    ///
    /// # Errors
    /// Never, in effect.
    pub(super) fn position(&self) -> Result<Vec<u8>, ConnectorError> {
        serde_json::to_vec(self).map_err(failed)
    }

    /// How many splits the source had at its first start.
    pub(super) fn of(&self) -> u64 {
        self.of
    }

    /// Rows that are left of `count`, at most `limit`.
    pub(super) fn left(&self, count: Option<u64>, limit: usize) -> usize {
        match count {
            None => limit,
            Some(count) => count.saturating_sub(self.next).div_ceil(self.of).min(limit as u64) as usize,
        }
    }

    /// Passes over `rows` rows; the number of the first of them, and from one to the next.
    pub(super) fn take(&mut self, rows: usize) -> (u64, u64) {
        let first = self.next;
        self.next += rows as u64 * self.of;
        self.made += rows as u64;
        (first, self.of)
    }
}
