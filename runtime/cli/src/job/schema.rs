//! Writes the JSON Schema of the job file.

use serde_json::{Map, Value, json};

use super::{
    definition::{Field, JOB, Kind, NAME_LENGTH, Table, Word},
    units::{DURATIONS, SIZES, show_duration, show_size},
};

/// The JSON Schema (draft 2020-12) of a job file.
pub fn schema() -> Value {
    let mut schema = table(&JOB);
    let head = [
        ("$schema", json!("https://json-schema.org/draft/2020-12/schema")),
        ("title", json!("Wasmill job file")),
    ];
    if let Value::Object(members) = &mut schema {
        for (key, value) in head {
            members.insert(key.to_string(), value);
        }
    }
    schema
}

/// An object with the keys of a table. One with variants is any of several objects, told apart by the tag.
fn table(table: &Table) -> Value {
    let Some(variants) = &table.variants else {
        return object(table.doc, table.fields.iter());
    };
    let one = |variant: &super::definition::Variant| {
        let mut object = object(variant.doc, table.fields.iter().chain(variant.fields));
        object["properties"][variants.tag]["const"] = json!(variant.name);
        object
    };
    json!({ "description": table.doc, "type": "object", "oneOf": variants.variants.iter().map(one).collect::<Vec<_>>() })
}

fn object<'a>(doc: &str, fields: impl Iterator<Item = &'a Field> + Clone) -> Value {
    let properties: Map<String, Value> = fields.clone().map(|field| (field.name.to_string(), property(field))).collect();
    let required: Vec<&str> = fields.filter(|field| field.required).map(|field| field.name).collect();
    let mut object = json!({
        "description": doc,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn property(field: &Field) -> Value {
    let mut schema = kind(field.kind);
    schema["description"] = json!(field.doc);
    if let Some(default) = field.default {
        schema["default"] = match field.kind {
            Kind::Boolean => json!(default == "true"),
            Kind::Integer(..) => json!(default.parse::<i64>().unwrap_or_default()),
            _ => json!(default),
        };
    }
    schema
}

fn kind(kind: Kind) -> Value {
    match kind {
        Kind::Name => json!({ "type": "string", "pattern": name_pattern() }),
        Kind::Text | Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::Character => json!({ "type": "string", "pattern": "^[\t -!#-~]$" }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Integer(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Size(min, max) => json!({
            "anyOf": [
                { "type": "integer", "minimum": min, "maximum": max },
                { "type": "string", "pattern": amount_pattern(&SIZES) },
            ],
            "$comment": format!("{} to {}", show_size(min), show_size(max)),
        }),
        Kind::Duration(min, max) => json!({
            "type": "string",
            "pattern": amount_pattern(&DURATIONS),
            "$comment": format!("{} to {}", show_duration(min), show_duration(max)),
        }),
        Kind::Choice(words) => choice(words),
        Kind::Paths => json!({ "anyOf": [
            { "type": "string", "minLength": 1 },
            { "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 1 },
        ] }),
        Kind::Json => json!({ "type": "object" }),
        Kind::Table(definition) => table(definition),
        Kind::Named(definition) => json!({
            "type": "object",
            "propertyNames": { "pattern": name_pattern() },
            "additionalProperties": table(definition),
        }),
        Kind::Inputs(definition) => {
            let one = json!([{ "type": "string", "minLength": 1 }, table(definition)]);
            json!({ "anyOf": [one[0], one[1], { "type": "array", "items": { "anyOf": one }, "minItems": 1 }] })
        }
    }
}

fn choice(words: &[Word]) -> Value {
    let words: Vec<&str> = words.iter().map(|word| word.word).collect();
    json!({ "type": "string", "enum": words })
}

fn name_pattern() -> String {
    format!("^[A-Za-z0-9_-]{{1,{NAME_LENGTH}}}$")
}

fn amount_pattern(units: &[(&str, u64)]) -> String {
    let units: Vec<&str> = units.iter().map(|(unit, _)| *unit).collect();
    format!("^[0-9]+ ?({})$", units.join("|"))
}
