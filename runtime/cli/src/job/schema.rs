//! Writes the JSON Schema of the job file.

use serde_json::{Map, Value, json};

use super::{
    definition::{Field, JOB, Kind, NAME_LENGTH, Table, UNLIMITED, Word},
    units::{DURATIONS, SIZES, show_duration, show_size},
};

/// The JSON Schema (draft 2020-12) of a job file.
pub fn schema() -> Value {
    let mut schema = table(&JOB);
    let head =
        [("$schema", json!("https://json-schema.org/draft/2020-12/schema")), ("title", json!("Wasmill job file"))];
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
    let properties: Map<String, Value> =
        fields.clone().map(|field| (field.name.to_string(), property(field))).collect();
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
            Kind::Integer(..) | Kind::Count(..) => json!(default.parse::<i64>().unwrap_or_default()),
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
        Kind::Count(min, max) => json!({
            "anyOf": [{ "type": "integer", "minimum": min, "maximum": max }, { "const": UNLIMITED }],
        }),
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
        Kind::Paths | Kind::Texts => json!({ "anyOf": [
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{definition::Variant, tree, validate, value};

    /// The keys of an object of the schema.
    fn keys(object: &Value) -> Vec<&str> {
        let mut keys: Vec<&str> = object["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    fn compare(definition: &Table, schema: &Value) {
        let none = [];
        let of = |variant: Option<&Variant>| {
            let fields = definition.fields.iter().chain(variant.map_or(&none[..], |variant| variant.fields));
            fields.collect::<Vec<_>>()
        };
        let objects: Vec<(Vec<&Field>, &Value)> = match &definition.variants {
            None => vec![(of(None), schema)],
            Some(variants) => {
                let objects = schema["oneOf"].as_array().unwrap();
                assert_eq!(objects.len(), variants.variants.len());
                variants.variants.iter().map(|variant| of(Some(variant))).zip(objects).collect()
            }
        };
        for (fields, object) in objects {
            let mut names: Vec<&str> = fields.iter().map(|field| field.name).collect();
            names.sort_unstable();
            assert_eq!(keys(object), names, "{}", definition.header);
            assert_eq!(object["additionalProperties"], false, "{}", definition.header);
            for field in fields {
                let required = object["required"].as_array().is_some_and(|list| list.contains(&json!(field.name)));
                assert_eq!(required, field.required, "{} {}", definition.header, field.name);
                let property = &object["properties"][field.name];
                match field.kind {
                    Kind::Table(inner) => compare(inner, property),
                    Kind::Named(inner) => compare(inner, &property["additionalProperties"]),
                    Kind::Inputs(inner) => compare(inner, &property["anyOf"][1]),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn the_schema_and_the_definition_have_the_same_keys() {
        let schema = schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        compare(&JOB, &schema);
    }

    #[test]
    fn the_published_schema_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/job.schema.json");
        let current = format!("{:#}\n", schema());
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(path, current).unwrap();
            return;
        }
        let published = std::fs::read_to_string(path).unwrap();
        assert!(published == current, "run this test again with UPDATE_REFERENCE=1, and read the difference");
    }

    /// Every example and every default is a value that validation accepts.
    #[test]
    fn examples_and_defaults_are_valid() {
        fn fields(table: &'static Table, all: &mut Vec<&'static Field>) {
            for field in table.fields.iter().chain(table.variant_fields()) {
                all.push(field);
                if let Kind::Table(inner) | Kind::Named(inner) | Kind::Inputs(inner) = field.kind {
                    fields(inner, all);
                }
            }
        }
        let mut all = Vec::new();
        fields(&JOB, &mut all);
        for field in all.into_iter().filter(|field| !field.example.is_empty()) {
            let node = tree::parse_str(&format!("{} = {}", field.name, field.example));
            let tree::Value::Table(entries) = node.value else { panic!() };
            assert!(validate::accepts(field, &entries[0]), "{} = {}", field.name, field.example);
            if field.default.is_some() {
                assert!(value::default(field).is_some(), "{}", field.name);
            }
        }
    }
}
