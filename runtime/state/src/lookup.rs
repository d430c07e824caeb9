//! Answers reads: first what memory knows, the newest first, then what the base has.

use redb::ReadableTable;
use wasmill_core::{
    Quota,
    description::StateKind,
    key_group,
    quota::{Charge, Use},
    state::{EntryKeys, StateError, Values},
};

use crate::{
    backend::Store,
    database::BASE,
    effects,
    index::Seen,
    keyed::malformed,
    layers::Layers,
    layout::{self, Shape},
    rows::{Act, Rows, contract},
    subtask::{Buffers, Subtask},
    table::{Find, Tag},
};

/// What memory answers to a read.
#[derive(Debug)]
pub(crate) struct Found {
    /// The answers as the guest gets them; those that the base has a say in are none yet.
    pub(crate) values: Values,
    /// Those.
    pub(crate) open: Open,
    /// What else the answer may hold.
    allowance: Allowance,
    shape: Shape,
    now: i64,
}

/// Entries to look for in the base, in the order asked.
#[derive(Debug, Default)]
pub(crate) struct Open {
    /// Which of the answers.
    at: Vec<u32>,
    /// Stored keys.
    keys: Vec<u8>,
    key_ends: Vec<usize>,
    /// What memory knows of each, if they are lists.
    lists: Vec<Gained>,
}

/// When a list was last cleared, and stored elements that it has gained since, the oldest first.
type Gained = (Option<u64>, Vec<(u64, Vec<u8>)>);

impl Open {
    pub(crate) fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    fn add(&mut self, at: usize, stored: &[u8]) {
        self.at.push(at as u32);
        self.keys.extend_from_slice(stored);
        self.key_ends.push(self.keys.len());
    }

    fn key(&self, i: usize) -> &[u8] {
        let start = i.checked_sub(1).map_or(0, |before| self.key_ends[before]);
        &self.keys[start..self.key_ends[i]]
    }
}

/// What memory knows of one value.
#[derive(Clone, Copy)]
enum Known<'a> {
    Nothing,
    /// It does not exist.
    Gone,
    Row(&'a Rows, usize),
}

impl Subtask {
    /// Reads entries as far as memory knows them.
    pub(crate) fn read(&self, state: u32, entries: &EntryKeys) -> Result<Found, StateError> {
        entries.check().map_err(contract)?;
        let (index, groups) = self.place_of(state, entries)?;
        let (number, shape) = self.stored(index);
        let mut buffers = self.buffers();
        let now = buffers.now(shape);
        let allowance = Allowance::new(&self.quota);
        let mut found = Found { values: Values::default(), open: Open::default(), allowance, shape, now };
        let in_base = buffers.in_base;
        let stored = |i: usize| layout::key(number, groups[i], entries.key(i), entries.map_key(i));
        match shape.kind {
            StateKind::Value => {
                for (i, known) in known_values(&mut buffers, index, entries).into_iter().enumerate() {
                    match known {
                        Known::Nothing if in_base => found.add_open(i, &stored(i)),
                        Known::Row(rows, row) if rows.acts[row] == Act::Put => {
                            found.add(rows.value(row), rows.expires.get(row).copied())?;
                        }
                        Known::Nothing | Known::Gone | Known::Row(..) => found.values.push(None),
                    }
                }
            }
            StateKind::Map => {
                for i in 0..entries.len() {
                    let mut layers = buffers.layers.newest_first(index);
                    let seen = layers.find_map(|(_, rows)| match rows.map_value(entries.key(i), entries.map_key(i)) {
                        Seen::Nothing => None,
                        seen => Some(seen),
                    });
                    match seen {
                        None if in_base => found.add_open(i, &stored(i)),
                        Some(Seen::Put(row)) => found.add(row.value, row.expires)?,
                        _ => found.values.push(None),
                    }
                }
            }
            StateKind::List => {
                for i in 0..entries.len() {
                    let gained = gained(&mut buffers.layers, index, entries.key(i));
                    found.allowance.take(gained.1.iter().map(|(_, element)| element.len()).sum())?;
                    if in_base {
                        found.add_open(i, &stored(i));
                        found.open.lists.push(gained);
                    } else {
                        found.values.push(joined(shape, None, &gained, now).as_deref());
                    }
                }
            }
        }
        Ok(found)
    }
}

impl Found {
    fn add(&mut self, value: &[u8], expires: Option<i64>) -> Result<(), StateError> {
        let value = Some(value).filter(|_| expires.is_none_or(|at| at > self.now));
        self.allowance.take(value.map_or(0, <[u8]>::len))?;
        self.values.push(value);
        Ok(())
    }

    fn add_open(&mut self, i: usize, stored: &[u8]) {
        self.open.add(i, stored);
        self.values.push(None);
    }
}

/// What memory knows of values.
fn known_values<'a>(buffers: &'a mut Buffers, index: usize, entries: &EntryKeys) -> Vec<Known<'a>> {
    let tags: Vec<Tag> = (0..entries.len()).map(|i| Tag::of(key_group::hash(entries.key(i)))).collect();
    let mut known = vec![Known::Nothing; entries.len()];
    let mut open: Vec<u32> = (0..entries.len() as u32).collect();
    let (newest_first, settled) = buffers.layers.values(index, SETTLED_AT_LEAST + SETTLED_PER_KEY * entries.len());
    for rows in newest_first {
        find(rows, entries, &tags, &mut open, &mut known);
        if rows.is_truncated() {
            open.drain(..).for_each(|i| known[i as usize] = Known::Gone);
        }
    }
    find(settled, entries, &tags, &mut open, &mut known);
    known
}

/// Looks for the keys of `open` in one place; those that are not there stay.
fn find<'a>(place: &'a impl Find, entries: &EntryKeys, tags: &[Tag], open: &mut Vec<u32>, known: &mut [Known<'a>]) {
    let mut candidates = [None; AT_ONCE];
    let mut left = 0;
    for begin in (0..open.len()).step_by(AT_ONCE) {
        let end = open.len().min(begin + AT_ONCE);
        for (candidate, &i) in candidates.iter_mut().zip(&open[begin..end]) {
            *candidate = place.first(tags[i as usize]);
        }
        for at in begin..end {
            let i = open[at] as usize;
            match place.find(tags[i], entries.key(i), candidates[at - begin]) {
                Some((rows, row)) => known[i] = Known::Row(rows, row),
                None => {
                    open[left] = open[at];
                    left += 1;
                }
            }
        }
    }
    open.truncate(left);
}

/// Keys that are looked for at once.
const AT_ONCE: usize = 256;

/// Steps towards fewer places to look at, that a read takes: about as long as the read itself.
const SETTLED_AT_LEAST: usize = 4_096;
const SETTLED_PER_KEY: usize = 4;

/// What memory knows of a list.
fn gained(layers: &mut Layers, index: usize, key: &[u8]) -> Gained {
    let mut parts = Vec::new();
    let mut cleared = None;
    for (epoch, rows) in layers.newest_first(index) {
        let list = rows.list(key);
        let mut stored = Vec::new();
        for row in &list.rows {
            match row.act {
                Act::Put => layout::guest_elements(row.value)
                    .unwrap_or_default()
                    .into_iter()
                    .for_each(|element| layout::push_element(row.expires, element, &mut stored)),
                _ => layout::push_element(row.expires, row.value, &mut stored),
            }
        }
        if !stored.is_empty() {
            parts.push((epoch, stored));
        }
        if list.cleared {
            cleared = Some(epoch);
            break;
        }
    }
    parts.reverse();
    (cleared, parts)
}

/// A list as the guest gets it.
fn joined(shape: Shape, base: Option<&[u8]>, (cleared, elements): &Gained, now: i64) -> Option<Vec<u8>> {
    let elements = elements.iter().map(|(epoch, element)| (*epoch, &element[..]));
    let stored = effects::join(base, *cleared, elements)?;
    effects::for_guest(shape, &stored, now).flatten().map(|(value, _)| value)
}

impl Store {
    /// Answers what memory left open.
    pub(crate) fn complete(&self, found: Found) -> Result<Values, StateError> {
        let Found { values, open, mut allowance, shape, now } = found;
        // In stored order neighbours share pages.
        let mut order: Vec<u32> = (0..open.at.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| open.key(a as usize).cmp(open.key(b as usize)));
        let mut in_base: Vec<Option<Vec<u8>>> = vec![None; order.len()];
        let mut taken = Ok(());
        self.database.read(|transaction| {
            let base = transaction.open_table(BASE)?;
            for &i in &order {
                let Some(value) = ReadableTable::get(&base, open.key(i as usize))? else { continue };
                taken = allowance.take(value.value().len());
                if taken.is_err() {
                    return Ok(());
                }
                in_base[i as usize] = Some(value.value().to_vec());
            }
            Ok(())
        })?;
        taken?;
        let mut complete = Values::default();
        let mut next = 0;
        for at in 0..values.present.len() {
            if open.at.get(next) != Some(&(at as u32)) {
                complete.push(values.get(at));
                continue;
            }
            let stored = in_base[next].take();
            let value = match (open.lists.get(next), stored) {
                (Some(gained), stored) => joined(shape, stored.as_deref(), gained, now),
                (None, Some(stored)) => {
                    effects::for_guest(shape, &stored, now).ok_or_else(malformed)?.map(|(value, _)| value)
                }
                (None, None) => None,
            };
            complete.push(value.as_deref());
            next += 1;
        }
        Ok(complete)
    }
}

/// How much an answer may hold: its offsets are u32, and what is copied is charged while it is gathered.
#[derive(Debug)]
struct Allowance {
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
    fn take(&mut self, bytes: usize) -> Result<(), StateError> {
        self.taken += bytes as u64;
        if self.taken > u64::from(u32::MAX) {
            return Err(contract("a read whose values are longer than 4 GiB: ask for fewer keys at once"));
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
