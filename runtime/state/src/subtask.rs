//! Holds what one subtask has written, refuses what is not its own, and charges what it holds.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use wasmill_core::{
    CallTime, KeyGroupRange, MaxParallelism, Place, Quota,
    description::{StateDescription, StateKind, StateScope},
    quota::{Charge, Use},
    state::{EntryKeys, StateError, StateOperation, Writes},
    time::TimeDomain,
};

use crate::{
    effects::Effects,
    index::Seen,
    layers::Layers,
    layout::{self, BROADCAST, Shape},
    rows::{Act, Row, Rows, contract},
};

/// The longest key, map key and value together, bytes. What redb can store is a little more than three times this.
const ENTRY_LIMIT: usize = 1 << 30;

/// Memory of a row beside its bytes, about.
const ROW_BYTES: usize = 23;

/// One subtask of one operator.
#[derive(Debug)]
pub(crate) struct Subtask {
    pub(crate) place: Place,
    pub(crate) range: KeyGroupRange,
    max_parallelism: MaxParallelism,
    /// What the operator describes; behind it timers in event time and in processing time.
    states: Vec<StateDescription>,
    /// How the database has each of them.
    stored: Vec<(u32, Shape)>,
    pub(crate) quota: Quota,
    buffers: Mutex<Buffers>,
}

/// What changes while the subtask runs.
#[derive(Debug)]
pub(crate) struct Buffers {
    pub(crate) layers: Layers,
    charge: Charge,
    /// Whether the base can have entries of the subtask.
    pub(crate) in_base: bool,
    now: CallTime,
    /// What pages of a state are read from, between two pages.
    pages: Option<(u32, Effects)>,
}

/// An entry of broadcast state, from another subtask's copy.
#[derive(Debug)]
pub(crate) struct CopiedEntry {
    pub(crate) key: Vec<u8>,
    pub(crate) map_key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Subtask {
    #[allow(clippy::too_many_arguments, reason = "a plain constructor")]
    pub(crate) fn new(
        place: Place,
        range: KeyGroupRange,
        max_parallelism: MaxParallelism,
        states: Vec<StateDescription>,
        stored: Vec<(u32, Shape)>,
        quota: Quota,
        epoch: u64,
        in_base: bool,
    ) -> Result<Subtask, StateError> {
        let charge = quota.charge(Use::WriteBuffers, 0)?;
        let layers = Layers::new(epoch, stored.iter().map(|(_, shape)| *shape).collect());
        let now = CallTime { watermark: i64::MIN, processing_time: i64::MIN };
        let buffers = Mutex::new(Buffers { layers, charge, in_base, now, pages: None });
        Ok(Subtask { place, range, max_parallelism, states, stored, quota, buffers })
    }

    /// Whether `key` belongs to this subtask.
    pub(crate) fn owns(&self, key: &[u8]) -> bool {
        self.range.contains(self.max_parallelism.group(key))
    }

    /// The buffers. Never held while waiting for the disk or an executor.
    pub(crate) fn buffers(&self) -> MutexGuard<'_, Buffers> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number in the database of a state, or of timers.
    pub(crate) fn stored(&self, state: usize) -> (u32, Shape) {
        self.stored[state]
    }

    /// All numbers of the subtask, in the order of its states, with those of timers.
    pub(crate) fn all_stored(&self) -> &[(u32, Shape)] {
        &self.stored
    }

    /// The index of timers of a domain, behind the states.
    pub(crate) fn timers(&self, domain: TimeDomain) -> usize {
        self.states.len() + usize::from(domain == TimeDomain::ProcessingTime)
    }

    /// The key groups of the subtask in a state: its range, or that of its copy. One past the last may be 65,536.
    pub(crate) fn groups(&self, state: usize) -> (u16, u32) {
        match self.stored[state].1.scope {
            StateScope::Keyed => (self.range.start, self.range.end.into()),
            StateScope::Broadcast => {
                let copy = self.copy();
                (copy, u32::from(copy) + 1)
            }
        }
    }

    fn copy(&self) -> u16 {
        BROADCAST | self.place.subtask as u16
    }

    /// Takes over rows of `epoch` from the log, as far as they are the subtask's own.
    pub(crate) fn load(&self, state: usize, epoch: u64, rows: &Arc<Rows>) -> Result<(), StateError> {
        let (from, to) = self.groups(state);
        let range = rows.of_groups(from, to);
        if range.is_empty() {
            return Ok(());
        }
        let rows = if range.len() == rows.len() {
            rows.clone()
        } else {
            let mut part = Rows::default();
            let is_map = self.stored[state].1.kind == StateKind::Map;
            range.for_each(|i| part.push(rows.row(i), is_map));
            Arc::new(part)
        };
        let mut buffers = self.buffers();
        buffers.layers.add_stored(epoch, state, rows);
        buffers.recharge()
    }

    /// Begins the subtask's copy of a broadcast state anew, with `entries`.
    pub(crate) fn begin_copy(&self, state: usize, entries: &[CopiedEntry]) -> Result<(), StateError> {
        let is_map = self.stored[state].1.kind == StateKind::Map;
        let group = self.copy();
        let mut buffers = self.buffers();
        let epoch = buffers.layers.current();
        let Some(layer) = buffers.layers.of(epoch) else { return Ok(()) };
        let rows = layer.states[state].segments_mut();
        rows.add(Row { act: Act::Truncate, group, key: &[], map_key: &[], value: &[], expires: None }, is_map);
        for CopiedEntry { key, map_key, value } in entries {
            rows.add(Row { act: Act::Put, group, key, map_key, value, expires: None }, is_map);
        }
        buffers.recharge()
    }

    /// Makes writes, all or none.
    ///
    /// # Errors
    /// [`StateError::Contract`], and [`StateError::OverQuota`].
    pub(crate) fn write(&self, state: u32, epoch: u64, writes: &Writes) -> Result<(), StateError> {
        writes.check().map_err(contract)?;
        let (index, groups) = self.place_of(state, &writes.entries)?;
        self.check(index, writes)?;
        self.append(index, epoch, writes, &groups, &self.states[index].name)
    }

    /// Makes writes of timers, as those of a map.
    pub(crate) fn write_timers(&self, epoch: u64, domain: TimeDomain, writes: &Writes) -> Result<(), StateError> {
        let groups: Vec<u16> =
            (0..writes.operations.len()).map(|i| self.max_parallelism.group(writes.entries.key(i)).0).collect();
        self.append(self.timers(domain), epoch, writes, &groups, "timers")
    }

    fn append(&self, index: usize, epoch: u64, writes: &Writes, groups: &[u16], name: &str) -> Result<(), StateError> {
        let mut buffers = self.buffers();
        let Buffers { layers, charge, .. } = &mut *buffers;
        let (current, cut) = (layers.current(), layers.cut_unsealed());
        if layers.of(epoch).is_none() {
            let cut = cut.map(|cut| format!(" or {cut}")).unwrap_or_default();
            return Err(contract(format!("a write to state `{name}` in epoch {epoch}: it must be {current}{cut}")));
        }
        let bytes = writes.entries.keys.len() + writes.entries.map_keys.len() + writes.values.len();
        let bytes = (bytes + groups.len() * ROW_BYTES) as u64;
        if charge.resize(charge.bytes() + bytes).is_err() {
            // What the base has too must not be why there is no room.
            layers.shed(0);
            charge.resize(layers.bytes() as u64 + bytes)?;
        }
        if let Some(layer) = layers.of(epoch) {
            layer.states[index].segments_mut().extend(writes, groups);
        }
        Ok(())
    }

    /// Verifies writes of columns that fit together and keys that are the subtask's own.
    fn check(&self, index: usize, writes: &Writes) -> Result<(), StateError> {
        let StateDescription { name, kind, ttl, .. } = &self.states[index];
        let (rows, expires) = (writes.operations.len(), writes.expires.len());
        if ttl.is_none() && expires > 0 {
            return Err(contract(format!(
                "a write to state `{name}` says when it expires, but the state declares no TTL"
            )));
        }
        if ttl.is_some() && expires != rows {
            return Err(contract(format!("column `expires` has {expires} entries for {rows} rows")));
        }
        for (i, operation) in writes.operations.iter().enumerate() {
            let (key, value) = (writes.entries.key(i), writes.value(i));
            let map_key = writes.entries.map_key(i);
            let length = key.len() + map_key.len() + value.len();
            let wrong = match operation {
                StateOperation::Append if *kind != StateKind::List => {
                    format!("`append` to state `{name}`, which is a {} and not a list", kind.name())
                }
                StateOperation::Put if *kind == StateKind::List && layout::guest_elements(value).is_none() => {
                    format!("`put` to list state `{name}` of a value that is no list")
                }
                StateOperation::Delete | StateOperation::Clear if !value.is_empty() => {
                    format!("a deletion from state `{name}` has a value of {} bytes", value.len())
                }
                StateOperation::Clear if !map_key.is_empty() => {
                    format!("`clear` of state `{name}` has a map key of {} bytes", map_key.len())
                }
                _ if length > ENTRY_LIMIT => format!(
                    "an entry of state `{name}` has {length} bytes with its key: at most {ENTRY_LIMIT} can be stored"
                ),
                _ => continue,
            };
            return Err(contract(wrong));
        }
        Ok(())
    }

    /// The index of a state, and the key groups of entries.
    pub(crate) fn place_of(&self, state: u32, entries: &EntryKeys) -> Result<(usize, Vec<u16>), StateError> {
        let index = state as usize;
        let Some(declared) = self.states.get(index) else {
            return Err(contract(format!("state number {state}, but the operator describes {}", self.states.len())));
        };
        let (is_map, given) = (declared.kind == StateKind::Map, entries.map_key_ends.len());
        if !is_map && given > 0 {
            let (name, kind) = (&declared.name, declared.kind.name());
            return Err(contract(format!("map keys for state `{name}`, which is a {kind} and not a map")));
        }
        if is_map && given != entries.len() {
            return Err(contract(format!("state `{}` is a map: every entry needs a map key", declared.name)));
        }
        if declared.scope == StateScope::Broadcast {
            return Ok((index, vec![self.copy(); entries.len()]));
        }
        let group = |i| self.group(declared, entries.key(i));
        Ok((index, (0..entries.len()).map(group).collect::<Result<_, _>>()?))
    }

    /// The key group of a key that is the subtask's own.
    fn group(&self, declared: &StateDescription, key: &[u8]) -> Result<u16, StateError> {
        let group = self.max_parallelism.group(key);
        if self.range.contains(group) {
            return Ok(group.0);
        }
        let mut shown = String::new();
        declared.key.text(&key[..key.len().min(64)], &mut shown);
        Err(contract(format!(
            "state `{}`: the key {shown} belongs to key group {}, but this subtask owns key groups {}",
            declared.name, group.0, self.range
        )))
    }

    /// The index of a map state and the key group of a key, for a scan.
    pub(crate) fn place_of_map(&self, state: u32, key: &[u8]) -> Result<(usize, u16), StateError> {
        let index = state as usize;
        let Some(declared) = self.states.get(index) else {
            return Err(contract(format!("state number {state}, but the operator describes {}", self.states.len())));
        };
        if declared.kind != StateKind::Map {
            return Err(contract(format!("a scan of state `{}`, which is a {}", declared.name, declared.kind.name())));
        }
        let broadcast = declared.scope == StateScope::Broadcast;
        Ok((index, if broadcast { self.copy() } else { self.group(declared, key)? }))
    }

    /// What memory says of a key's map from a map key on: about `bytes` bytes of it, and up to which map key that is all.
    pub(crate) fn scan(&self, index: usize, key: &[u8], from: &[u8], bytes: usize) -> MapWindow {
        let mut window = MapWindow { entries: BTreeMap::new(), complete_to: None, hides_base: false };
        let mut buffers = self.buffers();
        for (_, rows) in buffers.layers.newest_first(index) {
            let mut taken = 0;
            let (hides, range) = rows.map_range(key, from);
            for (map_key, seen) in range {
                if window.complete_to.as_deref().is_some_and(|last: &[u8]| map_key > last) {
                    break;
                }
                let value = match seen {
                    Seen::Put(row) => Some((row.value.to_vec(), row.expires.unwrap_or(i64::MAX))),
                    _ => None,
                };
                taken += map_key.len() + value.as_ref().map_or(0, |(value, _)| value.len()) + 16;
                window.entries.entry(map_key.to_vec()).or_insert(value);
                if taken >= bytes {
                    window.complete_to = Some(map_key.to_vec());
                    break;
                }
            }
            if hides {
                window.hides_base = true;
                break;
            }
        }
        window.hides_base |= !buffers.in_base;
        window
    }

    /// What writes in memory leave of a state, all of it.
    pub(crate) fn effects(&self, index: usize) -> Effects {
        let (number, shape) = self.stored[index];
        let mut effects = Effects::new(number, shape);
        for layer in self.buffers().layers.oldest_first() {
            for (_, row) in layer.states[index].segments().from(Default::default()) {
                effects.add(layer.epoch, row);
            }
        }
        effects
    }
}

/// A part of a key's map, from memory.
#[derive(Debug)]
pub(crate) struct MapWindow {
    /// Map key to value and expiry; `None` where it was removed.
    pub(crate) entries: BTreeMap<Vec<u8>, Option<(Vec<u8>, i64)>>,
    /// Behind this map key entries are missing; `None` where none are.
    pub(crate) complete_to: Option<Vec<u8>>,
    /// Whether the base has nothing to add.
    pub(crate) hides_base: bool,
}

impl Buffers {
    /// What time it is for entries of a state.
    pub(crate) fn now(&self, shape: Shape) -> i64 {
        match shape.expires {
            Some(TimeDomain::EventTime) => self.now.watermark,
            Some(TimeDomain::ProcessingTime) => self.now.processing_time,
            None => i64::MIN,
        }
    }

    pub(crate) fn set_time(&mut self, time: CallTime) {
        self.now = time;
    }

    /// What pages are read from, if the last one was of the same state.
    pub(crate) fn take_pages(&mut self, state: u32) -> Option<Effects> {
        self.pages.take().filter(|(of, _)| *of == state).map(|(_, pages)| pages)
    }

    pub(crate) fn keep_pages(&mut self, state: u32, pages: Effects) {
        self.pages = Some((state, pages));
    }

    /// What the log had up to `epoch` is in the base.
    pub(crate) fn folded(&mut self, epoch: u64) {
        self.in_base = true;
        self.layers.folded(epoch);
    }

    /// Drops what the base has too until all takes `bound` bytes at most.
    pub(crate) fn shed(&mut self, bound: usize) {
        self.layers.shed(bound);
        if self.recharge().is_err() {
            self.layers.shed(0);
            // Less than what is charged: giving back does not fail.
            let _ = self.recharge();
        }
    }

    /// Corrects the charge to what is held.
    pub(crate) fn recharge(&mut self) -> Result<(), StateError> {
        Ok(self.charge.resize(self.layers.bytes() as u64)?)
    }
}
