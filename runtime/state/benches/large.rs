//! Measures what a record costs when state is larger than the caches: random read-modify-write of keys of 8 bytes.
//!
//! ```text
//! cargo bench -p wasmill-state --bench large -- [keys] [rows a batch] [records] [keys that the guest caches] [file MB]
//! ```
//!
//! A guest's cache is played by a table that evicts in turn, so that no operator is needed. First every key is written once, in
//! no order (`grow`); then keys are chosen at random (`steady`). Checkpoints are taken when the store asks for one, the log is
//! folded as the engine does it. The sum of all counts is checked at the end. `read`, `write`, `commit` are the times that the
//! caller waited, `fold` is the time of background work, per record.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use wasmill_core::{
    Codec, Description, JobName, KeyedState, Manifest, MaxParallelism, Quota, StateBackend,
    checkpoint::{NodeManifest, SubtaskManifest},
    description::{StateDescription, StateKind, StateScope},
    graph::Role,
    state::{EntryKeys, StateOperation, StateScopeRequest, Writes},
};
use wasmill_state::{RedbState, StoreOptions};

/// User and system time of this process, seconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    [11, 12].iter().filter_map(|&at| fields.get(at)?.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Peak resident memory, MB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// A bijection that scatters numbers (SplitMix64 of Steele, Lea and Flood).
fn scatter(i: u64) -> u64 {
    let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn states() -> Vec<StateDescription> {
    let codec = || Codec::named("u64");
    vec![StateDescription {
        name: "count".to_string(),
        kind: StateKind::Value,
        scope: StateScope::Keyed,
        key: codec(),
        map_key: codec(),
        value: codec(),
        schema_version: 1,
        ttl: None,
    }]
}

fn manifest(epoch: u64) -> Manifest {
    let description = Description {
        name: "op".to_string(),
        version: String::new(),
        inputs: vec![],
        outputs: vec![],
        states: states(),
        timers: vec![],
    };
    let op = NodeManifest {
        id: "op".to_string(),
        role: Role::Operator,
        description: Some(description),
        subtasks: vec![SubtaskManifest { watermark: 0, finished: false }],
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

fn entry_keys(keys: &[u64]) -> EntryKeys {
    EntryKeys {
        key_ends: (1..=keys.len() as u32).map(|i| i * 8).collect(),
        keys: keys.iter().flat_map(|key| scatter(*key).to_le_bytes()).collect(),
        ..EntryKeys::default()
    }
}

/// A key in the guest's cache.
struct Cached {
    key: u64,
    count: u64,
    dirty: bool,
}

/// What callers waited for, and what was done.
#[derive(Default)]
struct Spent {
    read: Duration,
    write: Duration,
    commit: Duration,
    missed: usize,
    written: usize,
    checkpoints: u32,
}

struct Load {
    store: Arc<RedbState>,
    state: Arc<dyn KeyedState>,
    epoch: u64,
    cached: Vec<Cached>,
    bound: usize,
    hand: usize,
    slots: HashMap<u64, usize, std::hash::BuildHasherDefault<Mixed>>,
    working: Option<tokio::task::JoinHandle<()>>,
    folded: Arc<AtomicU64>,
    spent: Spent,
}

/// A hasher of one multiplication.
#[derive(Default)]
struct Mixed(u64);

impl std::hash::Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, word: u64) {
        self.0 = word.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

impl Load {
    async fn batch(&mut self, keys: &[u64]) {
        let mut missing: Vec<u64> = keys.iter().copied().filter(|key| !self.slots.contains_key(key)).collect();
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            let since = Instant::now();
            let values = self.state.get_many(0, &entry_keys(&missing)).await.unwrap();
            self.spent.read += since.elapsed();
            self.spent.missed += missing.len();
            for (i, &key) in missing.iter().enumerate() {
                let count = values.get(i).map_or(0, |value| u64::from_le_bytes(value.try_into().unwrap()));
                self.slots.insert(key, self.cached.len());
                self.cached.push(Cached { key, count, dirty: false });
            }
        }
        for key in keys {
            let cached = &mut self.cached[self.slots[key]];
            cached.count += 1;
            cached.dirty = true;
        }
        let over = self.cached.len().saturating_sub(self.bound);
        let mut dropped = Vec::with_capacity(over);
        for _ in 0..over {
            // What was added last takes the place of what is dropped.
            let last = self.cached.len() - 1;
            self.hand = (self.hand + 1) % self.bound.max(1);
            let at = if self.bound == 0 { last } else { self.hand };
            let gone = self.cached.swap_remove(at);
            self.slots.remove(&gone.key);
            if at < last {
                self.slots.insert(self.cached[at].key, at);
            }
            if gone.dirty {
                dropped.push((gone.key, gone.count));
            }
        }
        self.write(self.epoch, &dropped).await;
        if self.store.wants_checkpoint() {
            self.checkpoint().await;
        }
    }

    async fn write(&mut self, epoch: u64, changed: &[(u64, u64)]) {
        for changed in changed.chunks(10_000) {
            let keys: Vec<u64> = changed.iter().map(|(key, _)| *key).collect();
            let writes = Writes {
                operations: vec![StateOperation::Put; keys.len()],
                entries: entry_keys(&keys),
                value_ends: (1..=keys.len() as u32).map(|i| i * 8).collect(),
                values: changed.iter().flat_map(|(_, count)| count.to_le_bytes()).collect(),
                expires: Vec::new(),
            };
            let since = Instant::now();
            self.state.write_many(0, epoch, &writes).await.unwrap();
            self.spent.write += since.elapsed();
            self.spent.written += keys.len();
        }
    }

    async fn checkpoint(&mut self) {
        self.state.cut(self.epoch).unwrap();
        let mut dirty = Vec::new();
        for cached in &mut self.cached {
            if std::mem::take(&mut cached.dirty) {
                dirty.push((cached.key, cached.count));
            }
        }
        self.write(self.epoch, &dirty).await;
        self.state.seal();
        let since = Instant::now();
        self.store.commit(manifest(self.epoch)).await.unwrap();
        self.spent.commit += since.elapsed();
        self.spent.checkpoints += 1;
        self.epoch += 1;
        if self.working.as_ref().is_none_or(|working| working.is_finished()) {
            let store = self.store.clone();
            let folded = self.folded.clone();
            self.working = Some(tokio::spawn(async move {
                let mut since = Instant::now();
                while store.work().await.unwrap() {
                    folded.fetch_add(since.elapsed().as_nanos() as u64, Ordering::Relaxed);
                    since = Instant::now();
                }
            }));
        }
    }
}

async fn measure(keys: u64, rows: usize, records: u64, cache: usize, file_cache: u64) {
    let folder = tempfile::tempdir().unwrap();
    let quota = Quota::new("bench", 16 << 30);
    let options = StoreOptions::new(quota.clone());
    let cache_bytes = if file_cache == 0 { options.cache_bytes } else { file_cache << 20 };
    let store = RedbState::create(&folder.path().join("s"), StoreOptions { cache_bytes, ..options }).unwrap();
    let restored = store.restore().await.unwrap();
    let max_parallelism = MaxParallelism::DEFAULT;
    let request = StateScopeRequest {
        place: JobName::local("j").place("op", 0),
        parallelism: 1,
        states: states(),
        range: max_parallelism.range(0, 1),
        max_parallelism,
        epoch: restored.next_epoch,
        quota,
    };
    let state = store.open(request).unwrap();
    let mut load = Load {
        store: Arc::new(store),
        state,
        epoch: restored.next_epoch,
        cached: Vec::new(),
        bound: cache,
        hand: 0,
        slots: HashMap::default(),
        working: None,
        folded: Arc::default(),
        spent: Spent::default(),
    };
    for (name, count) in [("grow", keys), ("steady", records)] {
        let (since, began) = (cpu(), Instant::now());
        load.spent = Spent::default();
        load.folded.store(0, Ordering::Relaxed);
        let mut done = 0;
        while done < count {
            let batch: Vec<u64> = (done..count.min(done + rows as u64))
                .map(|i| if name == "grow" { i } else { (scatter(i ^ 0x5555) >> 1) % keys })
                .collect();
            done += batch.len() as u64;
            load.batch(&batch).await;
        }
        if count == 0 {
            continue;
        }
        let each = |time: f64| time * 1e9 / count as f64;
        let Spent { read, write, commit, missed, written, checkpoints } = load.spent;
        println!(
            "{name:<6} {keys:>9} keys, batches of {rows:>5}: cpu {:>6.0} wall {:>6.0} | read {:>6.0} write {:>5.0} commit \
             {:>4.0} fold {:>5.0} ns a record | {:.2} missed, {:.2} written a record, {checkpoints} checkpoints, peak {} MB, file {} MB",
            each(cpu() - since),
            each(began.elapsed().as_secs_f64()),
            each(read.as_secs_f64()),
            each(write.as_secs_f64()),
            each(commit.as_secs_f64()),
            each(load.folded.load(Ordering::Relaxed) as f64 / 1e9),
            missed as f64 / count as f64,
            written as f64 / count as f64,
            peak(),
            std::fs::metadata(folder.path().join("s/state.redb")).map_or(0, |file| file.len() >> 20),
        );
    }
    // All counts together are all records.
    let mut sum = 0;
    let all: Vec<u64> = (0..keys).collect();
    let held = std::mem::take(&mut load.cached);
    let slots = std::mem::take(&mut load.slots);
    for keys in all.chunks(100_000) {
        let values = load.state.get_many(0, &entry_keys(keys)).await.unwrap();
        for (i, key) in keys.iter().enumerate() {
            sum += match slots.get(key) {
                Some(&at) => held[at].count,
                None => values.get(i).map_or(0, |value| u64::from_le_bytes(value.try_into().unwrap())),
            };
        }
    }
    assert_eq!(sum, keys + records, "counts are lost");
    if let Some(working) = load.working {
        working.await.unwrap();
    }
}

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let number = |at: usize, default: u64| numbers.get(at).copied().unwrap_or(default);
    let (keys, rows) = (number(0, 1_000_000), number(1, 4_096) as usize);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (records, cache, file) = (number(2, 4_000_000), number(3, 0) as usize, number(4, 0));
    runtime.block_on(async { tokio::spawn(measure(keys, rows, records, cache, file)).await }).unwrap();
}
