//! Validates single values: names, numbers, sizes, time spans, words, paths.

use super::{
    definition::{Field, Kind, NAME_LENGTH, UNLIMITED},
    problem::Findings,
    section::Given,
    suggest::{list, nearest, quote},
    tree::{Entry, Node, Value},
    units,
};

/// Validates a value of any kind but tables of the definition and edges.
pub(super) fn scalar(field: &'static Field, entry: &Entry, name: &str, findings: &mut Findings) -> Option<Given> {
    let (node, quoted) = (&entry.node, quote(name));
    let mut wrong = |message: String, hint: String| {
        findings.error(&node.at, message, hint);
        None
    };
    let mistyped = |node: &Node| format!("{quoted} must be {}, not {}", expected(field.kind), node.value.kind());
    let example = format!("for example `{} = {}`", field.name, field.example);
    match (field.kind, &node.value) {
        (Kind::Name, Value::String(text)) => match name_problem(text) {
            None => Some(Given::Text(text.clone())),
            Some(problem) => wrong(format!("{quoted} {problem}"), name_hint(text)),
        },
        (Kind::Text | Kind::Path, Value::String(text)) if text.is_empty() => {
            wrong(format!("{quoted} is empty"), example)
        }
        (Kind::Path, Value::String(text)) if text.contains('\0') => wrong(format!("{quoted} is no path"), example),
        (Kind::Text | Kind::Path, Value::String(text)) => Some(Given::Text(text.clone())),
        (Kind::Character, Value::String(text)) => match text.as_bytes() {
            [b'\t' | b' '..=b'!' | b'#'..=b'~'] => Some(Given::Text(text.clone())),
            _ => wrong(
                format!(
                    "{quoted} must be one character, a tab or a visible one of ASCII but `\"`, not {}",
                    quote(text)
                ),
                example,
            ),
        },
        (Kind::Boolean, Value::Boolean(boolean)) => Some(Given::Boolean(*boolean)),
        (Kind::Integer(min, max), Value::Integer(number)) => match (min..=max).contains(number) {
            true => Some(Given::Integer(*number)),
            false => wrong(format!("{quoted} is {number}, out of range"), between(&min.to_string(), &max.to_string())),
        },
        (Kind::Count(min, max), Value::Integer(number)) => match (min..=max).contains(number) {
            true => Some(Given::Integer(*number)),
            false => wrong(
                format!("{quoted} is {number}, out of range"),
                format!("{}, or `\"{UNLIMITED}\"`", between(&min.to_string(), &max.to_string())),
            ),
        },
        (Kind::Count(..), Value::String(text)) => match text == UNLIMITED {
            true => Some(Given::Word(UNLIMITED)),
            false => wrong(format!("{quoted} cannot be {}", quote(text)), format!("{example}, or `\"{UNLIMITED}\"`")),
        },
        (Kind::Size(min, max), value) => {
            let bytes = match value {
                Value::Integer(number) => u64::try_from(*number).ok(),
                Value::String(text) => units::size(text),
                _ => return wrong(mistyped(node), example),
            };
            match bytes {
                Some(bytes) if (min..=max).contains(&bytes) => Some(Given::Size(bytes)),
                Some(bytes) => wrong(
                    format!("{quoted} is {}, out of range", units::show_size(bytes)),
                    between(&units::show_size(min), &units::show_size(max)),
                ),
                None => wrong(
                    format!("{quoted} is not a size: {}", shown(value)),
                    format!("write bytes, or a whole number with a unit ({}): {example}", unit_names(&units::SIZES)),
                ),
            }
        }
        (Kind::Duration(min, max), value) => {
            let duration = match value {
                Value::String(text) => units::duration(text),
                Value::Integer(_) => None,
                _ => return wrong(mistyped(node), example),
            };
            match duration {
                Some(duration) if (min..=max).contains(&duration) => Some(Given::Duration(duration)),
                Some(duration) => wrong(
                    format!("{quoted} is {}, out of range", units::show_duration(duration)),
                    between(&units::show_duration(min), &units::show_duration(max)),
                ),
                None => wrong(
                    format!("{quoted} is not a time span: {}", shown(value)),
                    format!("write a whole number with a unit ({}): {example}", unit_names(&units::DURATIONS)),
                ),
            }
        }
        (Kind::Choice(words), Value::String(text)) => match words.iter().find(|word| word.word == text) {
            Some(word) => Some(Given::Word(word.word)),
            None => {
                let known = || words.iter().map(|word| word.word);
                let hint = match nearest(text, known()) {
                    Some(meant) => format!("did you mean {}? It can be {}", quote(meant), list(known(), "or")),
                    None => format!("it can be {}", list(known(), "or")),
                };
                wrong(format!("{quoted} cannot be {}", quote(text)), hint)
            }
        },
        (Kind::Paths | Kind::Texts, Value::String(text)) if !text.is_empty() => {
            Some(Given::Texts(vec![(text.clone(), node.at.clone())]))
        }
        (Kind::Paths | Kind::Texts, Value::Array(nodes)) if !nodes.is_empty() => {
            let mut texts = Vec::new();
            for item in nodes {
                match &item.value {
                    Value::String(text) if !text.is_empty() => texts.push((text.clone(), item.at.clone())),
                    Value::String(_) => {
                        let what = if matches!(field.kind, Kind::Paths) { "path" } else { "string" };
                        findings.error(&item.at, format!("{quoted} has an empty {what}"), example.as_str())
                    }
                    _ => findings.error(&item.at, mistyped(item), example.as_str()),
                }
            }
            Some(Given::Texts(texts)).filter(|_| !nodes.is_empty())
        }
        (Kind::Paths | Kind::Texts, Value::String(_) | Value::Array(_)) => wrong(format!("{quoted} is empty"), example),
        (Kind::Json, Value::Table(_)) => json(node, findings).map(Given::Json),
        _ => wrong(mistyped(node), example),
    }
}

/// TOML as JSON, for an operator.
fn json(node: &Node, findings: &mut Findings) -> Option<serde_json::Value> {
    Some(match &node.value {
        Value::String(text) | Value::Datetime(text) => text.clone().into(),
        Value::Integer(number) => (*number).into(),
        Value::Boolean(boolean) => (*boolean).into(),
        Value::Float(number) => match serde_json::Number::from_f64(*number) {
            Some(number) => number.into(),
            None => {
                findings.error(
                    &node.at,
                    format!("`{number}` cannot be handed to an operator"),
                    "JSON knows finite numbers only",
                );
                return None;
            }
        },
        Value::Array(nodes) => nodes
            .iter()
            .map(|node| json(node, findings))
            .collect::<Vec<_>>()
            .into_iter()
            .collect::<Option<Vec<_>>>()?
            .into(),
        Value::Table(entries) => {
            let members = entries.iter().map(|entry| Some((entry.key.clone(), json(&entry.node, findings)?)));
            let members: Vec<_> = members.collect();
            serde_json::Value::Object(members.into_iter().collect::<Option<_>>()?)
        }
    })
}

/// The default of a field, by the same rules as what is written.
pub(super) fn default(field: &Field) -> Option<Given> {
    let text = field.default?;
    Some(match field.kind {
        Kind::Boolean => Given::Boolean(text == "true"),
        Kind::Integer(..) | Kind::Count(..) => Given::Integer(text.parse().ok()?),
        Kind::Size(..) => Given::Size(units::size(text)?),
        Kind::Duration(..) => Given::Duration(units::duration(text)?),
        Kind::Choice(words) => Given::Word(words.iter().find(|word| word.word == text)?.word),
        _ => Given::Text(text.to_string()),
    })
}

pub(super) fn name_problem(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() {
        return Some("is empty".to_string());
    }
    if let Some(wrong) = name.chars().find(|c| !allowed(*c)) {
        return Some(format!(
            "has a {} in it: only letters, digits, `-` and `_` are allowed",
            quote(&wrong.to_string())
        ));
    }
    (name.len() > NAME_LENGTH).then(|| format!("is longer than {NAME_LENGTH} characters"))
}

pub(super) fn name_hint(name: &str) -> String {
    let like: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(NAME_LENGTH).collect();
    let like = like.trim_matches('-');
    if like.is_empty() { "for example `words-1`".to_string() } else { format!("for example {}", quote(like)) }
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Name | Kind::Text | Kind::Character | Kind::Choice(_) | Kind::Path => "a string",
        Kind::Boolean => "`true` or `false`",
        Kind::Integer(..) => "an integer",
        Kind::Count(..) => "an integer or `\"unlimited\"`",
        Kind::Size(..) => "a size",
        Kind::Duration(..) => "a time span",
        Kind::Paths => "a path or a list of paths",
        Kind::Texts => "a string or a list of strings",
        Kind::Json | Kind::Table(_) | Kind::Named(_) => "a table",
        Kind::Inputs(_) => "a node, a table or a list of those",
    }
}

fn between(min: &str, max: &str) -> String {
    format!("it can be from {min} to {max}")
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Integer(number) => quote(&number.to_string()),
        other => other.kind().to_string(),
    }
}

fn unit_names(units: &[(&str, u64)]) -> String {
    units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
