//! What a store accepts, refuses and keeps.

mod common;

use std::task::Poll;

use common::{get, hand_over, keys, options, put, request, run, single, writes};
use wasmill_core::{
    Codec, JobName, MaxParallelism, Quota, StateBackend,
    description::StateKind,
    state::{EntryKeys, StateError, StateOperation, Writes},
};
use wasmill_state::{ReadError, RedbState, StoreOptions};

/// Of max parallelism 128, `emma` belongs to key group 52; computed with the reference implementation of XXH3.
const EMMA: &[u8] = b"emma";

#[test]
fn a_committed_store_is_read_back_offline() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let (store, state) = single(folder.path(), 1 << 20);
        let rows: [(&[u8], Option<&[u8]>); 3] = [(EMMA, Some(b"865")), (b"", Some(b"")), (b"gone", None)];
        state.write_many(0, 1, &writes(&rows)).await.unwrap();
        state.write_many(1, 1, &writes(&[(EMMA, Some(b"other"))])).await.unwrap();
        hand_over(&*state, 1);
        store.commit(1).await.unwrap();
    });
    let reader = RedbState::open_read_only(folder.path()).unwrap();
    assert_eq!((reader.epoch(), reader.job()), (1, Some((&JobName::local("j"), MaxParallelism::DEFAULT))));
    let count = &reader.operators()[0];
    assert_eq!((count.id.as_str(), count.states.len()), ("count", 2));
    assert_eq!((count.states[1].name.as_str(), &count.states[1].value), ("b", &Codec::named("u64")));
    let entries: Vec<_> = reader.entries("count", "b").unwrap().map(Result::unwrap).collect();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].key_group.0, entries[0].key.as_slice(), entries[0].value.as_slice()),
        (52, EMMA, &b"other"[..])
    );
    assert_eq!(reader.entries("count", "a").unwrap().count(), 2);
    assert_eq!(reader.get("count", "a", EMMA).unwrap().unwrap(), b"865");
    assert_eq!(reader.get("count", "a", b"").unwrap().unwrap(), b"");
    assert_eq!(reader.get("count", "a", b"gone").unwrap(), None);
    let unknown = reader.get("count", "c", EMMA).unwrap_err().to_string();
    assert!(unknown.ends_with("has no state `c` of operator `count`, which has `a`, `b`"), "{unknown}");
    let unknown = reader.entries("words", "a").err().unwrap().to_string();
    assert!(unknown.ends_with("has no operator `words`; it has `count`"), "{unknown}");
}

#[test]
fn the_file_is_pinned_byte_by_byte() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let (store, state) = single(folder.path(), 1 << 20);
        state.write_many(1, 1, &writes(&[(EMMA, Some(b"865"))])).await.unwrap();
        hand_over(&*state, 1);
        store.commit(1).await.unwrap();
    });
    let database = redb::Database::open(folder.path().join("state.redb")).unwrap();
    let transaction = redb::ReadableDatabase::begin_read(&database).unwrap();
    let base = transaction.open_table(redb::TableDefinition::<&[u8], &[u8]>::new("base")).unwrap();
    let rows: Vec<_> = redb::ReadableTable::iter(&base).unwrap().map(Result::unwrap).collect();
    let rows: Vec<_> = rows.iter().map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).collect();
    let key = [&[0, 0, 0, 52, 0, 0, 0, 1, 0, 0, 0, 4], EMMA].concat();
    assert_eq!(rows, [(key, b"865".to_vec())]);
}

#[test]
fn a_directory_is_used_by_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("new").join("state");
    let store = RedbState::create(&directory, options(0)).unwrap();
    let error = RedbState::create(&directory, options(0)).unwrap_err().to_string();
    assert!(error.contains(&format!("`{}` is in use", directory.display())), "{error}");
    assert!(matches!(RedbState::open_read_only(&directory), Err(ReadError::InUse { .. })));
    drop(store);

    // What no job finished is no result: the next job may have the directory.
    let store = RedbState::create(&directory, options(0)).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(store.commit(1)).unwrap();
    drop(store);
    let error = RedbState::create(&directory, options(0)).unwrap_err().to_string();
    assert!(error.contains(&format!("`{}` already holds a store", directory.display())), "{error}");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = RedbState::create(&file, options(0)).unwrap_err().to_string();
    assert!(error.contains(&format!("cannot create the state directory `{}`", file.display())), "{error}");
    let nothing = RedbState::open_read_only(&folder.path().join("nothing")).unwrap_err();
    assert!(matches!(nothing, ReadError::Open { .. }), "{nothing}");
}

#[test]
fn a_store_without_a_commit_is_incomplete() {
    for buffer_bytes in [0, 1 << 20] {
        let folder = tempfile::tempdir().unwrap();
        run(async {
            let (_store, state) = single(folder.path(), buffer_bytes);
            put(&*state, 1, EMMA, b"865").await.unwrap();
            hand_over(&*state, 1);
        });
        let error = RedbState::open_read_only(folder.path()).unwrap_err();
        assert!(matches!(error, ReadError::Incomplete { .. }), "{error}");
    }
}

#[test]
fn part_of_a_later_epoch_makes_a_store_incomplete_until_it_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let (store, state) = single(folder.path(), 0);
        put(&*state, 1, b"k", b"1").await.unwrap();
        hand_over(&*state, 1);
        store.commit(1).await.unwrap();
        put(&*state, 2, b"k", b"2").await.unwrap();
    });
    let error = RedbState::open_read_only(folder.path()).unwrap_err().to_string();
    assert!(error.contains("holds part of epoch 2"), "{error}");
}

#[test]
fn keys_of_another_subtask_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let store = RedbState::create(folder.path(), options(0)).unwrap();
        let (own, other) =
            (store.open(request("count", 0, 2, 1)).unwrap(), store.open(request("count", 1, 2, 1)).unwrap());
        assert!(own.owns(EMMA) && !other.owns(EMMA));
        let expected = "state `a`: the key emma belongs to key group 52, but this subtask owns key groups 64-127";
        let StateError::Contract(error) = put(&*other, 1, EMMA, b"1").await.unwrap_err() else { panic!() };
        assert_eq!(error, expected);
        let StateError::Contract(error) = other.get_many(0, &keys(&[EMMA])).await.unwrap_err() else { panic!() };
        assert_eq!(error, expected);
    });
}

#[test]
fn what_breaks_the_contract_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let (store, state) = single(folder.path(), 1 << 20);
        let good = || writes(&[(EMMA, Some(b"1"))]);
        let two = |second: StateOperation| {
            let mut two = writes(&[(EMMA, Some(b"1")), (b"x", None)]);
            two.operations[1] = second;
            two
        };
        let mut with_value = two(StateOperation::Clear);
        with_value.values.push(7);
        with_value.value_ends[1] = 2;
        let mut with_map_keys = good();
        with_map_keys.entries = EntryKeys { map_key_ends: vec![0], ..with_map_keys.entries };
        let short = Writes { value_ends: vec![], values: vec![], ..good() };
        for (state_number, epoch, writes, expected) in [
            (2, 1, good(), "state number 2, but the operator describes 2"),
            (0, 0, good(), "a write to state `a` in epoch 0: it must be 1"),
            (0, 2, good(), "a write to state `a` in epoch 2: it must be 1"),
            (0, 1, two(StateOperation::Append), "`append` to state `a`, which is a value and not a list"),
            (0, 1, with_value, "a deletion from state `a` has a value of 1 bytes"),
            (0, 1, with_map_keys, "map keys for state `a`, which is a value and not a map"),
            (
                0,
                1,
                Writes { expires: vec![1], ..good() },
                "a write to state `a` says when it expires, but the state declares no TTL",
            ),
            (0, 1, short, "column `value-ends` has 0 entries for 1 rows"),
        ] {
            match state.write_many(state_number, epoch, &writes).await {
                Err(StateError::Contract(error)) => assert_eq!(error, expected),
                other => panic!("{other:?} instead of: {expected}"),
            }
        }
        assert!(matches!(state.get_many(2, &keys(&[EMMA])).await, Err(StateError::Contract(_))));
        let bad = EntryKeys { key_ends: vec![9], keys: vec![1], ..EntryKeys::default() };
        assert!(matches!(state.get_many(0, &bad).await, Err(StateError::Contract(_))));
        assert_eq!(get(&*state, EMMA).await, None);
        state.write_many(0, 1, &two(StateOperation::Clear)).await.unwrap();
        hand_over(&*state, 3);
        let StateError::Contract(error) = put(&*state, 3, EMMA, b"2").await.unwrap_err() else { panic!() };
        assert_eq!(error, "a write to state `a` in epoch 3: it must be 4");
        store.commit(3).await.unwrap();
        assert_eq!(get(&*state, EMMA).await.unwrap(), b"1");
    });
}

#[test]
fn a_request_that_does_not_fit_the_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbState::create(folder.path(), options(0)).unwrap();
    store.open(request("count", 0, 2, 1)).unwrap();
    let mut list = request("list", 0, 1, 1);
    list.states[1].kind = StateKind::List;
    let mut other_job = request("count", 1, 2, 1);
    other_job.place = JobName::local("k").place("count", 1);
    let mut other_states = request("count", 1, 2, 1);
    other_states.states.pop();
    let mut beyond = request("sum", 0, 1, 1);
    beyond.range.end = 129;
    for (request, expected) in [
        (list, "state `b`: only keyed value state without a time to live is supported yet"),
        (other_job, "the store of job `j`, 128 key groups, cannot serve job `k`, 128 of them"),
        (other_states, "`count` describes other states in subtask 1"),
        (beyond, "job `j`, `sum`, subtask 0 cannot own key groups 0..129 of 128"),
        (request("count", 1, 3, 1), "job `j`, `count`, subtask 1 cannot own key groups 43-85: subtask 0 owns 0-63"),
    ] {
        match store.open(request) {
            Err(StateError::Contract(error)) => assert_eq!(error, expected),
            Err(other) => panic!("{other} instead of: {expected}"),
            Ok(_) => panic!("accepted instead of: {expected}"),
        }
    }
}

#[test]
fn an_epoch_is_committed_once_and_only_when_all_have_handed_it_over() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let store = RedbState::create(folder.path(), options(0)).unwrap();
        let (a, b) = (store.open(request("count", 0, 2, 1)).unwrap(), store.open(request("count", 1, 2, 1)).unwrap());
        put(&*a, 1, EMMA, b"1").await.unwrap();
        let error = store.commit(1).await.unwrap_err().to_string();
        assert_eq!(error, "epoch 1 cannot be committed: job `j`, `count`, subtask 0 has not handed over epoch 1");
        hand_over(&*a, 1);
        hand_over(&*b, 1);
        store.commit(1).await.unwrap();
        let error = store.commit(1).await.unwrap_err().to_string();
        assert_eq!(error, "epoch 1 cannot be committed: epoch 1 is already");
    });
}

#[test]
fn over_the_quota_buffers_are_spilled_before_a_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let quota = Quota::new("job `j`", 20_000);
        let store = RedbState::create(
            folder.path(),
            StoreOptions { cache_bytes: 8_000, buffer_bytes: 1 << 30, quota: quota.clone() },
        );
        let store = store.unwrap();
        let open = |subtask| {
            let mut request = request("count", subtask, 2, 1);
            request.quota = quota.clone();
            store.open(request).unwrap()
        };
        let (a, b) = (open(0), open(1));
        let (value, max) = ([7; 1_000], MaxParallelism::DEFAULT);
        let words: Vec<_> = (0..100u32).map(|i| i.to_string()).collect();
        for word in &words {
            let state = if max.group(word.as_bytes()).0 < 64 { &a } else { &b };
            put(&**state, 1, word.as_bytes(), &value).await.unwrap();
            assert!(quota.used() <= 20_000);
        }
        // 13,000 bytes never fit beside the cache of 8,000; 12 bytes are the stored prefix, 80 a slot in the buffer.
        let StateError::OverQuota(over) = put(&*a, 1, EMMA, &[1; 13_000]).await.unwrap_err() else { panic!() };
        assert_eq!((over.wanted, over.used), (13_000 + 4 + 12 + 80, 8_000));
        assert_eq!(get(&*a, EMMA).await, None);
        hand_over(&*a, 1);
        hand_over(&*b, 1);
        store.commit(1).await.unwrap();
        assert_eq!(quota.used(), 8_000);
        drop((a, b, store));
        assert_eq!(quota.used(), 0);
        let reader = RedbState::open_read_only(folder.path()).unwrap();
        let mut found: Vec<_> = reader.entries("count", "a").unwrap().map(|entry| entry.unwrap().key).collect();
        let mut expected: Vec<_> = words.into_iter().map(String::into_bytes).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    });
}

#[test]
fn a_store_whose_cache_exceeds_the_quota_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("state");
    let error = RedbState::create(&directory, StoreOptions::new(Quota::new("job `j`", 1_000))).unwrap_err();
    assert!(matches!(error, StateError::OverQuota(_)));
    assert!(!directory.exists());
}

#[test]
fn an_answer_is_charged_while_it_is_gathered() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let store = RedbState::create(folder.path(), options(1 << 30)).unwrap();
        let quota = Quota::new("job `j`", 64 << 20);
        let mut request = request("count", 0, 1, 1);
        request.quota = quota.clone();
        let state = store.open(request).unwrap();
        put(&*state, 1, EMMA, &vec![1; 8 << 20]).await.unwrap();
        let answer = state.get_many(0, &keys(&[EMMA; 3])).await.unwrap();
        assert_eq!(answer.values.len(), 24 << 20);
        let before = quota.used();
        assert!(matches!(state.get_many(0, &keys(&[EMMA; 100])).await, Err(StateError::OverQuota(_))));
        assert_eq!(quota.used(), before);
    });
}

#[test]
fn a_write_that_nobody_waits_for_any_more_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let (store, state) = single(folder.path(), 1_000);
        for i in 0..300u32 {
            // Polled once, the write is buffered and its spill, if any, has begun.
            let (key, value) = (i.to_be_bytes(), i.to_le_bytes());
            let columns = writes(&[(&key, Some(&value))]);
            let mut write = state.write_many(0, 1, &columns);
            std::future::poll_fn(|context| Poll::Ready(write.as_mut().poll(context).is_ready())).await;
            drop(write);
            assert_eq!(get(&*state, &key).await.unwrap(), value);
        }
        hand_over(&*state, 1);
        store.commit(1).await.unwrap();
    });
    // The runtime waited for spills that were begun: they keep the store open.
    let reader = RedbState::open_read_only(folder.path()).unwrap();
    for i in 0..300u32 {
        assert_eq!(reader.get("count", "a", &i.to_be_bytes()).unwrap().unwrap(), i.to_le_bytes());
    }
}
