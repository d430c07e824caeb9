//! Sends equal keys to the same receiver: the subtask that owns the key's group.

use super::{AbsentKey, Partitioner, Routing};
use crate::{Batch, KeyGroup, MaxParallelism};

/// Partitions by key group ([`MaxParallelism::group`]).
#[derive(Debug)]
pub struct Hash {
    max_parallelism: MaxParallelism,
    /// Which receiver owns each key group: a look-up in place of a division a row.
    owners: Vec<u16>,
    rows: Vec<Vec<u32>>,
}

impl Hash {
    /// Towards `receivers` subtasks.
    pub fn new(receivers: usize, max_parallelism: MaxParallelism) -> Hash {
        let owner = |group| max_parallelism.subtask(KeyGroup(group as u16), receivers as u32) as u16;
        let owners = (0..max_parallelism.get()).map(owner).collect();
        Hash { max_parallelism, owners, rows: vec![Vec::new(); receivers] }
    }
}

impl Partitioner for Hash {
    fn route(&mut self, batch: &Batch) -> Result<Routing<'_>, AbsentKey> {
        if batch.lacks_keys() {
            let row = (0..batch.rows()).find(|&i| batch.key(i).is_none()).unwrap_or(0);
            return Err(AbsentKey { row });
        }
        if self.rows.len() == 1 {
            return Ok(Routing::One(0));
        }
        self.rows.iter_mut().for_each(Vec::clear);
        let mut start = 0;
        for (i, &end) in batch.key_ends.iter().enumerate() {
            let group = self.max_parallelism.group(&batch.keys[start as usize..end as usize]);
            self.rows[usize::from(self.owners[usize::from(group.0)])].push(i as u32);
            start = end;
        }
        Ok(Routing::Rows(&self.rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partitioner::tests::keyed;

    #[test]
    fn rows_go_to_the_owner_of_their_key_group() {
        let max = MaxParallelism::DEFAULT;
        let keys: Vec<Vec<u8>> = (0u32..500).map(|i| i.to_le_bytes().to_vec()).collect();
        let mut hash = Hash::new(3, max);
        let batch = keyed(keys.iter().cloned().map(Some));
        let Routing::Rows(rows) = hash.route(&batch).unwrap() else { panic!("not rows") };
        for (receiver, rows) in rows.iter().enumerate() {
            for &i in rows {
                assert!(max.range(receiver as u32, 3).contains(max.group(&keys[i as usize])));
            }
        }
    }

    #[test]
    fn a_missing_key_is_refused_even_towards_one_receiver() {
        let batch = keyed([Some(vec![1]), None]);
        for receivers in [1, 2] {
            assert_eq!(Hash::new(receivers, MaxParallelism::DEFAULT).route(&batch), Err(AbsentKey { row: 1 }));
        }
    }
}
