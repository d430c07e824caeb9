//! Shows bytes by their declared codec, without user code.

use std::fmt::Write as _;

/// A declared format: an open list of names; see the table in the WIT contract (`description.codec`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Codec {
    /// `bytes`, `text`, `json`, `u32`, `u64`, `i32`, `i64`, `f32`, `f64`, `postcard`, or one that tools do not know.
    pub name: String,
    /// What else a reader must know; empty where the name says all.
    pub schema: String,
}

impl Codec {
    /// A codec that its name describes.
    pub fn named(name: &str) -> Codec {
        Codec { name: name.to_string(), schema: String::new() }
    }

    /// `bytes` as text for people and for line formats: text as it is, numbers in decimal, JSON as it is, all else and
    /// whatever does not fit its codec in hexadecimal with a leading `0x`.
    ///
    /// ```
    /// use wasmill_core::Codec;
    /// let mut out = String::new();
    /// Codec::named("u64").text(&7u64.to_le_bytes(), &mut out);
    /// assert_eq!(out, "7");
    /// ```
    pub fn text(&self, bytes: &[u8], out: &mut String) {
        match self.read(bytes) {
            Some(Shown::Text(text) | Shown::Json(text)) => out.push_str(text),
            Some(Shown::Number(number)) => out.push_str(&number),
            None => {
                out.push_str("0x");
                for byte in bytes {
                    let _ = write!(out, "{byte:02x}");
                }
            }
        }
    }

    /// What `bytes` are, if they fit the codec and the codec is known.
    pub fn read<'a>(&self, bytes: &'a [u8]) -> Option<Shown<'a>> {
        macro_rules! number {
            ($type:ty) => {
                Some(Shown::Number(<$type>::from_le_bytes(bytes.try_into().ok()?).to_string()))
            };
        }
        match self.name.as_str() {
            "text" => std::str::from_utf8(bytes).ok().map(Shown::Text),
            "json" => std::str::from_utf8(bytes).ok().map(Shown::Json),
            "u32" => number!(u32),
            "u64" => number!(u64),
            "i32" => number!(i32),
            "i64" => number!(i64),
            "f32" => number!(f32),
            "f64" => number!(f64),
            _ => None,
        }
    }
}

/// Bytes understood by their codec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown<'a> {
    /// Text.
    Text(&'a str),
    /// One JSON value, not verified.
    Json(&'a str),
    /// A number in decimal (`NaN` and `inf` for floats that are none).
    Number(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(codec: &str, bytes: &[u8]) -> String {
        let mut out = String::new();
        Codec::named(codec).text(bytes, &mut out);
        out
    }

    #[test]
    fn bytes_are_shown_by_their_codec() {
        assert_eq!(text("text", "Käse".as_bytes()), "Käse");
        assert_eq!(text("i32", &(-5i32).to_le_bytes()), "-5");
        assert_eq!(text("f64", &0.5f64.to_le_bytes()), "0.5");
        assert_eq!(text("bytes", b"\x00\xff"), "0x00ff");
    }

    #[test]
    fn what_does_not_fit_is_shown_in_hexadecimal() {
        assert_eq!(text("text", b"\xff"), "0xff");
        assert_eq!(text("u64", b"abc"), "0x616263");
        assert_eq!(text("from-the-future", b"a"), "0x61");
    }
}
