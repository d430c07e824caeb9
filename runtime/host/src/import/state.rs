//! Reads and writes state for a guest.

use std::sync::Arc;

use wasmill_core::{
    KeyedState, OperatorError,
    batch::BatchError,
    description::{StateDescription, StateKind, StateScope},
    state::{EntryKeys, StateError},
};

use crate::{
    bindings::wasmill::operator::state,
    convert,
    guest::{Guest, Phase},
};

const GET: &str = "state.get-many";
const WRITE: &str = "state.write-many";
const SCAN: &str = "state.scan";

impl Guest {
    /// State number `state`, and the backend behind it.
    fn state(&self, import: &str, state: u32) -> Result<(Arc<dyn KeyedState>, &StateDescription), OperatorError> {
        let connections = self.connections(import)?;
        let states = &connections.description.states;
        match states.get(state as usize) {
            None => {
                let described = states.len();
                let message = format!("it called `{import}` on state {state}, but describes {described} (from 0)");
                Err(OperatorError::Contract(message))
            }
            Some(described) => Ok((connections.state.clone(), described)),
        }
    }
}

/// Whether entries are columns, with map keys just where the state is a map.
fn check(import: &str, described: &StateDescription, entries: &EntryKeys) -> Result<(), OperatorError> {
    entries.check().map_err(|error| columns(import, error))?;
    let (name, kind) = (&described.name, described.kind.name());
    let message = match (described.kind, entries.map_key_ends.is_empty()) {
        (StateKind::Map, true) if !entries.is_empty() => {
            format!("it gave no map keys to `{import}` on map state `{name}`")
        }
        (StateKind::Value | StateKind::List, false) => {
            format!("it gave map keys to `{import}` on {kind} state `{name}`")
        }
        _ => return Ok(()),
    };
    Err(OperatorError::Contract(message))
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
        let (backend, described) = self.state(GET, state)?;
        let entries = convert::entries_in(entries);
        check(GET, described, &entries)?;
        let call = self.stopwatch.state_begins();
        let read = self.budget.aside(backend.get_many(state, &entries)).await;
        self.stopwatch.state_answers(call);
        let values = read.map_err(|error| failed(GET, error))?;
        let bytes = values.values.len() + values.value_ends.len() * 5;
        self.fits(bytes, "`state.get-many` found an answer")?;
        Ok(convert::values_out(values))
    }

    async fn write_many(&mut self, state: u32, epoch: u64, writes: state::Writes) -> wasmtime::Result<()> {
        let (backend, described) = self.state(WRITE, state)?;
        let writes = convert::writes_in(writes);
        writes.check().map_err(|error| columns(WRITE, error))?;
        check(WRITE, described, &writes.entries)?;
        let (rows, expires) = (writes.operations.len(), writes.expires.len());
        if expires != if described.ttl.is_some() { rows } else { 0 } {
            let message = match described.ttl {
                Some(_) => {
                    format!("it gave {expires} expiry times to `{WRITE}` for {rows} writes to `{}`", described.name)
                }
                None => format!("it gave expiry times to `{WRITE}`, but `{}` has no time to live", described.name),
            };
            return Err(OperatorError::Contract(message).into());
        }
        let may_change = self.phase == Phase::Process && !self.keyed_input;
        if described.scope == StateScope::Broadcast && !may_change {
            let why = format!(
                "`{}` is broadcast, and changes only while rows of an input that is not keyed are processed",
                described.name
            );
            return Err(self.refused(WRITE, &why).into());
        }
        self.wrote = true;
        let call = self.stopwatch.state_begins();
        let written = self.budget.aside(backend.write_many(state, epoch, &writes)).await;
        self.stopwatch.state_ends(call);
        Ok(written.map_err(|error| failed(WRITE, error))?)
    }

    async fn scan(&mut self, state: u32, key: Vec<u8>, from: Vec<u8>, max_bytes: u32) -> wasmtime::Result<state::Page> {
        let (backend, described) = self.state(SCAN, state)?;
        if described.kind != StateKind::Map {
            let (name, kind) = (&described.name, described.kind.name());
            let message = format!("it called `{SCAN}` on {kind} state `{name}`; only map state is scanned");
            return Err(OperatorError::Contract(message).into());
        }
        let most = u32::try_from(self.max_batch_bytes / 2).unwrap_or(u32::MAX);
        let call = self.stopwatch.state_begins();
        let scanned = self.budget.aside(backend.scan(state, &key, &from, max_bytes.min(most))).await;
        self.stopwatch.state_answers(call);
        let page = scanned.map_err(|error| failed(SCAN, error))?;
        self.fits(page.values.len() + page.map_keys.len() + page.value_ends.len() * 8, "`state.scan` found a page")?;
        Ok(convert::page_out(page))
    }
}
