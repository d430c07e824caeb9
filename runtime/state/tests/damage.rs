//! Files that are not what was written: the damage is named, an earlier checkpoint is used where one is kept, and nothing
//! panics.

mod common;

use std::{fs, path::Path};

use common::*;
use redb::{ReadableTable, TableDefinition};
use wasmill_core::{StateBackend, state::Restored, state::StateError};
use wasmill_state::{ReadError, Reader, RedbState};

const LOG: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("log");

/// Three checkpoints; `k` has the number of each in turn.
fn three(directory: &Path, keep: usize) {
    run(async {
        let (store, state, first) = single(directory, options(1 << 20, keep)).await;
        assert_eq!(first, 1);
        for epoch in 1..=3 {
            put(&*state, epoch, b"k", epoch.to_string().as_bytes()).await.unwrap();
            hand_over(&*state, epoch);
            store.commit(manifest(epoch, 1, 0)).await.unwrap();
        }
    });
}

fn file(directory: &Path, epoch: u64) -> std::path::PathBuf {
    directory.join("checkpoints").join(format!("{epoch:020}.json"))
}

/// Restores, and reads `k`.
fn restore(directory: &Path) -> Result<(Restored, Option<Vec<u8>>), StateError> {
    run(async {
        let store = RedbState::open(directory, options(1 << 20, 3))?;
        let restored = store.restore().await?;
        let state = store.open(request("op", 0, 1, restored.next_epoch))?;
        Ok((restored, get(&*state, b"k").await))
    })
}

fn cut_off(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_manifest_is_passed_over_if_an_earlier_one_is_kept() {
    for damage in [cut_off, flip, |path: &Path| fs::write(path, "").unwrap()] {
        let folder = tempfile::tempdir().unwrap();
        three(folder.path(), 2);
        assert!(!file(folder.path(), 1).exists(), "only two are kept");
        damage(&file(folder.path(), 3));
        let (restored, value) = restore(folder.path()).unwrap();
        assert_eq!((restored.manifest.unwrap().epoch, restored.next_epoch), (2, 4));
        assert_eq!(value.unwrap(), b"2");
        let [warning] = &restored.warnings[..] else { panic!("{:?}", restored.warnings) };
        assert!(
            warning.contains(&format!("`{}` of checkpoint 3 is damaged", file(folder.path(), 3).display())),
            "{warning}"
        );
        assert!(file(folder.path(), 3).with_extension("damaged").exists());
        // It does not come back, and its number is not used again.
        let (restored, _) = restore(folder.path()).unwrap();
        assert_eq!((restored.manifest.unwrap().epoch, restored.next_epoch, restored.warnings.len()), (2, 4, 0));
    }
}

#[test]
fn where_no_other_is_kept_the_damage_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    three(folder.path(), 1);
    flip(&file(folder.path(), 3));
    let error = restore(folder.path()).unwrap_err().to_string();
    for part in ["no checkpoint can be read", "00000000000000000003.json", "its checksum is wrong", "--from-savepoint"]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn missing_manifests_are_not_taken_for_a_fresh_start() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        // With no buffer everything is folded at once.
        let (store, state, _) = single(folder.path(), options(0, 1)).await;
        put(&*state, 1, b"k", b"1").await.unwrap();
        hand_over(&*state, 1);
        store.commit(manifest(1, 1, 0)).await.unwrap();
        while store.work().await.unwrap() {}
    });
    fs::remove_dir_all(folder.path().join("checkpoints")).unwrap();
    let error = restore(folder.path()).unwrap_err().to_string();
    assert!(error.contains("its manifests are missing"), "{error}");
}

#[test]
fn a_damaged_chunk_is_named_and_an_earlier_checkpoint_is_used() {
    let folder = tempfile::tempdir().unwrap();
    three(folder.path(), 3);
    {
        let database = redb::Database::open(folder.path().join("state.redb")).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut log = transaction.open_table(LOG).unwrap();
            let (key, mut chunk) = {
                let last = log.last().unwrap().unwrap();
                (last.0.value().to_vec(), last.1.value().to_vec())
            };
            assert_eq!(key, [0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0]);
            chunk[20] ^= 1;
            log.insert(&key[..], &chunk[..]).unwrap();
        }
        transaction.commit().unwrap();
    }
    let error = Reader::open(folder.path()).unwrap_err();
    assert!(matches!(&error, ReadError::Damaged { why, .. } if why.contains("chunk 0 of epoch 3")), "{error}");
    let (restored, value) = restore(folder.path()).unwrap();
    assert_eq!(restored.manifest.unwrap().epoch, 2);
    assert_eq!(value.unwrap(), b"2");
    assert!(restored.warnings[0].contains("chunk 0 of epoch 3: its checksum is wrong"), "{:?}", restored.warnings);
}

#[test]
fn a_damaged_database_is_an_error_or_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    three(folder.path(), 1);
    let path = folder.path().join("state.redb");
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for at in (0..whole.len()).step_by(whole.len() / 97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        fs::write(&path, &damaged).unwrap();
        match restore(folder.path()) {
            Ok((restored, value)) => assert_eq!((restored.manifest.unwrap().epoch, value.unwrap()), (3, b"3".to_vec())),
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("state.redb") || error.to_string().contains("chunk"), "{error}");
            }
        }
        fs::write(&path, &whole[..at]).unwrap();
        // Cut off it is damaged, or as if nothing had been there: then the checkpoint is not complete.
        let error = restore(folder.path());
        assert!(error.is_err() || error.unwrap().1.is_none(), "cut off at {at}");
        fs::write(file(folder.path(), 3), fs::read(file(folder.path(), 3)).unwrap_or_default()).unwrap();
    }
    assert!(refused > 0);
}

#[test]
fn a_reader_changes_nothing_and_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    three(folder.path(), 2);
    let before: Vec<_> = ["state.redb", "lock"].map(|name| fs::read(folder.path().join(name)).unwrap()).into();
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.get("op", "value", b"k").unwrap()[0].values, [b"3"]);
    assert_eq!(Reader::checkpoints(folder.path()).unwrap(), [2, 3]);
    drop(reader);
    let earlier = Reader::open_checkpoint(folder.path(), 2).unwrap();
    assert_eq!(earlier.get("op", "value", b"k").unwrap()[0].values, [b"2"]);
    drop(earlier);
    let after: Vec<_> = ["state.redb", "lock"].map(|name| fs::read(folder.path().join(name)).unwrap()).into();
    assert!(before == after);
    let unknown = Reader::open_checkpoint(folder.path(), 1).unwrap_err().to_string();
    assert!(unknown.contains("has no checkpoint 1; it keeps 2, 3"), "{unknown}");
    let reader = Reader::open(folder.path()).unwrap();
    let unknown = reader.entries("op", "x").err().unwrap().to_string();
    assert!(unknown.contains("has no state `x` of operator `op`, which has `value`, `list`"), "{unknown}");
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(empty.path()), Err(ReadError::Open { .. })));
    assert!(matches!(Reader::open(&empty.path().join("nothing")), Err(ReadError::Open { .. })));
}
