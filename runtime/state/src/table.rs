//! Finds rows by the hash of their key, and looks at rows themselves only where hashes agree.
//!
//! Entries stand nearly in the order of their hashes. So a table grows, and is added to another one, by going through memory in
//! order, which a table of millions of entries needs: in any other order each entry costs a miss of the processor's cache.

use crate::rows::{RowId, Rows};

/// Bits of a hash, in place of all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag(u32);

impl Tag {
    /// Of a hash whose upper bits are as good as any.
    pub(crate) fn of(hash: u64) -> Tag {
        Tag((hash >> 32) as u32)
    }

    /// Which of `1 << bits` equal parts it belongs to, in order, and what tells tags of the part apart.
    pub(crate) fn split(self, bits: u32) -> (usize, Tag) {
        (((u64::from(self.0) << bits) >> 32) as usize, Tag(self.0 << bits))
    }
}

/// Open addressing with linear probing. At most three quarters are used.
#[derive(Debug, Default)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    used: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: Tag,
    row: RowId,
}

const EMPTY: Entry = Entry { tag: Tag(0), row: RowId { segment: u32::MAX, row: u32::MAX } };

impl Entry {
    fn is_empty(self) -> bool {
        self.row == EMPTY.row
    }
}

/// Where a search goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe(usize);

/// A row that may have a key, and where the search goes on if it has not.
pub(crate) type Candidate = (RowId, Probe);

/// Finds the newest row of a key in two steps: of many keys the first step is best taken for all of them before the second one, so
/// that a processor waits for memory once for several.
pub(crate) trait Find {
    /// The first row that may have a key with this tag.
    fn first(&self, tag: Tag) -> Option<Candidate>;

    /// The row that has the key, given what [`Find::first`] told.
    fn find(&self, tag: Tag, key: &[u8], candidate: Option<Candidate>) -> Option<(&Rows, usize)>;
}

impl Table {
    /// Number of places.
    pub(crate) fn places(&self) -> usize {
        self.entries.len()
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.len() * size_of::<Entry>()
    }

    /// Where the search for a tag begins.
    #[inline]
    pub(crate) fn probe(&self, tag: Tag) -> Probe {
        Probe(((u64::from(tag.0) * self.entries.len() as u64) >> 32) as usize)
    }

    /// The next row that may have the key.
    #[inline]
    pub(crate) fn next(&self, tag: Tag, Probe(mut at): Probe) -> Option<Candidate> {
        loop {
            let entry = *self.entries.get(at)?;
            if entry.is_empty() {
                return None;
            }
            at = self.after(at);
            if entry.tag == tag {
                return Some((entry.row, Probe(at)));
            }
        }
    }

    /// Sets the row of a key: `is_it` is true of one that has it already. There must be room, see [`Table::reserve`].
    #[inline]
    pub(crate) fn set(&mut self, tag: Tag, row: RowId, is_it: impl Fn(RowId) -> bool) {
        let Probe(mut at) = self.probe(tag);
        loop {
            let entry = self.entries[at];
            if entry.is_empty() {
                self.used += 1;
                break;
            }
            if entry.tag == tag && is_it(entry.row) {
                break;
            }
            at = self.after(at);
        }
        self.entries[at] = Entry { tag, row };
    }

    /// Makes room for `more` keys. Where that takes moving, rows that are not to `keep` are dropped.
    #[inline]
    pub(crate) fn reserve(&mut self, more: usize, keep: impl Fn(RowId) -> bool) {
        if (self.used + more) * 4 > self.entries.len() * 3 {
            self.grow(more, keep);
        }
    }

    #[cold]
    fn grow(&mut self, more: usize, keep: impl Fn(RowId) -> bool) {
        let kept = || self.entries.iter().filter(|entry| !entry.is_empty() && keep(entry.row));
        let wanted = (kept().count() + more).max(8) * 2;
        let mut larger = Table { entries: vec![EMPTY; wanted], used: 0 };
        kept().for_each(|entry| larger.set(entry.tag, entry.row, |_| false));
        *self = larger;
    }

    /// The entry at a place, if there is one.
    pub(crate) fn at(&self, place: usize) -> Option<(Tag, RowId)> {
        self.entries.get(place).filter(|entry| !entry.is_empty()).map(|entry| (entry.tag, entry.row))
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.entries.len() { 0 } else { at + 1 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    impl Table {
        fn find(&self, tag: Tag, is_it: impl Fn(RowId) -> bool) -> Option<RowId> {
            let mut candidate = self.next(tag, self.probe(tag));
            while let Some((row, then)) = candidate {
                if is_it(row) {
                    return Some(row);
                }
                candidate = self.next(tag, then);
            }
            None
        }
    }

    fn row(row: u32) -> RowId {
        RowId { segment: row / 7, row: row % 7 }
    }

    /// Against a map, with hashes of which many are equal, and those at either end.
    #[test]
    fn the_row_set_last_is_found() {
        let hash = |key: u64| match key % 5 {
            0 => u64::MAX - (key % 3),
            1 => key % 3,
            2 => 77 << 32,
            _ => key.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        let key_of = |row: RowId| u64::from(row.segment * 7 + row.row) % 500;
        let (mut table, mut model) = (Table::default(), BTreeMap::new());
        assert_eq!(table.find(Tag::of(1), |_| true), None);
        for i in 0..2_000u32 {
            let key = u64::from(i) % 500;
            table.reserve(1, |_| true);
            table.set(Tag::of(hash(key)), row(i), |row| key_of(row) == key);
            model.insert(key, row(i));
            if i % 97 == 0 {
                for key in 0..510 {
                    let found = table.find(Tag::of(hash(key)), |row| key_of(row) == key);
                    assert_eq!(found, model.get(&key).copied(), "key {key} after {i}");
                }
            }
        }
        assert_eq!((0..table.places()).filter_map(|place| table.at(place)).count(), 500);
        assert!(table.places() <= 2_000, "{} places for 500 keys", table.places());
    }

    #[test]
    fn what_is_not_kept_goes_when_room_is_made() {
        let mut table = Table::default();
        let tag = |i: u32| Tag::of(u64::from(i) << 40);
        for i in 0..100 {
            table.reserve(1, |_| true);
            table.set(tag(i), row(i), |_| false);
        }
        let is_late = |row: RowId| row.segment >= 10;
        table.reserve(1_000, is_late);
        assert_eq!(table.used, 30);
        assert!((0..100).all(|i| table.find(tag(i), |_| true) == (i >= 70).then(|| row(i))));
    }

    #[test]
    fn parts_are_in_the_order_of_tags() {
        assert_eq!(Tag::of(0xfc00_0001_0000_0000).split(6), (63, Tag(1 << 6)));
        assert_eq!(Tag::of(0x03ff_ffff_0000_0000).split(6), (0, Tag(0xffff_ffc0)));
    }
}
