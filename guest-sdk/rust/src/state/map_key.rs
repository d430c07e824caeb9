//! Decides how keys of maps are encoded, so that the order of the bytes is the order of the keys.
//!
//! | key | bytes |
//! |---|---|
//! | `u8` `u16` `u32` `u64` | big-endian |
//! | `i8` `i16` `i32` `i64` | big-endian, with the sign bit turned |
//! | `bool` | 0 or 1 |
//! | [`Text`], [`Bytes`] | as they are |
//! | tuples of two to four of these | one after the other; in a tuple text and bytes end with 0 and 1, and a 0 within them is followed by 255 |

use crate::codec::{Bytes, CodecError, Format, Text, named};

/// A codec of keys of a map, which keeps their order.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a map",
    label = "not a codec that keeps the order of keys",
    note = "use `Text`, `Bytes`, an integer, `bool` or a tuple of up to four of these"
)]
pub trait MapKey: 'static {
    /// The borrowed form.
    type View<'a>: Copy;
    /// The form that owns its contents.
    type Owned;

    /// What `describe` says of it.
    fn format() -> Format;

    /// Appends a key to `out`.
    fn encode(view: Self::View<'_>, out: &mut Vec<u8>);

    /// Appends a key that is part of a tuple to `out`.
    fn encode_part(view: Self::View<'_>, out: &mut Vec<u8>) {
        Self::encode(view, out);
    }

    /// Reads a key.
    ///
    /// # Errors
    /// When `bytes` are no such key.
    fn decode(bytes: &[u8]) -> Result<Self::Owned, CodecError> {
        match Self::decode_part(bytes)? {
            (key, []) => Ok(key),
            (_, rest) => Err(CodecError::new(format_args!("{} bytes are left over after the key", rest.len()))),
        }
    }

    /// Reads a key that is part of a tuple; what comes after it.
    ///
    /// # Errors
    /// When `bytes` do not begin with such a key.
    fn decode_part(bytes: &[u8]) -> Result<(Self::Owned, &[u8]), CodecError>;

    /// Its name in the schema of a tuple.
    #[doc(hidden)]
    fn name() -> String;
}

/// A format whose bytes are in the order of its keys.
fn ordered(schema: String) -> Format {
    Format { name: "ordered".to_string(), schema }
}

macro_rules! integer {
    ($($type:ident $flip:expr),*) => { $(
        impl MapKey for $type {
            type View<'a> = $type;
            type Owned = $type;

            fn format() -> Format {
                ordered(Self::name())
            }

            fn encode(view: $type, out: &mut Vec<u8>) {
                out.extend_from_slice(&(view ^ $flip).to_be_bytes());
            }

            fn decode_part(bytes: &[u8]) -> Result<($type, &[u8]), CodecError> {
                let (key, rest) = bytes.split_first_chunk().ok_or_else(|| {
                    CodecError::new(format_args!("{} bytes are no {}", bytes.len(), stringify!($type)))
                })?;
                Ok(($type::from_be_bytes(*key) ^ $flip, rest))
            }

            fn name() -> String {
                stringify!($type).to_string()
            }
        }
    )* };
}

integer!(u8 0, u16 0, u32 0, u64 0, i8 i8::MIN, i16 i16::MIN, i32 i32::MIN, i64 i64::MIN);

impl MapKey for bool {
    type View<'a> = bool;
    type Owned = bool;

    fn format() -> Format {
        ordered(Self::name())
    }

    fn encode(view: bool, out: &mut Vec<u8>) {
        out.push(u8::from(view));
    }

    fn decode_part(bytes: &[u8]) -> Result<(bool, &[u8]), CodecError> {
        match bytes.split_first() {
            Some((0, rest)) => Ok((false, rest)),
            Some((1, rest)) => Ok((true, rest)),
            _ => Err(CodecError::new("it is no bool: 0 or 1")),
        }
    }

    fn name() -> String {
        "bool".to_string()
    }
}

/// Ends bytes within a tuple. It is below what follows a 0 within them, so that a prefix comes first.
const END: u8 = 1;
/// Follows a 0 within bytes within a tuple.
const ZERO: u8 = 255;

impl MapKey for Bytes {
    type View<'a> = &'a [u8];
    type Owned = Vec<u8>;

    fn format() -> Format {
        named("bytes")
    }

    fn encode(view: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(view);
    }

    fn encode_part(view: &[u8], out: &mut Vec<u8>) {
        for &byte in view {
            out.push(byte);
            if byte == 0 {
                out.push(ZERO);
            }
        }
        out.extend_from_slice(&[0, END]);
    }

    fn decode(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
        Ok(bytes.to_vec())
    }

    fn decode_part(bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), CodecError> {
        let (mut key, mut rest) = (Vec::new(), bytes);
        loop {
            match rest {
                [0, END, rest @ ..] => return Ok((key, rest)),
                [0, ZERO, after @ ..] => {
                    key.push(0);
                    rest = after;
                }
                [byte, after @ ..] if *byte != 0 => {
                    key.push(*byte);
                    rest = after;
                }
                _ => return Err(CodecError::new("a part of the key does not end")),
            }
        }
    }

    fn name() -> String {
        "bytes".to_string()
    }
}

fn text(bytes: Vec<u8>) -> Result<String, CodecError> {
    String::from_utf8(bytes).map_err(|error| CodecError::new(format_args!("it is not UTF-8: {error}")))
}

impl MapKey for Text {
    type View<'a> = &'a str;
    type Owned = String;

    fn format() -> Format {
        named("text")
    }

    fn encode(view: &str, out: &mut Vec<u8>) {
        <Bytes as MapKey>::encode(view.as_bytes(), out);
    }

    fn encode_part(view: &str, out: &mut Vec<u8>) {
        Bytes::encode_part(view.as_bytes(), out);
    }

    fn decode(bytes: &[u8]) -> Result<String, CodecError> {
        text(bytes.to_vec())
    }

    fn decode_part(bytes: &[u8]) -> Result<(String, &[u8]), CodecError> {
        let (key, rest) = Bytes::decode_part(bytes)?;
        Ok((text(key)?, rest))
    }

    fn name() -> String {
        "text".to_string()
    }
}

macro_rules! tuple {
    ($($part:ident $at:tt),*) => {
        impl<$($part: MapKey),*> MapKey for ($($part,)*) {
            type View<'a> = ($($part::View<'a>,)*);
            type Owned = ($($part::Owned,)*);

            fn format() -> Format {
                ordered(Self::name())
            }

            fn encode(view: Self::View<'_>, out: &mut Vec<u8>) {
                $( $part::encode_part(view.$at, out); )*
            }

            #[allow(non_snake_case, reason = "a part is named as its type")]
            fn decode_part(rest: &[u8]) -> Result<(Self::Owned, &[u8]), CodecError> {
                $( let ($part, rest) = $part::decode_part(rest)?; )*
                Ok((($($part,)*), rest))
            }

            fn name() -> String {
                format!("({})", [$($part::name()),*].join(", "))
            }
        }
    };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded<K: MapKey>(key: K::View<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        K::encode(key, &mut out);
        out
    }

    #[test]
    fn bytes_are_as_documented() {
        assert_eq!(encoded::<u16>(258), [1, 2]);
        assert_eq!((encoded::<i16>(-1), encoded::<i16>(1)), (vec![0x7f, 0xff], vec![0x80, 1]));
        assert_eq!(encoded::<Text>("a\0"), [97, 0]);
        assert_eq!(encoded::<(Text, u8)>(("a\0", 7)), [97, 0, 255, 0, 1, 7]);
        assert_eq!(<(Text, i64)>::format().schema, "(text, i64)");
    }

    proptest! {
        #[test]
        fn order_is_kept_and_keys_come_back(
            a in (any::<i64>(), proptest::collection::vec(0..3u8, 0..5), any::<u8>()),
            b in (-2..2i64, proptest::collection::vec(0..3u8, 0..5), any::<u8>()),
        ) {
            type Key = (Bytes, i64, Bytes);
            let key = |(number, bytes, last): &(i64, Vec<u8>, u8)| {
                encoded::<Key>((bytes, *number % 2, &[*last, 255 - *last]))
            };
            let order = |(number, bytes, last): &(i64, Vec<u8>, u8)| (bytes.clone(), *number % 2, *last);
            prop_assert_eq!(key(&a).cmp(&key(&b)), order(&a).cmp(&order(&b)));
            let (bytes, number, last) = Key::decode(&key(&a)).unwrap();
            prop_assert_eq!((bytes, number, last[0]), order(&a));
            prop_assert_eq!(encoded::<i64>(a.0).cmp(&encoded::<i64>(b.0)), a.0.cmp(&b.0));
            prop_assert_eq!(i64::decode(&encoded::<i64>(a.0)).unwrap(), a.0);
        }

        #[test]
        fn any_bytes_are_a_key_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            if let Ok((text, number)) = <(Text, i16)>::decode(&bytes) {
                prop_assert_eq!(encoded::<(Text, i16)>((&text, number)), bytes);
            }
        }
    }
}
