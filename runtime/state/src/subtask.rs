//! Holds the write buffers of one subtask, refuses what is not its own, and charges what they hold.

use std::sync::{Mutex, MutexGuard, PoisonError};

use wasmill_core::{
    KeyGroup, KeyGroupRange, MaxParallelism, Place, Quota,
    description::StateDescription,
    quota::{Charge, OverQuota, Use},
    state::{EntryKeys, StateError, StateOperation, Values, Writes},
};

use crate::{changes::OVERHEAD, layers::Layers, layout};

/// The longest key and value together, bytes. What redb can store is a little more than three times this.
const ENTRY_LIMIT: usize = 1 << 30;

/// One subtask of one operator.
#[derive(Debug)]
pub(crate) struct Subtask {
    pub(crate) place: Place,
    /// The operator's number in the store.
    pub(crate) operator: u16,
    pub(crate) range: KeyGroupRange,
    max_parallelism: MaxParallelism,
    states: Vec<StateDescription>,
    quota: Quota,
    buffers: Mutex<Buffers>,
}

/// What changes while the subtask runs.
#[derive(Debug)]
pub(crate) struct Buffers {
    pub(crate) layers: Layers,
    charge: Charge,
    /// Whether the database can hold keys of this subtask.
    in_base: bool,
}

/// What the buffers answer to a read.
#[derive(Debug)]
pub(crate) struct Found {
    /// Complete but for `missing`, which are absent here.
    pub(crate) values: Values,
    /// Stored keys that the database may have, with their place among the answers.
    pub(crate) missing: Vec<(Vec<u8>, usize)>,
    /// What else the answer may hold.
    pub(crate) allowance: Allowance,
}

impl Subtask {
    pub(crate) fn new(
        place: Place,
        operator: u16,
        range: KeyGroupRange,
        max_parallelism: MaxParallelism,
        states: Vec<StateDescription>,
        quota: Quota,
        epoch: u64,
    ) -> Result<Subtask, OverQuota> {
        let charge = quota.charge(Use::WriteBuffers, 0)?;
        let buffers = Mutex::new(Buffers { layers: Layers::new(epoch), charge, in_base: false });
        Ok(Subtask { place, operator, range, max_parallelism, states, quota, buffers })
    }

    /// Whether `key` belongs to this subtask.
    pub(crate) fn owns(&self, key: &[u8]) -> bool {
        self.range.contains(self.max_parallelism.group(key))
    }

    /// The buffers. Never held while waiting for the disk or an executor.
    pub(crate) fn buffers(&self) -> MutexGuard<'_, Buffers> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads entries as far as the buffers know them.
    pub(crate) fn read(&self, state: u32, entries: &EntryKeys) -> Result<Found, StateError> {
        entries.check().map_err(contract)?;
        let groups = self.groups(state, entries)?;
        let mut found =
            Found { values: Values::default(), missing: Vec::new(), allowance: Allowance::new(&self.quota) };
        let mut stored = Vec::new();
        let buffers = self.buffers();
        for (i, group) in groups.into_iter().enumerate() {
            layout::encode(self.operator, group, state, entries.key(i), &mut stored);
            let change = buffers.layers.get(&stored);
            if change.is_none() && buffers.in_base {
                found.missing.push((stored.clone(), i));
            }
            let value = change.flatten();
            found.allowance.take(value.map_or(0, <[u8]>::len))?;
            found.values.push(value);
        }
        Ok(found)
    }

    /// Verifies writes, all of them before the first is made. Returns the key groups of their keys.
    pub(crate) fn check(&self, state: u32, epoch: u64, writes: &Writes) -> Result<Vec<KeyGroup>, StateError> {
        writes.check().map_err(contract)?;
        let groups = self.groups(state, &writes.entries)?;
        let name = &self.states[state as usize].name;
        if !writes.expires.is_empty() {
            return Err(contract(format!(
                "a write to state `{name}` says when it expires, but the state declares no TTL"
            )));
        }
        for (i, operation) in writes.operations.iter().enumerate() {
            let (key, value) = (writes.entries.key(i), writes.value(i));
            let wrong = match operation {
                StateOperation::Append => format!("`append` to state `{name}`, which is a value and not a list"),
                StateOperation::Delete | StateOperation::Clear if !value.is_empty() => {
                    format!("a deletion from state `{name}` has a value of {} bytes", value.len())
                }
                _ if key.len() + value.len() > ENTRY_LIMIT => format!(
                    "an entry of state `{name}` has {} bytes with its key: at most {ENTRY_LIMIT} can be stored",
                    key.len() + value.len()
                ),
                _ => continue,
            };
            return Err(contract(wrong));
        }
        let mut buffers = self.buffers();
        if buffers.layers.of(epoch).is_none() {
            let current = buffers.layers.current();
            let cut = buffers.layers.cut_unsealed().map(|cut| format!(" or {cut}")).unwrap_or_default();
            return Err(contract(format!("a write to state `{name}` in epoch {epoch}: it must be {current}{cut}")));
        }
        Ok(groups)
    }

    /// Makes writes that [`Subtask::check`] accepted. Returns the bytes that could be spilled now.
    ///
    /// # Errors
    /// [`OverQuota`], and then none is made.
    pub(crate) fn write(
        &self,
        state: u32,
        epoch: u64,
        writes: &Writes,
        groups: &[KeyGroup],
    ) -> Result<u64, StateError> {
        let mut buffers = self.buffers();
        let Buffers { layers, charge, in_base } = &mut *buffers;
        let before = layers.bytes();
        let most = (OVERHEAD + layout::PREFIX as u64) * groups.len() as u64
            + (writes.entries.keys.len() + writes.values.len()) as u64;
        charge.resize(before + most)?;
        let nothing_below = !*in_base && layers.is_oldest(epoch);
        let Some(changes) = layers.of(epoch) else {
            return Err(contract(format!("a write in epoch {epoch}, which was sealed meanwhile")));
        };
        let mut stored = Vec::new();
        for (i, &group) in groups.iter().enumerate() {
            layout::encode(self.operator, group, state, writes.entries.key(i), &mut stored);
            match writes.operations[i] {
                StateOperation::Put => changes.set(&stored, Some(writes.value(i))),
                // What comes and goes between two commits, such as a window, leaves nothing to be stored.
                _ if nothing_below => changes.forget(&stored),
                _ => changes.set(&stored, None),
            }
        }
        buffers.charge_what_there_is();
        Ok(buffers.layers.spillable_bytes())
    }

    fn groups(&self, state: u32, entries: &EntryKeys) -> Result<Vec<KeyGroup>, StateError> {
        let Some(declared) = self.states.get(state as usize) else {
            return Err(contract(format!("state number {state}, but the operator describes {}", self.states.len())));
        };
        if !entries.map_key_ends.is_empty() {
            return Err(contract(format!("map keys for state `{}`, which is a value and not a map", declared.name)));
        }
        let group = |i| {
            let key = entries.key(i);
            let group = self.max_parallelism.group(key);
            if self.range.contains(group) {
                return Ok(group);
            }
            let mut shown = String::new();
            declared.key.text(&key[..key.len().min(64)], &mut shown);
            Err(contract(format!(
                "state `{}`: the key {shown} belongs to key group {}, but this subtask owns key groups {}",
                declared.name, group.0, self.range
            )))
        };
        (0..entries.len()).map(group).collect()
    }
}

impl Buffers {
    /// What was taken, if `any`, is in the database now; `land` tells the layers.
    pub(crate) fn landed(&mut self, any: bool, land: impl FnOnce(&mut Layers)) {
        self.in_base |= any;
        land(&mut self.layers);
        self.charge_what_there_is();
    }

    /// Corrects the charge to the bytes held, which are never more than what is charged.
    fn charge_what_there_is(&mut self) {
        let bytes = self.layers.bytes().min(self.charge.bytes());
        // Giving back does not fail.
        let _ = self.charge.resize(bytes);
    }
}

/// How much an answer may hold: its offsets are u32, and what is copied is charged while it is gathered.
#[derive(Debug)]
pub(crate) struct Allowance {
    quota: Quota,
    taken: u64,
    charge: Option<Charge>,
}

impl Allowance {
    /// What an answer may hold before it is charged, bytes: most hold less.
    const FREE: u64 = 1 << 20;

    fn new(quota: &Quota) -> Allowance {
        Allowance { quota: quota.clone(), taken: 0, charge: None }
    }

    /// Asks for room for a value.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), StateError> {
        self.taken += bytes as u64;
        if self.taken > u64::from(u32::MAX) {
            return Err(contract("a read whose values are longer than 4 GiB: ask for fewer keys at once".to_string()));
        }
        let charged = self.charge.as_ref().map_or(Self::FREE, Charge::bytes);
        if self.taken > charged {
            let wanted = self.taken.next_multiple_of(Self::FREE);
            match &mut self.charge {
                Some(charge) => charge.resize(wanted)?,
                None => self.charge = Some(self.quota.charge(Use::StoreCache, wanted)?),
            }
        }
        Ok(())
    }
}

fn contract(message: impl ToString) -> StateError {
    StateError::Contract(message.to_string())
}
