//! Holds the TOML of a job file as a tree in which every key and value knows where it stands.

use std::ops::Range;

use toml_edit::{Document, Item, TableLike};

use super::{problem::Findings, text::Text};

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    /// In the job file, bytes.
    Text(Range<usize>),
    /// In an option of the command line, by index.
    Option(usize),
    /// Nowhere in particular.
    Whole,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) value: Value,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table, and what it holds.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: At,
    pub(super) node: Node,
}

impl Value {
    /// What it is, with its article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Boolean(_) => "a boolean",
            Value::Datetime(_) => "a date or time",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// Parses the text of a job file.
pub(super) fn parse(text: &Text) -> Result<Node, Findings> {
    match Document::parse(text.as_str()) {
        Ok(document) => Ok(table(document.as_table(), At::Whole)),
        Err(error) => {
            let mut findings = Findings::default();
            let at = error.span().map_or(At::Whole, At::Text);
            findings.error(&at, format!("this is not TOML: {}", one_line(error.message())), "");
            Err(findings)
        }
    }
}

/// Parses one TOML value that stands in option number `option`.
pub(super) fn parse_value(text: &str, option: usize) -> Result<Node, String> {
    let value: toml_edit::Value =
        text.trim().parse().map_err(|error: toml_edit::TomlError| one_line(error.message()))?;
    let mut node = self::value(&value);
    relocate(&mut node, &At::Option(option));
    Ok(node)
}

/// `text` as TOML: it is parsed by tests and by the definition's examples.
#[cfg(test)]
pub(super) fn parse_str(text: &str) -> Node {
    parse(&Text::new("job.toml".into(), text.to_string())).expect("a sound test")
}

fn one_line(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join(", ")
}

fn table(table: &dyn TableLike, at: At) -> Node {
    let entries = table.iter().filter_map(|(name, item)| {
        let span = table.key(name).and_then(toml_edit::Key::span);
        let node = item_node(item, span.clone())?;
        let at = span.map_or_else(|| node.at.clone(), At::Text);
        Some(Entry { key: name.to_string(), at, node })
    });
    Node { at, value: Value::Table(entries.collect()) }
}

/// Of a table with a header the last key of the header is where it stands: that is short, and in one line.
fn item_node(item: &Item, key: Option<Range<usize>>) -> Option<Node> {
    let at = || key.clone().or_else(|| item.span()).map_or(At::Whole, At::Text);
    match item {
        Item::None => None,
        Item::Value(value) => Some(self::value(value)),
        Item::Table(inner) => Some(table(inner, at())),
        Item::ArrayOfTables(tables) => {
            let tables = tables.iter().map(|inner| table(inner, at())).collect();
            Some(Node { at: at(), value: Value::Array(tables) })
        }
    }
}

fn value(value: &toml_edit::Value) -> Node {
    let at = value.span().map_or(At::Whole, At::Text);
    let value = match value {
        toml_edit::Value::String(text) => Value::String(text.value().clone()),
        toml_edit::Value::Integer(number) => Value::Integer(*number.value()),
        toml_edit::Value::Float(number) => Value::Float(*number.value()),
        toml_edit::Value::Boolean(boolean) => Value::Boolean(*boolean.value()),
        toml_edit::Value::Datetime(datetime) => Value::Datetime(datetime.value().to_string()),
        toml_edit::Value::Array(array) => Value::Array(array.iter().map(self::value).collect()),
        toml_edit::Value::InlineTable(inner) => return table(inner, at),
    };
    Node { at, value }
}

/// Says of a node and all within that it stands at `at`.
pub(super) fn relocate(node: &mut Node, at: &At) {
    node.at = at.clone();
    match &mut node.value {
        Value::Array(nodes) => nodes.iter_mut().for_each(|node| relocate(node, at)),
        Value::Table(entries) => {
            for entry in entries {
                entry.at = at.clone();
                relocate(&mut entry.node, at);
            }
        }
        _ => {}
    }
}
