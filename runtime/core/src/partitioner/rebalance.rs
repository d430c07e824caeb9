//! Spreads rows evenly, whatever they hold.

use std::ops::Range;

use super::{AbsentKey, Partitioner, Routing};
use crate::Batch;

/// Cuts each batch into one contiguous run a receiver, equal to within a row; the receiver of the first run moves on with
/// every batch, so that the odd rows even out. Contiguous runs are copied in one piece a column.
#[derive(Debug)]
pub struct Rebalance {
    receivers: usize,
    first: usize,
    runs: Vec<(usize, Range<usize>)>,
}

impl Rebalance {
    /// For sender number `sender`, towards `receivers` subtasks. Senders start at different receivers.
    pub fn new(sender: usize, receivers: usize) -> Rebalance {
        Rebalance { receivers, first: sender % receivers, runs: Vec::new() }
    }
}

impl Partitioner for Rebalance {
    fn route(&mut self, batch: &Batch) -> Result<Routing<'_>, AbsentKey> {
        let (rows, receivers) = (batch.rows(), self.receivers);
        if receivers == 1 {
            return Ok(Routing::One(0));
        }
        self.runs.clear();
        let mut start = 0;
        for i in 0..receivers.min(rows) {
            let end = start + rows / receivers + usize::from(i < rows % receivers);
            self.runs.push(((self.first + i) % receivers, start..end));
            start = end;
        }
        self.first = (self.first + rows % receivers) % receivers;
        Ok(Routing::Runs(&self.runs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partitioner::tests::keyed;

    #[test]
    fn small_batches_even_out() {
        let mut rebalance = Rebalance::new(1, 3);
        let mut counts = [0; 3];
        for _ in 0..6 {
            let Routing::Runs(runs) = rebalance.route(&keyed(vec![None; 4])).unwrap() else { panic!("not runs") };
            runs.iter().for_each(|(receiver, run)| counts[*receiver] += run.len());
        }
        assert_eq!(counts, [8, 8, 8]);
    }
}
