//! Holds one row or one timer, borrowed, as an operator sees it.

use crate::{
    backend::TimeDomain,
    batch::{Batch, NO_TIME},
    codec::Codec,
};

/// One row: its key and value as their codecs view them.
pub struct Record<'a, K: Codec, V: Codec> {
    /// The key.
    pub key: K::View<'a>,
    /// The value.
    pub value: V::View<'a>,
    pub(crate) timestamp: i64,
    pub(crate) row: usize,
    pub(crate) batch: &'a Batch,
}

impl<K: Codec, V: Codec> Clone for Record<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Codec, V: Codec> Copy for Record<'_, K, V> {}

impl<'a, K: Codec, V: Codec> Record<'a, K, V> {
    /// Event time in milliseconds since the Unix epoch, if the record has one.
    #[inline]
    pub fn timestamp(&self) -> Option<i64> {
        (self.timestamp != NO_TIME).then_some(self.timestamp)
    }

    /// The headers, name and value. There are none unless `open` asked for them with
    /// [`Setup::read_headers`](crate::Setup::read_headers).
    pub fn headers(&self) -> Headers<'a> {
        let start =
            if self.row == 0 { 0 } else { self.batch.header_ends.get(self.row - 1).map_or(0, |&end| end as usize) };
        let end = self.batch.header_ends.get(self.row).map_or(start, |&end| end as usize);
        Headers { rest: self.batch.headers.get(start..end).unwrap_or_default() }
    }
}

/// The headers of a record, in order.
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    fn field(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.rest = rest;
        Some(field)
    }
}

impl<'a> Iterator for Headers<'a> {
    /// Name (`None` where it is not UTF-8) and value.
    type Item = (Option<&'a str>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.field()?;
        Some((std::str::from_utf8(name).ok(), self.field()?))
    }
}

/// A timer that is due.
pub struct Timer<'a, K: Codec> {
    pub(crate) key: K::View<'a>,
    pub(crate) time: i64,
    pub(crate) tag: u64,
    pub(crate) domain: TimeDomain,
}

impl<K: Codec> Clone for Timer<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Codec> Copy for Timer<'_, K> {}

impl<'a, K: Codec> Timer<'a, K> {
    /// The key that set it.
    pub fn key(&self) -> K::View<'a> {
        self.key
    }

    /// When it was due, milliseconds since the Unix epoch.
    pub fn time(&self) -> i64 {
        self.time
    }

    /// The number it was set with.
    pub fn tag(&self) -> u64 {
        self.tag
    }

    /// Which time it was set in.
    pub fn domain(&self) -> TimeDomain {
        self.domain
    }
}
