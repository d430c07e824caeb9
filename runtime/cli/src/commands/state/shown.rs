//! Shows entries as JSON, by their declared codecs, and reads keys from the command line.

use serde_json::{Number, Value, json};
use wasmill_core::{
    Codec,
    codec::Shown,
    description::{StateDescription, StateKind, StateScope},
};
use wasmill_state::Entry;

/// An entry as one JSON object.
pub(super) fn entry(operator: &str, state: &StateDescription, entry: &Entry) -> Value {
    let mut object = json!({ "operator": operator, "state": state.name });
    let mut set = |name: &str, of: Value| object[name] = of;
    if let Some(group) = entry.key_group {
        set("key_group", json!(group.0));
    }
    if let Some(copy) = entry.copy {
        set("subtask", json!(copy));
    }
    set("key", value(Some(&state.key), &entry.key));
    if let Some(map_key) = &entry.map_key {
        set("map_key", value(Some(&state.map_key), map_key));
    }
    let values: Vec<Value> = entry.values.iter().map(|bytes| value(Some(&state.value), bytes)).collect();
    match (state.kind, values) {
        (StateKind::List, values) => set("values", Value::Array(values)),
        (_, mut values) => set("value", values.pop().unwrap_or(Value::Null)),
    }
    if let Some(expires) = entry.expires {
        set("expires", json!(expires));
    }
    object
}

/// Bytes as JSON; those whose codec is not known, or that do not fit it, as `{"hex": ...}`.
pub(super) fn value(codec: Option<&Codec>, bytes: &[u8]) -> Value {
    let hex = || json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() });
    match codec.and_then(|codec| codec.read(bytes)) {
        Some(Shown::Text(text)) => json!(text),
        Some(Shown::Json(text)) => serde_json::from_str(text).unwrap_or_else(|_| hex()),
        Some(Shown::Number(number)) => match number.parse::<Number>() {
            Ok(number) => Value::Number(number),
            // Not a number, or infinite.
            Err(_) => json!(number),
        },
        None => hex(),
    }
}

/// The bytes of a key that is written as [`value`] shows it.
pub(super) fn parse(codec: &Codec, key: &str) -> Option<Vec<u8>> {
    macro_rules! number {
        ($type:ty) => {
            key.parse::<$type>().ok().map(|number| number.to_le_bytes().to_vec())
        };
    }
    match codec.name.as_str() {
        "text" | "json" => Some(key.as_bytes().to_vec()),
        "u32" => number!(u32),
        "u64" => number!(u64),
        "i32" => number!(i32),
        "i64" => number!(i64),
        "f32" => number!(f32),
        "f64" => number!(f64),
        _ => {
            let digits = key.strip_prefix("0x").unwrap_or(key).as_bytes();
            let (pairs, rest) = digits.as_chunks::<2>();
            let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            rest.is_empty().then(|| pairs.iter().map(byte).collect())?
        }
    }
}

/// A codec for people.
pub(super) fn codec(codec: &Codec) -> String {
    if codec.schema.is_empty() { codec.name.clone() } else { format!("{} {}", codec.name, codec.schema) }
}

/// A state as a JSON object, with the number of its entries.
pub(super) fn state(state: &StateDescription, entries: usize) -> Value {
    let codec = |codec: &Codec| json!({ "name": codec.name, "schema": codec.schema });
    json!({
        "state": state.name,
        "kind": state.kind.name(),
        "scope": match state.scope {
            StateScope::Keyed => "keyed",
            StateScope::Broadcast => "broadcast",
        },
        "key": codec(&state.key),
        "map_key": (state.kind == StateKind::Map).then(|| codec(&state.map_key)),
        "value": codec(&state.value),
        "schema_version": state.schema_version,
        "ttl_ms": state.ttl.map(|ttl| ttl.milliseconds),
        "entries": entries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_shown() {
        for (name, text, bytes) in [
            ("text", "Käse", "Käse".as_bytes().to_vec()),
            ("u64", "18446744073709551615", u64::MAX.to_le_bytes().to_vec()),
            ("i32", "-5", (-5i32).to_le_bytes().to_vec()),
            ("f64", "0.5", 0.5f64.to_le_bytes().to_vec()),
        ] {
            let codec = Codec::named(name);
            assert_eq!(parse(&codec, text), Some(bytes.clone()), "{name}");
            let shown = value(Some(&codec), &bytes);
            assert_eq!(shown.as_str().map_or_else(|| shown.to_string(), str::to_string), text, "{name}");
        }
        let bytes = Codec::named("bytes");
        assert_eq!(parse(&bytes, "0x00ff"), Some(vec![0, 255]));
        assert_eq!(value(Some(&bytes), &[0, 255]), json!({ "hex": "00ff" }));
        for (codec, text) in [("u32", "-1"), ("u64", "x"), ("bytes", "0x0"), ("bytes", "zz"), ("postcard", "é")] {
            assert_eq!(parse(&Codec::named(codec), text), None, "{codec} {text}");
        }
    }

    #[test]
    fn what_does_not_fit_its_codec_is_shown_in_hexadecimal() {
        assert_eq!(value(Some(&Codec::named("json")), b"{\"a\": [1]}"), json!({ "a": [1] }));
        assert_eq!(value(Some(&Codec::named("json")), b"{"), json!({ "hex": "7b" }));
        assert_eq!(value(Some(&Codec::named("f64")), &f64::NAN.to_le_bytes()), json!("NaN"));
        assert_eq!(value(None, b"a"), json!({ "hex": "61" }));
    }
}
