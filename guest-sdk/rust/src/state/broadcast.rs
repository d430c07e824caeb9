//! Holds broadcast state: a map of which every subtask has a copy.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ColumnCost, Directory, MapKey, Resolved, Slot, State, StateColumn, changes::CHUNK_BYTES, map::rows, writes,
};
use crate::{
    backend::Operation,
    call::{BroadcastCall, Call},
    codec::{Codec, StateValue},
    error::{Error, Result},
};

/// A map of which every subtask has a copy, ordered by key, declared by
/// [`Setup::broadcast_state`](crate::Setup::broadcast_state). Records of the broadcast input change it, records of the keyed
/// input read it: see [`KeyedBroadcastOperator`](crate::KeyedBroadcastOperator).
///
/// It is in memory as a whole, beside what the cache may take. All copies must come to be the same: a change may depend on the
/// broadcast records and on the state itself, and on nothing that differs from one subtask to another. Its entries do not
/// expire.
pub struct BroadcastState<K: MapKey, V: StateValue> {
    index: u32,
    name: String,
    epoch: u64,
    /// By encoded key.
    entries: BTreeMap<Vec<u8>, V::Owned>,
    is_loaded: bool,
    /// What changed in this call, and whether all was removed first.
    changed: BTreeSet<Vec<u8>>,
    cleared: bool,
    codec: std::marker::PhantomData<fn() -> K>,
}

/// The key under which the host keeps it: it belongs to none.
const KEY: &[u8] = b"";

impl<K: MapKey, V: StateValue> BroadcastState<K, V> {
    pub(crate) fn new(index: u32, name: &str, epoch: u64) -> BroadcastState<K, V> {
        BroadcastState {
            index,
            name: name.to_string(),
            epoch,
            entries: BTreeMap::new(),
            is_loaded: false,
            changed: BTreeSet::new(),
            cleared: false,
            codec: std::marker::PhantomData,
        }
    }

    /// The value of `key`.
    pub fn get(&self, key: K::View<'_>) -> Option<V::View<'_>> {
        self.entries.get(&encoded::<K>(key)).map(V::borrow)
    }

    /// All entries in the order of their keys.
    ///
    /// An item is the job's error when a stored key does not fit its codec.
    pub fn iter(&self) -> impl Iterator<Item = Result<(K::Owned, V::View<'_>)>> {
        self.entries.iter().map(|(key, value)| {
            let key = K::decode(key).map_err(|error| self.error(key, error))?;
            Ok((key, V::borrow(value)))
        })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sets the value of `key`.
    pub fn put(&mut self, _: &mut BroadcastCall<'_>, key: K::View<'_>, value: V::Owned) {
        let key = encoded::<K>(key);
        self.changed.insert(key.clone());
        self.entries.insert(key, value);
    }

    /// Removes `key`.
    pub fn remove(&mut self, _: &mut BroadcastCall<'_>, key: K::View<'_>) {
        let key = encoded::<K>(key);
        self.entries.remove(&key);
        self.changed.insert(key);
    }

    /// Removes all entries.
    pub fn clear(&mut self, _: &mut BroadcastCall<'_>) {
        self.entries.clear();
        self.changed.clear();
        self.cleared = true;
    }

    fn error(&self, key: &[u8], error: impl std::fmt::Display) -> Error {
        let (name, key) = (&self.name, key.escape_ascii());
        Error::Job(format!("state `{name}`, key {key}: what is stored cannot be read as its codec: {error}"))
    }

    /// Reads all of it from the host, the first time.
    fn load(&mut self, call: &mut Call<'_>, is_restored: bool) -> Result {
        if std::mem::replace(&mut self.is_loaded, true) || !is_restored {
            return Ok(());
        }
        let mut from = Vec::new();
        loop {
            let page = call.backend.scan(self.index, KEY, &from, CHUNK_BYTES as u32);
            for (key, value) in rows(&page) {
                let value = V::decode(Some(value)).map_err(|error| self.error(key, error))?;
                self.entries.insert(key.to_vec(), V::own(value));
                from = [key, &[0]].concat();
            }
            if !page.more || page.map_key_ends.is_empty() {
                return Ok(());
            }
        }
    }
}

fn encoded<K: MapKey>(key: K::View<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    K::encode(key, &mut bytes);
    bytes
}

impl<K: MapKey, V: StateValue> StateColumn for BroadcastState<K, V> {
    fn index(&self) -> u32 {
        self.index
    }

    fn begin(&mut self, call: &mut Call<'_>, batch: &Resolved<'_>) -> Result {
        self.load(call, batch.restored)
    }

    fn begin_without_key(&mut self, call: &mut Call<'_>, batch: &Resolved<'_>) -> Result {
        self.load(call, batch.restored)
    }

    /// Writes what changed in this call: no other may.
    fn end(&mut self, call: &mut Call<'_>, _: &Directory, _: bool) -> Result {
        let mut changes = writes::none();
        if std::mem::take(&mut self.cleared) {
            writes::add(&mut changes, Operation::Clear, Some(&[]), None);
        }
        for key in std::mem::take(&mut self.changed) {
            let operation = match self.entries.get(&key) {
                Some(value) => {
                    let encoded = <V as Codec>::encode(V::borrow(value), &mut changes.values);
                    encoded.map_err(|error| {
                        let (name, key) = (&self.name, key.escape_ascii());
                        Error::Job(format!("state `{name}`, key {key}: its value has no encoding: {error}"))
                    })?;
                    Operation::Put
                }
                None => Operation::Delete,
            };
            writes::add(&mut changes, operation, Some(&key), None);
            if writes::bytes(&changes) >= CHUNK_BYTES {
                writes::name(&mut changes, KEY);
                call.write_many(self.index, self.epoch, &std::mem::replace(&mut changes, writes::none()));
            }
        }
        if !changes.operations.is_empty() {
            writes::name(&mut changes, KEY);
            call.write_many(self.index, self.epoch, &changes);
        }
        Ok(())
    }

    fn cut(&mut self, epoch: u64, _: usize) {
        self.epoch = epoch + 1;
    }

    fn hand_over(&mut self, _: &mut Call<'_>, _: &Directory, _: usize) -> Result<usize> {
        Ok(0)
    }

    fn is_handed_over(&self) -> bool {
        true
    }

    fn evict(&mut self, _: &mut Call<'_>, _: &Directory, _: &[u32]) -> Result {
        Ok(())
    }

    fn cost(&self) -> ColumnCost {
        ColumnCost::default()
    }
}

impl<K: MapKey, V: StateValue> State for BroadcastState<K, V> {
    #[inline(always)]
    fn select(&mut self, _: Slot) {}

    fn column(&mut self) -> &mut dyn StateColumn {
        self
    }
}
