//! What an operator says of itself before it runs; the `description` interface of the WIT contract.

use crate::{Codec, time::TimeDomain};

/// An operator's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// What the operator calls itself, for people.
    pub name: String,
    /// Its version, for people.
    pub version: String,
    /// At least one.
    pub inputs: Vec<InputDescription>,
    /// None for an operator that only keeps state.
    pub outputs: Vec<OutputDescription>,
    /// A state is its index here.
    pub states: Vec<StateDescription>,
    /// The domains in which it sets timers.
    pub timers: Vec<TimeDomain>,
}

/// One input of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputDescription {
    /// The name that a job file may use.
    pub name: String,
    /// Whether state and timers belong to the key of the row.
    pub keyed: bool,
    /// The columns it reads; the others arrive empty.
    pub columns: Columns,
    /// How keys are encoded.
    pub key: Codec,
    /// How values are encoded.
    pub value: Codec,
}

/// Columns that an input reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    /// Event times.
    pub timestamps: bool,
    /// Keys.
    pub keys: bool,
    /// Values.
    pub values: bool,
    /// Headers.
    pub headers: bool,
}

impl Columns {
    /// Every column.
    pub const ALL: Columns = Columns { timestamps: true, keys: true, values: true, headers: true };
}

/// One output of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputDescription {
    /// The name that a job file uses.
    pub name: String,
    /// How keys are encoded.
    pub key: Codec,
    /// How values are encoded.
    pub value: Codec,
}

/// The shape of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKind {
    /// One value a key.
    Value,
    /// A list a key.
    List,
    /// An ordered map a key.
    Map,
}

/// Whom a state belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateScope {
    /// The key of the row.
    Keyed,
    /// Every subtask has a copy.
    Broadcast,
}

/// When entries of a state expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeToLive {
    /// Milliseconds from the write.
    pub milliseconds: u64,
    /// In which time.
    pub domain: TimeDomain,
}

/// One declared state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDescription {
    /// Stable across versions.
    pub name: String,
    /// Its shape.
    pub kind: StateKind,
    /// Whom it belongs to.
    pub scope: StateScope,
    /// How keys are encoded.
    pub key: Codec,
    /// How map keys are encoded, for map state.
    pub map_key: Codec,
    /// How values are encoded.
    pub value: Codec,
    /// Raised when the meaning of stored bytes changes.
    pub schema_version: u32,
    /// When entries expire, if they do.
    pub ttl: Option<TimeToLive>,
}

impl Description {
    /// What is wrong with it, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.inputs.is_empty() {
            problems.push("it describes no input".to_string());
        }
        for (i, state) in self.states.iter().enumerate() {
            let name = &state.name;
            if self.states[..i].iter().any(|other| other.name == *name) {
                problems.push(format!("it describes the state `{name}` twice"));
            }
            if state.ttl.is_some_and(|ttl| ttl.milliseconds == 0) {
                problems.push(format!("its state `{name}` has a time to live of 0 ms"));
            }
            if state.ttl.is_some() && state.scope == StateScope::Broadcast {
                problems.push(format!("its state `{name}` is broadcast and has a time to live: copies would differ"));
            }
        }
        let keyed = |state: &StateDescription| state.scope == StateScope::Keyed;
        if !self.inputs.iter().any(|input| input.keyed) {
            if self.states.iter().any(keyed) {
                problems.push("it describes keyed state, but no keyed input".to_string());
            }
            if !self.timers.is_empty() {
                problems.push("it uses timers, which belong to a key, but describes no keyed input".to_string());
            }
        }
        if self.states.iter().any(|state| !keyed(state)) && self.inputs.iter().all(|input| input.keyed) {
            problems
                .push("it describes broadcast state, but all its inputs are keyed: nothing may change it".to_string());
        }
        problems
    }
}

impl StateKind {
    /// The WIT name.
    pub fn name(self) -> &'static str {
        match self {
            StateKind::Value => "value",
            StateKind::List => "list",
            StateKind::Map => "map",
        }
    }
}
