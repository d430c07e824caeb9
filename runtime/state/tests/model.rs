//! Random use of a store against a map in memory, with spills forced by tiny buffers, read back offline.

mod common;

use std::{collections::BTreeMap, sync::Arc};

use common::{keys, options, request, run, writes};
use proptest::prelude::*;
use wasmill_core::{KeyedState, MaxParallelism, StateBackend};
use wasmill_state::RedbState;

/// (operator, state, key).
type Place = (usize, u32, Vec<u8>);

const OPERATORS: [&str; 2] = ["first", "second"];

#[derive(Debug, Clone)]
enum Step {
    /// Writes one batch; in the epoch that was cut where `late` and there is one.
    Write {
        operator: usize,
        state: u32,
        late: bool,
        rows: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    },
    Read {
        operator: usize,
        state: u32,
        keys: Vec<Vec<u8>>,
    },
    Cut {
        skip: u64,
    },
    Seal,
    Commit,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![proptest::collection::vec(0u8..4, 0..3), proptest::collection::vec(any::<u8>(), 0..20)]
}

fn step() -> impl Strategy<Value = Step> {
    let value = proptest::option::weighted(0.8, proptest::collection::vec(any::<u8>(), 0..40));
    let rows = proptest::collection::vec((key(), value), 1..20);
    prop_oneof![
        8 => (0..2usize, 0..2u32, any::<bool>(), rows)
            .prop_map(|(operator, state, late, rows)| Step::Write { operator, state, late, rows }),
        8 => (0..2usize, 0..2u32, proptest::collection::vec(key(), 0..20))
            .prop_map(|(operator, state, keys)| Step::Read { operator, state, keys }),
        2 => (0..3u64).prop_map(|skip| Step::Cut { skip }),
        2 => Just(Step::Seal),
        1 => Just(Step::Commit),
    ]
}

/// What a correct store would hold: values and the epoch of their last change; and those at the last cut.
#[derive(Default)]
struct Model {
    now: BTreeMap<Place, Option<Vec<u8>>>,
    /// The epoch in which a place changed last.
    changed: BTreeMap<Place, u64>,
    at_cut: BTreeMap<Place, Option<Vec<u8>>>,
}

fn present(map: &BTreeMap<Place, Option<Vec<u8>>>) -> BTreeMap<Place, Vec<u8>> {
    map.iter().filter_map(|(place, value)| Some((place.clone(), value.clone()?))).collect()
}

fn stored(directory: &std::path::Path) -> (u64, BTreeMap<Place, Vec<u8>>) {
    let reader = RedbState::open_read_only(directory).unwrap();
    let mut found = BTreeMap::new();
    for (operator, id) in OPERATORS.iter().enumerate() {
        for (state, name) in ["a", "b"].iter().enumerate() {
            for entry in reader.entries(id, name).unwrap() {
                let entry = entry.unwrap();
                assert_eq!(entry.key_group, MaxParallelism::DEFAULT.group(&entry.key));
                assert_eq!(reader.get(id, name, &entry.key).unwrap().as_ref(), Some(&entry.value));
                assert_eq!(found.insert((operator, state as u32, entry.key), entry.value), None);
            }
        }
    }
    (reader.epoch(), found)
}

async fn check(steps: Vec<Step>, buffer_bytes: u64, parallelism: u32) {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbState::create(folder.path(), options(buffer_bytes)).unwrap();
    let open = |id: &str| (0..parallelism).map(|i| store.open(request(id, i, parallelism, 1)).unwrap()).collect();
    let subtasks: Vec<Vec<Arc<dyn KeyedState>>> = OPERATORS.iter().map(|id| open(id)).collect();
    let all = || subtasks.iter().flatten();
    let max = MaxParallelism::DEFAULT;
    let owner = |key: &[u8]| max.subtask(max.group(key), parallelism) as usize;

    let (mut current, mut cut, mut sealed, mut committed) = (1, None, None, None);
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Write { operator, state, late, rows } => {
                let epoch = if late { cut.unwrap_or(current) } else { current };
                for (subtask, keyed) in subtasks[operator].iter().enumerate() {
                    let own: Vec<_> = rows.iter().filter(|(key, _)| owner(key) == subtask).collect();
                    let own: Vec<_> = own.iter().map(|(key, value)| (key.as_slice(), value.as_deref())).collect();
                    keyed.write_many(state, epoch, &writes(&own)).await.unwrap();
                }
                for (key, value) in rows {
                    let place = (operator, state, key);
                    if cut == Some(epoch) {
                        model.at_cut.insert(place.clone(), value.clone());
                    }
                    // A late write of the epoch that was cut does not show over a newer one.
                    if model.changed.get(&place).is_none_or(|&changed| changed <= epoch) {
                        model.changed.insert(place.clone(), epoch);
                        model.now.insert(place, value);
                    }
                }
            }
            Step::Read { operator, state, keys: asked } => {
                for (subtask, keyed) in subtasks[operator].iter().enumerate() {
                    let own: Vec<_> = asked.iter().filter(|key| owner(key) == subtask).collect();
                    let own: Vec<_> = own.iter().map(|key| key.as_slice()).collect();
                    let values = keyed.get_many(state, &keys(&own)).await.unwrap();
                    for (i, key) in own.iter().enumerate() {
                        let expected = model.now.get(&(operator, state, key.to_vec())).cloned().flatten();
                        assert_eq!(values.get(i), expected.as_deref(), "{key:?}");
                    }
                }
            }
            Step::Cut { skip } if cut.is_none() => {
                let epoch = current + skip;
                all().for_each(|keyed| keyed.cut(epoch).unwrap());
                for changed in model.changed.values_mut().filter(|changed| **changed == current) {
                    *changed = epoch;
                }
                (current, cut, model.at_cut) = (epoch + 1, Some(epoch), model.now.clone());
            }
            Step::Seal if cut.is_some() => {
                all().for_each(|keyed| keyed.seal());
                sealed = cut.take();
            }
            // Until the next cut: what is sealed is then exactly what `at_cut` holds.
            Step::Commit if sealed > committed && cut.is_none() => {
                store.commit(sealed.unwrap()).await.unwrap();
                committed = sealed;
            }
            _ => {}
        }
    }
    if cut.is_some() {
        all().for_each(|keyed| keyed.seal());
    }
    all().for_each(|keyed| keyed.cut(current).unwrap());
    all().for_each(|keyed| keyed.seal());
    store.commit(current).await.unwrap();
    let expected = present(&model.now);
    for ((operator, state, key), value) in &expected {
        let values = subtasks[*operator][owner(key)].get_many(*state, &keys(&[key])).await.unwrap();
        assert_eq!(values.get(0), Some(value.as_slice()), "after the last commit");
    }
    drop((subtasks, store));
    assert_eq!(stored(folder.path()), (current, expected));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_a_map(
        steps in proptest::collection::vec(step(), 1..40),
        buffer_bytes in prop_oneof![Just(0u64), 200u64..4_000, Just(1u64 << 30)],
        parallelism in 1u32..=4,
    ) {
        run(check(steps, buffer_bytes, parallelism));
    }

    #[test]
    fn a_commit_holds_what_was_sealed_and_nothing_later(
        steps in proptest::collection::vec(step(), 1..20),
        later in proptest::collection::vec(key(), 1..10),
    ) {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let (store, keyed) = common::single(folder.path(), 1 << 30);
            let mut expected = BTreeMap::new();
            for step in &steps {
                let Step::Write { state, rows, .. } = step else { continue };
                let rows: Vec<_> = rows.iter().map(|(key, value)| (key.as_slice(), value.as_deref())).collect();
                keyed.write_many(*state, 1, &writes(&rows)).await.unwrap();
                if *state == 0 {
                    expected.extend(rows.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))));
                }
            }
            common::hand_over(&*keyed, 1);
            for key in &later {
                common::put(&*keyed, 2, key, b"later").await.unwrap();
            }
            store.commit(1).await.unwrap();
            drop((keyed, store));
            let reader = RedbState::open_read_only(folder.path()).unwrap();
            let entries = reader.entries("count", "a").unwrap().map(Result::unwrap);
            let found: BTreeMap<_, _> = entries.map(|entry| (entry.key, entry.value)).collect();
            let present = expected.into_iter().filter_map(|(key, value)| Some((key, value?)));
            let expected: BTreeMap<_, _> = present.collect();
            assert_eq!(found, expected);
        });
    }
}
