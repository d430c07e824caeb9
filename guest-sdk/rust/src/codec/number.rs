//! Numbers of fixed width, little-endian, read in a typed loop where the column is even.

use std::marker::PhantomData;

use super::{Codec, CodecError, Format, StateValue, named};
use crate::column::{Column, Entries};

/// The entries of a column of numbers: a slice of them where the column is even, else one by one.
#[derive(Debug)]
pub struct NumberRows<'a, T, const WIDTH: usize> {
    source: Source<'a, WIDTH>,
    number: PhantomData<fn() -> T>,
}

#[derive(Debug)]
enum Source<'a, const WIDTH: usize> {
    Even(std::slice::Iter<'a, [u8; WIDTH]>),
    Uneven(Entries<'a>),
}

#[cold]
fn wrong_length(name: &str, width: usize, length: usize) -> CodecError {
    CodecError::new(format_args!("{length} bytes are no {name}, which has {width}"))
}

macro_rules! number {
    ($($type:ident $width:literal),*) => { $(
        impl<'a> Iterator for NumberRows<'a, $type, $width> {
            type Item = Result<$type, CodecError>;

            #[inline(always)]
            fn next(&mut self) -> Option<Self::Item> {
                match &mut self.source {
                    Source::Even(entries) => entries.next().map(|entry| Ok($type::from_le_bytes(*entry))),
                    Source::Uneven(entries) => entries.next().map($type::decode),
                }
            }
        }

        impl Codec for $type {
            type View<'a> = $type;
            type Decoded<'a> = $type;
            type Owned = $type;
            type Rows<'a> = NumberRows<'a, $type, $width>;
            const WIDTH: usize = $width;
            const FALLIBLE: bool = false;

            fn format() -> Format {
                named(stringify!($type))
            }

            fn rows(column: Column<'_>, rows: usize) -> Self::Rows<'_> {
                let source = match column.fixed(rows) {
                    Some(entries) => Source::Even(entries.iter()),
                    None => Source::Uneven(column.iter(rows)),
                };
                NumberRows { source, number: PhantomData }
            }

            #[inline]
            fn decode(bytes: Option<&[u8]>) -> Result<$type, CodecError> {
                let bytes = bytes.ok_or_else(CodecError::null)?;
                let entry = bytes.try_into().map_err(|_| wrong_length(stringify!($type), $width, bytes.len()))?;
                Ok($type::from_le_bytes(entry))
            }

            #[inline(always)]
            fn view(decoded: &$type) -> $type {
                *decoded
            }

            #[inline(always)]
            fn own(decoded: $type) -> $type {
                decoded
            }

            #[inline(always)]
            fn borrow(owned: &$type) -> $type {
                *owned
            }

            #[inline(always)]
            fn encode(view: $type, out: &mut Vec<u8>) -> Result<bool, CodecError> {
                out.extend_from_slice(&view.to_le_bytes());
                Ok(true)
            }
        }

        impl StateValue for $type {}
    )* };
}

number!(u32 4, i32 4, f32 4, u64 8, i64 8, f64 8);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ends: &[u32], bytes: &[u8]) -> Vec<Result<u32, CodecError>> {
        u32::rows(Column { ends, bytes, flags: &[], absent: 1 }, ends.len()).collect()
    }

    #[test]
    fn even_and_uneven_columns_give_the_same_numbers() {
        assert_eq!(read(&[4, 8], &[1, 0, 0, 0, 0, 1, 0, 0]), [Ok(1), Ok(256)]);
        let uneven = read(&[4, 7, 11], &[1, 0, 0, 0, 9, 9, 9, 0, 1, 0, 0]);
        assert_eq!((&uneven[0], &uneven[2]), (&Ok(1), &Ok(256)));
        assert_eq!(uneven[1].clone().unwrap_err().to_string(), "3 bytes are no u32, which has 4");
    }

    #[test]
    fn a_null_is_an_error() {
        let mut rows = u32::rows(Column { ends: &[], bytes: &[], flags: &[], absent: 1 }, 1);
        assert_eq!(rows.next(), Some(Err(CodecError::null())));
        assert_eq!(rows.next(), None);
    }
}
