//! Holds the entries of one map in the order of their map keys: a few side by side, many in a tree.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, btree_map},
    ops::Bound,
    slice, vec,
};

use super::entry::{Held, MapKeyBytes};

/// The most entries that stand side by side. Most maps have few: open windows, the items of an order.
const FEW: usize = 16;

/// Entries by encoded map key.
pub(super) enum MapEntries<T> {
    Few(Vec<Few<T>>),
    Many(BTreeMap<MapKeyBytes, Held<T>>),
}

/// One of a few.
pub(super) struct Few<T> {
    /// The first bytes of the map key: most keys are told apart by them, without a call.
    prefix: u64,
    map_key: MapKeyBytes,
    held: Held<T>,
}

/// The first eight bytes, as a number in their order; what is missing counts as 0.
#[inline]
fn prefix(map_key: &[u8]) -> u64 {
    let mut first = [0; 8];
    match map_key.first_chunk() {
        Some(chunk) => first = *chunk,
        None => first[..map_key.len()].copy_from_slice(map_key),
    }
    u64::from_be_bytes(first)
}

impl<T> Few<T> {
    #[inline]
    fn compare(&self, start: u64, map_key: &[u8]) -> Ordering {
        self.prefix.cmp(&start).then_with(|| match self.map_key.len().max(map_key.len()) {
            // The same bytes, but for zeroes that one of them has more.
            ..=8 => self.map_key.len().cmp(&map_key.len()),
            _ => self.map_key[..].cmp(map_key),
        })
    }
}

/// Where a map key is among a few, or where it would be.
#[inline]
fn find<T>(few: &[Few<T>], map_key: &[u8]) -> Result<usize, usize> {
    let start = prefix(map_key);
    for (at, entry) in few.iter().enumerate() {
        match entry.compare(start, map_key) {
            Ordering::Less => {}
            Ordering::Equal => return Ok(at),
            Ordering::Greater => return Err(at),
        }
    }
    Err(few.len())
}

/// Where a range of a few begins.
fn begin<T>(few: &[Few<T>], start: Bound<&[u8]>) -> usize {
    match start {
        Bound::Unbounded => 0,
        Bound::Included(map_key) => find(few, map_key).unwrap_or_else(|at| at),
        Bound::Excluded(map_key) => find(few, map_key).map_or_else(|at| at, |at| at + 1),
    }
}

/// Where a range of a few ends.
fn end<T>(few: &[Few<T>], end: Bound<&[u8]>) -> usize {
    match end {
        Bound::Unbounded => few.len(),
        Bound::Included(map_key) => find(few, map_key).map_or_else(|at| at, |at| at + 1),
        Bound::Excluded(map_key) => find(few, map_key).unwrap_or_else(|at| at),
    }
}

impl<T> Default for MapEntries<T> {
    fn default() -> Self {
        MapEntries::Few(Vec::new())
    }
}

impl<T> MapEntries<T> {
    #[inline]
    pub(super) fn get(&self, map_key: &[u8]) -> Option<&Held<T>> {
        match self {
            MapEntries::Few(few) => Some(&few[find(few, map_key).ok()?].held),
            MapEntries::Many(many) => many.get(map_key),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, map_key: &[u8]) -> Option<&mut Held<T>> {
        match self {
            MapEntries::Few(few) => {
                let at = find(few, map_key).ok()?;
                Some(&mut few[at].held)
            }
            MapEntries::Many(many) => many.get_mut(map_key),
        }
    }

    #[inline]
    pub(super) fn contains_key(&self, map_key: &[u8]) -> bool {
        self.get(map_key).is_some()
    }

    /// Adds an entry, or replaces it.
    pub(super) fn insert(&mut self, map_key: MapKeyBytes, held: Held<T>) {
        match self {
            MapEntries::Many(many) => drop(many.insert(map_key, held)),
            MapEntries::Few(few) => match find(few, &map_key) {
                Ok(at) => few[at].held = held,
                Err(at) if few.len() < FEW => few.insert(at, Few { prefix: prefix(&map_key), map_key, held }),
                Err(_) => {
                    let entries = std::mem::take(few).into_iter().map(|few| (few.map_key, few.held));
                    *self = MapEntries::Many(entries.chain([(map_key, held)]).collect());
                }
            },
        }
    }

    pub(super) fn remove(&mut self, map_key: &[u8]) -> Option<Held<T>> {
        match self {
            MapEntries::Few(few) => Some(few.remove(find(few, map_key).ok()?).held),
            MapEntries::Many(many) => many.remove(map_key),
        }
    }

    /// The entries within bounds, in order.
    pub(super) fn range(&self, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Iter<'_, T> {
        match self {
            MapEntries::Few(few) => {
                Iter::Few(few[begin(few, bounds.0)..].split_at(end(few, bounds.1) - begin(few, bounds.0)).0.iter())
            }
            MapEntries::Many(many) => Iter::Many(many.range::<[u8], _>(bounds)),
        }
    }

    /// The entries from a bound on, in order.
    pub(super) fn range_mut(&mut self, start: Bound<&[u8]>) -> IterMut<'_, T> {
        match self {
            MapEntries::Few(few) => {
                let begin = begin(few, start);
                IterMut::Few(few[begin..].iter_mut())
            }
            MapEntries::Many(many) => IterMut::Many(many.range_mut::<[u8], _>((start, Bound::Unbounded))),
        }
    }

    pub(super) fn iter(&self) -> Iter<'_, T> {
        self.range((Bound::Unbounded, Bound::Unbounded))
    }
}

/// Entries in order.
pub(super) enum Iter<'a, T> {
    Few(slice::Iter<'a, Few<T>>),
    Many(btree_map::Range<'a, MapKeyBytes, Held<T>>),
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = (&'a MapKeyBytes, &'a Held<T>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Iter::Few(few) => few.next().map(|few| (&few.map_key, &few.held)),
            Iter::Many(many) => many.next(),
        }
    }
}

/// Entries in order, to be changed.
pub(super) enum IterMut<'a, T> {
    Few(slice::IterMut<'a, Few<T>>),
    Many(btree_map::RangeMut<'a, MapKeyBytes, Held<T>>),
}

impl<'a, T> Iterator for IterMut<'a, T> {
    type Item = (&'a MapKeyBytes, &'a mut Held<T>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            IterMut::Few(few) => few.next().map(|few| (&few.map_key, &mut few.held)),
            IterMut::Many(many) => many.next(),
        }
    }
}

/// Entries in order, taken out.
pub(super) enum IntoIter<T> {
    Few(vec::IntoIter<Few<T>>),
    Many(btree_map::IntoIter<MapKeyBytes, Held<T>>),
}

impl<T> Iterator for IntoIter<T> {
    type Item = (MapKeyBytes, Held<T>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            IntoIter::Few(few) => few.next().map(|few| (few.map_key, few.held)),
            IntoIter::Many(many) => many.next(),
        }
    }
}

impl<T> IntoIterator for MapEntries<T> {
    type Item = (MapKeyBytes, Held<T>);
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        match self {
            MapEntries::Few(few) => IntoIter::Few(few.into_iter()),
            MapEntries::Many(many) => IntoIter::Many(many.into_iter()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{super::super::super::value::Cell, *};

    fn held(value: u64) -> Held<u64> {
        Held { cell: Cell::Present(value), expires: 0, weight: 0, is_own: false }
    }

    fn value(held: &Held<u64>) -> u64 {
        match held.cell {
            Cell::Present(value) => value,
            _ => panic!("it was put in"),
        }
    }

    /// Keys of 0 to 12 bytes of few values, so that prefixes and trailing zeroes matter, against the standard library's map.
    #[test]
    fn it_is_an_ordered_map() {
        let mut random = 5u64;
        let mut next = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for most in [3, 40] {
            let (mut entries, mut model) = (MapEntries::default(), BTreeMap::<Vec<u8>, u64>::new());
            for step in 0..20_000u64 {
                let key: Vec<u8> = (0..next(13)).map(|at| if at % 4 == 3 { next(most) as u8 } else { 0 }).collect();
                match next(5) {
                    0 | 1 => {
                        entries.insert(MapKeyBytes::from_slice(&key), held(step));
                        model.insert(key, step);
                    }
                    2 => assert_eq!(entries.remove(&key).map(|held| value(&held)), model.remove(&key)),
                    3 => {
                        let other: Vec<u8> = (0..next(13)).map(|_| 0).collect();
                        let (from, to) = if key <= other { (&key, &other) } else { (&other, &key) };
                        let found: Vec<(&[u8], u64)> = entries
                            .range((Bound::Included(from), Bound::Included(to)))
                            .map(|(key, held)| (&key[..], value(held)))
                            .collect();
                        let expected: Vec<(&[u8], u64)> =
                            model.range(from.clone()..=to.clone()).map(|(key, value)| (&key[..], *value)).collect();
                        assert_eq!(found, expected);
                        let found = entries.range_mut(Bound::Included(from)).map(|(_, held)| value(held));
                        assert!(found.eq(model.range(from.clone()..).map(|(_, value)| *value)));
                    }
                    _ => {
                        assert_eq!(entries.get(&key).map(value), model.get(&key).copied());
                        assert_eq!(entries.get_mut(&key).is_some(), model.contains_key(&key));
                    }
                }
                if step % 500 == 0 {
                    // Small again.
                    (entries, model) = Default::default();
                }
            }
            let found = entries.into_iter().map(|(key, held)| (key.to_vec(), value(&held)));
            assert!(found.eq(model));
        }
    }
}
