//! Decides which receiver each row of a batch goes to.

mod broadcast;
mod forward;
mod hash;
mod rebalance;

use std::ops::Range;

pub use broadcast::Broadcast;
pub use forward::Forward;
pub use hash::Hash;
pub use rebalance::Rebalance;

use crate::{Batch, MaxParallelism, graph::Exchange};

/// Where the rows of one batch go. Borrowed from the partitioner, which reuses its lists.
#[derive(Debug, PartialEq, Eq)]
pub enum Routing<'a> {
    /// The whole batch to one receiver: it is moved, not copied.
    One(usize),
    /// The whole batch to every receiver.
    All,
    /// To each receiver the rows at these indexes, ascending; one list a receiver.
    Rows(&'a [Vec<u32>]),
    /// Contiguous runs, in row order: (receiver, rows).
    Runs(&'a [(usize, Range<usize>)]),
}

/// A row without a key came to an exchange by key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "row {row} has no key, but it goes through a hash exchange: give it a key where it is made, or use `rebalance`"
)]
pub struct AbsentKey {
    /// Index of the row in its batch.
    pub row: usize,
}

/// A routing contract. For the rows that one sender gives one receiver, order is kept; every row goes to at least one
/// receiver.
pub trait Partitioner: Send {
    /// Routes the rows of a batch that has at least one.
    ///
    /// # Errors
    /// [`AbsentKey`], from the hash partitioner only.
    fn route(&mut self, batch: &Batch) -> Result<Routing<'_>, AbsentKey>;
}

/// The partitioner of `exchange` for the sender `sender`, towards `receivers` subtasks.
pub fn partitioner(
    exchange: Exchange,
    sender: usize,
    receivers: usize,
    max_parallelism: MaxParallelism,
) -> Box<dyn Partitioner> {
    match exchange {
        Exchange::Forward => Box::new(Forward),
        Exchange::Hash => Box::new(Hash::new(receivers, max_parallelism)),
        Exchange::Rebalance => Box::new(Rebalance::new(sender, receivers)),
        Exchange::Broadcast => Box::new(Broadcast::new(receivers)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchBuilder, Row};

    pub(super) fn keyed(keys: impl IntoIterator<Item = Option<Vec<u8>>>) -> Batch {
        let mut builder = BatchBuilder::default();
        for key in keys {
            builder.push(Row { timestamp: 0, key: key.as_deref(), value: None, headers: &[] });
        }
        builder.take()
    }

    proptest::proptest! {
        #[test]
        fn every_row_goes_somewhere_and_order_is_kept(
            keys in proptest::collection::vec(proptest::collection::vec(0u8.., 0..5), 1..200),
            receivers in 1usize..9,
            sender in 0usize..5,
        ) {
            let batch = keyed(keys.iter().cloned().map(Some));
            for exchange in [Exchange::Hash, Exchange::Rebalance] {
                let mut partitioner = partitioner(exchange, sender, receivers, MaxParallelism::DEFAULT);
                for _ in 0..3 {
                    let mut seen: Vec<Vec<u32>> = vec![vec![]; receivers];
                    match partitioner.route(&batch).unwrap() {
                        Routing::One(r) => seen[r].extend(0..keys.len() as u32),
                        Routing::Rows(rows) => seen = rows.to_vec(),
                        Routing::Runs(runs) => for (r, run) in runs { seen[*r].extend(run.clone().map(|i| i as u32)) },
                        Routing::All => unreachable!(),
                    }
                    proptest::prop_assert!(seen.iter().all(|rows| rows.is_sorted()));
                    let mut all: Vec<u32> = seen.concat();
                    all.sort_unstable();
                    proptest::prop_assert_eq!(all, (0..keys.len() as u32).collect::<Vec<_>>());
                }
            }
        }
    }
}
