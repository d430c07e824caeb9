//! Finds a slot by the words of its key.

use super::word::Word;

/// Open addressing with linear probing, at most half full.
pub(super) struct Table<W> {
    entries: Vec<(W, u32)>,
    used: usize,
}

/// Marks an entry that holds no slot.
const EMPTY: u32 = u32::MAX;

impl<W: Word> Table<W> {
    /// Memory that an entry takes, in bytes.
    pub(super) const ENTRY: usize = size_of::<(W, u32)>();

    pub(super) fn new() -> Table<W> {
        Table { entries: vec![(W::default(), EMPTY); 1024], used: 0 }
    }

    /// Reads the entry where `word` may be, to have it in the processor's cache later.
    #[inline(always)]
    pub(super) fn touch(&self, word: W) -> u32 {
        self.entries[word.hash() as usize & (self.entries.len() - 1)].1
    }

    /// The slot of the entry that holds `word` and of which `same` is true.
    ///
    /// The first probe stands before the loop: in WebAssembly each turn of a loop checks for interruption.
    #[inline(always)]
    pub(super) fn find(&self, word: W, same: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.entries.len() - 1;
        let mut at = word.hash() as usize & mask;
        let (held, slot) = self.entries[at];
        if held == word && slot != EMPTY && same(slot) {
            return Some(slot);
        }
        let mut slot = slot;
        while slot != EMPTY {
            at = (at + 1) & mask;
            let (held, next) = self.entries[at];
            slot = next;
            if held == word && slot != EMPTY && same(slot) {
                return Some(slot);
            }
        }
        None
    }

    /// Adds an entry that is not there.
    pub(super) fn insert(&mut self, word: W, slot: u32) {
        if (self.used + 1) * 2 > self.entries.len() {
            let larger = vec![(W::default(), EMPTY); self.entries.len() * 2];
            for (word, slot) in std::mem::replace(&mut self.entries, larger) {
                if slot != EMPTY {
                    self.place(word, slot);
                }
            }
        }
        self.used += 1;
        self.place(word, slot);
    }

    /// Removes the entry of `word` that holds `slot`. Entries behind it move up, so that no probe ends too early.
    pub(super) fn remove(&mut self, word: W, slot: u32) {
        let mask = self.entries.len() - 1;
        let mut hole = word.hash() as usize & mask;
        while self.entries[hole].1 != slot {
            if self.entries[hole].1 == EMPTY {
                return;
            }
            hole = (hole + 1) & mask;
        }
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let (word, slot) = self.entries[at];
            if slot == EMPTY {
                break;
            }
            // It may move if its probe begins at the hole or before it.
            let distance = at.wrapping_sub(word.hash() as usize) & mask;
            if distance >= (at.wrapping_sub(hole) & mask) {
                self.entries[hole] = (word, slot);
                hole = at;
            }
        }
        self.entries[hole] = (W::default(), EMPTY);
        self.used -= 1;
    }

    fn place(&mut self, word: W, slot: u32) {
        let mask = self.entries.len() - 1;
        let mut at = word.hash() as usize & mask;
        while self.entries[at].1 != EMPTY {
            at = (at + 1) & mask;
        }
        self.entries[at] = (word, slot);
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::word::{long, short},
        *,
    };

    /// How many entries are looked at to find a word, on average.
    fn probes<W: Word>(words: Vec<W>) -> f64 {
        let mut table = Table::new();
        words.iter().enumerate().for_each(|(slot, &word)| table.insert(word, slot as u32));
        let mask = table.entries.len() - 1;
        let distance = |(slot, &word): (usize, &W)| {
            let at = table.entries.iter().position(|&(_, held)| held == slot as u32).unwrap();
            (at.wrapping_sub(word.hash() as usize) & mask) + 1
        };
        words.iter().enumerate().map(distance).sum::<usize>() as f64 / words.len() as f64
    }

    /// At half of the entries used, a random hash takes 1.5 probes on average.
    #[test]
    fn keys_that_look_alike_are_spread() {
        let text = |prefix: &str, i: u32, suffix: &str| {
            let key = format!("{prefix}{i}{suffix}");
            if key.len() < 16 { short(b"", 0, key.as_bytes()) } else { long(key.as_bytes()) }
        };
        let keys = 0..2_000u32;
        let families = [
            ("numbers", probes(keys.clone().map(u64::from).collect())),
            ("multiples", probes(keys.clone().map(|i| u64::from(i) << 44).collect())),
            ("floats", probes(keys.clone().map(|i| f64::from(i).to_bits()).collect())),
            ("short", probes(keys.clone().map(|i| text("", 1_000_000 + i, "")).collect())),
            ("suffix", probes(keys.clone().map(|i| text("user-", 100_000 + i, "")).collect())),
            ("prefix", probes(keys.clone().map(|i| text("", 100_000 + i, "-user")).collect())),
            ("long", probes(keys.clone().map(|i| text("https://example.com/pages/", i, "/index.html")).collect())),
        ];
        for (family, probes) in families {
            assert!(probes < 2.5, "{family}: {probes:.2} probes");
        }
    }

    /// Words chosen so that they collide: few of them, with a hash that has few values.
    #[derive(Debug, Clone, Copy, PartialEq, Default)]
    struct Colliding(u64);

    impl Word for Colliding {
        fn hash(self) -> u64 {
            self.0 % 7 + 1019
        }
    }

    #[test]
    fn what_is_left_after_removals_is_found() {
        let mut table = Table::new();
        (0..300).for_each(|i| table.insert(Colliding(i), i as u32));
        let (removed, left): (Vec<u64>, Vec<u64>) = (0..300).partition(|i| i % 3 != 1);
        removed.iter().for_each(|&i| table.remove(Colliding(i), i as u32));
        assert!(removed.iter().all(|&i| table.find(Colliding(i), |_| true).is_none()));
        assert!(left.iter().all(|&i| table.find(Colliding(i), |_| true) == Some(i as u32)));
        assert_eq!(table.used, left.len());
    }
}
