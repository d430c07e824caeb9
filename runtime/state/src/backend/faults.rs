//! A disk that fails at every step it can, with errors, with short writes, and full from then on: what a later attempt in the
//! same process finds, and what a new process finds.

use std::{
    fs::File,
    io,
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
};

use redb::{StorageBackend, backends::FileBackend};
use wasmill_core::{
    Codec, Description, JobName, MaxParallelism,
    checkpoint::{NodeManifest, SubtaskManifest},
    description::StateKind,
    graph::Role,
    state::{EntryKeys, StateOperation, Writes},
};

use super::*;

/// How a step fails.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// Once; the disk then works again.
    Once,
    /// From then on.
    Full,
}

/// What the disk has left to do.
#[derive(Debug)]
struct Disk {
    left: AtomicI64,
    fault: Fault,
}

impl Disk {
    fn spend(&self) -> io::Result<()> {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        let fails = if self.fault == Fault::Once { left == 0 } else { left <= 0 };
        if fails { Err(io::Error::new(io::ErrorKind::StorageFull, "injected")) } else { Ok(()) }
    }
}

/// A file on such a disk.
#[derive(Debug)]
struct Faulty {
    file: FileBackend,
    disk: Arc<Disk>,
}

impl StorageBackend for Faulty {
    fn len(&self) -> Result<u64, io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.disk.spend()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.disk.spend()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        if let Err(error) = self.disk.spend() {
            // A short write: half of it is there.
            self.file.write(offset, &data[..data.len() / 2])?;
            return Err(error);
        }
        self.file.write(offset, data)
    }
}

fn value_state() -> StateDescription {
    StateDescription {
        name: "a".to_string(),
        kind: StateKind::Value,
        scope: StateScope::Keyed,
        key: Codec::default(),
        map_key: Codec::default(),
        value: Codec::default(),
        schema_version: 1,
        ttl: None,
    }
}

fn options() -> StoreOptions {
    // Without a buffer everything is folded as soon as it may be.
    StoreOptions { cache_bytes: 1 << 20, buffer_bytes: 0, keep: 1, quota: Quota::new("job `j`", 1 << 30) }
}

fn store(path: &Path, disk: &Arc<Disk>) -> RedbState {
    let directory = Directory::lock(path).unwrap();
    let (for_redb, for_files) = (disk.clone(), disk.clone());
    let open = move |path: &Path| {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let file = Faulty { file: FileBackend::new(file)?, disk: for_redb.clone() };
        redb::Builder::new().set_cache_size(1 << 20).create_with_backend(file)
    };
    let database = Database::with(directory.database(), Box::new(open)).unwrap();
    let files = Files { before: Some(Box::new(move || for_files.spend())) };
    RedbState::with(directory, options(), database, files).unwrap()
}

fn open(store: &RedbState, epoch: u64) -> Arc<dyn KeyedState> {
    let max_parallelism = MaxParallelism::DEFAULT;
    let request = StateScopeRequest {
        place: JobName::local("j").place("count", 0),
        parallelism: 1,
        states: vec![value_state()],
        range: max_parallelism.range(0, 1),
        max_parallelism,
        epoch,
        quota: Quota::new("job `j`", 1 << 30),
    };
    store.open(request).unwrap()
}

fn manifest(epoch: u64) -> Manifest {
    let description = Description {
        name: String::new(),
        version: String::new(),
        inputs: vec![],
        outputs: vec![],
        states: vec![value_state()],
        timers: vec![],
    };
    let node = NodeManifest {
        id: "count".to_string(),
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
        nodes: vec![node],
        committables: vec![],
    }
}

/// Keys 0 to 99.
fn keys() -> EntryKeys {
    EntryKeys { key_ends: (1..=100).collect(), keys: (0..100).collect(), ..EntryKeys::default() }
}

/// Every key to `value`.
fn all(value: u8) -> Writes {
    Writes {
        operations: vec![StateOperation::Put; 100],
        entries: keys(),
        value_ends: (1..=100).collect(),
        values: vec![value; 100],
        expires: vec![],
    }
}

async fn checkpoint(store: &RedbState, state: &dyn KeyedState, epoch: u64) -> Result<(), StateError> {
    state.write_many(0, epoch, &all(epoch as u8)).await.unwrap();
    state.cut(epoch).unwrap();
    state.seal();
    store.commit(manifest(epoch)).await?;
    store.committed(epoch).await?;
    while store.work().await? {}
    Ok(())
}

/// Fails at step `budget` of the checkpoints 2 to 4; whether anybody noticed, and how many steps there were.
async fn fails_at(budget: i64, fault: Fault) -> (bool, i64) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk { left: AtomicI64::new(i64::MAX), fault });
    let store = store(folder.path(), &disk);
    store.restore().await.unwrap();
    let state = open(&store, 1);
    checkpoint(&store, &*state, 1).await.unwrap();
    disk.left.store(budget, Ordering::SeqCst);
    let (mut last, mut error) = (1, None);
    for epoch in 2..=4 {
        error = checkpoint(&store, &*state, epoch).await.err();
        if error.is_some() {
            break;
        }
        last = epoch;
    }
    let steps = budget - disk.left.swap(i64::MAX, Ordering::SeqCst);
    let Some(error) = error else {
        // A checkpoint that was let go could not be removed: that is tried again.
        assert_eq!(state.get_many(0, &keys()).await.unwrap().values, [4; 100]);
        return (false, steps);
    };
    assert!(error.to_string().contains("injected"), "{error}");
    // Nothing is lost to the attempt, which may tolerate the failure.
    if let Ok(values) = state.get_many(0, &keys()).await {
        assert_eq!(values.values, [last as u8 + 1; 100], "step {budget}");
    }
    drop(state);

    // The next attempt in the same process: the checkpoint before, or the one that failed late.
    let restored = store.restore().await.unwrap();
    let epoch = restored.manifest.unwrap().epoch;
    assert!(epoch == last || epoch == last + 1, "step {budget}: {epoch} after {last}");
    assert!(restored.next_epoch > last + 1, "step {budget}: epoch {} is used twice", last + 1);
    let state = open(&store, restored.next_epoch);
    assert_eq!(state.get_many(0, &keys()).await.unwrap().values, [epoch as u8; 100], "step {budget}");
    let next = restored.next_epoch;
    checkpoint(&store, &*state, next).await.unwrap();
    drop((store, state));

    // A new process.
    let store = RedbState::open(folder.path(), options()).unwrap();
    let restored = store.restore().await.unwrap();
    assert_eq!(restored.manifest.unwrap().epoch, next);
    let state = open(&store, restored.next_epoch);
    assert_eq!(state.get_many(0, &keys()).await.unwrap().values, [next as u8; 100], "step {budget}");
    (true, steps)
}

#[tokio::test]
async fn a_checkpoint_that_fails_at_any_step_leaves_the_last_one() {
    for fault in [Fault::Once, Fault::Full] {
        let (_, steps) = fails_at(i64::MAX / 2, fault).await;
        assert!(steps > 30, "{steps} steps are too few to be all of three checkpoints and their folds");
        let mut noticed = 0;
        for budget in 0..steps {
            noticed += i64::from(fails_at(budget, fault).await.0);
        }
        assert!(noticed >= steps - 6, "{noticed} of {steps}");
    }
}

#[tokio::test]
async fn a_process_that_dies_at_any_step_leaves_the_last_one() {
    for budget in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Disk { left: AtomicI64::new(i64::MAX), fault: Fault::Full });
        let store = store(folder.path(), &disk);
        store.restore().await.unwrap();
        let state = open(&store, 1);
        checkpoint(&store, &*state, 1).await.unwrap();
        disk.left.store(budget, Ordering::SeqCst);
        let mut last = 1;
        while last < 4 && checkpoint(&store, &*state, last + 1).await.is_ok() {
            last += 1;
        }
        // Nothing works any more, not even closing the file in order.
        drop((store, state));
        let store = RedbState::open(folder.path(), options()).unwrap();
        let restored = store.restore().await.unwrap();
        let epoch = restored.manifest.unwrap().epoch;
        assert!(epoch == last || epoch == last + 1, "step {budget}: {epoch} after {last}");
        let state = open(&store, restored.next_epoch);
        assert_eq!(state.get_many(0, &keys()).await.unwrap().values, [epoch as u8; 100], "step {budget}");
        if last == 4 {
            assert!(budget > 30, "{budget}");
            return;
        }
    }
}
