//! Decides which key group a key belongs to, and which subtask owns a key group.
//!
//! The hash is a stored format: state on disk is laid out by key group, so algorithm, seed and reduction never change.
//! It is XXH3 of 64 bits with seed 0 over the key's bytes, reduced modulo the max parallelism; test vectors pin it. The
//! ranges are those of Flink's `KeyGroupRangeAssignment`.

use std::fmt;

/// Index of a key group, below the job's max parallelism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyGroup(pub u16);

/// The number of key groups of a job: the most subtasks an operator can ever be spread over. Stored with the state; fixed
/// for its lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxParallelism(u16);

impl MaxParallelism {
    /// What a job gets that does not say.
    pub const DEFAULT: MaxParallelism = MaxParallelism(128);

    /// The largest value, as in Flink.
    pub const LIMIT: u32 = 32_768;

    /// `groups` key groups; `None` unless 1 to [`MaxParallelism::LIMIT`].
    pub fn new(groups: u32) -> Option<MaxParallelism> {
        (1..=Self::LIMIT).contains(&groups).then_some(MaxParallelism(groups as u16))
    }

    /// The number of key groups.
    pub fn get(self) -> u32 {
        u32::from(self.0)
    }

    /// The key group of `key`.
    ///
    /// ```
    /// use wasmill_core::{KeyGroup, MaxParallelism};
    /// assert_eq!(MaxParallelism::DEFAULT.group(b"emma"), KeyGroup(52));
    /// ```
    pub fn group(self, key: &[u8]) -> KeyGroup {
        let (hash, groups) = (hash(key), u64::from(self.0));
        // The same number without a division, which is slow; the default is a power of two.
        KeyGroup(if groups & (groups - 1) == 0 { hash & (groups - 1) } else { hash % groups } as u16)
    }

    /// The subtask that owns `group` at this parallelism.
    pub fn subtask(self, group: KeyGroup, parallelism: u32) -> u32 {
        u32::from(group.0) * parallelism / self.get()
    }

    /// The key groups that `subtask` of `parallelism` owns: contiguous, possibly none when parallelism exceeds the number
    /// of groups (which a job check refuses).
    pub fn range(self, subtask: u32, parallelism: u32) -> KeyGroupRange {
        let start = (subtask * self.get()).div_ceil(parallelism);
        let end = ((subtask + 1) * self.get()).div_ceil(parallelism);
        KeyGroupRange { start: start as u16, end: end as u16 }
    }
}

/// A contiguous range of key groups, the end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyGroupRange {
    /// First key group.
    pub start: u16,
    /// One past the last key group.
    pub end: u16,
}

impl KeyGroupRange {
    /// Whether `group` is in the range.
    pub fn contains(self, group: KeyGroup) -> bool {
        (self.start..self.end).contains(&group.0)
    }
}

impl fmt::Display for KeyGroupRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.start == self.end {
            return f.write_str("none");
        }
        write!(f, "{}-{}", self.start, self.end - 1)
    }
}

/// The stored hash of a key: XXH3-64, seed 0.
pub fn hash(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Computed with the reference implementation (Python package `xxhash` 3, `xxh3_64_intdigest`).
    #[test]
    fn the_hash_is_pinned() {
        for (key, expected) in VECTORS {
            assert_eq!(hash(key), *expected, "{key:?}");
        }
    }

    const VECTORS: &[(&[u8], u64)] = include!("key_group/vectors.in");

    proptest! {
        #[test]
        fn every_group_is_owned_by_exactly_one_subtask(groups in 1u32..=MaxParallelism::LIMIT, parallelism in 1u32..=300) {
            let max = MaxParallelism::new(groups).unwrap();
            let mut next = 0;
            for subtask in 0..parallelism {
                let range = max.range(subtask, parallelism);
                prop_assert_eq!(range.start, next);
                for group in range.start..range.end {
                    prop_assert_eq!(max.subtask(KeyGroup(group), parallelism), subtask);
                }
                next = range.end;
            }
            prop_assert_eq!(u32::from(next), groups);
        }

        #[test]
        fn the_group_is_the_hash_modulo_the_number_of_groups(key: Vec<u8>, groups in 1u32..=MaxParallelism::LIMIT, power in 0u32..=15) {
            for groups in [groups, 1 << power] {
                let group = MaxParallelism::new(groups).unwrap().group(&key);
                prop_assert_eq!(u64::from(group.0), hash(&key) % u64::from(groups));
            }
        }

        #[test]
        fn every_key_lands_on_exactly_one_subtask(key: Vec<u8>, groups in 1u32..=MaxParallelism::LIMIT, parallelism in 1u32..=300) {
            let max = MaxParallelism::new(groups).unwrap();
            let group = max.group(&key);
            let owners = (0..parallelism).filter(|&s| max.range(s, parallelism).contains(group)).count();
            prop_assert_eq!(owners, 1);
        }
    }
}
