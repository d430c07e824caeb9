//! Bytes as they are, and UTF-8 text, both without a copy.

use super::{ByRow, Codec, CodecError, Format, StateValue, named};
use crate::column::{Column, Entries, append};

/// Any bytes.
#[derive(Debug)]
pub enum Bytes {}

impl Codec for Bytes {
    type View<'a> = &'a [u8];
    type Decoded<'a> = &'a [u8];
    type Owned = Vec<u8>;
    type Rows<'a> = ByRow<'a, Bytes>;
    const FALLIBLE: bool = false;

    fn format() -> Format {
        named("bytes")
    }

    fn rows(column: Column<'_>, rows: usize) -> Self::Rows<'_> {
        ByRow::new(column, rows)
    }

    #[inline]
    fn decode(bytes: Option<&[u8]>) -> Result<&[u8], CodecError> {
        bytes.ok_or_else(CodecError::null)
    }

    #[inline(always)]
    fn view<'a>(decoded: &'a &[u8]) -> &'a [u8] {
        decoded
    }

    fn own(decoded: &[u8]) -> Vec<u8> {
        decoded.to_vec()
    }

    #[inline(always)]
    fn borrow(owned: &Vec<u8>) -> &[u8] {
        owned
    }

    #[inline]
    fn encode(view: &[u8], out: &mut Vec<u8>) -> Result<bool, CodecError> {
        append(out, view);
        Ok(true)
    }
}

impl StateValue for Bytes {
    fn weight(owned: &Vec<u8>) -> usize {
        owned.capacity()
    }
}

/// UTF-8 text.
#[derive(Debug)]
pub enum Text {}

/// The entries of a column of text. A column that is UTF-8 as a whole is verified in one pass.
#[derive(Debug)]
pub struct TextRows<'a> {
    entries: Entries<'a>,
    whole: Option<&'a str>,
}

impl<'a> Iterator for TextRows<'a> {
    type Item = Result<&'a str, CodecError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let start = self.entries.offset();
        let entry = self.entries.next()?;
        Some(match (entry, self.whole) {
            (Some(bytes), Some(text)) => text.get(start..start + bytes.len()).ok_or_else(cut_in_a_character),
            (entry, _) => Text::decode(entry),
        })
    }
}

#[cold]
fn cut_in_a_character() -> CodecError {
    CodecError::new("it is not UTF-8: it is cut within a character")
}

impl Codec for Text {
    type View<'a> = &'a str;
    type Decoded<'a> = &'a str;
    type Owned = String;
    type Rows<'a> = TextRows<'a>;
    const FALLIBLE: bool = false;

    fn format() -> Format {
        named("text")
    }

    fn rows(column: Column<'_>, rows: usize) -> Self::Rows<'_> {
        TextRows { entries: column.iter(rows), whole: std::str::from_utf8(column.bytes).ok() }
    }

    #[inline]
    fn decode(bytes: Option<&[u8]>) -> Result<&str, CodecError> {
        let bytes = bytes.ok_or_else(CodecError::null)?;
        std::str::from_utf8(bytes).map_err(|error| CodecError::new(format_args!("it is not UTF-8: {error}")))
    }

    #[inline(always)]
    fn view<'a>(decoded: &'a &str) -> &'a str {
        decoded
    }

    fn own(decoded: &str) -> String {
        decoded.to_string()
    }

    #[inline(always)]
    fn borrow(owned: &String) -> &str {
        owned
    }

    #[inline]
    fn encode(view: &str, out: &mut Vec<u8>) -> Result<bool, CodecError> {
        append(out, view.as_bytes());
        Ok(true)
    }
}

impl StateValue for Text {
    fn weight(owned: &String) -> usize {
        owned.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(ends: &'a [u32], bytes: &'a [u8]) -> Vec<Option<&'a str>> {
        Text::rows(Column { ends, bytes, flags: &[], absent: 1 }, ends.len()).map(Result::ok).collect()
    }

    #[test]
    fn text_is_read_without_a_copy_and_verified() {
        assert_eq!(read(&[2, 2, 5], "äbcd".as_bytes()), [Some("ä"), Some(""), Some("bcd")]);
        // One row is not UTF-8; the others are.
        assert_eq!(read(&[1, 2, 3], b"a\xffb"), [Some("a"), None, Some("b")]);
        // The column is UTF-8, but a row ends within a character.
        assert_eq!(read(&[1, 2, 3], "äb".as_bytes()), [None, None, Some("b")]);
    }
}
