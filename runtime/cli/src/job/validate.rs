//! Validates the tree of a job file against its definition, and finds all problems at once.

use super::{
    definition::{Field, Kind, Table},
    problem::Findings,
    section::{Given, Section, Setting},
    suggest::{list, nearest, quote},
    tree::{At, Entry, Node, Value},
    value::{self, name_hint, name_problem},
};

/// Validates a table; `name` is what a message calls it. What is wrong is left out of the result.
pub(super) fn table(
    definition: &'static Table,
    name: &str,
    at: &At,
    entries: &[Entry],
    findings: &mut Findings,
) -> Section {
    let mut section = Section::new(definition, at.clone());
    let tag = definition.variants.as_ref().map(|variants| variants.tag);
    let chosen = tag.and_then(|tag| entries.iter().find(|entry| entry.key == tag)).map(|entry| &entry.node.value);
    let variant = match chosen {
        Some(Value::String(word)) => definition.variant(word),
        _ => None,
    };
    for entry in entries {
        let own = definition.fields.iter().chain(variant.iter().flat_map(|variant| variant.fields));
        match own.into_iter().find(|field| field.name == entry.key) {
            Some(field) => {
                section.wrote(field.name);
                if let Some(given) = self::field(field, entry, &path(name, &entry.key), findings) {
                    section.put(field.name, Setting { at: entry.node.at.clone(), key: entry.at.clone(), given });
                }
            }
            None => unknown(definition, variant.map(|variant| variant.name), name, entry, findings),
        }
    }
    let own = definition.fields.iter().chain(variant.iter().flat_map(|variant| variant.fields));
    for field in own.filter(|field| field.required && !entries.iter().any(|entry| entry.key == field.name)) {
        let of = if name.is_empty() { "the job".to_string() } else { quote(name) };
        findings.error(
            at,
            format!("{of} has no {}", quote(field.name)),
            format!("add `{} = {}`", field.name, field.example),
        );
    }
    let format = section.choice("format");
    for field in own_formats(definition, variant.map_or(&[], |variant| variant.fields)) {
        if let (Some(format), Some(setting)) = (format, section.get(field.name))
            && !field.formats.contains(&format)
        {
            let formats = list(field.formats.iter().copied(), "or");
            findings.error(
                &setting.key,
                format!("{} means nothing with format {}", quote(field.name), quote(format)),
                format!("remove it, or use the format {formats}"),
            );
        }
    }
    section
}

fn own_formats(definition: &'static Table, variant: &'static [Field]) -> impl Iterator<Item = &'static Field> {
    definition.fields.iter().chain(variant).filter(|field| !field.formats.is_empty())
}

/// `a.b`, or `b` in the file itself.
fn path(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_string() } else { format!("{table}.{key}") }
}

fn unknown(definition: &'static Table, variant: Option<&str>, name: &str, entry: &Entry, findings: &mut Findings) {
    let key = quote(&entry.key);
    if let (Some(_), Some(variants)) = (definition.field(&entry.key), &definition.variants) {
        // It is a key of another variant. Where the variant is not known, that alone is the problem.
        let Some(variant) = variant else { return };
        let having = variants.variants.iter().filter(|v| v.fields.iter().any(|field| field.name == entry.key));
        let having = list(having.map(|variant| variant.name), "and");
        let message = format!("a `{variant}` {} has no key {key}", name.split('.').next().unwrap_or(name));
        findings.error(&entry.at, message, format!("remove it: it belongs to {having}"));
        return;
    }
    let fields = || {
        let of_variant = variant.and_then(|variant| definition.variant(variant)).map_or(&[][..], |v| v.fields);
        definition.fields.iter().chain(of_variant).map(|field| field.name)
    };
    let hint = match nearest(&entry.key, fields()) {
        Some(meant) => format!("did you mean {}?", quote(meant)),
        None => format!("known keys are {}", list(fields(), "and")),
    };
    let of = if name.is_empty() { String::new() } else { format!(" in {}", quote(name)) };
    findings.error(&entry.at, format!("unknown key {key}{of}"), hint);
}

/// Validates the value of one key.
fn field(field: &'static Field, entry: &Entry, name: &str, findings: &mut Findings) -> Option<Given> {
    match (field.kind, &entry.node.value) {
        (Kind::Table(definition), Value::Table(entries)) => {
            Some(Given::Section(table(definition, name, &entry.at, entries, findings)))
        }
        (Kind::Named(definition), Value::Table(entries)) => {
            Some(Given::Named(named(definition, name, entries, findings)))
        }
        (Kind::Table(_) | Kind::Named(_), other) => {
            let message = format!("{} must be a table, not {}", quote(name), other.kind());
            findings.error(&entry.node.at, message, format!("write `[{name}]` above its keys"));
            None
        }
        (Kind::Inputs(definition), _) => Some(Given::Inputs(inputs(definition, name, &entry.node, findings))),
        _ => value::scalar(field, entry, name, findings),
    }
}

/// Tables under ids.
fn named(definition: &'static Table, name: &str, entries: &[Entry], findings: &mut Findings) -> Vec<(String, Section)> {
    let mut sections = Vec::new();
    for entry in entries {
        let path = format!("{name}.{}", entry.key);
        if let Some(problem) = name_problem(&entry.key) {
            findings.error(&entry.at, format!("the id {} {problem}", quote(&entry.key)), name_hint(&entry.key));
        }
        match &entry.node.value {
            Value::Table(inner) => {
                let section = table(definition, &path, &entry.at, inner, findings);
                sections.push((entry.key.clone(), section));
            }
            other => {
                let message = format!("{} must be a table, not {}", quote(&path), other.kind());
                let hint = format!("give every {name} an id of its own: `[{name}.ID]`");
                findings.error(&entry.at, message, hint);
            }
        }
    }
    sections
}

/// Edges into a node: text, a table, or a list of those.
fn inputs(definition: &'static Table, name: &str, node: &Node, findings: &mut Findings) -> Vec<Section> {
    let nodes = match &node.value {
        Value::Array(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if nodes.is_empty() {
        findings.error(&node.at, format!("{} is an empty list", quote(name)), "name the node that the rows come from");
    }
    let mut sections = Vec::new();
    for node in nodes {
        match &node.value {
            Value::String(from) if !from.is_empty() => {
                let mut section = Section::new(definition, node.at.clone());
                let given = Given::Text(from.clone());
                section.put("from", Setting { at: node.at.clone(), key: node.at.clone(), given });
                sections.push(section);
            }
            Value::Table(entries) => sections.push(table(definition, name, &node.at, entries, findings)),
            other => {
                let what = if matches!(other, Value::String(_)) { "an empty string" } else { other.kind() };
                let message = format!("{} must be a node, a table or a list of those, not {what}", quote(name));
                let hint =
                    "for example `input = \"lines\"` or `input = { from = \"lines\", exchange = \"rebalance\" }`";
                findings.error(&node.at, message, hint);
            }
        }
    }
    sections
}

/// Whether `entry` is a value of `definition`.
#[cfg(test)]
pub(super) fn accepts(definition: &'static Field, entry: &Entry) -> bool {
    let mut findings = Findings::default();
    field(definition, entry, definition.name, &mut findings).is_some() && !findings.has_errors()
}
