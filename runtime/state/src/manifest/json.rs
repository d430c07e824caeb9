//! The JSON of a manifest. Fields may be added without a new format version: readers pass over what they do not know.

use serde::{Deserialize, Serialize};
use wasmill_core::{
    Codec, Description, JobName, Manifest,
    checkpoint::{NodeManifest, SinkCommittable, SubtaskManifest},
    description::{Columns, InputDescription, OutputDescription, StateDescription, StateKind, StateScope, TimeToLive},
    graph::Role,
    sink::Committable,
    source::SplitState,
    time::{SplitWatermarks, TimeDomain},
};

use super::{StoredManifest, StoredState, What};
use crate::layout::{FORMAT_VERSION, Shape};

/// Declares an enum by its JSON names, and both conversions.
macro_rules! words {
    ($name:ident of $of:ident { $($variant:ident),* }) => {
        #[derive(Serialize, Deserialize, Clone, Copy)]
        #[serde(rename_all = "kebab-case")]
        enum $name { $($variant),* }

        impl From<$of> for $name {
            fn from(of: $of) -> $name {
                match of { $($of::$variant => $name::$variant),* }
            }
        }

        impl From<$name> for $of {
            fn from(name: $name) -> $of {
                match name { $($name::$variant => $of::$variant),* }
            }
        }
    };
}

words!(RoleJson of Role { Source, Operator, Sink });
words!(KindJson of StateKind { Value, List, Map });
words!(ScopeJson of StateScope { Keyed, Broadcast });
words!(DomainJson of TimeDomain { EventTime, ProcessingTime });

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ManifestJson {
    pub(super) format: u32,
    tenant: String,
    job: String,
    epoch: u64,
    attempt: u64,
    max_parallelism: u32,
    triggered: i64,
    finished: bool,
    savepoint: bool,
    nodes: Vec<NodeJson>,
    committables: Vec<CommittableJson>,
    states: Vec<StoredStateJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct NodeJson {
    id: String,
    role: RoleJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<DescriptionJson>,
    subtasks: Vec<SubtaskJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    splits: Vec<SplitJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SubtaskJson {
    watermark: i64,
    finished: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SplitJson {
    id: String,
    position: BytesJson,
    highest: i64,
    marked: i64,
    rows: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct CommittableJson {
    sink: String,
    committable: BytesJson,
}

/// Bytes that connectors mostly write as text, so that people can read it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum BytesJson {
    Text(String),
    Hex(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StoredStateJson {
    number: u32,
    operator: String,
    #[serde(flatten)]
    what: WhatJson,
    kind: KindJson,
    scope: ScopeJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<DomainJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WhatJson {
    State(String),
    Timers(DomainJson),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DescriptionJson {
    name: String,
    version: String,
    inputs: Vec<InputJson>,
    outputs: Vec<OutputJson>,
    states: Vec<StateJson>,
    timers: Vec<DomainJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct InputJson {
    name: String,
    keyed: bool,
    columns: Vec<String>,
    key: CodecJson,
    value: CodecJson,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct OutputJson {
    name: String,
    key: CodecJson,
    value: CodecJson,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StateJson {
    name: String,
    kind: KindJson,
    scope: ScopeJson,
    key: CodecJson,
    map_key: CodecJson,
    value: CodecJson,
    schema_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<TtlJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TtlJson {
    milliseconds: u64,
    domain: DomainJson,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct CodecJson {
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    schema: String,
}

const COLUMNS: [&str; 4] = ["timestamps", "keys", "values", "headers"];

fn bytes(bytes: &[u8]) -> BytesJson {
    match std::str::from_utf8(bytes) {
        Ok(text) => BytesJson::Text(text.to_string()),
        Err(_) => BytesJson::Hex(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

impl BytesJson {
    fn bytes(self) -> Option<Vec<u8>> {
        match self {
            BytesJson::Text(text) => Some(text.into_bytes()),
            BytesJson::Hex(hex) => {
                let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
                let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
                rest.is_empty().then(|| pairs.iter().map(byte).collect())?
            }
        }
    }
}

fn codec(codec: &Codec) -> CodecJson {
    CodecJson { name: codec.name.clone(), schema: codec.schema.clone() }
}

impl From<CodecJson> for Codec {
    fn from(json: CodecJson) -> Codec {
        Codec { name: json.name, schema: json.schema }
    }
}

fn description(of: &Description) -> DescriptionJson {
    let columns = |columns: Columns| {
        let present = [columns.timestamps, columns.keys, columns.values, columns.headers];
        COLUMNS.into_iter().zip(present).filter(|(_, there)| *there).map(|(name, _)| name.to_string()).collect()
    };
    let input = |input: &InputDescription| InputJson {
        name: input.name.clone(),
        keyed: input.keyed,
        columns: columns(input.columns),
        key: codec(&input.key),
        value: codec(&input.value),
    };
    let output = |output: &OutputDescription| OutputJson {
        name: output.name.clone(),
        key: codec(&output.key),
        value: codec(&output.value),
    };
    let state = |state: &StateDescription| StateJson {
        name: state.name.clone(),
        kind: state.kind.into(),
        scope: state.scope.into(),
        key: codec(&state.key),
        map_key: codec(&state.map_key),
        value: codec(&state.value),
        schema_version: state.schema_version,
        ttl: state.ttl.map(|ttl| TtlJson { milliseconds: ttl.milliseconds, domain: ttl.domain.into() }),
    };
    DescriptionJson {
        name: of.name.clone(),
        version: of.version.clone(),
        inputs: of.inputs.iter().map(input).collect(),
        outputs: of.outputs.iter().map(output).collect(),
        states: of.states.iter().map(state).collect(),
        timers: of.timers.iter().map(|&domain| domain.into()).collect(),
    }
}

impl From<DescriptionJson> for Description {
    fn from(json: DescriptionJson) -> Description {
        let input = |input: InputJson| {
            let has = |name: &str| input.columns.iter().any(|column| column == name);
            let [timestamps, keys, values, headers] = COLUMNS.map(has);
            InputDescription {
                name: input.name,
                keyed: input.keyed,
                columns: Columns { timestamps, keys, values, headers },
                key: input.key.into(),
                value: input.value.into(),
            }
        };
        let output = |output: OutputJson| OutputDescription {
            name: output.name,
            key: output.key.into(),
            value: output.value.into(),
        };
        let state = |state: StateJson| StateDescription {
            name: state.name,
            kind: state.kind.into(),
            scope: state.scope.into(),
            key: state.key.into(),
            map_key: state.map_key.into(),
            value: state.value.into(),
            schema_version: state.schema_version,
            ttl: state.ttl.map(|ttl| TimeToLive { milliseconds: ttl.milliseconds, domain: ttl.domain.into() }),
        };
        Description {
            name: json.name,
            version: json.version,
            inputs: json.inputs.into_iter().map(input).collect(),
            outputs: json.outputs.into_iter().map(output).collect(),
            states: json.states.into_iter().map(state).collect(),
            timers: json.timers.into_iter().map(TimeDomain::from).collect(),
        }
    }
}

impl From<&StoredManifest> for ManifestJson {
    fn from(stored: &StoredManifest) -> ManifestJson {
        let manifest = &stored.manifest;
        let split = |split: &SplitState| SplitJson {
            id: split.id.clone(),
            position: bytes(&split.position),
            highest: split.watermarks.highest,
            marked: split.watermarks.marked,
            rows: split.watermarks.rows,
        };
        let subtask =
            |subtask: &SubtaskManifest| SubtaskJson { watermark: subtask.watermark, finished: subtask.finished };
        let node = |node: &NodeManifest| NodeJson {
            id: node.id.clone(),
            role: node.role.into(),
            description: node.description.as_ref().map(description),
            subtasks: node.subtasks.iter().map(subtask).collect(),
            splits: node.splits.iter().map(split).collect(),
        };
        let committable =
            |of: &SinkCommittable| CommittableJson { sink: of.sink.clone(), committable: bytes(&of.committable.0) };
        let state = |state: &StoredState| StoredStateJson {
            number: state.number,
            operator: state.operator.clone(),
            what: match &state.what {
                What::State(name) => WhatJson::State(name.clone()),
                What::Timers(domain) => WhatJson::Timers((*domain).into()),
            },
            kind: state.shape.kind.into(),
            scope: state.shape.scope.into(),
            expires: state.shape.expires.map(DomainJson::from),
        };
        ManifestJson {
            format: FORMAT_VERSION,
            tenant: manifest.job.tenant.to_string(),
            job: manifest.job.job.to_string(),
            epoch: manifest.epoch,
            attempt: manifest.attempt,
            max_parallelism: manifest.max_parallelism,
            triggered: manifest.triggered,
            finished: manifest.finished,
            savepoint: stored.savepoint,
            nodes: manifest.nodes.iter().map(node).collect(),
            committables: manifest.committables.iter().map(committable).collect(),
            states: stored.states.iter().map(state).collect(),
        }
    }
}

impl ManifestJson {
    /// The manifest; `None` where bytes are no hexadecimal digits.
    pub(super) fn manifest(self) -> Option<StoredManifest> {
        let split = |split: SplitJson| {
            let watermarks = SplitWatermarks { highest: split.highest, marked: split.marked, rows: split.rows };
            Some(SplitState { id: split.id, position: split.position.bytes()?, watermarks })
        };
        let subtask =
            |subtask: SubtaskJson| SubtaskManifest { watermark: subtask.watermark, finished: subtask.finished };
        let node = |node: NodeJson| {
            Some(NodeManifest {
                id: node.id,
                role: node.role.into(),
                description: node.description.map(Description::from),
                subtasks: node.subtasks.into_iter().map(subtask).collect(),
                splits: node.splits.into_iter().map(split).collect::<Option<_>>()?,
            })
        };
        let committable = |of: CommittableJson| {
            Some(SinkCommittable { sink: of.sink, committable: Committable(of.committable.bytes()?) })
        };
        let state = |state: StoredStateJson| StoredState {
            number: state.number,
            operator: state.operator,
            what: match state.what {
                WhatJson::State(name) => What::State(name),
                WhatJson::Timers(domain) => What::Timers(domain.into()),
            },
            shape: Shape {
                kind: state.kind.into(),
                scope: state.scope.into(),
                expires: state.expires.map(TimeDomain::from),
            },
        };
        let manifest = Manifest {
            epoch: self.epoch,
            attempt: self.attempt,
            job: JobName { tenant: self.tenant.into(), job: self.job.into() },
            max_parallelism: self.max_parallelism,
            triggered: self.triggered,
            finished: self.finished,
            nodes: self.nodes.into_iter().map(node).collect::<Option<_>>()?,
            committables: self.committables.into_iter().map(committable).collect::<Option<_>>()?,
        };
        let states = self.states.into_iter().map(state).collect();
        Some(StoredManifest { manifest, states, savepoint: self.savepoint })
    }
}
