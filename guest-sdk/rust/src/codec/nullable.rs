//! `Option`: a column that may hold nulls.

use std::marker::PhantomData;

use super::{Codec, CodecError, Format};
use crate::column::{Column, Entries};

/// The entries of a column that may hold nulls.
#[derive(Debug)]
pub struct NullableRows<'a, C> {
    entries: Entries<'a>,
    codec: PhantomData<fn() -> C>,
}

impl<'a, C: Codec> Iterator for NullableRows<'a, C> {
    type Item = Result<Option<C::Decoded<'a>>, CodecError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.entries.next().map(Option::<C>::decode)
    }
}

impl<C: Codec> Codec for Option<C> {
    type View<'a> = Option<C::View<'a>>;
    type Decoded<'a> = Option<C::Decoded<'a>>;
    type Owned = Option<C::Owned>;
    type Rows<'a> = NullableRows<'a, C>;
    const COLUMN: bool = C::COLUMN;
    const FALLIBLE: bool = C::FALLIBLE;

    fn format() -> Format {
        C::format()
    }

    fn rows(column: Column<'_>, rows: usize) -> Self::Rows<'_> {
        NullableRows { entries: column.iter(rows), codec: PhantomData }
    }

    #[inline]
    fn decode(bytes: Option<&[u8]>) -> Result<Self::Decoded<'_>, CodecError> {
        match bytes {
            Some(bytes) => C::decode(Some(bytes)).map(Some),
            None => Ok(None),
        }
    }

    #[inline]
    fn view<'a>(decoded: &'a Self::Decoded<'_>) -> Self::View<'a> {
        decoded.as_ref().map(C::view)
    }

    fn own(decoded: Self::Decoded<'_>) -> Self::Owned {
        decoded.map(C::own)
    }

    #[inline]
    fn borrow(owned: &Self::Owned) -> Self::View<'_> {
        owned.as_ref().map(C::borrow)
    }

    #[inline]
    fn encode(view: Self::View<'_>, out: &mut Vec<u8>) -> Result<bool, CodecError> {
        match view {
            Some(view) => C::encode(view, out),
            None => Ok(false),
        }
    }
}
