//! A disk that fails at every place it can: what is then stored, and what the buffers still hold.

use std::{
    fs::File,
    io,
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
};

use redb::{StorageBackend, backends::FileBackend};
use wasmill_core::{
    Codec, JobName, MaxParallelism,
    description::StateDescription,
    state::{EntryKeys, StateOperation, Writes},
};

use super::*;

/// A file of which only so many more writes, changes of length and syncs succeed.
#[derive(Debug)]
struct Faulty {
    file: FileBackend,
    left: Arc<AtomicI64>,
}

impl Faulty {
    fn spend(&self) -> Result<(), io::Error> {
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            return Err(io::Error::other("injected"));
        }
        Ok(())
    }
}

impl StorageBackend for Faulty {
    fn len(&self) -> Result<u64, io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.spend()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.spend()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.spend()?;
        self.file.write(offset, data)
    }
}

/// A store of one subtask on such a file.
fn faulty(path: &Path, buffer_bytes: u64, left: &Arc<AtomicI64>) -> (RedbState, Arc<dyn KeyedState>) {
    let quota = Quota::new("job `j`", 1 << 30);
    let database = Database::make(Directory::create(path).unwrap(), |path| {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        redb::Builder::new().create_with_backend(Faulty { file: FileBackend::new(file)?, left: left.clone() })
    });
    let store = RedbState::over(database.unwrap(), buffer_bytes, quota.charge(Use::StoreCache, 0).unwrap());
    let state = StateDescription {
        name: "a".to_string(),
        kind: StateKind::Value,
        scope: StateScope::Keyed,
        key: Codec::default(),
        map_key: Codec::default(),
        value: Codec::default(),
        schema_version: 1,
        ttl: None,
    };
    let max_parallelism = MaxParallelism::DEFAULT;
    let keyed = store.open(StateScopeRequest {
        place: JobName::local("j").place("count", 0),
        states: vec![state],
        range: max_parallelism.range(0, 1),
        max_parallelism,
        epoch: 1,
        quota,
    });
    (store, keyed.unwrap())
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

fn stored(path: &Path) -> (u64, Vec<u8>) {
    let reader = RedbState::open_read_only(path).unwrap();
    (reader.epoch(), reader.entries("count", "a").unwrap().flat_map(|entry| entry.unwrap().value).collect())
}

#[tokio::test]
async fn a_commit_that_fails_anywhere_is_whole_or_nothing() {
    let left = Arc::new(AtomicI64::new(0));
    let mut failures = 0;
    for budget in 0.. {
        let folder = tempfile::tempdir().unwrap();
        left.store(i64::MAX, Ordering::SeqCst);
        let (store, keyed) = faulty(folder.path(), 1 << 20, &left);
        keyed.write_many(0, 1, &all(1)).await.unwrap();
        keyed.cut(1).unwrap();
        keyed.seal();
        store.commit(1).await.unwrap();
        keyed.write_many(0, 2, &all(2)).await.unwrap();
        keyed.cut(2).unwrap();
        keyed.seal();
        left.store(budget, Ordering::SeqCst);
        let committed = store.commit(2).await;
        // Nothing is lost to the job either: what was not committed is still in the buffers.
        assert_eq!(keyed.get_many(0, &keys()).await.unwrap().values, [2; 100]);
        left.store(0, Ordering::SeqCst);
        drop((keyed, store));
        match (committed, stored(folder.path())) {
            (Ok(()), stored) => {
                assert_eq!(stored, (2, vec![2; 100]));
                assert!(failures > 2, "{failures}");
                return;
            }
            (Err(error), (epoch, values)) => {
                assert!(error.to_string().contains("state.redb`: "), "{error}");
                // When only the fsync failed, the file as it is now may be either.
                assert!(epoch == 1 || epoch == 2, "{epoch}");
                assert_eq!(values, vec![epoch as u8; 100]);
                failures += 1;
            }
        }
    }
}

#[tokio::test]
async fn a_spill_that_fails_keeps_the_buffer() {
    let folder = tempfile::tempdir().unwrap();
    let left = Arc::new(AtomicI64::new(i64::MAX));
    let (store, keyed) = faulty(folder.path(), 0, &left);
    left.store(0, Ordering::SeqCst);
    let error = keyed.write_many(0, 1, &all(1)).await.unwrap_err();
    assert!(matches!(&error, StateError::Store(why) if why.contains("injected")), "{error}");
    assert_eq!(keyed.get_many(0, &keys()).await.unwrap().values, [1; 100]);
    drop((keyed, store));
    assert!(matches!(RedbState::open_read_only(folder.path()), Err(ReadError::Incomplete { .. })));
}

#[test]
fn a_store_that_cannot_be_made_leaves_none_behind() {
    let folder = tempfile::tempdir().unwrap();
    let made = Database::make(Directory::create(folder.path()).unwrap(), |path| {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        redb::Builder::new().create_with_backend(Faulty { file: FileBackend::new(file)?, left: Arc::default() })
    });
    assert!(made.unwrap_err().to_string().contains("cannot create `"));
    RedbState::create(folder.path(), StoreOptions::new(Quota::new("job `j`", 1 << 30))).unwrap();
}
