//! What the host and the engine call: memory first, then the base, on the blocking pool.

use std::{sync::Arc, time::Duration};

use wasmill_core::{
    BoxFuture, CallTime, KeyedState,
    state::{EntryKeys, EntryPage, MapPage, StateError, StateOperation, TimerChanges, Values, Writes},
    time::{TimeDomain, TimerBatch},
};

use crate::{
    backend::{Store, blocking},
    database::{BASE, entries},
    effects,
    layout::{self, Shape},
    rows::contract,
    subtask::{MapWindow, Subtask},
};

/// State of one subtask.
#[derive(Debug)]
pub(crate) struct Keyed {
    pub(crate) store: Arc<Store>,
    pub(crate) subtask: Arc<Subtask>,
}

/// How long a write waits while folding is behind, so that it can catch up.
const PAUSE: Duration = Duration::from_millis(5);

/// Bytes of timers that are read at a time.
const TIMER_BYTES: usize = 1 << 20;

impl KeyedState for Keyed {
    fn owns(&self, key: &[u8]) -> bool {
        self.subtask.owns(key)
    }

    fn set_time(&self, time: CallTime) {
        self.subtask.buffers().set_time(time);
    }

    fn get_many<'a>(&'a self, state: u32, entries: &'a EntryKeys) -> BoxFuture<'a, Result<Values, StateError>> {
        Box::pin(async move {
            let found = self.subtask.read(state, entries)?;
            if found.open.is_empty() {
                return Ok(found.values);
            }
            let store = self.store.clone();
            blocking(move || store.complete(found)).await
        })
    }

    fn write_many<'a>(&'a self, state: u32, epoch: u64, writes: &'a Writes) -> BoxFuture<'a, Result<(), StateError>> {
        Box::pin(async move {
            self.subtask.write(state, epoch, writes)?;
            if self.store.is_behind() {
                tokio::time::sleep(PAUSE).await;
            }
            Ok(())
        })
    }

    fn scan<'a>(
        &'a self,
        state: u32,
        key: &'a [u8],
        from: &'a [u8],
        max_bytes: u32,
    ) -> BoxFuture<'a, Result<MapPage, StateError>> {
        Box::pin(async move {
            let (index, group) = self.subtask.place_of_map(state, key)?;
            let (number, shape) = self.subtask.stored(index);
            let mut page = MapPage::default();
            let mut from = from.to_vec();
            loop {
                let window = self.subtask.scan(index, key, &from, max_bytes as usize);
                let now = self.subtask.buffers().now(shape);
                let window = if window.hides_base {
                    window
                } else {
                    let (store, bytes) = (self.store.clone(), max_bytes as usize);
                    let prefix = layout::key(number, group, key, &[]);
                    let start = layout::key(number, group, key, &from);
                    blocking(move || store.widen(window, shape, &prefix, &start, bytes)).await?
                };
                let last = window.complete_to;
                for (map_key, entry) in window.entries {
                    if last.as_ref().is_some_and(|last| map_key > *last) {
                        break;
                    }
                    let Some((value, _)) = entry.filter(|(_, expires)| *expires > now) else { continue };
                    if page.map_keys.len() + page.values.len() >= max_bytes as usize && !page.map_key_ends.is_empty() {
                        page.more = true;
                        return Ok(page);
                    }
                    page.map_keys.extend_from_slice(&map_key);
                    page.map_key_ends.push(page.map_keys.len() as u32);
                    page.values.extend_from_slice(&value);
                    page.value_ends.push(page.values.len() as u32);
                }
                match last {
                    None => return Ok(page),
                    Some(_) if !page.map_key_ends.is_empty() => {
                        page.more = true;
                        return Ok(page);
                    }
                    // Everything here was removed or has expired: look behind it.
                    Some(last) => from = [&last[..], &[0]].concat(),
                }
            }
        })
    }

    fn begin_call(&self) {
        self.subtask.buffers().layers.begin_call();
    }

    fn end_call(&self, keep: bool) {
        let mut buffers = self.subtask.buffers();
        buffers.layers.end_call(keep);
        // Less than before or the same: giving back does not fail.
        let _ = buffers.recharge();
    }

    fn entries(
        &self,
        state: u32,
        from: Option<Vec<u8>>,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<EntryPage, StateError>> {
        Box::pin(async move {
            let index = state as usize;
            if index >= self.subtask.all_stored().len() {
                return Err(contract(format!("state number {state} does not exist")));
            }
            let (store, subtask) = (self.store.clone(), self.subtask.clone());
            blocking(move || store.page(&subtask, index, from, max_bytes)).await
        })
    }

    fn timers(&self, domain: TimeDomain) -> BoxFuture<'_, Result<TimerBatch, StateError>> {
        Box::pin(async move {
            let index = self.subtask.timers(domain) as u32;
            let mut timers = TimerBatch::default();
            let mut next = None;
            loop {
                let page = self.entries(index, next, TIMER_BYTES).await?;
                for i in 0..page.entries.len() {
                    let (time, tag) = layout::parse_timer(page.entries.map_key(i)).ok_or_else(malformed)?;
                    timers.push(time, page.entries.key(i), tag);
                }
                next = page.next;
                if next.is_none() {
                    return Ok(timers);
                }
            }
        })
    }

    fn write_timers(&self, epoch: u64, domain: TimeDomain, changes: &TimerChanges) -> Result<(), StateError> {
        for (timers, operation) in [(&changes.set, StateOperation::Put), (&changes.removed, StateOperation::Delete)] {
            let rows = timers.times.len();
            if rows == 0 {
                continue;
            }
            let map_keys: Vec<u8> =
                timers.times.iter().zip(&timers.tags).flat_map(|(&time, &tag)| layout::timer(time, tag)).collect();
            let entries = EntryKeys {
                key_ends: timers.key_ends.clone(),
                keys: timers.keys.clone(),
                map_key_ends: (1..=rows as u32).map(|row| row * 16).collect(),
                map_keys,
            };
            let value_ends = vec![0; rows];
            let writes = Writes { operations: vec![operation; rows], entries, value_ends, ..Writes::default() };
            self.subtask.write_timers(epoch, domain, &writes)?;
        }
        Ok(())
    }

    fn cut(&self, epoch: u64) -> Result<(), StateError> {
        self.store.used(epoch);
        self.subtask.buffers().layers.cut(epoch).map_err(contract)
    }

    fn seal(&self) {
        self.subtask.buffers().layers.seal();
    }
}

pub(crate) fn malformed() -> StateError {
    StateError::Store("a stored entry is malformed".to_string())
}

impl Store {
    /// Adds to a window what the base has in it.
    fn widen(
        &self,
        mut window: MapWindow,
        shape: Shape,
        prefix: &[u8],
        start: &[u8],
        bytes: usize,
    ) -> Result<MapWindow, StateError> {
        let end = layout::after(prefix).unwrap_or_default();
        let mut taken = 0;
        let mut bad = false;
        self.database.read(|transaction| {
            let base = transaction.open_table(BASE)?;
            for entry in entries(&base, start, &end)? {
                let (stored, value) = entry?;
                let map_key = &stored[prefix.len()..];
                if window.complete_to.as_deref().is_some_and(|last| map_key > last) {
                    break;
                }
                let Some((expires, value)) = layout::parse_value(shape.expires.is_some(), &value) else {
                    bad = true;
                    break;
                };
                taken += map_key.len() + value.len() + 16;
                window.entries.entry(map_key.to_vec()).or_insert_with(|| Some((value.to_vec(), expires)));
                if taken >= bytes {
                    window.complete_to = Some(map_key.to_vec());
                    break;
                }
            }
            Ok(())
        })?;
        if bad { Err(malformed()) } else { Ok(window) }
    }

    /// A page of all entries of a subtask's state.
    fn page(
        &self,
        subtask: &Subtask,
        index: usize,
        from: Option<Vec<u8>>,
        max_bytes: usize,
    ) -> Result<EntryPage, StateError> {
        let (number, shape) = subtask.stored(index);
        let kept = subtask.buffers().take_pages(index as u32).filter(|_| from.is_some());
        let effects = kept.unwrap_or_else(|| subtask.effects(index));
        let (first, past) = subtask.groups(index);
        let start = from.unwrap_or_else(|| layout::group_start(number, first.into()));
        let end = layout::group_start(number, past);
        let now = subtask.buffers().now(shape);
        let mut page = EntryPage::default();
        let mut bad = false;
        self.database.read(|transaction| {
            let base = transaction.open_table(BASE)?;
            for entry in effects.over(entries(&base, &start, &end)?, &start, &end) {
                let (stored, value) = entry?;
                if page.entries.keys.len() + page.entries.map_keys.len() + page.values.len() >= max_bytes
                    && !page.entries.is_empty()
                {
                    page.next = Some(stored);
                    break;
                }
                let (Some(parts), Some(live)) = (layout::parse(&stored), effects::for_guest(shape, &value, now)) else {
                    bad = true;
                    break;
                };
                let Some((value, expires)) = live else { continue };
                page.entries.keys.extend_from_slice(parts.key);
                page.entries.key_ends.push(page.entries.keys.len() as u32);
                if shape.kind == wasmill_core::description::StateKind::Map {
                    page.entries.map_keys.extend_from_slice(parts.map_key);
                    page.entries.map_key_ends.push(page.entries.map_keys.len() as u32);
                }
                page.values.extend_from_slice(&value);
                page.value_ends.push(page.values.len() as u32);
                if shape.expires.is_some() {
                    page.expires.push(expires);
                }
            }
            Ok(())
        })?;
        if bad {
            return Err(malformed());
        }
        if page.next.is_some() {
            subtask.buffers().keep_pages(index as u32, effects);
        }
        Ok(page)
    }
}
