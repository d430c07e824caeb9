//! Reads and writes keyed state for a guest.

use std::sync::Arc;

use wasmill_core::{
    KeyedState, OperatorError,
    batch::BatchError,
    description::StateKind,
    state::{StateError, StateOperation},
};

use crate::{bindings::wasmill::operator::state, convert, guest::Guest};

const GET: &str = "state.get-many";
const WRITE: &str = "state.write-many";
const SCAN: &str = "state.scan";

impl Guest {
    /// The keyed state behind state number `state`.
    fn value_state(&self, import: &str, state: u32) -> Result<Arc<dyn KeyedState>, OperatorError> {
        let connections = self.connections(import)?;
        let states = &connections.description.states;
        match states.get(state as usize) {
            None => {
                let described = states.len();
                let message = format!("it called `{import}` on state {state}, but describes {described} (from 0)");
                Err(OperatorError::Contract(message))
            }
            Some(described) if described.kind != StateKind::Value => Err(unsupported(import, described.kind.name())),
            Some(_) => Ok(connections.state.clone()),
        }
    }
}

fn unsupported(import: &str, what: &str) -> OperatorError {
    OperatorError::Trap(format!("`{import}` on {what} state is not supported yet; use value state"))
}

fn columns(import: &str, error: BatchError) -> OperatorError {
    OperatorError::Contract(format!("what it gave to `{import}` is not valid: {error}"))
}

fn failed(import: &str, error: StateError) -> OperatorError {
    match error {
        StateError::Contract(message) => OperatorError::Contract(format!("`{import}`: {message}")),
        StateError::OverQuota(over) => OperatorError::Limit { limit: "memory", message: over.to_string() },
        other => OperatorError::Job(format!("`{import}`: {other}")),
    }
}

impl state::Host for Guest {
    async fn get_many(&mut self, state: u32, entries: state::EntryKeys) -> wasmtime::Result<state::Values> {
        let backend = self.value_state(GET, state)?;
        let entries = convert::entries_in(entries);
        entries.check().map_err(|error| columns(GET, error))?;
        if !entries.map_key_ends.is_empty() {
            return Err(OperatorError::Contract(format!("it gave map keys to `{GET}` on value state")).into());
        }
        let read = self.budget.aside(backend.get_many(state, &entries)).await;
        let values = read.map_err(|error| failed(GET, error))?;
        let bytes = values.values.len() + values.value_ends.len() * 5;
        self.fits(bytes, "`state.get-many` found an answer")?;
        Ok(convert::values_out(values))
    }

    async fn write_many(&mut self, state: u32, epoch: u64, writes: state::Writes) -> wasmtime::Result<()> {
        let backend = self.value_state(WRITE, state)?;
        let writes = convert::writes_in(writes);
        writes.check().map_err(|error| columns(WRITE, error))?;
        if !writes.entries.map_key_ends.is_empty() || writes.operations.contains(&StateOperation::Append) {
            let message = format!("it called `{WRITE}` on value state with what only list or map state has");
            return Err(OperatorError::Contract(message).into());
        }
        if !writes.expires.is_empty() {
            let message = format!("it gave expiry times to `{WRITE}`, but its state has no time to live");
            return Err(OperatorError::Contract(message).into());
        }
        self.wrote = true;
        let written = self.budget.aside(backend.write_many(state, epoch, &writes)).await;
        Ok(written.map_err(|error| failed(WRITE, error))?)
    }

    async fn scan(&mut self, state: u32, _: Vec<u8>, _: Vec<u8>, _: u32) -> wasmtime::Result<state::Page> {
        self.value_state(SCAN, state)?;
        Err(OperatorError::Contract(format!("it called `{SCAN}` on value state; only map state is scanned")).into())
    }
}
