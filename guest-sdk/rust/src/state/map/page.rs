//! Reads a map in pages.

use std::marker::PhantomData;

use super::super::MapKey;
use crate::{
    backend::Page,
    codec::StateValue,
    error::{Error, Result},
};

/// Where a scan of a map goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub(super) Vec<u8>);

impl Cursor {
    /// At the first entry.
    pub fn first() -> Cursor {
        Cursor(Vec::new())
    }

    /// At the first entry whose map key is not below `map_key`.
    pub fn at<K: MapKey>(map_key: K::View<'_>) -> Cursor {
        let mut bytes = Vec::new();
        K::encode(map_key, &mut bytes);
        Cursor(bytes)
    }
}

/// Entries of a map, in the order of their map keys. Made by [`MapState::scan`](super::MapState::scan).
pub struct MapPage<K, V> {
    state: String,
    page: Page,
    codecs: PhantomData<fn() -> (K, V)>,
}

impl<K: MapKey, V: StateValue> MapPage<K, V> {
    pub(super) fn new(state: &str, page: Page) -> MapPage<K, V> {
        MapPage { state: state.to_string(), page, codecs: PhantomData }
    }

    /// The entries.
    ///
    /// An item is the job's error when stored bytes do not fit their codec.
    pub fn iter(&self) -> impl Iterator<Item = Result<(K::Owned, V::Decoded<'_>)>> {
        rows(&self.page).map(|(map_key, value)| {
            let unreadable = |error| {
                let map_key = map_key.escape_ascii();
                let message = "what is stored cannot be read as its codec";
                Error::Job(format!("state `{}`, map key {map_key}: {message}: {error}", self.state))
            };
            Ok((K::decode(map_key).map_err(unreadable)?, V::decode(Some(value)).map_err(unreadable)?))
        })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.page.map_key_ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.page.map_key_ends.is_empty()
    }

    /// Where the scan goes on; `None` where the map has no more.
    pub fn next(&self) -> Option<Cursor> {
        let last = rows(&self.page).last().map(|(map_key, _)| map_key).unwrap_or_default();
        // The least map key that is above the last one.
        self.page.more.then(|| Cursor([last, &[0]].concat()))
    }
}

/// A page of nothing.
pub(crate) fn none() -> Page {
    let (map_key_ends, map_keys, value_ends, values) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    Page { map_key_ends, map_keys, value_ends, values, more: false }
}

/// Map keys and values of a page. Ends where its columns are not valid.
pub(crate) fn rows(page: &Page) -> impl Iterator<Item = (&[u8], &[u8])> {
    let (mut key, mut value) = (0, 0);
    page.map_key_ends.iter().zip(&page.value_ends).map_while(move |(&key_end, &value_end)| {
        let row = (page.map_keys.get(key..key_end as usize)?, page.values.get(value..value_end as usize)?);
        (key, value) = (key_end as usize, value_end as usize);
        Some(row)
    })
}
