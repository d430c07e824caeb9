//! Stores that were damaged, cut off, copied from a running job or never a store: an error, no panic, and no change.

mod common;

use std::{fs, path::Path};

use common::{hand_over, put, run, single};
use wasmill_core::StateBackend;
use wasmill_state::{ReadError, RedbState};

const ROWS: u32 = 500;

/// Commits a store, calls `before_close` while it is still open, and closes it.
fn committed(directory: &Path, before_close: impl FnOnce()) {
    run(async {
        let (store, state) = single(directory, 4_000);
        for i in 0..ROWS {
            put(&*state, 1, &i.to_be_bytes(), &i.to_le_bytes()).await.unwrap();
        }
        hand_over(&*state, 1);
        store.commit(1).await.unwrap();
        before_close();
    });
}

/// Reads everything.
fn read(directory: &Path) -> Result<(), ReadError> {
    let reader = RedbState::open_read_only(directory)?;
    let mut rows = 0;
    for entry in reader.entries("count", "a")? {
        let entry = entry?;
        let key: [u8; 4] = entry.key.as_slice().try_into().unwrap();
        assert_eq!(entry.value, u32::from_be_bytes(key).to_le_bytes());
        rows += 1;
    }
    assert_eq!(rows, ROWS);
    Ok(())
}

#[test]
fn reading_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    committed(folder.path(), || {});
    let before = fs::read(folder.path().join("state.redb")).unwrap();
    read(folder.path()).unwrap();
    assert!(fs::read(folder.path().join("state.redb")).unwrap() == before);
}

#[test]
fn a_commit_survives_the_death_of_its_process() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // What a process that is killed leaves: the file as it is while the store is open.
    committed(folder.path(), || {
        fs::copy(folder.path().join("state.redb"), copy.path().join("state.redb")).unwrap();
    });
    let before = fs::read(copy.path().join("state.redb")).unwrap();
    read(copy.path()).unwrap();
    assert!(fs::read(copy.path().join("state.redb")).unwrap() == before);
}

#[test]
fn a_spill_is_forgotten_when_its_process_dies() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(async {
        let (_store, state) = single(folder.path(), 0);
        put(&*state, 1, b"k", b"v").await.unwrap();
        fs::copy(folder.path().join("state.redb"), copy.path().join("state.redb")).unwrap();
    });
    assert!(matches!(read(copy.path()), Err(ReadError::Incomplete { .. })));
}

#[test]
fn what_is_no_store_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.redb");
    fs::write(&file, "").unwrap();
    assert!(matches!(read(folder.path()), Err(ReadError::Incomplete { .. })));
    for bytes in [&b"x"[..], &[0; 4096], &[0xff; 100_000], b"redb\x1a\x0a\xa9\x0d\x0a"] {
        fs::write(&file, bytes).unwrap();
        let error = read(folder.path()).unwrap_err();
        assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
    }
}

#[test]
fn another_database_is_not_a_store() {
    let folder = tempfile::tempdir().unwrap();
    drop(redb::Database::create(folder.path().join("state.redb")).unwrap());
    let error = read(folder.path()).unwrap_err();
    assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
}

#[test]
fn another_format_version_is_named() {
    let folder = tempfile::tempdir().unwrap();
    committed(folder.path(), || {});
    let database = redb::Database::open(folder.path().join("state.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    transaction.open_table(meta).unwrap().insert("format", &[0, 0, 0, 9][..]).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(read(folder.path()), Err(ReadError::Format { found: 9, .. })));
}

#[test]
fn a_damaged_file_is_an_error_or_reads_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    committed(folder.path(), || {});
    let file = folder.path().join("state.redb");
    let good = fs::read(&file).unwrap();
    let damaged = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        match read(folder.path()) {
            Ok(()) => false,
            Err(ReadError::Damaged { .. } | ReadError::Incomplete { .. }) => true,
            Err(other) => panic!("{other}"),
        }
    };
    // A multiplicative generator spreads the places; the header, where all depends on each byte, is tried throughout.
    let places =
        (0..320).chain((1u64..400).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % good.len() as u64) as usize));
    let mut found = 0;
    for place in places {
        let mut bytes = good.clone();
        bytes[place] ^= 0x55;
        found += usize::from(damaged(&bytes));
    }
    // Pages in use make up only part of the file.
    assert!(found > 20, "{found}");
    for part in 1..8 {
        assert!(damaged(&good[..good.len() * part / 8]));
    }
}
