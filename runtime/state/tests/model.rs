//! Random lives of a job against a model in plain maps: operations of every kind of state, calls that are undone, cuts and
//! hand-overs, folds, crashes with another parallelism, savepoints.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use common::*;
use proptest::prelude::*;
use wasmill_core::{
    CallTime, KeyedState, MaxParallelism, StateBackend,
    state::{StateOperation, TimerChanges},
    time::TimeDomain,
};
use wasmill_state::{Reader, RedbState};

#[derive(Debug, Clone)]
enum Step {
    /// The guest changes an entry, in its own cache.
    Put(u32, u8, u8, u8),
    Delete(u32, u8, u8),
    /// The guest hands a changed entry over early.
    Evict(u8),
    /// Written at once.
    Append(u8, u8),
    AppendExpiring(u8, u8),
    Clear(u32, u8),
    Broadcast(u8, u8),
    Unbroadcast(u8),
    Timer(u8, u8, bool),
    /// A call whose writes are forgotten.
    Undone(u8),
    /// What the host says is what the model says.
    Compare,
    Time(u8),
    Cut,
    Hand(u8),
    Commit,
    /// A whole checkpoint, and all that is to be done after it.
    Checkpoint,
    Work(u8),
    Crash(u32),
    Savepoint(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0u8..8;
    let entry = || (prop_oneof![Just(VALUE), Just(MAP), Just(EXPIRING)], key(), 0u8..4);
    let step = prop_oneof![
        8 => (entry(), any::<u8>()).prop_map(|((s, k, m), v)| Step::Put(s, k, m, v)),
        3 => entry().prop_map(|(s, k, m)| Step::Delete(s, k, m)),
        4 => key().prop_map(Step::Evict),
        4 => (key(), any::<u8>()).prop_map(|(k, v)| Step::Append(k, v)),
        3 => (key(), any::<u8>()).prop_map(|(k, v)| Step::AppendExpiring(k, v)),
        2 => (prop_oneof![Just(LIST), Just(MAP)], key()).prop_map(|(s, k)| Step::Clear(s, k)),
        2 => (key(), any::<u8>()).prop_map(|(k, v)| Step::Broadcast(k, v)),
        1 => key().prop_map(Step::Unbroadcast),
        3 => Just(Step::Checkpoint),
        3 => (key(), 0u8..6, any::<bool>()).prop_map(|(k, t, on)| Step::Timer(k, t, on)),
        1 => key().prop_map(Step::Undone),
        3 => Just(Step::Compare),
        1 => (1u8..4).prop_map(Step::Time),
        4 => Just(Step::Cut),
        4 => (1u8..8).prop_map(Step::Hand),
        4 => Just(Step::Commit),
        4 => (1u8..20).prop_map(Step::Work),
        2 => (1u32..=3).prop_map(Step::Crash),
        1 => (1u32..=3).prop_map(Step::Savepoint),
    ];
    prop::collection::vec(step, 1..120)
}

type Name = (u32, Vec<u8>, Vec<u8>);

type ListName = (u32, Vec<u8>);

/// A value and when it expires.
type Expiring = (Vec<u8>, i64);

/// What is true at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
struct Truth {
    /// (state, key, map key) to value and expiry.
    entries: BTreeMap<Name, Expiring>,
    /// (state, key) to elements and their expiry.
    lists: BTreeMap<ListName, Vec<Expiring>>,
    timers: BTreeSet<(Vec<u8>, i64)>,
    watermark: i64,
}

struct Life {
    folder: tempfile::TempDir,
    store: Option<RedbState>,
    subtasks: Vec<Arc<dyn KeyedState>>,
    parallelism: u32,
    epoch: u64,
    now: Truth,
    /// Changed in the guest's cache and not handed over; `None` for removed.
    dirty: BTreeMap<Name, Option<Expiring>>,
    /// What of the cut is not handed over, with the cut's epoch.
    cut: Option<(u64, BTreeMap<Name, Option<Expiring>>)>,
    sealed: Option<(u64, Truth)>,
    truth_at_cut: Truth,
    committed: Truth,
    restored: u32,
    /// The last epoch that was stored, or that this process cut.
    used: u64,
    stored: u64,
}

fn key(k: u8) -> Vec<u8> {
    format!("key{k}").into_bytes()
}

impl Life {
    fn subtask(&self, key: &[u8]) -> &dyn KeyedState {
        let max = MaxParallelism::DEFAULT;
        &*self.subtasks[max.subtask(max.group(key), self.parallelism) as usize]
    }

    async fn open(&mut self, parallelism: u32) {
        let store = self.store.take().unwrap_or_else(|| {
            RedbState::open(&self.folder.path().join("state"), options(if parallelism == 2 { 0 } else { 300 }, 2))
                .unwrap()
        });
        let restored = store.restore().await.unwrap();
        assert!(restored.warnings.is_empty(), "{:?}", restored.warnings);
        assert!(restored.next_epoch > self.used, "an epoch is used twice");
        self.epoch = restored.next_epoch;
        self.parallelism = parallelism;
        self.subtasks = (0..parallelism)
            .map(|subtask| store.open(request("op", subtask, parallelism, self.epoch)).unwrap())
            .collect();
        self.store = Some(store);
        self.now = self.committed.clone();
        self.restored += 1;
        self.dirty.clear();
        (self.cut, self.sealed) = (None, None);
        self.set_time();
    }

    fn set_time(&self) {
        let time = CallTime { watermark: self.now.watermark, processing_time: 0 };
        self.subtasks.iter().for_each(|subtask| subtask.set_time(time));
    }

    async fn hand(&self, epoch: u64, (state, key, map_key): &Name, value: &Option<Expiring>) {
        let (operation, value, expires) = match value {
            Some((value, expires)) => (StateOperation::Put, &value[..], *expires),
            None => (StateOperation::Delete, &b""[..], 0),
        };
        let writes = one(*state, operation, (key, map_key), value, expires);
        self.subtask(key).write_many(*state, epoch, &writes).await.unwrap();
    }

    /// Hands over what is dirty of a key, what was cut first.
    async fn evict(&mut self, key: &[u8]) {
        if let Some((epoch, mut rest)) = self.cut.take() {
            let mine: Vec<Name> = rest.keys().filter(|(_, k, _)| k == key).cloned().collect();
            for name in mine {
                let value = rest.remove(&name).unwrap();
                self.hand(epoch, &name, &value).await;
            }
            self.cut = Some((epoch, rest));
        }
        let mine: Vec<Name> = self.dirty.keys().filter(|(_, k, _)| k == key).cloned().collect();
        for name in mine {
            let value = self.dirty.remove(&name).unwrap();
            self.hand(self.epoch, &name, &value).await;
        }
    }

    async fn compare(&self) {
        let expired = |at: i64| at <= self.now.watermark;
        let held = |name: &Name| {
            self.dirty.contains_key(name) || self.cut.as_ref().is_some_and(|(_, rest)| rest.contains_key(name))
        };
        for k in 0..12 {
            let key = key(k);
            let subtask = self.subtask(&key);
            for state in [VALUE, MAP, EXPIRING] {
                for m in 0..(if state == MAP { 4 } else { 1 }) {
                    let name = (state, key.clone(), if state == MAP { vec![m] } else { vec![] });
                    if !held(&name) {
                        let live = |(_, at): &&Expiring| state != EXPIRING || !expired(*at);
                        let expected = self.now.entries.get(&name).filter(live).map(|(value, _)| value.clone());
                        assert_eq!(get_entry(subtask, state, &key, &name.2).await, expected, "{name:?}");
                    }
                }
            }
            for state in [LIST, EXPIRING_LIST] {
                let elements = self.now.lists.get(&(state, key.clone())).into_iter().flatten();
                let live = elements.filter(|(_, at)| state == LIST || !expired(*at));
                let elements: Vec<&[u8]> = live.map(|(element, _)| &element[..]).collect();
                let expected = Some(list(&elements)).filter(|_| !elements.is_empty());
                assert_eq!(get_entry(subtask, state, &key, b"").await, expected, "list {state} of {k}");
            }
            if (0..4).all(|m| !held(&(MAP, key.clone(), vec![m]))) {
                let mine = self.now.entries.iter().filter(|((state, k, _), _)| *state == MAP && *k == key);
                let expected: Vec<_> = mine.map(|((_, _, m), (value, _))| (m.clone(), value.clone())).collect();
                assert_eq!(scan(subtask, MAP, &key).await, expected, "map of {k}");
            }
        }
        for (s, subtask) in self.subtasks.iter().enumerate() {
            let name = |k: u8| (BROADCAST, b"all".to_vec(), vec![k]);
            let expected = (0..12).filter_map(|k| Some((vec![k], self.now.entries.get(&name(k))?.0.clone())));
            assert_eq!(scan(&**subtask, BROADCAST, b"all").await, expected.collect::<Vec<_>>(), "copy {s}");
        }
    }

    /// Timers are read where an attempt begins.
    async fn compare_timers(&self) {
        let mut found = BTreeSet::new();
        for subtask in &self.subtasks {
            let timers = subtask.timers(TimeDomain::EventTime).await.unwrap();
            for i in 0..timers.times.len() {
                assert!(subtask.owns(timers.key(i)) && timers.tags[i] == 7);
                assert!(found.insert((timers.key(i).to_vec(), timers.times[i])), "a timer comes twice");
            }
            assert!(subtask.timers(TimeDomain::ProcessingTime).await.unwrap().times.is_empty());
        }
        assert_eq!(found, self.now.timers);
    }

    fn seal_if_done(&mut self) {
        if let Some((epoch, _)) = self.cut.take_if(|(_, rest)| rest.is_empty()) {
            self.subtasks.iter().for_each(|subtask| subtask.seal());
            self.sealed = Some((epoch, self.truth_at_cut.clone()));
        }
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Put(state, k, m, v) => {
                let map_key = if state == MAP { vec![m] } else { vec![] };
                let name = (state, key(k), map_key);
                let value = (vec![v; usize::from(v % 5)], self.now.watermark + i64::from(v % 30));
                self.now.entries.insert(name.clone(), value.clone());
                self.dirty.insert(name, Some(value));
            }
            Step::Delete(state, k, m) => {
                let name = (state, key(k), if state == MAP { vec![m] } else { vec![] });
                self.now.entries.remove(&name);
                self.dirty.insert(name, None);
            }
            Step::Evict(k) => self.evict(&key(k)).await,
            Step::Append(k, v) => {
                let writes = one(LIST, StateOperation::Append, (&key(k), b""), &[v], 0);
                self.subtask(&key(k)).write_many(LIST, self.epoch, &writes).await.unwrap();
                self.now.lists.entry((LIST, key(k))).or_default().push((vec![v], 0));
            }
            Step::AppendExpiring(k, v) => {
                let at = self.now.watermark + i64::from(v % 30);
                let writes = one(EXPIRING_LIST, StateOperation::Append, (&key(k), b""), &[v], at);
                self.subtask(&key(k)).write_many(EXPIRING_LIST, self.epoch, &writes).await.unwrap();
                self.now.lists.entry((EXPIRING_LIST, key(k))).or_default().push((vec![v], at));
            }
            Step::Clear(state, k) => {
                self.evict(&key(k)).await;
                let writes = one(state, StateOperation::Clear, (&key(k), b""), b"", 0);
                self.subtask(&key(k)).write_many(state, self.epoch, &writes).await.unwrap();
                self.now.lists.remove(&(state, key(k)));
                self.now.entries.retain(|(of, k2, _), _| *of != state || *k2 != key(k));
            }
            Step::Broadcast(k, v) => {
                let writes = one(BROADCAST, StateOperation::Put, (b"all", &[k]), &[v], 0);
                for subtask in &self.subtasks {
                    subtask.write_many(BROADCAST, self.epoch, &writes).await.unwrap();
                }
                self.now.entries.insert((BROADCAST, b"all".to_vec(), vec![k]), (vec![v], 0));
            }
            Step::Unbroadcast(k) => {
                let writes = one(BROADCAST, StateOperation::Delete, (b"all", &[k]), b"", 0);
                for subtask in &self.subtasks {
                    subtask.write_many(BROADCAST, self.epoch, &writes).await.unwrap();
                }
                self.now.entries.remove(&(BROADCAST, b"all".to_vec(), vec![k]));
            }
            Step::Checkpoint => {
                for step in [Step::Hand(255), Step::Commit, Step::Cut, Step::Hand(255), Step::Commit, Step::Work(255)] {
                    Box::pin(self.step(&step)).await;
                }
            }
            Step::Timer(k, t, on) => {
                let timer = (key(k), i64::from(t) - 2);
                let mut changes = TimerChanges::default();
                // As the engine does it: what is set already is not set again.
                let changed = match on {
                    true => self.now.timers.insert(timer.clone()).then_some(&mut changes.set),
                    false => self.now.timers.remove(&timer).then_some(&mut changes.removed),
                };
                if let Some(batch) = changed {
                    batch.push(timer.1, &timer.0, 7);
                    self.subtask(&key(k)).write_timers(self.epoch, TimeDomain::EventTime, &changes).unwrap();
                }
            }
            Step::Undone(k) => {
                let key = key(k);
                let subtask = self.subtask(&key);
                subtask.begin_call();
                for (state, operation) in
                    [(VALUE, StateOperation::Put), (MAP, StateOperation::Clear), (LIST, StateOperation::Append)]
                {
                    let value: &[u8] = if operation == StateOperation::Clear { b"" } else { b"undone" };
                    let writes = one(state, operation, (&key, b""), value, 0);
                    subtask.write_many(state, self.epoch, &writes).await.unwrap();
                }
                assert_eq!(get(subtask, &key).await.unwrap(), b"undone", "the call itself sees it");
                assert_eq!(scan(subtask, MAP, &key).await, []);
                assert!(get_entry(subtask, LIST, &key, b"").await.unwrap().ends_with(b"undone"));
                subtask.end_call(false);
            }
            Step::Compare => self.compare().await,
            Step::Time(t) => {
                self.now.watermark += i64::from(t);
                self.set_time();
            }
            Step::Cut if self.cut.is_none() && self.sealed.is_none() => {
                self.subtasks.iter().for_each(|subtask| subtask.cut(self.epoch).unwrap());
                self.cut = Some((self.epoch, std::mem::take(&mut self.dirty)));
                self.truth_at_cut = self.now.clone();
                self.used = self.epoch;
                self.epoch += 1;
                self.seal_if_done();
            }
            Step::Hand(n) => {
                for _ in 0..n {
                    let Some((epoch, mut rest)) = self.cut.take() else { return };
                    let first = rest.pop_first();
                    if let Some((name, value)) = &first {
                        self.hand(epoch, name, value).await;
                    }
                    self.cut = Some((epoch, rest));
                    self.seal_if_done();
                }
            }
            Step::Commit => {
                if let Some((epoch, truth)) = self.sealed.take() {
                    let manifest = manifest(epoch, self.parallelism, truth.watermark);
                    self.store.as_ref().unwrap().commit(manifest).await.unwrap();
                    self.committed = truth;
                    self.stored = epoch;
                }
            }
            Step::Work(n) => {
                for _ in 0..n {
                    if !self.store.as_ref().unwrap().work().await.unwrap() {
                        break;
                    }
                }
            }
            Step::Crash(parallelism) => {
                self.subtasks.clear();
                // Within the process or with it.
                if parallelism != self.parallelism {
                    self.store = None;
                    self.used = self.stored;
                }
                self.open(parallelism).await;
                self.compare_timers().await;
                self.compare().await;
            }
            Step::Savepoint(parallelism) if self.committed != Truth::default() => {
                let store = self.store.as_ref().unwrap();
                let newest = store.restore().await.unwrap().manifest.unwrap().epoch;
                let folder = self.folder.path().join(format!("savepoint-{}", self.restored));
                store.savepoint(newest, folder.clone()).await.unwrap();
                (self.store, self.subtasks) = (None, Vec::new());
                self.look(&Reader::open(&folder).unwrap());
                self.look(&Reader::open(&self.folder.path().join("state")).unwrap());
                let state = self.folder.path().join("state");
                self.store = Some(RedbState::from_savepoint(&folder, &state, options(0, 2)).unwrap());
                self.used = newest;
                self.open(parallelism).await;
                self.compare_timers().await;
                self.compare().await;
            }
            Step::Cut | Step::Savepoint(_) => {}
        }
    }

    /// What is read offline is what was committed.
    fn look(&self, reader: &Reader) {
        let expired = |at: i64| at <= self.committed.watermark;
        for (number, name) in [(VALUE, "value"), (MAP, "map"), (EXPIRING, "expiring")] {
            let found: BTreeSet<_> = reader
                .entries("op", name)
                .unwrap()
                .map(Result::unwrap)
                .collect::<Vec<_>>()
                .into_iter()
                .map(|entry| (entry.key, entry.map_key.unwrap_or_default(), entry.values.concat()))
                .collect();
            let mine = self.committed.entries.iter().filter(|((state, ..), _)| *state == number);
            let live = mine.filter(|(_, (_, at))| number != EXPIRING || !expired(*at));
            let expected = live.map(|((_, key, map_key), (value, _))| (key.clone(), map_key.clone(), value.clone()));
            assert_eq!(found, expected.collect(), "{name}");
        }
        for (number, name) in [(LIST, "list"), (EXPIRING_LIST, "expiring-list")] {
            for ((_, key), elements) in self.committed.lists.iter().filter(|((state, _), _)| *state == number) {
                let live = elements.iter().filter(|(_, at)| number == LIST || !expired(*at));
                let expected: Vec<_> = live.map(|(element, _)| element.clone()).collect();
                let found = reader.get("op", name, key).unwrap();
                assert_eq!(found.into_iter().next().map(|entry| entry.values).unwrap_or_default(), expected, "{name}");
            }
        }
        assert_eq!(reader.timers("op", TimeDomain::EventTime).unwrap().len(), self.committed.timers.len());
    }
}

async fn scan(state: &dyn KeyedState, number: u32, key: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut found, mut from) = (Vec::new(), Vec::new());
    loop {
        // About two entries a page.
        let page = state.scan(number, key, &from, 6).await.unwrap();
        let slice = |ends: &[u32], bytes: &[u8], i: usize| {
            bytes[if i == 0 { 0 } else { ends[i - 1] as usize }..ends[i] as usize].to_vec()
        };
        for i in 0..page.map_key_ends.len() {
            found.push((slice(&page.map_key_ends, &page.map_keys, i), slice(&page.value_ends, &page.values, i)));
        }
        if !page.more {
            return found;
        }
        from = found.last().expect("a page with more behind it is not empty").0.clone();
        from.push(0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_life_keeps_what_was_committed(steps in steps()) {
        run(async {
            let mut life = Life {
                folder: tempfile::tempdir().unwrap(),
                store: None,
                subtasks: vec![],
                parallelism: 1,
                epoch: 0,
                now: Truth::default(),
                dirty: BTreeMap::new(),
                cut: None,
                sealed: None,
                truth_at_cut: Truth::default(),
                committed: Truth::default(),
                restored: 0,
                used: 0,
                stored: 0,
            };
            life.open(1).await;
            for step in &steps {
                life.step(step).await;
            }
            life.compare().await;
            life.step(&Step::Crash(3)).await;
        });
    }
}
