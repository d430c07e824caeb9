//! Holds the rows of a ranking, and decides on which rank one comes.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::{
    batch::NO_TIME,
    codec::Codec,
    error::{Error, Result},
    ordered::rows::{decode, mark, unmark},
};

/// Which rows are kept: so many, the highest or the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Top {
    n: usize,
    is_highest: bool,
}

/// A row of a ranking.
pub struct TopRow<'a, V: Codec> {
    /// Its rank: 1 for the first.
    pub rank: u64,
    /// Its value.
    pub value: V::View<'a>,
    /// Its event time, milliseconds since the Unix epoch, if it has one.
    pub timestamp: Option<i64>,
}

/// The rows of a ranking, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopRows(Vec<Ranked>);

/// One row: the bytes of its order, those of its value, marked, and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ranked {
    order: Vec<u8>,
    value: Vec<u8>,
    time: i64,
}

impl Ranked {
    pub(super) fn new(order: &[u8], value: Option<&[u8]>, time: i64) -> Ranked {
        Ranked { order: order.to_vec(), value: mark(value), time }
    }

    /// Shows the row.
    ///
    /// # Errors
    /// Those of `show`; the job's, when what is stored cannot be read.
    pub(super) fn show<V: Codec>(&self, rank: u64, show: &mut dyn FnMut(TopRow<'_, V>) -> Result) -> Result {
        let value = decode::<V>(unmark(&self.value))?;
        let timestamp = (self.time != NO_TIME).then_some(self.time);
        show(TopRow { rank, value: V::view(&value), timestamp })
    }
}

impl TopRows {
    /// The rows from index `at` on.
    pub(super) fn rows_from(&self, at: usize) -> &[Ranked] {
        self.0.get(at..).unwrap_or_default()
    }
}

impl Top {
    /// The `n` rows whose order is the highest, the highest first; at least one.
    pub fn highest(n: usize) -> Top {
        Top { n, is_highest: true }
    }

    /// The `n` rows whose order is the lowest, the lowest first; at least one.
    pub fn lowest(n: usize) -> Top {
        Top { n, is_highest: false }
    }

    /// # Errors
    /// The job's, when it keeps none.
    pub(super) fn check(&self) -> Result {
        match self.n {
            0 => Err(Error::job("the top 0 of records are none: keep at least one")),
            _ => Ok(()),
        }
    }

    fn compare(&self, a: &Ranked, b: &Ranked) -> Ordering {
        let order = a.order.cmp(&b.order);
        let order = if self.is_highest { order.reverse() } else { order };
        order.then_with(|| a.value.cmp(&b.value)).then_with(|| a.time.cmp(&b.time))
    }

    /// Whether a row would come to a rank.
    pub(super) fn has_room_for(&self, rows: &TopRows, row: &Ranked) -> bool {
        rows.0.len() < self.n || rows.0.last().is_some_and(|last| self.compare(row, last) == Ordering::Less)
    }

    /// Adds a row, and drops the last where there are too many; the index at which it is.
    pub(super) fn insert(&self, rows: &mut TopRows, row: Ranked) -> Option<usize> {
        if !self.has_room_for(rows, &row) {
            return None;
        }
        let at = rows.0.partition_point(|held| self.compare(held, &row) != Ordering::Greater);
        rows.0.insert(at, row);
        rows.0.truncate(self.n);
        Some(at)
    }

    /// Adds the rows of another ranking.
    pub(super) fn merge(&self, rows: &mut TopRows, other: &TopRows) {
        for row in &other.0 {
            if self.insert(rows, row.clone()).is_none() {
                return;
            }
        }
    }
}
