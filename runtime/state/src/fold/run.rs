//! Brings the values of some key groups into stored order, and writes the last of each key.

use std::cmp::Ordering;

use super::{Base, FoldedChunk, FoldedState};
use crate::{effects, layout, rows::Act};

/// Values in stored order, of each key the last one only.
#[derive(Debug)]
pub(super) struct Run {
    rows: Vec<RunRow>,
    next: usize,
    stored: Vec<u8>,
}

/// A row, with what decides its order: that of stored keys, then that in which rows were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RunRow {
    /// Key group and length of the key.
    place: u64,
    /// The first bytes of the key.
    head: u64,
    chunk: u32,
    row: u32,
}

impl Run {
    /// The rows of some key groups; `None` where one is not about a single value.
    pub(super) fn of(chunks: &[FoldedChunk], groups: std::ops::Range<u32>, expected: usize) -> Option<Run> {
        let mut sorted = Vec::with_capacity(expected);
        for (number, chunk) in (0..).zip(chunks) {
            for (rows, row) in chunk.rows_of(&groups) {
                if rows.acts[row] == Act::Truncate {
                    return None;
                }
                let key = rows.key(row);
                let mut head = [0; 8];
                head[..key.len().min(8)].copy_from_slice(&key[..key.len().min(8)]);
                let place = (u64::from(rows.groups[row]) << 32) | key.len() as u64;
                sorted.push(RunRow { place, head: u64::from_be_bytes(head), chunk: number, row: row as u32 });
            }
        }
        sorted.sort_unstable_by(|a, b| {
            let by_key = (a.place, a.head).cmp(&(b.place, b.head));
            let by_rest = || if a.is_short() { Ordering::Equal } else { a.key(chunks).cmp(b.key(chunks)) };
            by_key.then_with(by_rest).then((a.chunk, a.row).cmp(&(b.chunk, b.row)))
        });
        // The last of a key, before it is written out: the first of those that compare equal is kept.
        sorted.reverse();
        sorted.dedup_by(|later, kept| {
            (later.place, later.head) == (kept.place, kept.head)
                && (kept.is_short() || later.key(chunks) == kept.key(chunks))
        });
        sorted.reverse();
        Some(Run { rows: sorted, next: 0, stored: Vec::new() })
    }

    /// Writes some; whether more are left.
    pub(super) fn write(
        &mut self,
        folded: &FoldedState,
        base: &mut Base<'_>,
        left: &mut usize,
    ) -> Result<bool, redb::Error> {
        let shape = folded.state.shape;
        while *left > 0
            && let Some(next) = self.rows.get(self.next)
        {
            *left -= 1;
            self.next += 1;
            let Some(rows) = folded.chunks.get(next.chunk as usize).and_then(|chunk| chunk.rows.as_ref()) else {
                continue;
            };
            let row = rows.row(next.row as usize);
            self.stored.clear();
            layout::push_key(folded.state.number, row.group, row.key, &[], &mut self.stored);
            if row.act != Act::Put {
                base.remove(&self.stored[..])?;
            } else if shape.expires.is_none() && row.expires.is_none() {
                base.insert(&self.stored[..], row.value)?;
            } else {
                let value = layout::value(row.expires, row.value);
                match effects::unexpired(shape, &value, folded.horizon).unwrap_or(Some(value)) {
                    Some(value) => drop(base.insert(&self.stored[..], &value[..])?),
                    None => drop(base.remove(&self.stored[..])?),
                }
            }
        }
        Ok(self.next < self.rows.len())
    }
}

impl RunRow {
    /// Whether place and head tell all of the key.
    fn is_short(self) -> bool {
        self.place as u32 <= 8
    }

    fn key(self, chunks: &[FoldedChunk]) -> &[u8] {
        chunks[self.chunk as usize].rows.as_ref().map_or(&[], |rows| rows.key(self.row as usize))
    }
}

#[cfg(test)]
mod tests {
    use redb::{ReadableDatabase, backends::InMemoryBackend};
    use wasmill_core::{
        description::{StateKind, StateScope},
        time::TimeDomain,
    };

    use super::*;
    use crate::{
        database::{BASE, StoredEntry, entries, log_key},
        effects::Effects,
        layout::Shape,
        manifest::{StoredState, What},
        rows::{Row, Rows},
    };

    fn base(fold: impl FnOnce(&mut Base<'_>)) -> Vec<StoredEntry> {
        let redb = redb::Builder::new().create_with_backend(InMemoryBackend::new()).unwrap();
        let transaction = redb.begin_write().unwrap();
        let mut base = transaction.open_table(BASE).unwrap();
        // Of two keys that rows remove or set there is something already, and of one that they do not touch.
        for (group, key) in [(0, &b"12345678a"[..]), (1, b"1"), (9, b"other")] {
            base.insert(&layout::key(3, group, key, &[])[..], &b"oldvalue-"[..]).unwrap();
        }
        fold(&mut base);
        drop(base);
        transaction.commit().unwrap();
        let table = redb.begin_read().unwrap().open_table(BASE).unwrap();
        entries(&table, &[], &[255; 20]).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Against effects, which hold a map: keys of which one begins with another, or that differ behind their first bytes only,
    /// set and removed again and again, with and without an expiry.
    #[test]
    fn a_run_of_values_leaves_what_effects_leave() {
        let keys: [&[u8]; 9] =
            [b"", b"1", b"12", b"1\0", b"12345678", b"12345678a", b"12345678b", b"12345678ab", b"1234567\xff"];
        for seed in 1..=40u64 {
            let mut random = seed;
            let mut next = |below: u64| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) % below
            };
            let expires = (seed % 2 == 0).then_some(TimeDomain::EventTime);
            let shape = Shape { kind: StateKind::Value, scope: StateScope::Keyed, expires };
            let state =
                StoredState { number: 3, operator: "op".to_string(), what: What::State("s".to_string()), shape };
            let (mut chunks, mut effects) = (Vec::new(), Effects::new(3, shape));
            for epoch in 1..5 {
                let mut rows = Rows::default();
                for group in 0..3 {
                    for _ in 0..next(30) {
                        let value = next(1_000).to_be_bytes();
                        let (act, value) = if next(4) == 0 { (Act::Delete, &[][..]) } else { (Act::Put, &value[..]) };
                        let expires = expires.map(|_| next(20) as i64);
                        let row = Row { act, group, key: keys[next(9) as usize], map_key: &[], value, expires };
                        rows.push(row, false);
                        effects.add(epoch, row);
                    }
                }
                chunks.push(FoldedChunk { key: log_key(epoch, 0).to_vec(), first: 0, last: 2, rows: Some(rows) });
            }
            let folded = FoldedState { state, horizon: 7, chunks, next_group: 3 };
            let expected = base(|base| while effects.write_next(&folded, base).unwrap() {});
            let found = base(|base| {
                let mut run = Run::of(&folded.chunks, 0..3, 0).unwrap();
                // A few at a time, as transactions take them.
                while run.write(&folded, base, &mut 3).unwrap() {}
            });
            assert_eq!(found, expected, "seed {seed}");
            assert!(found.len() > 5);
        }
    }

    #[test]
    fn rows_that_remove_a_whole_key_group_are_no_run() {
        let mut rows = Rows::default();
        rows.push(Row { act: Act::Truncate, group: 1, key: &[], map_key: &[], value: &[], expires: None }, false);
        let chunk = FoldedChunk { key: log_key(1, 0).to_vec(), first: 1, last: 1, rows: Some(rows) };
        assert!(Run::of(&[chunk], 0..3, 0).is_none());
    }
}
