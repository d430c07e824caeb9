//! Makes stores, subtasks and columns for tests.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{path::Path, sync::Arc};

use wasmill_core::{
    Codec, JobName, KeyedState, MaxParallelism, Quota, StateBackend,
    description::{StateDescription, StateKind, StateScope},
    state::{EntryKeys, StateError, StateOperation, StateScopeRequest, Values, Writes},
};
use wasmill_state::{RedbState, StoreOptions};

/// Runs a future on a runtime of its own.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap().block_on(future)
}

/// Options with buffers of `buffer_bytes`, a small cache, and memory enough.
pub(crate) fn options(buffer_bytes: u64) -> StoreOptions {
    StoreOptions { cache_bytes: 1 << 20, buffer_bytes, quota: Quota::new("job `j`", 1 << 30) }
}

/// A value state of text keys.
pub(crate) fn value_state(name: &str) -> StateDescription {
    StateDescription {
        name: name.to_string(),
        kind: StateKind::Value,
        scope: StateScope::Keyed,
        key: Codec::named("text"),
        map_key: Codec::default(),
        value: Codec::named("u64"),
        schema_version: 1,
        ttl: None,
    }
}

/// What subtask `subtask` of `parallelism` of an operator with states `a` and `b` asks for.
pub(crate) fn request(operator: &str, subtask: u32, parallelism: u32, epoch: u64) -> StateScopeRequest {
    let max_parallelism = MaxParallelism::DEFAULT;
    StateScopeRequest {
        place: JobName::local("j").place(operator, subtask),
        states: vec![value_state("a"), value_state("b")],
        range: max_parallelism.range(subtask, parallelism),
        max_parallelism,
        epoch,
        quota: Quota::new("job `j`", 1 << 30),
    }
}

/// The only subtask of the operator `count` in a new store, from epoch 1.
pub(crate) fn single(directory: &Path, buffer_bytes: u64) -> (RedbState, Arc<dyn KeyedState>) {
    let store = RedbState::create(directory, options(buffer_bytes)).unwrap();
    let state = store.open(request("count", 0, 1, 1)).unwrap();
    (store, state)
}

/// Columns of keys.
pub(crate) fn keys(keys: &[&[u8]]) -> EntryKeys {
    let mut entries = EntryKeys::default();
    for key in keys {
        entries.keys.extend_from_slice(key);
        entries.key_ends.push(entries.keys.len() as u32);
    }
    entries
}

/// Columns of puts, and of deletions where there is no value.
pub(crate) fn writes(of: &[(&[u8], Option<&[u8]>)]) -> Writes {
    let mut writes = Writes { entries: keys(&of.iter().map(|(key, _)| *key).collect::<Vec<_>>()), ..Writes::default() };
    for (_, value) in of {
        writes.operations.push(if value.is_some() { StateOperation::Put } else { StateOperation::Delete });
        writes.values.extend_from_slice(value.unwrap_or_default());
        writes.value_ends.push(writes.values.len() as u32);
    }
    writes
}

/// Puts one value.
pub(crate) async fn put(state: &dyn KeyedState, epoch: u64, key: &[u8], value: &[u8]) -> Result<(), StateError> {
    state.write_many(0, epoch, &writes(&[(key, Some(value))])).await
}

/// Gets one value.
pub(crate) async fn get(state: &dyn KeyedState, key: &[u8]) -> Option<Vec<u8>> {
    let values: Values = state.get_many(0, &keys(&[key])).await.unwrap();
    values.get(0).map(<[u8]>::to_vec)
}

/// Cuts and seals `epoch`.
pub(crate) fn hand_over(state: &dyn KeyedState, epoch: u64) {
    state.cut(epoch).unwrap();
    state.seal();
}
