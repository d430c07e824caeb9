//! Reads the elements of a list: (u32 length little-endian, element)*.

use std::marker::PhantomData;

use super::super::column::Identity;
use crate::{codec::StateValue, error::Result};

/// The elements of a list, in the order in which they were appended. Made by [`ListState::get`](super::ListState::get).
pub struct Elements<'a, V> {
    at: &'a Identity,
    key: &'a [u8],
    rest: &'a [u8],
    length: usize,
    codec: PhantomData<fn() -> V>,
}

impl<'a, V> Elements<'a, V> {
    /// The elements of `bytes`.
    ///
    /// # Errors
    /// The job's, when `bytes` are no list.
    pub(super) fn new(at: &'a Identity, key: &'a [u8], bytes: &'a [u8]) -> Result<Elements<'a, V>> {
        let (mut rest, mut length) = (bytes, 0);
        while let Some((_, after)) = split_first(rest) {
            (rest, length) = (after, length + 1);
        }
        if !rest.is_empty() {
            return Err(at.unreadable(key, "its list ends within an element"));
        }
        Ok(Elements { at, key, rest: bytes, length, codec: PhantomData })
    }
}

/// Takes the first element off; `None` at the end, and where the bytes are no list.
pub(crate) fn split_first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

impl<'a, V: StateValue> Iterator for Elements<'a, V> {
    type Item = Result<V::Decoded<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (element, rest) = split_first(self.rest)?;
        self.length -= 1;
        self.rest = rest;
        Some(V::decode(Some(element)).map_err(|error| self.at.unreadable(self.key, error)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.length, Some(self.length))
    }
}

impl<V: StateValue> ExactSizeIterator for Elements<'_, V> {}
