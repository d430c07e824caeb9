//! A store in memory: what is committed survives the job, as a disk would.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use wasmill_core::{
    state::*,
    time::{TimeDomain, TimerBatch},
    *,
};

/// (operator, state, key) to value; timers are states of their own.
type Entries = BTreeMap<(String, u32, Vec<u8>), Vec<u8>>;

/// Changes of one epoch.
type Changes = Vec<((u32, Vec<u8>), Option<Vec<u8>>)>;

#[derive(Default, Clone)]
pub struct MemoryStore {
    pub disk: Arc<Mutex<Disk>>,
    open: Arc<Mutex<Vec<Arc<MemoryState>>>>,
}

#[derive(Default)]
pub struct Disk {
    pub entries: Entries,
    pub manifest: Option<Manifest>,
    pub committed: u64,
    pub highest: u64,
    pub savepoints: BTreeMap<PathBuf, Manifest>,
    /// Commits that fail, from now.
    pub failures: u32,
}

struct MemoryState {
    request: StateScopeRequest,
    inner: Mutex<Inner>,
}

struct Inner {
    restored: BTreeMap<(u32, Vec<u8>), Vec<u8>>,
    epochs: BTreeMap<u64, Changes>,
    current: u64,
    cut: Option<u64>,
    mark: Option<BTreeMap<u64, Changes>>,
}

const TIMERS: [(TimeDomain, u32); 2] = [(TimeDomain::EventTime, 1_000), (TimeDomain::ProcessingTime, 1_001)];

fn timer_state(domain: TimeDomain) -> u32 {
    TIMERS.iter().find(|(of, _)| *of == domain).unwrap().1
}

impl MemoryState {
    fn get(&self, state: u32, key: &[u8]) -> Option<Vec<u8>> {
        let inner = self.inner.lock().unwrap();
        let at = (state, key.to_vec());
        let changed = inner.epochs.values().rev().find_map(|changes| changes.iter().rev().find(|(k, _)| *k == at));
        changed.map_or_else(|| inner.restored.get(&at).cloned(), |(_, value)| value.clone())
    }

    fn write(&self, epoch: u64, at: (u32, Vec<u8>), value: Option<Vec<u8>>) -> Result<(), StateError> {
        let mut inner = self.inner.lock().unwrap();
        if epoch != inner.current && Some(epoch) != inner.cut {
            return Err(StateError::Contract(format!("epoch {epoch}, not {} or {:?}", inner.current, inner.cut)));
        }
        inner.epochs.entry(epoch).or_default().push((at, value));
        Ok(())
    }
}

impl KeyedState for MemoryState {
    fn owns(&self, key: &[u8]) -> bool {
        self.request.range.contains(self.request.max_parallelism.group(key))
    }
    fn set_time(&self, _: CallTime) {}
    fn get_many<'a>(&'a self, state: u32, entries: &'a EntryKeys) -> BoxFuture<'a, Result<Values, StateError>> {
        let mut values = Values::default();
        (0..entries.len()).for_each(|i| values.push(self.get(state, entries.key(i)).as_deref()));
        Box::pin(std::future::ready(Ok(values)))
    }
    fn write_many<'a>(&'a self, state: u32, epoch: u64, writes: &'a Writes) -> BoxFuture<'a, Result<(), StateError>> {
        let write = |i: usize| {
            assert!(self.owns(writes.entries.key(i)), "a key of another subtask");
            let value = (writes.operations[i] == StateOperation::Put).then(|| writes.value(i).to_vec());
            self.write(epoch, (state, writes.entries.key(i).to_vec()), value)
        };
        Box::pin(std::future::ready((0..writes.operations.len()).try_for_each(write)))
    }
    fn scan<'a>(&'a self, _: u32, _: &'a [u8], _: &'a [u8], _: u32) -> BoxFuture<'a, Result<MapPage, StateError>> {
        Box::pin(std::future::ready(Ok(MapPage::default())))
    }
    fn begin_call(&self) {
        let mut inner = self.inner.lock().unwrap();
        inner.mark = Some(inner.epochs.clone());
    }
    fn end_call(&self, keep: bool) {
        let mut inner = self.inner.lock().unwrap();
        let mark = inner.mark.take().unwrap();
        if !keep {
            inner.epochs = mark;
        }
    }
    fn entries(&self, state: u32, _: Option<Vec<u8>>, _: usize) -> BoxFuture<'_, Result<EntryPage, StateError>> {
        let inner = self.inner.lock().unwrap();
        let mut page = EntryPage::default();
        for ((_, key), value) in inner.restored.iter().filter(|((of, _), _)| *of == state) {
            page.entries.keys.extend_from_slice(key);
            page.entries.key_ends.push(page.entries.keys.len() as u32);
            page.values.extend_from_slice(value);
            page.value_ends.push(page.values.len() as u32);
        }
        Box::pin(std::future::ready(Ok(page)))
    }
    fn timers(&self, domain: TimeDomain) -> BoxFuture<'_, Result<TimerBatch, StateError>> {
        let inner = self.inner.lock().unwrap();
        let mut timers = TimerBatch::default();
        for ((_, stored), _) in inner.restored.iter().filter(|((of, _), _)| *of == timer_state(domain)) {
            let number = |at: usize| i64::from_le_bytes(stored[at..at + 8].try_into().unwrap());
            timers.push(number(0), &stored[16..], number(8) as u64);
        }
        Box::pin(std::future::ready(Ok(timers)))
    }
    fn write_timers(&self, epoch: u64, domain: TimeDomain, changes: &TimerChanges) -> Result<(), StateError> {
        for (timers, value) in [(&changes.set, Some(vec![])), (&changes.removed, None)] {
            for i in 0..timers.times.len() {
                let time = timers.times[i].to_le_bytes();
                let stored = [&time[..], &timers.tags[i].to_le_bytes(), timers.key(i)].concat();
                self.write(epoch, (timer_state(domain), stored), value.clone())?;
            }
        }
        Ok(())
    }
    fn cut(&self, epoch: u64) -> Result<(), StateError> {
        let mut inner = self.inner.lock().unwrap();
        assert!(inner.cut.is_none() && epoch >= inner.current, "cut {epoch}: {} {:?}", inner.current, inner.cut);
        // What changed before belongs to the epoch that is cut.
        let current = inner.current;
        let changes = inner.epochs.remove(&current).unwrap_or_default();
        inner.epochs.entry(epoch).or_default().extend(changes);
        (inner.cut, inner.current) = (Some(epoch), epoch + 1);
        Ok(())
    }
    fn seal(&self) {
        self.inner.lock().unwrap().cut = None;
    }
}

fn ready<T: Send + 'static>(value: T) -> BoxFuture<'static, Result<T, StateError>> {
    Box::pin(std::future::ready(Ok(value)))
}

impl StateBackend for MemoryStore {
    fn restore(&self) -> BoxFuture<'_, Result<Restored, StateError>> {
        self.open.lock().unwrap().clear();
        let disk = self.disk.lock().unwrap();
        let mut manifest = disk.manifest.clone();
        if let Some(manifest) = manifest.as_mut().filter(|manifest| manifest.epoch <= disk.committed) {
            manifest.committables.clear();
        }
        ready(Restored { manifest, next_epoch: disk.highest + 1, warnings: vec![] })
    }
    fn open(&self, request: StateScopeRequest) -> Result<Arc<dyn KeyedState>, StateError> {
        let disk = self.disk.lock().unwrap();
        let key = |state: u32, stored: &[u8]| if state >= 1_000 { stored[16..].to_vec() } else { stored.to_vec() };
        let mine = disk.entries.iter().filter(|((operator, state, stored), _)| {
            *operator == *request.place.operator
                && request.range.contains(request.max_parallelism.group(&key(*state, stored)))
        });
        let restored = mine.map(|((_, state, key), value)| ((*state, key.clone()), value.clone())).collect();
        let current = request.epoch;
        let inner = Inner { restored, epochs: BTreeMap::new(), current, cut: None, mark: None };
        let state = Arc::new(MemoryState { request, inner: Mutex::new(inner) });
        self.open.lock().unwrap().push(state.clone());
        Ok(state)
    }
    fn commit(&self, manifest: Manifest) -> BoxFuture<'_, Result<Committed, StateError>> {
        let mut disk = self.disk.lock().unwrap();
        assert!(manifest.epoch > disk.highest, "an epoch is used twice");
        disk.highest = manifest.epoch;
        if disk.failures > 0 {
            disk.failures -= 1;
            return Box::pin(std::future::ready(Err(StateError::Store("the disk is full".into()))));
        }
        for state in self.open.lock().unwrap().iter() {
            let mut inner = state.inner.lock().unwrap();
            assert!(inner.cut.is_none_or(|cut| cut > manifest.epoch), "not sealed");
            let later = inner.epochs.split_off(&(manifest.epoch + 1));
            for ((number, key), value) in std::mem::replace(&mut inner.epochs, later).into_values().flatten() {
                match value.clone() {
                    Some(value) => inner.restored.insert((number, key.clone()), value),
                    None => inner.restored.remove(&(number, key.clone())),
                };
                let at = (state.request.place.operator.to_string(), number, key);
                match value {
                    Some(value) => disk.entries.insert(at, value),
                    None => disk.entries.remove(&at),
                };
            }
        }
        disk.manifest = Some(manifest);
        ready(Committed::default())
    }
    fn committed(&self, epoch: u64) -> BoxFuture<'_, Result<(), StateError>> {
        self.disk.lock().unwrap().committed = epoch;
        ready(())
    }
    fn work(&self) -> BoxFuture<'_, Result<bool, StateError>> {
        ready(false)
    }
    fn wants_checkpoint(&self) -> bool {
        false
    }
    fn savepoint(&self, epoch: u64, folder: PathBuf) -> BoxFuture<'_, Result<(), StateError>> {
        let mut disk = self.disk.lock().unwrap();
        let manifest = disk.manifest.clone().unwrap();
        assert_eq!(manifest.epoch, epoch);
        disk.savepoints.insert(folder, manifest);
        ready(())
    }
}
