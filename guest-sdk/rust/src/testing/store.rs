//! Keeps state in memory as the host does: a base, the writes of the epoch that was cut, and those of the current one.

use std::collections::BTreeMap;

use crate::{
    backend::{EntryKeys, Operation, Page, TimeDomain, Values, Writes},
    bindings::wasmill::operator::{
        description::{State, StateKind, StateScope},
        types::Call as CallTime,
    },
    column::Column,
    error::Result,
    instance::Instance,
    migration::Entries,
    operator::Operator,
    state::split_first,
};

use super::Memory;

/// What a state has of a key. With every value is when it expires, `i64::MAX` where it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Of value state.
    Value(Vec<u8>, i64),
    /// Of list state, in the order in which they were appended.
    List(Vec<(Vec<u8>, i64)>),
    /// Of map state, by map key.
    Map(BTreeMap<Vec<u8>, (Vec<u8>, i64)>),
}

/// Keys and values of a state as columns, and back: what a migration rewrites.
pub(super) fn migrate<O: Operator>(content: &Content, state: u32, from_version: u32) -> Result<Content> {
    let none = Vec::new;
    let (key_ends, keys, map_key_ends, map_keys) = (Vec::new(), none(), Vec::new(), none());
    let mut columns = Entries { key_ends, keys, map_key_ends, map_keys, value_ends: Vec::new(), values: Vec::new() };
    let of_state = || content.iter().filter(|((of, _), _)| *of == state);
    for ((_, key), stored) in of_state() {
        let mut add = |map_key: Option<&[u8]>, value: &[u8]| {
            columns.keys.extend(key);
            columns.key_ends.push(columns.keys.len() as u32);
            if let Some(map_key) = map_key {
                columns.map_keys.extend(map_key);
                columns.map_key_ends.push(columns.map_keys.len() as u32);
            }
            columns.values.extend(value);
            columns.value_ends.push(columns.values.len() as u32);
        };
        match stored {
            Stored::Value(value, _) => add(None, value),
            Stored::List(list) => {
                let framed =
                    |(element, _): &(Vec<u8>, i64)| [&(element.len() as u32).to_le_bytes()[..], element].concat();
                add(None, &list.iter().flat_map(framed).collect::<Vec<u8>>());
            }
            Stored::Map(map) => map.iter().for_each(|(map_key, (value, _))| add(Some(map_key), value)),
        }
    }
    let migrated = Instance::<O, Memory>::migrate(state, from_version, columns.clone())?;
    let keys = |columns: &Entries| {
        (columns.key_ends.clone(), columns.keys.clone(), columns.map_key_ends.clone(), columns.map_keys.clone())
    };
    assert_eq!(keys(&migrated), keys(&columns), "`migrate` keeps keys");
    let mut values = entries(&migrated.value_ends, &migrated.values).map(<[u8]>::to_vec);
    let mut next = || values.next().expect("`migrate` keeps the number of values");
    let mut content = content.clone();
    for (_, stored) in content.iter_mut().filter(|((of, _), _)| *of == state) {
        match stored {
            Stored::Value(value, _) => *value = next(),
            Stored::List(list) => {
                let (framed, expires) = (next(), list.first().map_or(i64::MAX, |(_, expires)| *expires));
                let (mut rest, mut elements) = (&framed[..], Vec::new());
                while let Some((element, after)) = split_first(rest) {
                    elements.push((element.to_vec(), expires));
                    rest = after;
                }
                *list = elements;
            }
            Stored::Map(map) => map.values_mut().for_each(|(value, _)| *value = next()),
        }
    }
    Ok(content)
}

/// What is stored, by state number and key.
pub(crate) type Content = BTreeMap<(u32, Vec<u8>), Stored>;

/// Operation, map key, value and expiry.
type Write = (Operation, Vec<u8>, Vec<u8>, i64);

/// Writes of an epoch in order, by state number and key.
type Log = BTreeMap<(u32, Vec<u8>), Vec<Write>>;

#[derive(Debug)]
pub(super) struct Store {
    states: Vec<State>,
    base: Content,
    /// The epoch that was cut and is not sealed.
    cut: Option<(u64, Log)>,
    epoch: u64,
    current: Log,
}

/// The entries of a column that has no nulls.
pub(super) fn entries<'a>(ends: &'a [u32], bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let column = Column { ends, bytes, flags: &[], absent: 0 };
    column.iter(ends.len()).map(|entry| entry.expect("the column is valid"))
}

impl Stored {
    /// What it is after a write.
    fn after(held: Option<Stored>, kind: StateKind, write: &Write) -> Option<Stored> {
        let (operation, map_key, value, expires) = write;
        let stored = match (kind, held, operation) {
            (StateKind::Value, _, Operation::Put) => Stored::Value(value.clone(), *expires),
            (StateKind::List, held, Operation::Append) => {
                let Some(Stored::List(mut list)) = held.or(Some(Stored::List(Vec::new()))) else {
                    panic!("what is stored is no list");
                };
                list.push((value.clone(), *expires));
                Stored::List(list)
            }
            (StateKind::Map, held, Operation::Put | Operation::Delete) => {
                let Some(Stored::Map(mut map)) = held.or(Some(Stored::Map(BTreeMap::new()))) else {
                    panic!("what is stored is no map");
                };
                match operation {
                    Operation::Put => map.insert(map_key.clone(), (value.clone(), *expires)),
                    _ => map.remove(map_key),
                };
                Stored::Map(map)
            }
            (StateKind::Value, _, Operation::Delete | Operation::Clear) | (_, _, Operation::Clear) => return None,
            (kind, _, operation) => panic!("{operation:?} is written to {kind:?} state"),
        };
        Some(stored).filter(|stored| !stored.is_empty())
    }

    fn is_empty(&self) -> bool {
        match self {
            Stored::Value(..) => false,
            Stored::List(list) => list.is_empty(),
            Stored::Map(map) => map.is_empty(),
        }
    }

    /// What of it is left at `now`.
    fn live(self, now: i64) -> Option<Stored> {
        let live = match self {
            Stored::Value(_, expires) if expires <= now => return None,
            Stored::Value(..) => self,
            Stored::List(list) => Stored::List(list.into_iter().filter(|(_, expires)| *expires > now).collect()),
            Stored::Map(map) => Stored::Map(map.into_iter().filter(|(_, (_, expires))| *expires > now).collect()),
        };
        Some(live).filter(|live| !live.is_empty())
    }
}

impl Store {
    pub(super) fn new(states: Vec<State>, epoch: u64, base: Content) -> Store {
        Store { states, base, cut: None, epoch, current: Log::new() }
    }

    fn state(&self, state: u32) -> &State {
        self.states.get(state as usize).unwrap_or_else(|| panic!("there is no state number {state}"))
    }

    /// What has expired in a state expired by then.
    fn now(&self, state: u32, time: CallTime) -> i64 {
        match self.state(state).ttl.map(|ttl| ttl.domain) {
            None => i64::MIN,
            Some(TimeDomain::EventTime) => time.watermark,
            Some(TimeDomain::ProcessingTime) => time.processing_time,
        }
    }

    /// What is stored for a key, expired or not.
    fn read(&self, state: u32, key: &[u8]) -> Option<Stored> {
        let at = (state, key.to_vec());
        let kind = self.state(state).kind;
        let logs = self.cut.iter().map(|(_, log)| log).chain([&self.current]);
        let writes = logs.filter_map(|log| log.get(&at)).flatten();
        writes.fold(self.base.get(&at).cloned(), |held, write| Stored::after(held, kind, write))
    }

    fn read_live(&self, state: u32, key: &[u8], time: CallTime) -> Option<Stored> {
        let stored = self.read(state, key)?;
        if self.state(state).ttl.is_none() { Some(stored) } else { stored.live(self.now(state, time)) }
    }

    pub(super) fn content(&self, time: CallTime) -> Content {
        let logs = self.cut.iter().map(|(_, log)| log).chain([&self.current]);
        let keys: std::collections::BTreeSet<_> = logs.flat_map(|log| log.keys()).chain(self.base.keys()).collect();
        keys.into_iter().filter_map(|at| Some((at.clone(), self.read_live(at.0, &at.1, time)?))).collect()
    }

    pub(super) fn get_many(&self, state: u32, keys: &EntryKeys, time: CallTime) -> Values {
        let mut values = Values { present: Vec::new(), value_ends: Vec::new(), values: Vec::new() };
        let kind = self.state(state).kind;
        let map_keys = if kind == StateKind::Map { keys.key_ends.len() } else { 0 };
        assert_eq!(keys.map_key_ends.len(), map_keys, "map keys of {} entries", keys.key_ends.len());
        let mut map_keys = entries(&keys.map_key_ends, &keys.map_keys);
        for key in entries(&keys.key_ends, &keys.keys) {
            let stored = self.read_live(state, key, time);
            let length = values.values.len();
            let present = match stored {
                None => {
                    map_keys.next();
                    false
                }
                Some(Stored::Value(value, _)) => {
                    values.values.extend(value);
                    true
                }
                Some(Stored::List(list)) => {
                    for (element, _) in list {
                        values.values.extend((element.len() as u32).to_le_bytes());
                        values.values.extend(element);
                    }
                    true
                }
                Some(Stored::Map(map)) => {
                    let value = map_keys.next().and_then(|map_key| map.get(map_key));
                    values.values.extend(value.into_iter().flat_map(|(value, _)| value));
                    value.is_some()
                }
            };
            assert!(present || values.values.len() == length);
            values.present.push(u8::from(present));
            values.value_ends.push(values.values.len() as u32);
        }
        values
    }

    pub(super) fn scan(&self, state: u32, key: &[u8], from: &[u8], max_bytes: u32, time: CallTime) -> Page {
        assert_eq!(self.state(state).kind, StateKind::Map, "only maps are scanned");
        let mut page = Page {
            map_key_ends: Vec::new(),
            map_keys: Vec::new(),
            value_ends: Vec::new(),
            values: Vec::new(),
            more: false,
        };
        let Some(Stored::Map(map)) = self.read_live(state, key, time) else { return page };
        for (map_key, (value, _)) in map.range(from.to_vec()..) {
            if !page.map_key_ends.is_empty() && page.map_keys.len() + page.values.len() >= max_bytes as usize {
                page.more = true;
                break;
            }
            page.map_keys.extend(map_key);
            page.map_key_ends.push(page.map_keys.len() as u32);
            page.values.extend(value);
            page.value_ends.push(page.values.len() as u32);
        }
        page
    }

    pub(super) fn write_many(&mut self, state: u32, epoch: u64, writes: &Writes, broadcast: bool) {
        let described = self.state(state);
        let (name, is_map, expires) = (&described.name, described.kind == StateKind::Map, described.ttl.is_some());
        assert!(described.scope == StateScope::Keyed || broadcast, "broadcast state `{name}` is written here");
        let rows = writes.operations.len();
        let lengths = |entries: usize, is_there: bool| entries == if is_there { rows } else { 0 };
        assert!(
            lengths(writes.entries.key_ends.len(), true)
                && lengths(writes.value_ends.len(), true)
                && lengths(writes.entries.map_key_ends.len(), is_map)
                && lengths(writes.expires.len(), expires),
            "writes to `{name}` are not valid: {writes:?}"
        );
        let log = match &mut self.cut {
            Some((cut, log)) if *cut == epoch => log,
            _ => {
                assert_eq!(epoch, self.epoch, "a write of another epoch than this");
                &mut self.current
            }
        };
        let map_keys: Vec<&[u8]> = entries(&writes.entries.map_key_ends, &writes.entries.map_keys).collect();
        let keys = entries(&writes.entries.key_ends, &writes.entries.keys);
        let values = entries(&writes.value_ends, &writes.values);
        for (row, ((operation, key), value)) in writes.operations.iter().zip(keys).zip(values).enumerate() {
            let map_key = map_keys.get(row).copied().unwrap_or_default();
            let bare = matches!(operation, Operation::Delete | Operation::Clear);
            assert!(!bare || value.is_empty(), "a deletion has a value");
            assert!(*operation != Operation::Clear || map_key.is_empty(), "`clear` has a map key");
            let expires = writes.expires.get(row).copied().unwrap_or(i64::MAX);
            let write = (*operation, map_key.to_vec(), value.to_vec(), expires);
            log.entry((state, key.to_vec())).or_default().push(write);
        }
    }

    pub(super) fn cut(&mut self, epoch: u64) {
        self.cut = Some((epoch, std::mem::take(&mut self.current)));
        self.epoch = epoch + 1;
    }

    /// Makes the epoch that was cut part of the base; what that then has, expired or not.
    pub(super) fn seal(&mut self) -> Content {
        let log = self.cut.take().map(|(_, log)| log).unwrap_or_default();
        for (at, writes) in log {
            let kind = self.state(at.0).kind;
            let held = self.base.remove(&at);
            if let Some(stored) = writes.iter().fold(held, |held, write| Stored::after(held, kind, write)) {
                self.base.insert(at, stored);
            }
        }
        self.base.clone()
    }
}
