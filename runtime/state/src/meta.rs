//! Holds what a store says of itself, so that it can be read without the operators' code.
//!
//! Table `meta`, name to bytes; numbers big-endian:
//!
//! | name | bytes |
//! |---|---|
//! | `format` | u32, [`FORMAT_VERSION`](crate::FORMAT_VERSION) |
//! | `tenant`, `job` | UTF-8 |
//! | `max-parallelism` | u32 |
//! | `epoch` | u64, the last committed epoch; absent before the first commit |
//! | `unfinished` | u64, the highest epoch of which `base` holds part, not committed; absent otherwise |
//! | `states/` and an operator's id | JSON array of the operator's states, in the order of their indices |

use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};
use wasmill_core::{Codec, JobName, MaxParallelism, description::StateDescription};

use crate::layout::{FORMAT_VERSION, META, OPERATORS};

/// What a store says of itself, beside its format version.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Known from the first subtask on.
    pub(crate) job: Option<(JobName, MaxParallelism)>,
    /// The last committed epoch.
    pub(crate) epoch: Option<u64>,
    /// The highest epoch that is spilled in part.
    pub(crate) unfinished: Option<u64>,
    /// Ids and states; an operator's number is its index here.
    pub(crate) operators: Vec<(String, Vec<StateDeclaration>)>,
}

/// A state as its operator declared it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDeclaration {
    /// Stable across versions of the operator.
    pub name: String,
    /// The WIT name of its kind: `value`.
    pub kind: String,
    /// How keys are encoded.
    pub key: Codec,
    /// How values are encoded.
    pub value: Codec,
    /// The version of the meaning of stored bytes.
    pub schema_version: u32,
}

impl From<&StateDescription> for StateDeclaration {
    fn from(state: &StateDescription) -> StateDeclaration {
        StateDeclaration {
            name: state.name.clone(),
            kind: state.kind.name().to_string(),
            key: state.key.clone(),
            value: state.value.clone(),
            schema_version: state.schema_version,
        }
    }
}

/// The JSON of a declaration. Fields may be added: readers pass over what they do not know.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StateJson {
    name: String,
    kind: String,
    key: CodecJson,
    value: CodecJson,
    schema_version: u32,
}

#[derive(Serialize, Deserialize)]
struct CodecJson {
    name: String,
    schema: String,
}

impl Facts {
    /// Writes everything; absent facts are removed.
    pub(crate) fn write(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", &FORMAT_VERSION.to_be_bytes()[..])?;
        if let Some((job, max_parallelism)) = &self.job {
            meta.insert("tenant", job.tenant.as_bytes())?;
            meta.insert("job", job.job.as_bytes())?;
            meta.insert("max-parallelism", &max_parallelism.get().to_be_bytes()[..])?;
        }
        for (name, epoch) in [("epoch", self.epoch), ("unfinished", self.unfinished)] {
            match epoch {
                Some(epoch) => meta.insert(name, &epoch.to_be_bytes()[..])?,
                None => meta.remove(name)?,
            };
        }
        let mut operators = transaction.open_table(OPERATORS)?;
        for (number, (id, states)) in (0u16..).zip(&self.operators) {
            operators.insert(id.as_str(), &number.to_be_bytes()[..])?;
            meta.insert(states_name(id).as_str(), json(states).as_bytes())?;
        }
        Ok(())
    }

    /// Reads everything. The inner error says what is wrong with what is stored.
    pub(crate) fn read(transaction: &ReadTransaction) -> Result<Result<Facts, BadFacts>, redb::Error> {
        let (meta, operators) = match (transaction.open_table(META), transaction.open_table(OPERATORS)) {
            (Ok(meta), Ok(operators)) => (meta, operators),
            (Err(redb::TableError::Storage(error)), _) | (_, Err(redb::TableError::Storage(error))) => {
                return Err(error.into());
            }
            (Err(error), _) | (_, Err(error)) => return Ok(Err(BadFacts::Malformed(error.to_string()))),
        };
        let mut fields = Vec::new();
        for row in meta.iter()? {
            let (name, bytes) = row?;
            fields.push((name.value().to_string(), bytes.value().to_vec()));
        }
        let mut numbers = Vec::new();
        for row in operators.iter()? {
            let (id, number) = row?;
            numbers.push((number.value().to_vec(), id.value().to_string()));
        }
        Ok(assemble(&fields, numbers))
    }
}

/// Why what a store says of itself cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadFacts {
    /// It is of another format version.
    Format(u32),
    /// It is not what this crate writes.
    Malformed(String),
}

fn assemble(fields: &[(String, Vec<u8>)], mut numbers: Vec<(Vec<u8>, String)>) -> Result<Facts, BadFacts> {
    let malformed = |name: &str| BadFacts::Malformed(format!("`{name}` in the table `meta` is missing or malformed"));
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, bytes)| bytes.as_slice());
    let u32_of = |name| field(name).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let u64_of = |name| match field(name) {
        None => Ok(None),
        Some(bytes) => Ok(Some(u64::from_be_bytes(bytes.try_into().map_err(|_| malformed(name))?))),
    };
    let text_of = |name| field(name).and_then(|bytes| std::str::from_utf8(bytes).ok());
    // First of all: what else there is depends on it.
    let format = u32_of("format").ok_or_else(|| malformed("format"))?;
    if format != FORMAT_VERSION {
        return Err(BadFacts::Format(format));
    }
    let job = match (field("tenant"), field("job"), field("max-parallelism")) {
        (None, None, None) => None,
        _ => {
            let tenant = text_of("tenant").ok_or_else(|| malformed("tenant"))?;
            let job = text_of("job").ok_or_else(|| malformed("job"))?;
            let max = u32_of("max-parallelism").and_then(MaxParallelism::new);
            let max = max.ok_or_else(|| malformed("max-parallelism"))?;
            Some((JobName { tenant: tenant.into(), job: job.into() }, max))
        }
    };
    let mut operators = Vec::new();
    numbers.sort();
    for (index, (number, id)) in numbers.into_iter().enumerate() {
        if u16::try_from(index).map(u16::to_be_bytes).is_ok_and(|expected| number == expected) {
            let name = states_name(&id);
            let states = field(&name).and_then(declarations).ok_or_else(|| malformed(&name))?;
            operators.push((id, states));
        } else {
            return Err(BadFacts::Malformed(format!("operator `{id}` has no valid number in the table `operators`")));
        }
    }
    Ok(Facts { job, epoch: u64_of("epoch")?, unfinished: u64_of("unfinished")?, operators })
}

fn states_name(operator: &str) -> String {
    format!("states/{operator}")
}

fn json(states: &[StateDeclaration]) -> String {
    let codec = |codec: &Codec| CodecJson { name: codec.name.clone(), schema: codec.schema.clone() };
    let state = |state: &StateDeclaration| StateJson {
        name: state.name.clone(),
        kind: state.kind.clone(),
        key: codec(&state.key),
        value: codec(&state.value),
        schema_version: state.schema_version,
    };
    // Strings and numbers in structs always serialise.
    serde_json::to_string(&states.iter().map(state).collect::<Vec<_>>()).unwrap_or_default()
}

fn declarations(json: &[u8]) -> Option<Vec<StateDeclaration>> {
    let codec = |codec: CodecJson| Codec { name: codec.name, schema: codec.schema };
    let state = |state: StateJson| StateDeclaration {
        name: state.name,
        kind: state.kind,
        key: codec(state.key),
        value: codec(state.value),
        schema_version: state.schema_version,
    };
    let states: Vec<StateJson> = serde_json::from_slice(json).ok()?;
    Some(states.into_iter().map(state).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: &str = r#"[{"name":"count","kind":"value","key":{"name":"text","schema":""},"value":{"name":"postcard","schema":"Count"},"schema-version":3}]"#;

    fn count() -> StateDeclaration {
        StateDeclaration {
            name: "count".to_string(),
            kind: "value".to_string(),
            key: Codec::named("text"),
            value: Codec { name: "postcard".to_string(), schema: "Count".to_string() },
            schema_version: 3,
        }
    }

    fn golden() -> Vec<(String, Vec<u8>)> {
        let fields: [(&str, &[u8]); 6] = [
            ("epoch", &[0, 0, 0, 0, 0, 0, 1, 2]),
            ("format", &[0, 0, 0, 1]),
            ("job", b"wordcount"),
            ("max-parallelism", &[0, 0, 0, 128]),
            ("states/count", STATES.as_bytes()),
            ("tenant", b"local"),
        ];
        fields.map(|(name, bytes)| (name.to_string(), bytes.to_vec())).to_vec()
    }

    fn facts() -> Facts {
        Facts {
            job: Some((JobName::local("wordcount"), MaxParallelism::DEFAULT)),
            epoch: Some(0x102),
            unfinished: None,
            operators: vec![("count".to_string(), vec![count()])],
        }
    }

    #[test]
    fn the_json_of_states_is_pinned() {
        assert_eq!(json(&[count()]), STATES);
        assert_eq!(declarations(STATES.as_bytes()), Some(vec![count()]));
        assert_eq!(declarations(b"[{}]"), None);
    }

    #[test]
    fn golden_facts_are_read() {
        assert_eq!(assemble(&golden(), vec![(vec![0, 0], "count".to_string())]), Ok(facts()));
    }

    #[test]
    fn facts_are_written_as_pinned() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let database = redb::Database::create(file.path()).unwrap();
        // An epoch that is then committed leaves no trace of having been unfinished.
        for facts in [Facts { unfinished: Some(7), ..facts() }, facts()] {
            let transaction = database.begin_write().unwrap();
            facts.write(&transaction).unwrap();
            transaction.commit().unwrap();
        }
        let transaction = redb::ReadableDatabase::begin_read(&database).unwrap();
        let meta = transaction.open_table(META).unwrap();
        let fields: Vec<_> = meta.iter().unwrap().map(Result::unwrap).collect();
        let fields: Vec<_> = fields.iter().map(|(name, b)| (name.value().to_string(), b.value().to_vec())).collect();
        assert_eq!(fields, golden());
        let operators = transaction.open_table(OPERATORS).unwrap();
        assert_eq!(operators.get("count").unwrap().unwrap().value(), [0, 0]);
        assert_eq!(Facts::read(&transaction).unwrap(), Ok(facts()));
    }

    #[test]
    fn malformed_facts_are_named() {
        let count = || vec![(vec![0, 0], "count".to_string())];
        for (name, bytes) in [
            ("epoch", &b"1"[..]),
            ("format", b""),
            ("job", b"\xff"),
            ("max-parallelism", &[0, 0, 0, 0]),
            ("states/count", b"{}"),
        ] {
            let mut fields = golden();
            fields.iter_mut().find(|(field, _)| field == name).unwrap().1 = bytes.to_vec();
            let Err(BadFacts::Malformed(message)) = assemble(&fields, count()) else { panic!("{name} was accepted") };
            assert_eq!(message, format!("`{name}` in the table `meta` is missing or malformed"));
        }
        assert!(assemble(&golden(), vec![(vec![0, 1], "count".to_string())]).is_err());
        let mut other = golden();
        other[1].1 = vec![0, 0, 0, 2];
        assert_eq!(assemble(&other, count()), Err(BadFacts::Format(2)));
    }
}
