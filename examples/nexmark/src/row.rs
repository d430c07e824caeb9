//! Decides how rows travel between operators: postcard of a struct that borrows its text.

use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};
use wasmill_sdk::{
    Codec, Error,
    codec::{ByRow, CodecError, Format, StateValue},
    column::Column,
};

/// A row: a struct of numbers and borrowed text. As JSON it is an object of its fields.
pub trait Row: 'static {
    /// What the format says of it.
    const NAME: &'static str;
    /// The struct, borrowing for `'a`.
    type Fields<'a>: Copy + Default + Serialize + Deserialize<'a>;

    /// The same row, borrowing for less long.
    fn shorten<'a>(fields: &'a Self::Fields<'_>) -> Self::Fields<'a>;
}

/// Text that is passed on: not verified to be UTF-8 before it is written for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Str<'a>(pub &'a [u8]);

impl<'a> From<&'a str> for Str<'a> {
    fn from(text: &'a str) -> Str<'a> {
        Str(text.as_bytes())
    }
}

impl Serialize for Str<'_> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_bytes(self.0);
        }
        let text = std::str::from_utf8(self.0).map_err(|_| ser::Error::custom("a text is not UTF-8"))?;
        serializer.serialize_str(text)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Str)
    }
}

/// Implements [`Row`] for structs: `rows!(Passed<'a>, Count)`.
macro_rules! rows {
    ($($name:ident $(<$life:lifetime>)?),* $(,)?) => { $( rows!(@one $name $($life)?); )* };
    (@one $name:ident $life:lifetime) => {
        impl $crate::row::Row for $name<'static> {
            const NAME: &'static str = concat!("nexmark::", stringify!($name));
            type Fields<$life> = $name<$life>;

            #[inline(always)]
            fn shorten<'short>(fields: &'short $name<'_>) -> $name<'short> {
                *fields
            }
        }
    };
    (@one $name:ident) => {
        impl $crate::row::Row for $name {
            const NAME: &'static str = concat!("nexmark::", stringify!($name));
            type Fields<'a> = $name;

            #[inline(always)]
            fn shorten(fields: &$name) -> $name {
                *fields
            }
        }
    };
}
pub(crate) use rows;

/// The codec of rows `R`, postcard. State keeps them encoded: one allocation each.
pub struct Rows<R>(PhantomData<fn() -> R>);

/// Appends to a column.
struct Tail<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Tail<'_> {
    type Output = ();

    #[inline(always)]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    /// Numbers are a few bytes: in WebAssembly, a call of `memcpy` costs more than they do.
    #[inline(always)]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if bytes.len() > 10 {
            self.0.extend_from_slice(bytes);
        } else {
            self.0.reserve(bytes.len());
            bytes.iter().for_each(|&byte| self.0.push(byte));
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// The error of row `row` of a batch, where an operator takes whole batches.
#[cold]
pub fn at_row(error: Error, row: usize) -> Error {
    Error::Record { row: u32::try_from(row).ok(), message: error.message().to_string() }
}

impl<R: Row> Rows<R> {
    /// Reads an encoded row.
    ///
    /// # Errors
    /// When `bytes` are no such row.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<R::Fields<'_>, CodecError> {
        match postcard::take_from_bytes(bytes) {
            Ok((row, [])) => Ok(row),
            Ok((_, rest)) => Err(CodecError::new(format_args!("{} bytes are left over after {}", rest.len(), R::NAME))),
            Err(error) => Err(CodecError::new(format_args!("it is no {}: {error}", R::NAME))),
        }
    }

    /// An encoded row, to be kept.
    pub fn pack(row: &R::Fields<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Without an encoding it would be empty, which is the default when it is read.
        let _ = postcard::serialize_with_flavor(row, Tail(&mut bytes));
        bytes
    }
}

impl<R: Row> Codec for Rows<R> {
    type View<'a> = R::Fields<'a>;
    type Decoded<'a> = R::Fields<'a>;
    type Owned = Vec<u8>;
    type Rows<'a> = ByRow<'a, Rows<R>>;

    fn format() -> Format {
        Format { name: "postcard".to_string(), schema: R::NAME.to_string() }
    }

    fn rows(column: Column<'_>, rows: usize) -> Self::Rows<'_> {
        ByRow::new(column, rows)
    }

    #[inline]
    fn decode(bytes: Option<&[u8]>) -> Result<R::Fields<'_>, CodecError> {
        Self::read(bytes.ok_or_else(|| CodecError::new("it is null"))?)
    }

    #[inline(always)]
    fn view<'a>(decoded: &'a R::Fields<'_>) -> R::Fields<'a> {
        R::shorten(decoded)
    }

    fn own(decoded: R::Fields<'_>) -> Vec<u8> {
        Self::pack(&decoded)
    }

    #[inline]
    fn borrow(owned: &Vec<u8>) -> R::Fields<'_> {
        Self::read(owned).unwrap_or_default()
    }

    #[inline]
    fn encode(view: R::Fields<'_>, out: &mut Vec<u8>) -> Result<bool, CodecError> {
        let start = out.len();
        postcard::serialize_with_flavor(&view, Tail(out)).map(|()| true).map_err(|error| {
            out.truncate(start);
            CodecError::new(error)
        })
    }
}

impl<R: Row> StateValue for Rows<R> {
    fn weight(owned: &Vec<u8>) -> usize {
        owned.capacity()
    }
}
