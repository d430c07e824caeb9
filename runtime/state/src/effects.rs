//! Adds rows up to what they leave of each entry, and brings that together with what the base has.
//!
//! Doing it twice changes nothing: a fold that was cut short is done again. A stored list says up to which epoch it has its
//! elements, since appending is not idempotent by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter::Peekable,
    ops::Bound,
};

use wasmill_core::description::StateKind;

use crate::{
    layout::{self, Shape},
    rows::{Act, Row},
};

/// What rows of one state leave.
#[derive(Debug)]
pub(crate) struct Effects {
    pub(crate) state: u32,
    shape: Shape,
    /// By stored key.
    pub(crate) entries: BTreeMap<Vec<u8>, Effect>,
    /// Stored prefixes of keys whose map in the base is gone.
    pub(crate) cleared: BTreeSet<Vec<u8>>,
    /// Key groups of which everything in the base is gone.
    pub(crate) truncated: BTreeSet<u16>,
}

/// What rows leave of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// This stored value.
    Put(Vec<u8>),
    /// Nothing.
    Delete,
    /// What a list has gained.
    List {
        /// When all that it had was removed, if ever.
        cleared: Option<u64>,
        /// Stored elements and the epochs that they came in, in order.
        elements: Vec<(u64, Vec<u8>)>,
    },
}

impl Effects {
    pub(crate) fn new(state: u32, shape: Shape) -> Effects {
        let (entries, cleared, truncated) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Effects { state, shape, entries, cleared, truncated }
    }

    /// Adds a row that was written in `epoch`, after all that were added before.
    pub(crate) fn add(&mut self, epoch: u64, row: Row<'_>) {
        if row.act == Act::Truncate {
            let start = layout::group_start(self.state, row.group.into());
            self.entries.retain(|key, _| !key.starts_with(&start));
            self.cleared.retain(|prefix| !prefix.starts_with(&start));
            self.truncated.insert(row.group);
            return;
        }
        let key = layout::key(self.state, row.group, row.key, row.map_key);
        if self.shape.kind == StateKind::List {
            let list = self.entries.entry(key).or_insert(Effect::List { cleared: None, elements: Vec::new() });
            let Effect::List { cleared, elements } = list else { return };
            if row.act != Act::Append {
                *cleared = Some(epoch);
                elements.clear();
            }
            let mut stored = Vec::new();
            match row.act {
                Act::Append => layout::push_element(row.expires, row.value, &mut stored),
                // Verified when it was written.
                Act::Put => layout::guest_elements(row.value)
                    .unwrap_or_default()
                    .into_iter()
                    .for_each(|element| layout::push_element(row.expires, element, &mut stored)),
                _ => {}
            }
            if !stored.is_empty() {
                elements.push((epoch, stored));
            }
            return;
        }
        match row.act {
            Act::Put => drop(self.entries.insert(key, Effect::Put(layout::value(row.expires, row.value)))),
            Act::Clear if self.shape.kind == StateKind::Map => {
                let after = layout::after(&key);
                let mut later = self.entries.split_off(&key);
                if let Some(after) = after {
                    self.entries.append(&mut later.split_off(&after));
                }
                self.cleared.insert(key);
            }
            _ => drop(self.entries.insert(key, Effect::Delete)),
        }
    }

    /// Whether what the base has under a stored key is gone.
    fn hides(&self, stored: &[u8]) -> bool {
        let Some(parts) = layout::parse(stored) else { return false };
        let prefix = &stored[..stored.len() - parts.map_key.len()];
        self.truncated.contains(&parts.group) || self.cleared.contains(prefix)
    }

    /// The stored value that an entry has after `effect`, the base having `base`; `None` for none.
    pub(crate) fn net(&self, stored: &[u8], base: Option<&[u8]>, effect: &Effect) -> Option<Vec<u8>> {
        match effect {
            Effect::Put(value) => Some(value.clone()),
            Effect::Delete => None,
            Effect::List { cleared, elements } => {
                let base = base.filter(|_| !self.hides(stored));
                join(base, *cleared, elements.iter().map(|(epoch, element)| (*epoch, &element[..])))
            }
        }
    }

    /// All entries there are, in stored order; `base` has those of the base, of this state and in stored order.
    pub(crate) fn over<E>(
        &self,
        base: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), E>>,
        from: &[u8],
        to: &[u8],
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), E>> {
        let effects = self.entries.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to.max(from))));
        Merged { of: self, effects: effects.peekable(), base: base.peekable() }
    }
}

/// A stored list: the epoch up to which it has elements, and those. `None` where it has none.
pub(crate) fn join<'a>(
    base: Option<&[u8]>,
    cleared: Option<u64>,
    elements: impl Iterator<Item = (u64, &'a [u8])>,
) -> Option<Vec<u8>> {
    let (mut up_to, kept) = base.and_then(list).unwrap_or_default();
    let mut joined = vec![0; 8];
    if cleared.is_none_or(|cleared| cleared <= up_to) {
        joined.extend_from_slice(kept);
    }
    let had = up_to;
    up_to = up_to.max(cleared.unwrap_or(0));
    for (epoch, element) in elements.filter(|(epoch, _)| *epoch > had) {
        joined.extend_from_slice(element);
        up_to = up_to.max(epoch);
    }
    joined[..8].copy_from_slice(&up_to.to_be_bytes());
    (joined.len() > 8).then_some(joined)
}

/// The epoch up to which a stored list has its elements, and these.
pub(crate) fn list(stored: &[u8]) -> Option<(u64, &[u8])> {
    let (epoch, elements) = stored.split_first_chunk()?;
    Some((u64::from_be_bytes(*epoch), elements))
}

/// What of a stored value has not expired by `now`; the inner `None` where all has. The outer one where it is malformed.
pub(crate) fn unexpired(shape: Shape, stored: &[u8], now: i64) -> Option<Option<Vec<u8>>> {
    if shape.kind != StateKind::List {
        let (at, _) = layout::parse_value(shape.expires.is_some(), stored)?;
        return Some((at > now).then(|| stored.to_vec()));
    }
    let (epoch, elements) = list(stored)?;
    let mut kept = epoch.to_be_bytes().to_vec();
    for element in layout::elements(shape.expires.is_some(), elements) {
        let (at, element) = element?;
        if at > now {
            layout::push_element(shape.expires.map(|_| at), element, &mut kept);
        }
    }
    Some((kept.len() > 8).then_some(kept))
}

/// A value as a guest gets it, and when it expires (of a list its last element); the inner `None` where all has expired.
pub(crate) fn for_guest(shape: Shape, stored: &[u8], now: i64) -> Option<Option<(Vec<u8>, i64)>> {
    let expiring = shape.expires.is_some();
    if shape.kind != StateKind::List {
        let (at, value) = layout::parse_value(expiring, stored)?;
        return Some((at > now).then(|| (value.to_vec(), at)));
    }
    let (mut value, mut last) = (Vec::new(), i64::MIN);
    for element in layout::elements(expiring, list(stored)?.1) {
        let (at, element) = element?;
        if at > now {
            layout::push_guest_element(element, &mut value);
            last = last.max(at);
        }
    }
    Some((!value.is_empty()).then_some((value, last)))
}

struct Merged<'a, B: Iterator> {
    of: &'a Effects,
    effects: Peekable<std::collections::btree_map::Range<'a, Vec<u8>, Effect>>,
    base: Peekable<B>,
}

impl<E, B: Iterator<Item = Result<(Vec<u8>, Vec<u8>), E>>> Iterator for Merged<'_, B> {
    type Item = Result<(Vec<u8>, Vec<u8>), E>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(Err(_)) = self.base.peek() {
                return self.base.next();
            }
            let base = self.base.peek().and_then(|entry| entry.as_ref().ok());
            let order = match (base, self.effects.peek()) {
                (None, None) => return None,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((base, _)), Some((effect, _))) => base.cmp(effect),
            };
            let stored = if order.is_le() { self.base.next()?.ok() } else { None };
            if order.is_lt() {
                match stored {
                    Some((key, value)) if !self.of.hides(&key) => return Some(Ok((key, value))),
                    _ => continue,
                }
            }
            let (key, effect) = self.effects.next()?;
            if let Some(value) = self.of.net(key, stored.as_ref().map(|(_, value)| &value[..]), effect) {
                return Some(Ok((key.clone(), value)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wasmill_core::{description::StateScope, time::TimeDomain};

    use super::*;

    fn shape(kind: StateKind, expires: bool) -> Shape {
        Shape { kind, scope: StateScope::Keyed, expires: expires.then_some(TimeDomain::EventTime) }
    }

    fn row<'a>(act: Act, key: &'a [u8], map_key: &'a [u8], value: &'a [u8]) -> Row<'a> {
        Row { act, group: 1, key, map_key, value, expires: None }
    }

    #[test]
    fn a_list_that_is_folded_twice_has_its_elements_once() {
        let mut effects = Effects::new(0, shape(StateKind::List, false));
        effects.add(3, row(Act::Append, b"k", b"", b"a"));
        effects.add(4, row(Act::Append, b"k", b"", b"b"));
        let (key, effect) = effects.entries.first_key_value().unwrap();
        let mut base = 2u64.to_be_bytes().to_vec();
        layout::push_element(None, b"0", &mut base);
        let once = effects.net(key, Some(&base), effect).unwrap();
        assert_eq!(effects.net(key, Some(&once), effect).unwrap(), once);
        let (epoch, elements) = list(&once).unwrap();
        let elements: Vec<_> = layout::elements(false, elements).map(|element| element.unwrap().1).collect();
        assert_eq!((epoch, elements), (4, vec![&b"0"[..], b"a", b"b"]));
        // Folded in part, up to epoch 3.
        let mut part = base.clone();
        part[..8].copy_from_slice(&3u64.to_be_bytes());
        layout::push_element(None, b"a", &mut part);
        assert_eq!(effects.net(key, Some(&part), effect).unwrap(), once);
    }

    #[test]
    fn a_list_that_is_cleared_begins_anew_and_only_once() {
        let mut effects = Effects::new(0, shape(StateKind::List, false));
        effects.add(3, row(Act::Append, b"k", b"", b"a"));
        effects.add(5, row(Act::Clear, b"k", b"", b""));
        let (key, effect) = effects.entries.first_key_value().unwrap();
        let mut base = 2u64.to_be_bytes().to_vec();
        layout::push_element(None, b"0", &mut base);
        assert_eq!(effects.net(key, Some(&base), effect), None);
        base[..8].copy_from_slice(&5u64.to_be_bytes());
        assert_eq!(effects.net(key, Some(&base), effect).as_ref(), Some(&base), "it came after the clear");
    }

    #[test]
    fn what_the_base_has_is_merged_in_order() {
        let mut effects = Effects::new(0, shape(StateKind::Map, false));
        let key = |key: &[u8], map_key: &[u8]| layout::key(0, 1, key, map_key);
        effects.add(1, row(Act::Put, b"a", b"2", b"early"));
        effects.add(1, row(Act::Clear, b"a", b"", b""));
        effects.add(1, row(Act::Put, b"a", b"3", b"new"));
        effects.add(1, row(Act::Delete, b"b", b"1", b""));
        effects.add(1, row(Act::Put, b"b", b"2", b"changed"));
        let base = [(b"a", b"1"), (b"b", b"1"), (b"b", b"2"), (b"b", b"3"), (b"c", b"1")];
        let base = base.map(|(k, m)| Ok::<_, ()>((key(k, m), b"old".to_vec())));
        let (from, to) = (layout::group_start(0, 0), layout::group_start(1, 0));
        let found: Vec<_> = effects.over(base.into_iter(), &from, &to).map(Result::unwrap).collect();
        let expected: [(&[u8], &[u8], &[u8]); 4] =
            [(b"a", b"3", b"new"), (b"b", b"2", b"changed"), (b"b", b"3", b"old"), (b"c", b"1", b"old")];
        assert_eq!(found, expected.map(|(k, m, value)| (key(k, m), value.to_vec())));
    }

    #[test]
    fn a_copy_that_begins_anew_has_nothing_of_before() {
        let mut effects = Effects::new(0, shape(StateKind::Value, false));
        effects.add(1, row(Act::Put, b"a", b"", b"early"));
        effects.add(1, row(Act::Truncate, b"", b"", b""));
        effects.add(1, row(Act::Put, b"b", b"", b"new"));
        let base = [Ok::<_, ()>((layout::key(0, 1, b"c", b""), b"old".to_vec()))];
        let (from, to) = (layout::group_start(0, 0), layout::group_start(1, 0));
        let found: Vec<_> = effects.over(base.into_iter(), &from, &to).map(Result::unwrap).collect();
        assert_eq!(found, [(layout::key(0, 1, b"b", b""), b"new".to_vec())]);
    }

    #[test]
    fn what_has_expired_is_gone() {
        let value = layout::value(Some(10), b"v");
        let of = shape(StateKind::Value, true);
        assert_eq!(for_guest(of, &value, 9), Some(Some((b"v".to_vec(), 10))));
        assert_eq!(for_guest(of, &value, 10), Some(None), "it expires at 10, not after");
        assert_eq!(unexpired(of, &value, 10), Some(None));
        assert_eq!(for_guest(of, b"bad", 0), None);
        let mut list = 1u64.to_be_bytes().to_vec();
        layout::push_element(Some(10), b"a", &mut list);
        layout::push_element(Some(20), b"b", &mut list);
        let of = shape(StateKind::List, true);
        let mut second = Vec::new();
        layout::push_guest_element(b"b", &mut second);
        assert_eq!(for_guest(of, &list, 15), Some(Some((second, 20))));
        assert_eq!(for_guest(of, &unexpired(of, &list, 15).unwrap().unwrap(), 5).unwrap().unwrap().1, 20);
        assert_eq!(unexpired(of, &list, 20), Some(None));
    }
}
