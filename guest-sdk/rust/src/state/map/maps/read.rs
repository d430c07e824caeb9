//! Reads maps: from the cache, and from the host where that does not know.

use std::{iter::Peekable, ops::Bound};

use super::{
    super::{
        super::{Directory, changes::Changes, column::Identity, value::Cell},
        page::{none, rows},
    },
    Held, MapKeyBytes, Maps,
};
use crate::{
    backend::{Backend, EntryKeys, Page},
    codec::StateValue,
    error::Result,
};

/// Bytes of a map that come into the cache when it is first read.
const FIRST_BYTES: u32 = 4 * 1024;

impl<V: StateValue> Maps<V> {
    /// The time at which entries that expire then have expired.
    fn now(&self) -> i64 {
        self.lifetime.as_ref().map_or(i64::MIN, super::Lifetime::now)
    }

    /// The value of an entry that is in the cache.
    pub(in super::super) fn get(&self, slot: u32, map_key: &[u8]) -> Option<V::View<'_>> {
        let held = self.maps[slot as usize].entries.get(map_key)?;
        match &held.cell {
            Cell::Present(value) | Cell::Changed(_, value) if self.lifetime.is_none() || held.expires > self.now() => {
                Some(V::borrow(value))
            }
            _ => None,
        }
    }

    /// Forgets what the host told earlier of a map whose entries may have expired since.
    fn refresh(&mut self, slot: u32) {
        let now = self.now();
        let map = &mut self.maps[slot as usize];
        if self.lifetime.is_none() || !map.is_read || map.read_at >= now {
            return;
        }
        (map.whole, map.is_begun, map.is_read) = (false, false, false);
        let told = map.entries.iter().filter(|(_, held)| held.cell.changed_in().is_none());
        let told: Vec<MapKeyBytes> = told.map(|(map_key, _)| map_key.clone()).collect();
        told.iter().for_each(|map_key| self.drop_entry(slot, map_key));
    }

    /// Brings an entry into the cache, if the cache does not know it.
    pub(in super::super) fn read(
        &mut self,
        at: &Identity,
        changes: &mut Changes,
        backend: &mut dyn Backend,
        keys: &Directory,
        slot: u32,
        map_key: &[u8],
    ) -> Result {
        self.refresh(slot);
        let map = &self.maps[slot as usize];
        if map.whole || map.entries.contains_key(map_key) {
            return Ok(());
        }
        changes.flush_kept(at.index, backend, keys);
        if !map.is_begun {
            let page = backend.scan(at.index, keys.key(slot), &[], FIRST_BYTES);
            let map = &mut self.maps[slot as usize];
            (map.is_begun, map.whole) = (true, !page.more);
            let last = rows(&page).last().map(|(map_key, _)| map_key.to_vec());
            for (map_key, value) in rows(&page) {
                self.tell(at, keys, slot, map_key, Some(value))?;
            }
            if !page.more || last.is_some_and(|last| *map_key <= *last) {
                return Ok(());
            }
        }
        let mut entry = keys.keys_of(&[slot]);
        entry = EntryKeys { map_key_ends: vec![map_key.len() as u32], map_keys: map_key.to_vec(), ..entry };
        let values = backend.get_many(at.index, &entry);
        let value = values.present.first().is_some_and(|&present| present != 0).then_some(&values.values[..]);
        self.tell(at, keys, slot, map_key, value)
    }

    /// Takes what the host says of an entry, unless it is known better.
    fn tell(&mut self, at: &Identity, keys: &Directory, slot: u32, map_key: &[u8], value: Option<&[u8]>) -> Result {
        if self.maps[slot as usize].entries.contains_key(map_key) {
            return Ok(());
        }
        let decoded = value.map(|value| V::decode(Some(value))).transpose();
        let cell = match decoded.map_err(|error| at.unreadable(keys.key(slot), error))? {
            Some(value) => Cell::Present(V::own(value)),
            None => Cell::Absent,
        };
        self.insert(slot, map_key, Held { cell, expires: i64::MAX, weight: 0, is_own: false });
        let now = self.now();
        let map = &mut self.maps[slot as usize];
        (map.is_read, map.read_at) = (true, now);
        Ok(())
    }

    /// Entries of a map from the first map key that is not below `from`: those of the host, and over them what it was not told.
    #[allow(clippy::too_many_arguments, reason = "they are the parts of a state and of a call")]
    pub(in super::super) fn scan(
        &mut self,
        at: &Identity,
        changes: &mut Changes,
        backend: &mut dyn Backend,
        keys: &Directory,
        slot: u32,
        from: &[u8],
        max_bytes: u32,
    ) -> Result<Page> {
        self.refresh(slot);
        let mut from = from.to_vec();
        loop {
            let told = if self.maps[slot as usize].whole {
                none()
            } else {
                changes.flush_kept(at.index, backend, keys);
                backend.scan(at.index, keys.key(slot), &from, max_bytes)
            };
            let page = self.merge(at, keys, slot, &from, &told, max_bytes as usize)?;
            // All that the host told of may have been removed since.
            match rows(&told).last() {
                Some((last, _)) if told.more && page.map_key_ends.is_empty() => from = [last, &[0]].concat(),
                _ => return Ok(page),
            }
        }
    }

    fn merge(
        &self,
        at: &Identity,
        keys: &Directory,
        slot: u32,
        from: &[u8],
        told: &Page,
        max_bytes: usize,
    ) -> Result<Page> {
        let map = &self.maps[slot as usize];
        // Beyond the last that the host told of it may have more.
        let end = match rows(told).last() {
            Some((last, _)) if told.more => Bound::Included(last),
            _ => Bound::Unbounded,
        };
        let mut held = map.entries.range((Bound::Included(from), end)).peekable();
        let mut told_rows = rows(told).peekable();
        let (mut page, now) = (none(), self.now());
        while let Some(map_key) = first(&mut held, &mut told_rows) {
            if !page.map_key_ends.is_empty() && page.map_keys.len() + page.values.len() >= max_bytes {
                page.more = true;
                return Ok(page);
            }
            let told_value = told_rows.next_if(|(told, _)| *told == map_key).map(|(_, value)| value);
            let known = held.next_if(|(held, _)| held[..] == *map_key).map(|(_, held)| held);
            let start = page.values.len();
            match known.map(|known| (&known.cell, known.expires)) {
                Some((Cell::Present(value) | Cell::Changed(_, value), expires))
                    if self.lifetime.is_none() || expires > now =>
                {
                    let encoded = V::encode(V::borrow(value), &mut page.values);
                    encoded.map_err(|error| at.error(keys.key(slot), "its value has no encoding", error))?;
                }
                Some(_) => {
                    page.values.truncate(start);
                    continue;
                }
                None => page.values.extend_from_slice(told_value.unwrap_or_default()),
            }
            page.value_ends.push(page.values.len() as u32);
            page.map_keys.extend_from_slice(map_key);
            page.map_key_ends.push(page.map_keys.len() as u32);
        }
        page.more = told.more;
        Ok(page)
    }
}

/// The lower one of two sorted runs' next map keys.
fn first<'a, T: 'a>(
    held: &mut Peekable<impl Iterator<Item = (&'a MapKeyBytes, T)>>,
    told: &mut Peekable<impl Iterator<Item = (&'a [u8], &'a [u8])>>,
) -> Option<&'a [u8]> {
    match (held.peek(), told.peek()) {
        (Some((held, _)), Some((told, _))) => Some((&held[..]).min(told)),
        (Some((held, _)), None) => Some(held),
        (None, Some((told, _))) => Some(told),
        (None, None) => None,
    }
}
