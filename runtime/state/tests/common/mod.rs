//! Makes stores, subtasks, manifests and columns for tests.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{path::Path, sync::Arc};

use wasmill_core::{
    Codec, Description, JobName, KeyedState, Manifest, MaxParallelism, Quota, StateBackend,
    checkpoint::{NodeManifest, SubtaskManifest},
    description::{StateDescription, StateKind, StateScope, TimeToLive},
    graph::Role,
    state::{EntryKeys, StateError, StateOperation, StateScopeRequest, Writes},
    time::TimeDomain,
};
use wasmill_state::{RedbState, StoreOptions};

/// Runs a future on a runtime of its own.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap().block_on(future)
}

/// Options with buffers of `buffer_bytes`, a small cache, and memory enough.
pub(crate) fn options(buffer_bytes: u64, keep: usize) -> StoreOptions {
    StoreOptions { cache_bytes: 1 << 20, buffer_bytes, keep, quota: Quota::new("job `j`", 1 << 30) }
}

fn state(name: &str, kind: StateKind) -> StateDescription {
    StateDescription {
        name: name.to_string(),
        kind,
        scope: StateScope::Keyed,
        key: Codec::named("text"),
        map_key: Codec::named("text"),
        value: Codec::named("text"),
        schema_version: 1,
        ttl: None,
    }
}

/// The states of the operator `op`, by their numbers below.
pub(crate) fn states() -> Vec<StateDescription> {
    let ttl = Some(TimeToLive { milliseconds: 10, domain: TimeDomain::EventTime });
    vec![
        state("value", StateKind::Value),
        state("list", StateKind::List),
        state("map", StateKind::Map),
        StateDescription { ttl, ..state("expiring", StateKind::Value) },
        StateDescription { scope: StateScope::Broadcast, ..state("broadcast", StateKind::Map) },
        StateDescription { ttl, ..state("expiring-list", StateKind::List) },
    ]
}

pub(crate) const VALUE: u32 = 0;
pub(crate) const LIST: u32 = 1;
pub(crate) const MAP: u32 = 2;
pub(crate) const EXPIRING: u32 = 3;
pub(crate) const BROADCAST: u32 = 4;
pub(crate) const EXPIRING_LIST: u32 = 5;

/// What subtask `subtask` of `parallelism` of an operator asks for.
pub(crate) fn request(operator: &str, subtask: u32, parallelism: u32, epoch: u64) -> StateScopeRequest {
    let max_parallelism = MaxParallelism::DEFAULT;
    StateScopeRequest {
        place: JobName::local("j").place(operator, subtask),
        parallelism,
        states: states(),
        range: max_parallelism.range(subtask, parallelism),
        max_parallelism,
        epoch,
        quota: Quota::new("job `j`", 1 << 30),
    }
}

/// A checkpoint of the operator `op`.
pub(crate) fn manifest(epoch: u64, parallelism: u32, watermark: i64) -> Manifest {
    let description = Description {
        name: "op".to_string(),
        version: String::new(),
        inputs: vec![],
        outputs: vec![],
        states: states(),
        timers: vec![TimeDomain::EventTime],
    };
    let op = NodeManifest {
        id: "op".to_string(),
        role: Role::Operator,
        description: Some(description),
        subtasks: vec![SubtaskManifest { watermark, finished: false }; parallelism as usize],
        splits: vec![],
    };
    Manifest {
        epoch,
        attempt: 1,
        job: JobName::local("j"),
        max_parallelism: 128,
        triggered: 0,
        finished: false,
        nodes: vec![op],
        committables: vec![],
    }
}

/// A store that has been restored, and the only subtask of `op`, from `next_epoch`.
pub(crate) async fn single(directory: &Path, options: StoreOptions) -> (RedbState, Arc<dyn KeyedState>, u64) {
    let store = RedbState::open(directory, options).unwrap();
    let restored = store.restore().await.unwrap();
    let state = store.open(request("op", 0, 1, restored.next_epoch)).unwrap();
    (store, state, restored.next_epoch)
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

/// Columns of one entry.
pub(crate) fn entry(state: u32, key: &[u8], map_key: &[u8]) -> EntryKeys {
    let mut entry = keys(&[key]);
    if matches!(states()[state as usize].kind, StateKind::Map) {
        entry.map_keys = map_key.to_vec();
        entry.map_key_ends = vec![map_key.len() as u32];
    }
    entry
}

/// One write.
pub(crate) fn one(
    state: u32,
    operation: StateOperation,
    (key, map_key): (&[u8], &[u8]),
    value: &[u8],
    expires: i64,
) -> Writes {
    let expiring = states()[state as usize].ttl.is_some();
    Writes {
        operations: vec![operation],
        entries: entry(state, key, map_key),
        value_ends: vec![value.len() as u32],
        values: value.to_vec(),
        expires: if expiring { vec![expires] } else { vec![] },
    }
}

/// Puts one value into the state `value`.
pub(crate) async fn put(state: &dyn KeyedState, epoch: u64, key: &[u8], value: &[u8]) -> Result<(), StateError> {
    state.write_many(VALUE, epoch, &one(VALUE, StateOperation::Put, (key, b""), value, 0)).await
}

/// Gets one entry.
pub(crate) async fn get_entry(state: &dyn KeyedState, number: u32, key: &[u8], map_key: &[u8]) -> Option<Vec<u8>> {
    let values = state.get_many(number, &entry(number, key, map_key)).await.unwrap();
    values.get(0).map(<[u8]>::to_vec)
}

/// Gets one value of the state `value`.
pub(crate) async fn get(state: &dyn KeyedState, key: &[u8]) -> Option<Vec<u8>> {
    get_entry(state, VALUE, key, b"").await
}

/// Cuts and seals `epoch`.
pub(crate) fn hand_over(state: &dyn KeyedState, epoch: u64) {
    state.cut(epoch).unwrap();
    state.seal();
}

/// A list as the contract has it.
pub(crate) fn list(elements: &[&[u8]]) -> Vec<u8> {
    elements.iter().flat_map(|element| [&(element.len() as u32).to_le_bytes()[..], element].concat()).collect()
}
