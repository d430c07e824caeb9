//! What a manifest file says: JSON, and a last line with its checksum.

mod json;

use json::ManifestJson;
use wasmill_core::{Manifest, time::TimeDomain};
use xxhash_rust::xxh3::xxh3_64;

use crate::layout::{FORMAT_VERSION, Shape};

/// A manifest and how the database has its states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredManifest {
    pub(crate) manifest: Manifest,
    /// Every state and every set of timers, in the order of their numbers.
    pub(crate) states: Vec<StoredState>,
    /// Whether it was made as a savepoint, perhaps by another job.
    pub(crate) savepoint: bool,
}

/// A state in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredState {
    /// What its stored keys begin with. Never used for another state.
    pub(crate) number: u32,
    pub(crate) operator: String,
    pub(crate) what: What,
    pub(crate) shape: Shape,
}

/// What of an operator is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// The state of this name.
    State(String),
    /// The timers of a domain.
    Timers(TimeDomain),
}

impl StoredState {
    /// Whether the job of a manifest has this state.
    pub(crate) fn is_described(&self, manifest: &Manifest) -> bool {
        let Some(node) = manifest.node(&self.operator) else { return false };
        match (&self.what, &node.description) {
            (What::State(name), Some(description)) => description.states.iter().any(|state| state.name == *name),
            _ => true,
        }
    }
}

/// Why a manifest cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadManifest {
    /// It is not what was written.
    Damaged(String),
    /// It is of another format version.
    Format(u32),
}

const CHECKSUM: &str = "xxh3 ";

impl StoredManifest {
    /// The bytes of the file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        // Structs of strings, numbers and lists always serialise.
        let mut text = serde_json::to_string_pretty(&ManifestJson::from(self)).unwrap_or_default();
        text.push('\n');
        let checksum = xxh3_64(text.as_bytes());
        text.push_str(&format!("{CHECKSUM}{checksum:016x}\n"));
        text.into_bytes()
    }

    /// Reads the bytes of a file.
    pub(crate) fn decode(bytes: &[u8]) -> Result<StoredManifest, BadManifest> {
        let damaged = |why: &str| BadManifest::Damaged(why.to_string());
        let end = bytes.len().checked_sub(CHECKSUM.len() + 17).ok_or_else(|| damaged("it is cut off"))?;
        let (json, last) = bytes.split_at(end);
        if last != format!("{CHECKSUM}{:016x}\n", xxh3_64(json)).as_bytes() {
            return Err(damaged("its checksum is wrong"));
        }
        // The version first: what else there is depends on it.
        #[derive(serde::Deserialize)]
        struct Format {
            format: u32,
        }
        let malformed = |error: serde_json::Error| BadManifest::Damaged(error.to_string());
        let Format { format } = serde_json::from_slice(json).map_err(malformed)?;
        if format != FORMAT_VERSION {
            return Err(BadManifest::Format(format));
        }
        let json: ManifestJson = serde_json::from_slice(json).map_err(malformed)?;
        json.manifest().ok_or_else(|| damaged("bytes in it are not hexadecimal"))
    }

    /// How a state of an operator is stored.
    pub(crate) fn state(&self, operator: &str, what: &What) -> Option<&StoredState> {
        self.states.iter().find(|state| state.operator == operator && state.what == *what)
    }

    /// Time in a state's domain that has passed for good: whoever goes on from this checkpoint is not before it.
    pub(crate) fn horizon(&self, state: &StoredState) -> i64 {
        match state.shape.expires {
            Some(TimeDomain::EventTime) => self.manifest.watermark(&state.operator).unwrap_or(i64::MIN),
            Some(TimeDomain::ProcessingTime) => self.manifest.triggered,
            None => i64::MIN,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use wasmill_core::{
        Codec, Description, JobName,
        checkpoint::{NodeManifest, SinkCommittable, SubtaskManifest},
        description::{
            Columns, InputDescription, OutputDescription, StateDescription, StateKind, StateScope, TimeToLive,
        },
        graph::Role,
        sink::Committable,
        source::SplitState,
        time::SplitWatermarks,
    };

    use super::*;

    pub(crate) fn manifest(epoch: u64) -> StoredManifest {
        let codec = |name: &str| Codec { name: name.to_string(), schema: "S".to_string() };
        let state = StateDescription {
            name: "last".to_string(),
            kind: StateKind::Map,
            scope: StateScope::Keyed,
            key: codec("text"),
            map_key: codec("u32"),
            value: codec("postcard"),
            schema_version: 3,
            ttl: Some(TimeToLive { milliseconds: 60_000, domain: TimeDomain::EventTime }),
        };
        let input = InputDescription {
            name: "in".to_string(),
            keyed: true,
            columns: Columns { headers: false, ..Columns::ALL },
            key: codec("text"),
            value: codec("json"),
        };
        let description = Description {
            name: "op".to_string(),
            version: "1.2".to_string(),
            inputs: vec![input],
            outputs: vec![OutputDescription { name: "out".to_string(), key: codec("a"), value: codec("b") }],
            states: vec![state],
            timers: vec![TimeDomain::EventTime],
        };
        let split = |position: &[u8]| SplitState {
            id: "file.txt".to_string(),
            position: position.to_vec(),
            watermarks: SplitWatermarks { highest: 7, marked: 5, rows: 2 },
        };
        let node = |id: &str, role| NodeManifest {
            id: id.to_string(),
            role,
            description: None,
            subtasks: vec![SubtaskManifest { watermark: 42, finished: false }],
            splits: vec![],
        };
        let nodes = vec![
            NodeManifest { splits: vec![split(b"{\"offset\":9}"), split(&[0, 255])], ..node("lines", Role::Source) },
            NodeManifest { description: Some(description), ..node("op", Role::Operator) },
            node("out", Role::Sink),
        ];
        let manifest = Manifest {
            epoch,
            attempt: 2,
            job: JobName::local("j"),
            max_parallelism: 128,
            triggered: 1_700_000_000_000,
            finished: false,
            nodes,
            committables: vec![SinkCommittable { sink: "out".to_string(), committable: Committable(b"part".to_vec()) }],
        };
        let shape = Shape { kind: StateKind::Map, scope: StateScope::Keyed, expires: Some(TimeDomain::EventTime) };
        let stored = |number, what, shape| StoredState { number, operator: "op".to_string(), what, shape };
        let states = vec![
            stored(0, What::State("last".to_string()), shape),
            stored(1, What::Timers(TimeDomain::EventTime), Shape::TIMERS),
        ];
        StoredManifest { manifest, states, savepoint: false }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let manifest = manifest(7);
        let bytes = manifest.encode();
        assert_eq!(StoredManifest::decode(&bytes), Ok(manifest));
        let text = String::from_utf8(bytes).unwrap();
        for part in
            [r#""text": "{\"offset\":9}""#, r#""hex": "00ff""#, r#""timers": "event-time""#, r#""state": "last""#]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        let bytes = manifest(7).encode();
        for i in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[i] ^= 1;
            assert!(matches!(StoredManifest::decode(&damaged), Err(BadManifest::Damaged(_))), "byte {i}");
            assert!(matches!(StoredManifest::decode(&bytes[..i]), Err(BadManifest::Damaged(_))), "cut off at {i}");
        }
    }

    #[test]
    fn another_format_is_told() {
        let text = String::from_utf8(manifest(7).encode()).unwrap();
        let (json, _) = text.rsplit_once(CHECKSUM).unwrap();
        let json = json.replace("\"format\": 2", "\"format\": 3");
        let bytes = format!("{json}{CHECKSUM}{:016x}\n", xxh3_64(json.as_bytes()));
        assert_eq!(StoredManifest::decode(bytes.as_bytes()), Err(BadManifest::Format(3)));
    }

    #[test]
    fn what_has_passed_for_good_is_the_slowest_watermark() {
        let manifest = manifest(7);
        assert_eq!(manifest.horizon(&manifest.states[0]), 42);
        assert_eq!(manifest.horizon(&manifest.states[1]), i64::MIN, "timers do not expire");
    }
}
