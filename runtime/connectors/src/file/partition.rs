//! Decides which partition a row is in: by members of its JSON, which are the name of the folder and no longer in the row.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use wasmill_core::{Codec, Row, source::ConnectorError};

use super::{
    names::{self, LONGEST, NO_VALUE},
    sink::FileSink,
};

/// By so many fields rows can be partitioned at most: each is a folder within the one before.
pub const MOST_FIELDS: usize = 8;

/// The longest name of a field, bytes as it stands in the name of a folder; what is left is for values.
const LONGEST_FIELD: usize = 128;

/// So many bytes of a row are shown where it has no partition.
const SHOWN: usize = 80;

/// Why rows cannot be partitioned by `fields`, and which of them is to blame.
pub fn unfit_field(fields: &[String]) -> Option<(usize, String)> {
    fields.iter().enumerate().find_map(|(i, field)| {
        let why = if i >= MOST_FIELDS {
            format!("there are more than {MOST_FIELDS} fields")
        } else if field.is_empty() {
            "a field has no name".to_string()
        } else if fields[..i].contains(field) {
            format!("`{field}` is there twice")
        } else if folder(field, "").len() > LONGEST_FIELD {
            format!("a name of more than {LONGEST_FIELD} bytes leaves too little for values in that of a folder")
        } else {
            return None;
        };
        Some((i, why))
    })
}

/// The name of the folder of a value, however long.
fn folder(field: &str, value: &str) -> String {
    let mut name = String::new();
    names::escape(field, &mut name);
    name.push('=');
    names::escape(value, &mut name);
    name
}

/// By which fields rows are partitioned.
#[derive(Debug)]
pub(super) struct Partitioning {
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    name: String,
    /// How the names of its folders begin: `FIELD=`.
    prefix: String,
}

impl Partitioning {
    /// By `fields`, where values are encoded by `codec`.
    ///
    /// # Errors
    /// When that cannot be.
    pub(super) fn new(fields: &[String], codec: &Codec) -> Result<Partitioning, ConnectorError> {
        if let Some((_, why)) = unfit_field(fields) {
            return Err(ConnectorError::lasting(format!("rows cannot be partitioned: {why}")));
        }
        if !FileSink::can_partition(codec) {
            return Err(ConnectorError::lasting(format!(
                "rows cannot be partitioned by members of their values, which are `{}`: have the operator before give JSON objects, as \
                 `json` or `text`",
                codec.name
            )));
        }
        let field = |name: &String| Field { name: name.clone(), prefix: folder(name, "") };
        Ok(Partitioning { fields: fields.iter().map(field).collect() })
    }

    /// Splits rows.
    pub(super) fn split(&self) -> Split<'_> {
        let values = vec![String::new(); self.fields.len()];
        Split { fields: &self.fields, values, folder: String::new(), rest: String::new() }
    }
}

/// Splits rows into the partition and what is written there.
pub(super) struct Split<'a> {
    fields: &'a [Field],
    /// The name of each field's folder, of the row that is being split; empty where it has no such member.
    values: Vec<String>,
    folder: String,
    rest: String,
}

impl Split<'_> {
    /// The folder of a row, and the row as it is written there.
    ///
    /// # Errors
    /// When the row has no partition.
    pub(super) fn row<'a>(&'a mut self, row: Row<'a>) -> Result<(&'a str, Row<'a>), ConnectorError> {
        self.values.iter_mut().for_each(String::clear);
        self.rest.clear();
        self.members(row.value).map_err(|why| refused(row.value, &why))?;
        self.folder.clear();
        for (Field { prefix, .. }, value) in self.fields.iter().zip(&self.values) {
            if !self.folder.is_empty() {
                self.folder.push('/');
            }
            if value.is_empty() {
                self.folder.push_str(prefix);
                self.folder.push_str(NO_VALUE);
            }
            self.folder.push_str(value);
        }
        Ok((&self.folder, Row { value: Some(self.rest.as_bytes()), ..row }))
    }

    fn members(&mut self, value: Option<&[u8]>) -> Result<(), String> {
        let text = std::str::from_utf8(value.ok_or("it has no value")?).map_err(|error| error.to_string())?;
        let mut json = serde_json::Deserializer::from_str(text);
        self.deserialize(&mut json).and_then(|()| json.end()).map_err(|error| error.to_string())
    }
}

/// A row has no partition. It will have none in another attempt either.
fn refused(value: Option<&[u8]>, why: &str) -> ConnectorError {
    let value = value.unwrap_or_default();
    let shown = String::from_utf8_lossy(&value[..value.len().min(SHOWN)]);
    let more = if value.len() > SHOWN { "..." } else { "" };
    ConnectorError::lasting(format!(
        "a row cannot be put into a partition, which needs a JSON object: {why}: {}{more}",
        shown.escape_debug()
    ))
}

impl<'de> DeserializeSeed<'de> for &mut Split<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// The name of a member.
#[derive(Deserialize)]
struct Member<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for &mut Split<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.rest.push('{');
        while let Some(Member(name)) = members.next_key()? {
            let value = members.next_value::<&RawValue>()?.get();
            if let Some(i) = self.fields.iter().position(|field| field.name == name) {
                // Where it is there twice the last one counts, as elsewhere.
                self.values[i].clear();
                put(&self.fields[i], value, &mut self.values[i]).map_err(A::Error::custom)?;
                continue;
            }
            if self.rest.len() > 1 {
                self.rest.push(',');
            }
            self.rest.push_str(&serde_json::to_string(&name).map_err(A::Error::custom)?);
            self.rest.push(':');
            // A line break is between tokens, since it cannot be within a string: a row stays a line.
            self.rest.extend(value.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
        }
        self.rest.push('}');
        Ok(())
    }
}

/// Writes the name of a value's folder; nothing for null and for the empty string.
fn put(field: &Field, json: &str, out: &mut String) -> Result<(), String> {
    let value = match json.as_bytes() {
        [b'n', ..] => return Ok(()),
        [b'{' | b'[', ..] => return Err(format!("`{}` is an array or an object", field.name)),
        [b'"', ..] => serde_json::from_str::<Member<'_>>(json).map_err(|error| error.to_string())?.0,
        // Numbers as they are written, true and false.
        _ => Cow::Borrowed(json),
    };
    if value.is_empty() {
        return Ok(());
    }
    out.push_str(&field.prefix);
    names::escape(&value, out);
    if out.len() > LONGEST {
        return Err(format!("`{}` makes the name of a folder of {} bytes, more than {LONGEST}", field.name, out.len()));
    }
    Ok(())
}
