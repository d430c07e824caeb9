//! Finds what rows of one state say of a key. Made only when somebody reads, and then of what is new: most rows are written by
//! a guest that caches what it wrote, and are never looked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use wasmill_core::{description::StateKind, key_group::hash};

use crate::{
    layout::Shape,
    rows::{Act, Row, RowId, Rows, Segments},
    table::{Candidate, Find, Table, Tag},
};

/// Rows of one state of one epoch.
#[derive(Debug)]
pub(crate) struct StateRows {
    shape: Shape,
    segments: Segments,
    index: Index,
    /// The first row that the index does not know.
    indexed: RowId,
    /// Whether everything older is gone.
    truncated: bool,
    settled: Settling,
}

/// How much of an index of values is elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settling {
    /// What stands at places before this one.
    Before(usize),
    /// All of it: rows are found there only.
    Done,
}

#[derive(Debug)]
enum Index {
    /// The last row of each key.
    Value(Table),
    /// Per key the rows that still count.
    List(BTreeMap<Box<[u8]>, ListRows>),
    Map {
        /// Key length u32 big-endian, key, map key, to the last row.
        entries: BTreeMap<Box<[u8]>, RowId>,
        /// Keys whose older entries are gone.
        cleared: BTreeSet<Box<[u8]>>,
    },
}

/// Rows of one list.
#[derive(Debug, Default)]
struct ListRows {
    /// Whether older elements are gone.
    cleared: bool,
    rows: Vec<RowId>,
}

/// What rows say of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen<'a> {
    /// It has this value.
    Put(Row<'a>),
    /// It does not exist.
    Gone,
    /// Nothing: what is older counts.
    Nothing,
}

/// What rows say of a list.
#[derive(Debug, Default)]
pub(crate) struct SeenList<'a> {
    /// Whether older elements are gone.
    pub(crate) cleared: bool,
    /// Rows with elements, in order; those of `Put` hold a whole list as the contract has it.
    pub(crate) rows: Vec<Row<'a>>,
}

impl Index {
    fn new(kind: StateKind) -> Index {
        match kind {
            StateKind::Value => Index::Value(Table::default()),
            StateKind::List => Index::List(BTreeMap::new()),
            StateKind::Map => Index::Map { entries: BTreeMap::new(), cleared: BTreeSet::new() },
        }
    }
}

/// Key length, key, map key.
pub(crate) fn map_entry(key: &[u8], map_key: &[u8]) -> Vec<u8> {
    [&(key.len() as u32).to_be_bytes()[..], key, map_key].concat()
}

impl StateRows {
    pub(crate) fn new(shape: Shape) -> StateRows {
        let index = Index::new(shape.kind);
        StateRows {
            shape,
            segments: Segments::default(),
            index,
            indexed: RowId::default(),
            truncated: false,
            settled: Settling::Before(0),
        }
    }

    pub(crate) fn segments(&self) -> &Segments {
        &self.segments
    }

    /// For adding rows.
    pub(crate) fn segments_mut(&mut self) -> &mut Segments {
        &mut self.segments
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Memory, about, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.segments.bytes()
    }

    /// Forgets all rows from `mark` on.
    pub(crate) fn truncate(&mut self, mark: RowId) {
        self.segments.truncate(mark);
        if self.indexed > mark {
            self.index = Index::new(self.shape.kind);
            self.indexed = RowId::default();
            self.truncated = false;
        }
    }

    /// Whether everything older is gone, as far as the index knows.
    pub(crate) fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Whether rows are found elsewhere.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled == Settling::Done
    }

    /// Places of the index of values.
    pub(crate) fn places(&self) -> usize {
        match &self.index {
            Index::Value(table) => table.places(),
            _ => 0,
        }
    }

    /// The last row of a key for whoever is to find it from now on, in the order of tags: what stands at the next place of the
    /// index. `None` behind the last place; then the index is gone.
    pub(crate) fn settle_next(&mut self) -> Option<Option<(Tag, RowId)>> {
        let (Index::Value(table), Settling::Before(place)) = (&self.index, self.settled) else { return None };
        if place < table.places() {
            self.settled = Settling::Before(place + 1);
            return Some(table.at(place));
        }
        self.index = Index::new(self.shape.kind);
        self.settled = Settling::Done;
        None
    }

    /// Lets the index know all rows.
    pub(crate) fn complete(&mut self) {
        let end = self.segments.end();
        if self.indexed == end {
            return;
        }
        let StateRows { segments, index, truncated, .. } = self;
        for (id, row) in segments.from(self.indexed) {
            if row.act == Act::Truncate {
                *index = Index::new(self.shape.kind);
                *truncated = true;
                continue;
            }
            match index {
                Index::Value(table) => {
                    table.reserve(1, |_| true);
                    table.set(Tag::of(hash(row.key)), id, |other| segments.key(other) == row.key);
                }
                Index::List(lists) => {
                    let list = match lists.get_mut(row.key) {
                        Some(list) => list,
                        None => lists.entry(row.key.into()).or_default(),
                    };
                    if row.act != Act::Append {
                        *list = ListRows { cleared: true, rows: Vec::new() };
                    }
                    if matches!(row.act, Act::Append | Act::Put) {
                        list.rows.push(id);
                    }
                }
                Index::Map { entries, cleared } => {
                    if row.act == Act::Clear {
                        let prefix = map_entry(row.key, &[]);
                        let range = entries.range::<[u8], _>((Bound::Included(&prefix[..]), Bound::Unbounded));
                        let range = range.take_while(|(k, _)| k.starts_with(&prefix));
                        let gone: Vec<Box<[u8]>> = range.map(|(entry, _)| entry.clone()).collect();
                        gone.iter().for_each(|entry| {
                            entries.remove(entry);
                        });
                        cleared.insert(row.key.into());
                    } else {
                        entries.insert(map_entry(row.key, row.map_key).into(), id);
                    }
                }
            }
        }
        self.indexed = end;
    }

    fn seen(&self, id: Option<RowId>, hidden: bool) -> Seen<'_> {
        match id.map(|id| self.segments.row(id)) {
            Some(row) if row.act == Act::Put => Seen::Put(row),
            Some(_) => Seen::Gone,
            None if hidden => Seen::Gone,
            None => Seen::Nothing,
        }
    }

    /// One entry of a key's map.
    pub(crate) fn map_value(&mut self, key: &[u8], map_key: &[u8]) -> Seen<'_> {
        self.complete();
        let Index::Map { entries, cleared } = &self.index else { return Seen::Nothing };
        let id = entries.get(&map_entry(key, map_key)[..]).copied();
        self.seen(id, self.truncated || cleared.contains(key))
    }

    /// The list of a key.
    pub(crate) fn list(&mut self, key: &[u8]) -> SeenList<'_> {
        self.complete();
        let Index::List(lists) = &self.index else { return SeenList::default() };
        let Some(list) = lists.get(key) else { return SeenList { cleared: self.truncated, rows: Vec::new() } };
        let rows = list.rows.iter().map(|&id| self.segments.row(id)).collect();
        SeenList { cleared: list.cleared || self.truncated, rows }
    }

    /// The entries of a key's map from a map key on, in order, and whether older ones are gone.
    pub(crate) fn map_range<'a>(
        &'a mut self,
        key: &'a [u8],
        from: &[u8],
    ) -> (bool, impl Iterator<Item = (&'a [u8], Seen<'a>)>) {
        self.complete();
        let this: &'a StateRows = self;
        let hidden = this.truncated || matches!(&this.index, Index::Map { cleared, .. } if cleared.contains(key));
        let entries = match &this.index {
            Index::Map { entries, .. } => Some(entries),
            _ => None,
        };
        let start = map_entry(key, from);
        let prefix = map_entry(key, &[]);
        let range = entries
            .into_iter()
            .flat_map(move |entries| entries.range::<[u8], _>((Bound::Included(&start[..]), Bound::Unbounded)));
        let range = range.take_while(move |(entry, _)| entry.starts_with(&prefix));
        (hidden, range.map(move |(entry, &id)| (&entry[4 + key.len()..], this.seen(Some(id), false))))
    }
}

/// For values, once the index is complete.
impl Find for StateRows {
    #[inline]
    fn first(&self, tag: Tag) -> Option<Candidate> {
        let Index::Value(table) = &self.index else { return None };
        table.next(tag, table.probe(tag))
    }

    #[inline]
    fn find(&self, tag: Tag, key: &[u8], mut candidate: Option<Candidate>) -> Option<(&Rows, usize)> {
        let Index::Value(table) = &self.index else { return None };
        while let Some((row, then)) = candidate {
            if self.segments.key(row) == key {
                return Some((&self.segments.all()[row.segment as usize], row.row as usize));
            }
            candidate = table.next(tag, then);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use wasmill_core::description::StateScope;

    use super::*;

    type Written<'a> = (Act, &'a [u8], &'a [u8], &'a [u8]);

    fn rows(kind: StateKind, of: &[Written<'_>]) -> StateRows {
        let mut rows = StateRows::new(Shape { kind, scope: StateScope::Keyed, expires: None });
        for &(act, key, map_key, value) in of {
            rows.segments_mut().add(Row { act, group: 0, key, map_key, value, expires: None }, kind == StateKind::Map);
        }
        rows
    }

    fn value(seen: Seen<'_>) -> Option<Option<Vec<u8>>> {
        match seen {
            Seen::Put(row) => Some(Some(row.value.to_vec())),
            Seen::Gone => Some(None),
            Seen::Nothing => None,
        }
    }

    #[test]
    fn the_last_write_of_a_value_counts() {
        let mut rows = rows(
            StateKind::Value,
            &[(Act::Put, b"a", b"", b"1"), (Act::Put, b"a", b"", b"2"), (Act::Put, b"b", b"", b"3")],
        );
        let mark = rows.segments().end();
        let get = |rows: &mut StateRows, key: &[u8]| {
            rows.complete();
            let tag = Tag::of(hash(key));
            let found = rows.find(tag, key, rows.first(tag)).map(|(rows, row)| rows.row(row));
            found.map(|row| (row.act == Act::Put).then(|| row.value.to_vec()))
        };
        assert_eq!(get(&mut rows, b"a"), Some(Some(b"2".to_vec())));
        assert_eq!(get(&mut rows, b"c"), None);
        let delete = Row { act: Act::Delete, group: 0, key: b"a", map_key: b"", value: b"", expires: None };
        rows.segments_mut().add(delete, false);
        assert_eq!(get(&mut rows, b"a"), Some(None));
        rows.truncate(mark);
        assert_eq!(get(&mut rows, b"a"), Some(Some(b"2".to_vec())), "a call was undone");
        rows.segments_mut().add(Row { act: Act::Truncate, ..delete }, false);
        assert_eq!((get(&mut rows, b"a"), rows.is_truncated()), (None, true), "what is older is gone");
    }

    #[test]
    fn clearing_hides_what_is_older() {
        let mut maps = rows(
            StateKind::Map,
            &[
                (Act::Put, b"k", b"1", b"old"),
                (Act::Put, b"l", b"1", b"other"),
                (Act::Clear, b"k", b"", b""),
                (Act::Put, b"k", b"2", b"new"),
                (Act::Delete, b"k", b"3", b""),
            ],
        );
        assert_eq!(value(maps.map_value(b"k", b"1")), Some(None));
        assert_eq!(value(maps.map_value(b"k", b"2")), Some(Some(b"new".to_vec())));
        assert_eq!(value(maps.map_value(b"l", b"9")), None);
        let (hidden, range) = maps.map_range(b"k", b"2");
        let range: Vec<_> = range.map(|(map_key, seen)| (map_key.to_vec(), value(seen))).collect();
        assert_eq!(range, [(b"2".to_vec(), Some(Some(b"new".to_vec()))), (b"3".to_vec(), Some(None))]);
        assert!(hidden);
        assert!(!maps.map_range(b"l", b"").0);

        let mut lists = rows(
            StateKind::List,
            &[(Act::Append, b"k", b"", b"1"), (Act::Clear, b"k", b"", b""), (Act::Append, b"k", b"", b"2")],
        );
        let list = lists.list(b"k");
        assert!(list.cleared);
        assert_eq!(list.rows.iter().map(|row| row.value).collect::<Vec<_>>(), [b"2"]);
        assert!(!lists.list(b"l").cleared);
    }
}
