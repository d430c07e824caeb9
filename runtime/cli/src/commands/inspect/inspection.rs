//! Holds what was found in a component, and shows it as text and as JSON.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use wasmill_core::{
    Codec, Description,
    description::{Columns, InputDescription, OutputDescription, StateDescription, StateScope},
    time::TimeDomain,
};
use wasmill_host::{HostError, Limits};

use crate::{
    components::{self, Loaded},
    exit::{Exit, Failure},
    format,
};

/// What was found in a component.
#[derive(Debug)]
pub(super) struct Inspection {
    path: PathBuf,
    size: u64,
    loaded_in: Duration,
    from_cache: bool,
    imports: Vec<String>,
    refused: Vec<String>,
    exports: Vec<String>,
    description: Result<Description, HostError>,
}

impl Inspection {
    /// Loads the component in `path` and asks the operator to describe itself under `config`, one JSON object.
    ///
    /// # Errors
    /// When the file is not a component. One that is, but no operator, can be looked at.
    pub(super) fn of(path: &Path, config: &str) -> Result<Inspection, Failure> {
        let invalid = |error| Failure::new(Exit::Invalid, error);
        let runtime = components::runtime(0).map_err(|error| Failure::new(Exit::Failed, error))?;
        let Loaded { component, loaded_in } = components::load(&runtime, path).map_err(invalid)?;
        Ok(Inspection {
            path: path.to_path_buf(),
            size: component.size_bytes(),
            loaded_in,
            from_cache: component.compiled_from_cache(),
            imports: component.imports(),
            refused: component.refused_imports(),
            exports: component.exports(),
            description: component.describe(config, &Limits::default()),
        })
    }

    /// Shows it to a person: what it is and what crosses its boundary.
    pub(super) fn text(&self) -> String {
        let mut text = self.description_text();
        let refused = |import: &String| if self.refused.contains(import) { "refused" } else { "granted" };
        let imports = self.imports.iter().map(|import| vec![refused(import).to_string(), import.clone()]).collect();
        section(&mut text, "imports", imports);
        section(&mut text, "exports", self.exports.iter().map(|export| vec![export.clone()]).collect());
        text
    }

    /// Shows what the operator says of itself.
    pub(super) fn description_text(&self) -> String {
        let mut text = String::new();
        let path = self.path.display();
        match &self.description {
            Ok(description) => text.push_str(&format!("{} {} ({path})\n", description.name, description.version)),
            Err(_) => text.push_str(&format!("{path}\n")),
        }
        let code = if self.from_cache { "compiled code from the cache, loaded in" } else { "compiled in" };
        text.push_str(&format!("{}, {code} {}\n", format::bytes(self.size), format::duration(self.loaded_in)));
        if let Ok(description) = &self.description {
            section(&mut text, "inputs", description.inputs.iter().map(input).collect());
            section(&mut text, "outputs", description.outputs.iter().map(output).collect());
            section(&mut text, "states", description.states.iter().map(state).collect());
            let timers = description.timers.iter().map(|&domain| vec![time_domain(domain).to_string()]).collect();
            section(&mut text, "timers", timers);
        }
        text
    }

    /// Shows it to a program.
    pub(super) fn json(&self) -> Value {
        let description = self.description.as_ref().ok().map(|description| {
            json!({
                "name": description.name,
                "version": description.version,
                "inputs": description.inputs.iter().map(|input| json!({
                    "name": input.name,
                    "keyed": input.keyed,
                    "columns": columns(input.columns),
                    "key": codec_json(&input.key),
                    "value": codec_json(&input.value),
                })).collect::<Vec<_>>(),
                "outputs": description.outputs.iter().map(|output| json!({
                    "name": output.name,
                    "key": codec_json(&output.key),
                    "value": codec_json(&output.value),
                })).collect::<Vec<_>>(),
                "states": description.states.iter().map(|state| json!({
                    "name": state.name,
                    "kind": state.kind.name(),
                    "scope": scope(state.scope),
                    "key": codec_json(&state.key),
                    "map_key": codec_json(&state.map_key),
                    "value": codec_json(&state.value),
                    "schema_version": state.schema_version,
                    "ttl": state.ttl.map(|ttl| json!({
                        "milliseconds": ttl.milliseconds,
                        "domain": time_domain(ttl.domain),
                    })),
                })).collect::<Vec<_>>(),
                "timers": description.timers.iter().map(|&domain| time_domain(domain)).collect::<Vec<_>>(),
            })
        });
        json!({
            "component": self.path.to_string_lossy(),
            "size_bytes": self.size,
            "load_us": u64::try_from(self.loaded_in.as_micros()).unwrap_or(u64::MAX),
            "from_cache": self.from_cache,
            "description": description,
            "error": self.description.as_ref().err().map(ToString::to_string),
            "imports": self.imports,
            "refused_imports": self.refused,
            "exports": self.exports,
        })
    }

    /// Whether the operator refuses to describe itself under the configuration that it was given.
    pub(super) fn wants_configuration(&self) -> bool {
        matches!(self.description, Err(HostError::Configuration { .. }))
    }

    /// Whether a job could use the component.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        match &self.description {
            Ok(description) => match description.problems().as_slice() {
                [] => Ok(()),
                problems => {
                    let message = format!("no job can use `{}`: {}", self.path.display(), problems.join("; "));
                    Err(Failure::new(Exit::Invalid, anyhow::anyhow!(message)))
                }
            },
            Err(error) => Err(Failure::new(Exit::Invalid, anyhow::anyhow!("{error}"))),
        }
    }
}

/// A titled block of aligned columns; nothing where there are no rows.
fn section(text: &mut String, title: &str, rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title}\n"));
    for line in format::columns(&rows).lines() {
        text.push_str(&format!("  {line}\n"));
    }
}

fn input(input: &InputDescription) -> Vec<String> {
    let keyed = if input.keyed { "keyed" } else { "not keyed" };
    let columns = columns(input.columns);
    let columns = if columns.is_empty() { "no column".to_string() } else { columns.join(", ") };
    vec![
        input.name.clone(),
        keyed.to_string(),
        format!("key {}", codec(&input.key)),
        format!("value {}", codec(&input.value)),
        format!("reads {columns}"),
    ]
}

fn output(output: &OutputDescription) -> Vec<String> {
    vec![output.name.clone(), format!("key {}", codec(&output.key)), format!("value {}", codec(&output.value))]
}

fn state(state: &StateDescription) -> Vec<String> {
    let mut row = vec![
        state.name.clone(),
        format!("{} {}", scope(state.scope), state.kind.name()),
        format!("key {}", codec(&state.key)),
        format!("value {}", codec(&state.value)),
        format!("schema version {}", state.schema_version),
    ];
    if let Some(ttl) = state.ttl {
        let lasts = format::duration(Duration::from_millis(ttl.milliseconds));
        row.push(format!("expires after {lasts} of {}", time_domain(ttl.domain)));
    }
    row
}

fn columns(columns: Columns) -> Vec<&'static str> {
    let all = [
        (columns.timestamps, "timestamps"),
        (columns.keys, "keys"),
        (columns.values, "values"),
        (columns.headers, "headers"),
    ];
    all.into_iter().filter_map(|(read, name)| read.then_some(name)).collect()
}

fn codec(codec: &Codec) -> String {
    if codec.schema.is_empty() { codec.name.clone() } else { format!("{} ({})", codec.name, codec.schema) }
}

fn codec_json(codec: &Codec) -> Value {
    json!({ "name": codec.name, "schema": codec.schema })
}

fn scope(scope: StateScope) -> &'static str {
    match scope {
        StateScope::Keyed => "keyed",
        StateScope::Broadcast => "broadcast",
    }
}

fn time_domain(domain: TimeDomain) -> &'static str {
    match domain {
        TimeDomain::EventTime => "event-time",
        TimeDomain::ProcessingTime => "processing-time",
    }
}

#[cfg(test)]
mod tests {
    use wasmill_core::description::{StateKind, TimeToLive};

    use super::*;

    fn inspection() -> Inspection {
        let (text, number) = (Codec::named("text"), Codec::named("u64"));
        let description = Description {
            name: "count".to_string(),
            version: "0.1.0".to_string(),
            inputs: vec![InputDescription {
                name: "words".to_string(),
                keyed: true,
                columns: Columns { timestamps: true, keys: true, values: false, headers: false },
                key: text.clone(),
                value: Codec { name: "postcard".to_string(), schema: "Word".to_string() },
            }],
            outputs: vec![OutputDescription { name: "counts".to_string(), key: text.clone(), value: number.clone() }],
            states: vec![StateDescription {
                name: "seen".to_string(),
                kind: StateKind::Value,
                scope: StateScope::Keyed,
                key: text,
                map_key: Codec::default(),
                value: number,
                schema_version: 1,
                ttl: None,
            }],
            timers: vec![TimeDomain::EventTime],
        };
        Inspection {
            path: PathBuf::from("count.wasm"),
            size: 100_557,
            loaded_in: Duration::from_micros(12_300),
            from_cache: false,
            imports: vec!["wasmill:operator/state@0.1.0".to_string(), "wasi:http/types@0.2.0".to_string()],
            refused: vec!["wasi:http/types@0.2.0".to_string()],
            exports: vec!["wasmill:operator/guest@0.1.0".to_string()],
            description: Ok(description),
        }
    }

    #[test]
    fn the_text_says_it_all() {
        let expected = "\
count 0.1.0 (count.wasm)
98.2 KiB, compiled in 12.3 ms

inputs
  words  keyed  key text  value postcard (Word)  reads timestamps, keys

outputs
  counts  key text  value u64

states
  seen  keyed value  key text  value u64  schema version 1

timers
  event-time

imports
  granted  wasmill:operator/state@0.1.0
  refused  wasi:http/types@0.2.0

exports
  wasmill:operator/guest@0.1.0
";
        assert_eq!(inspection().text(), expected);
    }

    #[test]
    fn the_object_says_it_all() {
        let object = inspection().json();
        assert_eq!(object["description"]["inputs"][0]["columns"], json!(["timestamps", "keys"]));
        assert_eq!(object["description"]["inputs"][0]["value"], json!({ "name": "postcard", "schema": "Word" }));
        assert_eq!(object["description"]["states"][0]["ttl"], Value::Null);
        assert_eq!(object["refused_imports"], json!(["wasi:http/types@0.2.0"]));
        assert_eq!((&object["size_bytes"], &object["load_us"]), (&json!(100_557), &json!(12_300)));
    }

    #[test]
    fn a_component_that_no_job_can_use_is_not_valid() {
        let mut inspection = inspection();
        assert!(inspection.verdict().is_ok());
        if let Ok(description) = &mut inspection.description {
            description.states[0].ttl = Some(TimeToLive { milliseconds: 0, domain: TimeDomain::EventTime });
        }
        assert_eq!(inspection.verdict().unwrap_err().exit, Exit::Invalid);
        inspection.description = Err(HostError::CoreModule { path: PathBuf::from("m.wasm") });
        let said = inspection.verdict().unwrap_err().error.to_string();
        assert!(said.starts_with("`m.wasm` is a core module"), "{said}");
        assert_eq!(inspection.json()["error"], said);
        assert!(!inspection.wants_configuration());
    }
}
