//! A store as its callers see it: what it refuses, what it keeps, what becomes of memory and of time.

mod common;

use std::sync::Arc;

use common::*;
use wasmill_core::{
    CallTime, JobName, KeyedState, Manifest, Quota, StateBackend,
    checkpoint::SinkCommittable,
    sink::Committable,
    state::{EntryKeys, StateError, StateOperation, Writes},
};
use wasmill_state::{ReadError, Reader, RedbState, StoreOptions};

/// Key group 52 of 128.
const EMMA: &[u8] = b"emma";

#[test]
fn a_directory_is_used_by_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("new").join("state");
    let store = RedbState::open(&directory, options(0, 1)).unwrap();
    for other in [RedbState::open(&directory, options(0, 1)), RedbState::create(&directory, options(0, 1))] {
        let error = other.unwrap_err().to_string();
        assert!(error.contains(&format!("`{}` is in use", directory.display())), "{error}");
    }
    assert!(matches!(Reader::open(&directory), Err(ReadError::InUse { .. })));
    drop(store);
    RedbState::open(&directory, options(0, 1)).unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = RedbState::open(&file, options(0, 1)).unwrap_err().to_string();
    assert!(error.contains(&format!("cannot create the state directory `{}`", file.display())), "{error}");
}

#[test]
fn keys_of_another_subtask_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let store = RedbState::open(folder.path(), options(0, 1)).unwrap();
        store.restore().await.unwrap();
        let (own, other) = (store.open(request("op", 0, 2, 1)).unwrap(), store.open(request("op", 1, 2, 1)).unwrap());
        assert!(own.owns(EMMA) && !other.owns(EMMA));
        let expected = "state `value`: the key emma belongs to key group 52, but this subtask owns key groups 64-127";
        let StateError::Contract(error) = put(&*other, 1, EMMA, b"1").await.unwrap_err() else { panic!() };
        assert_eq!(error, expected);
        let StateError::Contract(error) = other.get_many(0, &keys(&[EMMA])).await.unwrap_err() else { panic!() };
        assert_eq!(error, expected);
        assert!(matches!(other.scan(MAP, EMMA, b"", 1).await, Err(StateError::Contract(_))));
    });
}

#[test]
fn what_breaks_the_contract_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let (_store, state, _) = single(folder.path(), options(1 << 20, 1)).await;
        let good = || one(VALUE, StateOperation::Put, (EMMA, b""), b"1", 0);
        let of = |operation, value: &[u8]| one(VALUE, operation, (EMMA, b""), value, 0);
        let mut with_map_keys = good();
        with_map_keys.entries.map_key_ends = vec![0];
        for (number, epoch, writes, expected) in [
            (6, 1, good(), "state number 6, but the operator describes 6"),
            (VALUE, 0, good(), "a write to state `value` in epoch 0: it must be 1"),
            (VALUE, 2, good(), "a write to state `value` in epoch 2: it must be 1"),
            (VALUE, 1, of(StateOperation::Append, b"1"), "`append` to state `value`, which is a value and not a list"),
            (VALUE, 1, of(StateOperation::Clear, b"1"), "a deletion from state `value` has a value of 1 bytes"),
            (VALUE, 1, with_map_keys, "map keys for state `value`, which is a value and not a map"),
            (MAP, 1, good(), "state `map` is a map: every entry needs a map key"),
            (
                VALUE,
                1,
                Writes { expires: vec![1], ..good() },
                "a write to state `value` says when it expires, but the state declares no TTL",
            ),
            (EXPIRING, 1, good(), "column `expires` has 0 entries for 1 rows"),
            (LIST, 1, good(), "`put` to list state `list` of a value that is no list"),
            (
                MAP,
                1,
                one(MAP, StateOperation::Clear, (EMMA, b"m"), b"", 0),
                "`clear` of state `map` has a map key of 1 bytes",
            ),
            (
                VALUE,
                1,
                Writes { value_ends: vec![], values: vec![], ..good() },
                "column `value-ends` has 0 entries for 1 rows",
            ),
        ] {
            match state.write_many(number, epoch, &writes).await {
                Err(StateError::Contract(error)) => assert_eq!(error, expected),
                other => panic!("{other:?} instead of: {expected}"),
            }
        }
        let bad = EntryKeys { key_ends: vec![9], keys: vec![1], ..EntryKeys::default() };
        assert!(matches!(state.get_many(0, &bad).await, Err(StateError::Contract(_))));
        let scan = state.scan(VALUE, EMMA, b"", 1).await.unwrap_err().to_string();
        assert_eq!(scan, "a scan of state `value`, which is a value");
        assert_eq!(get(&*state, EMMA).await, None);
    });
}

#[test]
fn a_request_that_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let (store, state, _) = single(folder.path(), options(0, 1)).await;
        hand_over(&*state, 1);
        store.commit(manifest(1, 1, 0)).await.unwrap();
        store.restore().await.unwrap();
        store.open(request("op", 0, 2, 2)).unwrap();
        let mut other_job = request("op", 1, 2, 2);
        other_job.place = JobName::local("k").place("op", 1);
        let mut beyond = request("sum", 0, 1, 2);
        beyond.range.end = 129;
        for (request, expected) in [
            (other_job, "the state directory holds the checkpoints of job `j`, and this is job `k`"),
            (beyond, "job `j`, `sum`, subtask 0 cannot own key groups 0..129 of 128"),
            (request("op", 1, 3, 2), "job `j`, `op`, subtask 1 cannot own key groups 43-85: subtask 0 owns 0-63"),
        ] {
            match store.open(request) {
                Err(StateError::Contract(error)) => assert!(error.contains(expected), "{error}"),
                Err(other) => panic!("{other} instead of: {expected}"),
                Ok(_) => panic!("accepted instead of: {expected}"),
            }
        }
    });
}

#[test]
fn an_epoch_is_committed_once_and_only_when_all_is_there() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let (store, state, _) = single(folder.path(), options(1 << 20, 1)).await;
        put(&*state, 1, b"k", b"1").await.unwrap();
        state.cut(1).unwrap();
        put(&*state, 1, b"late", b"1").await.unwrap();
        let error = store.commit(manifest(1, 1, 0)).await.unwrap_err().to_string();
        assert!(error.contains("subtask 0 has not handed over epoch 1"), "{error}");
        state.seal();
        let committed = store.commit(manifest(1, 1, 0)).await.unwrap();
        assert_eq!(committed.entries, 2);
        assert!(committed.bytes > 10 && committed.bytes < 200, "{committed:?}");
        let error = store.commit(manifest(1, 1, 0)).await.unwrap_err().to_string();
        assert!(error.contains("epoch 1 cannot be committed: epoch 1 is already"), "{error}");
        // Nothing changed: the next one is only its manifest.
        hand_over(&*state, 2);
        assert_eq!(store.commit(manifest(2, 1, 0)).await.unwrap(), Default::default());
    });
}

#[test]
fn committables_are_forgotten_once_they_are_committed() {
    let folder = tempfile::tempdir().unwrap();
    let with = |epoch| Manifest {
        committables: vec![SinkCommittable { sink: "out".to_string(), committable: Committable(vec![1]) }],
        ..manifest(epoch, 1, 0)
    };
    run(async {
        let (store, _state, _) = single(folder.path(), options(0, 1)).await;
        store.commit(with(1)).await.unwrap();
        assert_eq!(store.restore().await.unwrap().manifest.unwrap().committables.len(), 1);
        store.committed(1).await.unwrap();
        assert_eq!(store.restore().await.unwrap().manifest.unwrap().committables.len(), 0);
        store.commit(with(2)).await.unwrap();
        assert_eq!(store.restore().await.unwrap().manifest.unwrap().committables.len(), 1, "another checkpoint's");
        store.committed(1).await.unwrap();
    });
    let names = std::fs::read_dir(folder.path().join("checkpoints")).unwrap();
    let names: Vec<_> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, ["00000000000000000002.json"], "what is let go leaves nothing behind");
}

#[test]
fn state_may_be_many_times_larger_than_what_is_cached() {
    const KEYS: u32 = 60_000;
    let folder = tempfile::tempdir().unwrap();
    // 1 MiB of pages and 64 KiB of buffers for 8 MB of state.
    let small = || StoreOptions { cache_bytes: 1 << 20, ..options(64 << 10, 1) };
    let value = |key: u32| [&key.to_le_bytes()[..]; 32].concat();
    let mut seen_pressure = false;
    run(async {
        let (store, state, mut epoch) = single(folder.path(), small()).await;
        for chunk in 0..KEYS / 500 {
            let mut writes = Writes::default();
            for key in chunk * 500..(chunk + 1) * 500 {
                writes.operations.push(StateOperation::Put);
                writes.entries.keys.extend_from_slice(&key.to_be_bytes());
                writes.entries.key_ends.push(writes.entries.keys.len() as u32);
                writes.values.extend_from_slice(&value(key));
                writes.value_ends.push(writes.values.len() as u32);
            }
            state.write_many(VALUE, epoch, &writes).await.unwrap();
            if store_is_full(&store) {
                seen_pressure = true;
                hand_over(&*state, epoch);
                store.commit(manifest(epoch, 1, 0)).await.unwrap();
                epoch += 1;
                while store.work().await.unwrap() {}
            }
        }
        assert!(seen_pressure, "a checkpoint is asked for where much is in memory");
        check_all(&*state, KEYS, value).await;
        hand_over(&*state, epoch);
        store.commit(manifest(epoch, 1, 0)).await.unwrap();
    });
    run(async {
        let (_store, state, _) = single(folder.path(), small()).await;
        check_all(&*state, KEYS, value).await;
    });
}

fn store_is_full(store: &RedbState) -> bool {
    store.wants_checkpoint()
}

async fn check_all(state: &dyn KeyedState, all: u32, value: impl Fn(u32) -> Vec<u8>) {
    for chunk in 0..all / 1_000 {
        let names: Vec<_> = (chunk * 1_000..(chunk + 1) * 1_000).map(u32::to_be_bytes).collect();
        let values = state.get_many(VALUE, &keys(&names.iter().map(|key| &key[..]).collect::<Vec<_>>())).await.unwrap();
        for (i, key) in (chunk * 1_000..(chunk + 1) * 1_000).enumerate() {
            assert_eq!(values.get(i).unwrap(), value(key), "{key}");
        }
    }
}

#[test]
fn memory_is_charged_and_given_back() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let quota = Quota::new("job `j`", 3 << 20);
        let options = StoreOptions { cache_bytes: 1 << 20, buffer_bytes: 0, keep: 1, quota: quota.clone() };
        let store = RedbState::open(folder.path(), options).unwrap();
        store.restore().await.unwrap();
        let mut request = request("op", 0, 1, 1);
        request.quota = quota.clone();
        let state = store.open(request).unwrap();
        assert_eq!(quota.used(), 1 << 20);
        put(&*state, 1, b"k", &vec![1; 1 << 20]).await.unwrap();
        assert!(quota.used() > 2 << 20);
        let error = put(&*state, 1, b"l", &vec![1; 1 << 20]).await.unwrap_err();
        assert!(matches!(error, StateError::OverQuota(_)), "{error}");
        assert_eq!(get(&*state, b"l").await, None, "nothing of it was written");
        hand_over(&*state, 1);
        store.commit(manifest(1, 1, 0)).await.unwrap();
        while store.work().await.unwrap() {}
        assert_eq!(quota.used(), 1 << 20, "what is folded is not in memory any more");
        put(&*state, 2, b"l", &vec![1; 1 << 20]).await.unwrap();
        assert_eq!(get(&*state, b"k").await.unwrap().len(), 1 << 20);
    });
}

#[test]
fn what_has_expired_is_removed_when_no_checkpoint_needs_it_any_more() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let (store, state, _) = single(folder.path(), options(0, 1)).await;
        let time = |watermark| CallTime { watermark, processing_time: 0 };
        for (key, at) in [(b"a", 10), (b"b", 100_000)] {
            let writes = one(EXPIRING, StateOperation::Put, (key, b""), b"v", at);
            state.write_many(EXPIRING, 1, &writes).await.unwrap();
        }
        let get = async |state: &Arc<dyn KeyedState>, key: &[u8]| get_entry(&**state, EXPIRING, key, b"").await;
        state.set_time(time(9));
        assert!(get(&state, b"a").await.is_some());
        state.set_time(time(10));
        assert!(get(&state, b"a").await.is_none() && get(&state, b"b").await.is_some());
        for (epoch, watermark) in [(1, 0), (2, 50_000)] {
            hand_over(&*state, epoch);
            store.commit(manifest(epoch, 1, watermark)).await.unwrap();
            while store.work().await.unwrap() {}
            // Going back in time shows what is there: at first both, since the checkpoint's time is before.
            state.set_time(time(0));
            assert_eq!(get(&state, b"a").await.is_some(), epoch == 1);
            assert!(get(&state, b"b").await.is_some());
        }
    });
}

#[test]
fn a_state_that_the_job_dropped_is_removed_and_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let without_op = |epoch| Manifest { nodes: vec![], ..manifest(epoch, 1, 0) };
    run(async {
        let (store, state, _) = single(folder.path(), options(0, 1)).await;
        put(&*state, 1, b"k", b"1").await.unwrap();
        hand_over(&*state, 1);
        store.commit(manifest(1, 1, 0)).await.unwrap();
        while store.work().await.unwrap() {}
        // The job goes on without the operator, and then with it again.
        store.restore().await.unwrap();
        store.commit(without_op(2)).await.unwrap();
        while store.work().await.unwrap() {}
        let next = store.restore().await.unwrap().next_epoch;
        let state = store.open(request("op", 0, 1, next)).unwrap();
        assert_eq!(get(&*state, b"k").await, None);
        while store.work().await.unwrap() {}
    });
    let database = redb::Database::open(folder.path().join("state.redb")).unwrap();
    let transaction = redb::ReadableDatabase::begin_read(&database).unwrap();
    let base = transaction.open_table(redb::TableDefinition::<&[u8], &[u8]>::new("base")).unwrap();
    assert_eq!(redb::ReadableTableMetadata::len(&base).unwrap(), 0);
}

#[test]
fn a_savepoint_moves_and_changes_hands() {
    let folder = tempfile::tempdir().unwrap();
    let (savepoint, moved) = (folder.path().join("savepoint"), folder.path().join("moved"));
    let state_directory = folder.path().join("state");
    run(async {
        let (store, state, _) = single(&state_directory, options(1 << 20, 1)).await;
        put(&*state, 1, b"k", b"1").await.unwrap();
        hand_over(&*state, 1);
        store.commit(manifest(1, 1, 0)).await.unwrap();
        // Later writes are not in it.
        put(&*state, 2, b"k", b"2").await.unwrap();
        let error = store.savepoint(2, savepoint.clone()).await.unwrap_err().to_string();
        assert!(error.contains("checkpoint 2 is not the newest one"), "{error}");
        std::fs::create_dir(&savepoint).unwrap();
        std::fs::write(savepoint.join("file"), "").unwrap();
        let error = store.savepoint(1, savepoint.clone()).await.unwrap_err().to_string();
        assert!(error.contains(&format!("`{}`: the folder is not empty", savepoint.display())), "{error}");
        std::fs::remove_file(savepoint.join("file")).unwrap();
        store.savepoint(1, savepoint.clone()).await.unwrap();
    });
    std::fs::remove_dir_all(&state_directory).unwrap();
    std::fs::rename(&savepoint, &moved).unwrap();
    let names = std::fs::read_dir(&moved).unwrap().map(|name| name.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["manifest.json", "state.redb"]);
    run(async {
        let store = RedbState::from_savepoint(&moved, &state_directory, options(0, 1)).unwrap();
        let restored = store.restore().await.unwrap();
        assert_eq!((restored.manifest.unwrap().epoch, restored.next_epoch), (1, 2));
        // Another job may begin from it.
        let mut other = request("op", 0, 1, 2);
        other.place = JobName::local("another").place("op", 0);
        assert_eq!(get(&*store.open(other).unwrap(), b"k").await.unwrap(), b"1");
    });
    assert_eq!(Reader::open(&moved).unwrap().get("op", "value", b"k").unwrap()[0].values, [b"1"]);
    let error = RedbState::from_savepoint(folder.path(), &state_directory, options(0, 1)).unwrap_err().to_string();
    assert!(error.contains("is not a savepoint"), "{error}");
    assert!(state_directory.join("state.redb").exists(), "what was there stays");
}

#[test]
fn beginning_anew_forgets_everything() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let (store, state, _) = single(folder.path(), options(0, 1)).await;
        put(&*state, 1, b"k", b"1").await.unwrap();
        hand_over(&*state, 1);
        store.commit(manifest(1, 1, 0)).await.unwrap();
        drop((store, state));
        let store = RedbState::create(folder.path(), options(0, 1)).unwrap();
        let restored = store.restore().await.unwrap();
        assert_eq!((restored.manifest, restored.next_epoch), (None, 1));
        assert_eq!(get(&*store.open(request("op", 0, 1, 1)).unwrap(), b"k").await, None);
    });
}

#[test]
fn pages_for_a_migration_hold_everything_once() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let (store, state, mut epoch) = single(folder.path(), options(0, 1)).await;
        // Part in the base, part in the log.
        for round in [0u8, 1] {
            for key in 0..50u8 {
                if key % 2 == round {
                    put(&*state, epoch, &[key], &[key]).await.unwrap();
                }
            }
            hand_over(&*state, epoch);
            store.commit(manifest(epoch, 1, 0)).await.unwrap();
            epoch += 1;
            while round == 0 && store.work().await.unwrap() {}
        }
        let (mut found, mut from, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = state.entries(VALUE, from, 16).await.unwrap();
            pages += 1;
            for i in 0..page.entries.len() {
                found.push((page.entries.key(i)[0], page.values[i]));
                // Rewriting what was read does not disturb what comes.
                put(&*state, epoch, page.entries.key(i), b"new!").await.unwrap();
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        found.sort_unstable();
        assert_eq!(found, (0..50).map(|key| (key, key)).collect::<Vec<_>>());
        assert!(pages > 5, "{pages}");
        assert_eq!(get(&*state, &[7]).await.unwrap(), b"new!");
    });
}

/// Appending is not idempotent by itself: a list that is folded half-way must neither lose elements nor have them twice, for
/// those who read meanwhile and for those who fold it again after a crash.
#[test]
fn a_fold_that_is_cut_short_changes_no_list() {
    const KEYS: u32 = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<_> = (0..KEYS).map(u32::to_be_bytes).collect();
    let names: Vec<&[u8]> = names.iter().map(|name| &name[..]).collect();
    let append = |element: u8| Writes {
        operations: vec![StateOperation::Append; KEYS as usize],
        entries: keys(&names),
        value_ends: (1..=KEYS).collect(),
        values: vec![element; KEYS as usize],
        expires: vec![],
    };
    let check = async |state: &dyn KeyedState, elements: &[u8], when: &str| {
        let values = state.get_many(LIST, &keys(&names)).await.unwrap();
        let expected = list(&elements.chunks(1).collect::<Vec<_>>());
        assert!((0..KEYS as usize).all(|i| values.get(i) == Some(&expected[..])), "{when}");
    };
    run(async {
        let (store, state, _) = single(folder.path(), options(0, 1)).await;
        state.write_many(LIST, 1, &append(1)).await.unwrap();
        hand_over(&*state, 1);
        store.commit(manifest(1, 1, 0)).await.unwrap();
        while store.work().await.unwrap() {}
        state.write_many(LIST, 2, &append(2)).await.unwrap();
        hand_over(&*state, 2);
        store.commit(manifest(2, 1, 0)).await.unwrap();
        // It begins, and does a part.
        assert!(store.work().await.unwrap() && store.work().await.unwrap());
        check(&*state, &[1, 2], "while it is being folded").await;
        state.write_many(LIST, 3, &append(3)).await.unwrap();
        check(&*state, &[1, 2, 3], "with a later element").await;
        hand_over(&*state, 3);
        // What was folded in part becomes durable with the next checkpoint.
        store.commit(manifest(3, 1, 0)).await.unwrap();
    });
    run(async {
        let (store, state, _) = single(folder.path(), options(0, 1)).await;
        check(&*state, &[1, 2, 3], "after a crash").await;
        while store.work().await.unwrap() {}
        check(&*state, &[1, 2, 3], "folded again").await;
    });
}

/// redb makes a file in several steps; one that is not finished is no store.
#[test]
fn a_process_that_dies_while_it_makes_the_store_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("state.new"), b"half of a head").unwrap();
    run(async {
        let (store, _, epoch) = single(folder.path(), options(0, 1)).await;
        assert_eq!(epoch, 1);
        drop(store);
    });
    assert!(!folder.path().join("state.new").exists());
}
