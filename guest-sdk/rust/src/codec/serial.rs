//! Types of serde: JSON for people and other languages, postcard for speed.

use std::{fmt, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use super::{ByRow, Codec, CodecError, Format, StateValue, named};
use crate::column::Column;

/// A value of type `T` as one JSON value.
pub struct Json<T>(PhantomData<fn() -> T>);

/// A value of type `T` in serde's postcard format: compact, but readable only by who knows `T`.
pub struct Postcard<T>(PhantomData<fn() -> T>);

/// Counts what is written to it.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Appends to a vector that outlives a failure to encode.
struct Tail<'a>(&'a mut Vec<u8>);

impl Extend<u8> for Tail<'_> {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        self.0.extend(bytes);
    }
}

/// What a decoded value takes on the heap for each encoded byte, roughly: strings and vectors have headers and room to grow.
const HEAP_PER_BYTE: usize = 2;

macro_rules! serial {
    ($codec:ident, $format:expr, $decode:expr, $encode:expr, $weight:expr) => {
        impl<T> fmt::Debug for $codec<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($codec))
            }
        }

        impl<T: Serialize + DeserializeOwned + 'static> Codec for $codec<T> {
            type View<'a> = &'a T;
            type Decoded<'a> = T;
            type Owned = T;
            type Rows<'a> = ByRow<'a, $codec<T>>;

            fn format() -> Format {
                $format
            }

            fn rows(column: Column<'_>, rows: usize) -> Self::Rows<'_> {
                ByRow::new(column, rows)
            }

            fn decode(bytes: Option<&[u8]>) -> Result<T, CodecError> {
                $decode(bytes.ok_or_else(CodecError::null)?).map_err(CodecError::new)
            }

            #[inline(always)]
            fn view(decoded: &T) -> &T {
                decoded
            }

            fn own(decoded: T) -> T {
                decoded
            }

            #[inline(always)]
            fn borrow(owned: &T) -> &T {
                owned
            }

            fn encode(view: &T, out: &mut Vec<u8>) -> Result<bool, CodecError> {
                let start = out.len();
                $encode(view, out).map(|()| true).map_err(|error: CodecError| {
                    out.truncate(start);
                    error
                })
            }
        }

        impl<T: Serialize + DeserializeOwned + 'static> StateValue for $codec<T> {
            const WEIGHT_IS_CHEAP: bool = false;

            fn weight(owned: &T) -> usize {
                $weight(owned).unwrap_or(0) * HEAP_PER_BYTE
            }
        }
    };
}

serial!(
    Json,
    named("json"),
    serde_json::from_slice,
    |view: &T, out: &mut Vec<u8>| serde_json::to_writer(out, view).map_err(CodecError::new),
    |owned: &T| {
        let mut length = Length(0);
        serde_json::to_writer(&mut length, owned).map(|()| length.0)
    }
);

serial!(
    Postcard,
    Format { name: "postcard".to_string(), schema: std::any::type_name::<T>().to_string() },
    whole_postcard,
    |view: &T, out: &mut Vec<u8>| postcard::to_extend(view, Tail(out)).map(|_| ()).map_err(CodecError::new),
    postcard::experimental::serialized_size
);

/// Decodes all of `bytes`: what postcard would leave over does not belong to a `T`.
fn whole_postcard<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let (value, rest) =
        postcard::take_from_bytes(bytes).map_err(|error| format!("it is not postcard of its type: {error}"))?;
    if rest.is_empty() { Ok(value) } else { Err(format!("{} bytes are left over after its postcard", rest.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<C: Codec<Owned = Vec<String>>>(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
        let mut out = b"before".to_vec();
        C::encode(C::borrow(&C::own(C::decode(Some(bytes))?)), &mut out)?;
        Ok(out.split_off(6))
    }

    #[test]
    fn values_come_back() {
        assert_eq!(round_trip::<Json<Vec<String>>>(br#"["a", "b"]"#).unwrap(), br#"["a","b"]"#);
        assert_eq!(round_trip::<Postcard<Vec<String>>>(&[1, 2, b'h', b'i']).unwrap(), [1, 2, b'h', b'i']);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let error = |result: Result<Vec<u8>, CodecError>| result.unwrap_err().to_string();
        assert!(error(round_trip::<Json<Vec<String>>>(b"[1]")).contains("expected a string"));
        assert!(error(round_trip::<Postcard<Vec<String>>>(&[1, 9])).starts_with("it is not postcard of its type"));
        assert_eq!(error(round_trip::<Postcard<Vec<String>>>(&[0, 7])), "1 bytes are left over after its postcard");
    }

    #[test]
    fn a_value_without_encoding_leaves_nothing_behind() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        let mut out = b"before".to_vec();
        assert!(Json::encode(&map, &mut out).is_err());
        assert_eq!(out, b"before");
    }
}
