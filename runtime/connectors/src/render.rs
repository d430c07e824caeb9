//! Writes rows as lines: text, or one JSON value.

use std::fmt::Write as _;

use wasmill_core::{Codec, Row, batch::NO_TIME, codec::Shown};

/// How a row is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineFormat {
    /// The value as text by its codec; bytes in hexadecimal. A value that contains a line feed is written as it is: use JSON
    /// where values may.
    #[default]
    Text,
    /// An object of `timestamp` (milliseconds, where there is one), `key` and `value`. Numbers and JSON stand as they are,
    /// text as a string, other bytes as a string in hexadecimal that begins with `0x`, what is absent as null.
    Json,
}

/// Writes rows as lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Renderer {
    /// How a row is written.
    pub format: LineFormat,
    /// Whether the key is written too.
    pub with_key: bool,
    /// What stands between key and value in text.
    pub separator: String,
    /// How keys are encoded.
    pub key: Codec,
    /// How values are encoded.
    pub value: Codec,
}

impl Renderer {
    /// Adds the line of a row, with its end.
    pub fn line(&self, row: Row<'_>, out: &mut String) {
        match self.format {
            LineFormat::Text => {
                if self.with_key {
                    self.key.text(row.key.unwrap_or_default(), out);
                    out.push_str(&self.separator);
                }
                if let Some(value) = row.value {
                    self.value.text(value, out);
                }
            }
            LineFormat::Json => {
                out.push('{');
                if row.timestamp != NO_TIME {
                    let _ = write!(out, "\"timestamp\":{},", row.timestamp);
                }
                if self.with_key {
                    out.push_str("\"key\":");
                    json(&self.key, row.key, out);
                    out.push(',');
                }
                out.push_str("\"value\":");
                json(&self.value, row.value, out);
                out.push('}');
            }
        }
        out.push('\n');
    }
}

/// One JSON value.
fn json(codec: &Codec, bytes: Option<&[u8]>, out: &mut String) {
    let Some(bytes) = bytes else { return out.push_str("null") };
    match codec.read(bytes) {
        Some(Shown::Text(text)) => string(text, out),
        Some(Shown::Number(number)) if number.parse::<f64>().is_ok_and(f64::is_finite) => out.push_str(&number),
        Some(Shown::Number(number)) => string(&number, out),
        // Declared JSON that is none, or that would break the line, is written as text.
        Some(Shown::Json(text)) => match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) if !text.contains('\n') => out.push_str(text),
            _ => string(text, out),
        },
        None => {
            let mut text = String::new();
            codec.text(bytes, &mut text);
            string(&text, out);
        }
    }
}

fn string(text: &str, out: &mut String) {
    // Writing a string to JSON cannot fail.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: LineFormat, codecs: (&str, &str), row: Row<'_>) -> String {
        let (key, value) = (Codec::named(codecs.0), Codec::named(codecs.1));
        let renderer = Renderer { format, with_key: true, separator: "\t".into(), key, value };
        let mut out = String::new();
        renderer.line(row, &mut out);
        out
    }

    #[test]
    fn rows_become_lines() {
        let row = Row { timestamp: 5, key: Some(b"a\"b"), value: Some(&[7, 0, 0, 0, 0, 0, 0, 0]), headers: &[] };
        assert_eq!(line(LineFormat::Text, ("text", "u64"), row), "a\"b\t7\n");
        assert_eq!(line(LineFormat::Json, ("text", "u64"), row), "{\"timestamp\":5,\"key\":\"a\\\"b\",\"value\":7}\n");
        let row = Row { timestamp: NO_TIME, key: None, value: Some(b"{\"x\": [1]}"), headers: &[] };
        assert_eq!(line(LineFormat::Json, ("text", "json"), row), "{\"key\":null,\"value\":{\"x\": [1]}}\n");
        let row = Row { timestamp: NO_TIME, key: Some(b"\xff"), value: Some(b"{broken"), headers: &[] };
        assert_eq!(line(LineFormat::Json, ("bytes", "json"), row), "{\"key\":\"0xff\",\"value\":\"{broken\"}\n");
    }
}
