//! The state cache against a model: random operations, batches, evictions, snapshots in steps, and restores.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use wasmill_sdk::{
    prelude::*,
    testing::{Harness, Stored},
};

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Change {
    Set(u64),
    Add(u64),
    ClearNumber,
    Name(String),
    Append(String),
    ClearName,
    Read,
}

/// Does to its state what each record says, and emits what it then holds.
#[derive(States)]
struct Script {
    numbers: ValueState<u64>,
    names: ValueState<Text>,
    logs: ValueState<Json<Vec<u64>>>,
}

#[operator]
impl KeyedOperator for Script {
    type Key = Bytes;
    type Value = Postcard<Change>;
    type Output = Output<Bytes, Text>;

    fn open(setup: &mut Setup) -> Result<Self> {
        let (numbers, names) = (setup.value_state("numbers"), setup.value_state("names"));
        Ok(Script { numbers, names, logs: setup.value_state("logs") })
    }

    fn process(
        &mut self,
        record: Record<'_, Bytes, Postcard<Change>>,
        _: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()> {
        match record.value {
            Change::Set(number) => self.numbers.set(*number),
            Change::Add(number) => {
                self.numbers.update(|held| *held = held.wrapping_add(*number));
                self.logs.update(|log| log.push(*number));
            }
            Change::ClearNumber => self.numbers.clear(),
            Change::Name(name) => self.names.set(name.clone()),
            Change::Append(name) => self.names.update(|held| held.push_str(name)),
            Change::ClearName => self.names.clear(),
            Change::Read => {}
        }
        out.emit(record.key, &shown(self.numbers.get(), self.names.get(), self.logs.get()));
        Ok(())
    }
}

fn shown(number: Option<u64>, name: Option<&str>, log: Option<&Vec<u64>>) -> String {
    format!("{number:?} {name:?} {log:?}")
}

/// What a key should hold.
#[derive(Debug, Default, Clone)]
struct Held {
    number: Option<u64>,
    name: Option<String>,
    log: Option<Vec<u64>>,
}

type Model = BTreeMap<Vec<u8>, Held>;

fn apply(model: &mut Model, key: &[u8], change: &Change) -> String {
    let held = model.entry(key.to_vec()).or_default();
    match change {
        Change::Set(number) => held.number = Some(*number),
        Change::Add(number) => {
            held.number = Some(held.number.unwrap_or(0).wrapping_add(*number));
            held.log.get_or_insert_default().push(*number);
        }
        Change::ClearNumber => held.number = None,
        Change::Name(name) => held.name = Some(name.clone()),
        Change::Append(name) => held.name.get_or_insert_default().push_str(name),
        Change::ClearName => held.name = None,
        Change::Read => {}
    }
    shown(held.number, held.name.as_deref(), held.log.as_ref())
}

/// What the host should have of it.
fn stored(model: &Model) -> BTreeMap<(u32, Vec<u8>), Stored> {
    let values = model.iter().flat_map(|(key, held)| {
        let number = held.number.map(|number| number.to_le_bytes().to_vec());
        let name = held.name.clone().map(String::into_bytes);
        let log = held.log.as_ref().map(|log| format!("{log:?}").replace(' ', "").into_bytes());
        let values = [(0, number), (1, name), (2, log)];
        values.into_iter().filter_map(|(state, value)| Some(((state, key.clone()), Stored::Value(value?, i64::MAX))))
    });
    values.collect()
}

#[derive(Debug, Clone)]
enum Step {
    Batch(Vec<(u8, Change)>),
    /// Cuts state, unless a cut is under way.
    Cut,
    /// Hands over so many bytes of what was cut.
    HandOver(u32),
    /// Starts again from the last snapshot.
    Crash,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<u64>().prop_map(Change::Set),
        any::<u64>().prop_map(Change::Add),
        Just(Change::ClearNumber),
        "[a-zä]{0,40}".prop_map(Change::Name),
        "[a-z]{0,4}".prop_map(Change::Append),
        Just(Change::ClearName),
        Just(Change::Read),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => proptest::collection::vec((0..40u8, change()), 1..30).prop_map(Step::Batch),
        2 => Just(Step::Cut),
        3 => (1..400u32).prop_map(Step::HandOver),
        1 => Just(Step::Crash),
    ]
}

/// Keys of 0 to 39 bytes.
fn key(number: u8) -> Vec<u8> {
    (0..number).map(|i| i.wrapping_mul(37) ^ number).collect()
}

/// A bound under which everything, something, or nothing is evicted.
fn bound() -> impl Strategy<Value = u64> {
    prop_oneof![Just(1), Just(1_500), Just(4_000), Just(64 << 20)]
}

proptest! {
    #[test]
    fn the_cache_holds_what_a_map_would(steps in proptest::collection::vec(step(), 1..40), bound in bound()) {
        let mut harness = Harness::<Script>::open_with("{}", |context| context.state_cache_bytes = bound).unwrap();
        let mut model = Model::new();
        // What the model held at the cut that is under way, and the last snapshot with what the model held then.
        let mut cut: Option<Model> = None;
        let mut last = None;
        for step in steps {
            match step {
                Step::Batch(changes) => {
                    let mut batch = Batch::default();
                    let mut expected = Vec::new();
                    for (number, change) in &changes {
                        let mut value = Vec::new();
                        <Postcard<Change> as wasmill_sdk::Codec>::encode(change, &mut value).unwrap();
                        batch.push(0, Some(&key(*number)), Some(&value));
                        expected.push((key(*number), apply(&mut model, &key(*number), change), Some(0)));
                    }
                    harness.process(0, batch).unwrap();
                    prop_assert_eq!(harness.output(), expected);
                }
                Step::Cut if cut.is_none() => {
                    harness.cut().unwrap();
                    cut = Some(model.clone());
                }
                Step::Cut => {}
                Step::HandOver(max_bytes) => {
                    if let (Some(snapshot), Some(model)) = (harness.step(max_bytes).unwrap(), cut.clone()) {
                        cut = None;
                        prop_assert_eq!(&snapshot.state, &stored(&model));
                        last = Some((snapshot, model));
                    }
                }
                Step::Crash => {
                    if let Some((snapshot, then)) = &last {
                        harness = Harness::restore("{}", snapshot, |context| context.state_cache_bytes = bound).unwrap();
                        model = then.clone();
                        cut = None;
                    }
                }
            }
        }
    }
}

#[test]
fn keys_are_fetched_in_one_read_a_state_and_batch() {
    let mut harness = Harness::<Script>::open("{}").unwrap();
    let mut batch = Batch::default();
    let read = [6];
    (0..40).for_each(|number| batch.push(0, Some(&key(number)), Some(&read)));
    harness.process(0, batch.clone()).unwrap();
    // Nothing can be in the host: state is new and was never dropped.
    assert_eq!(harness.memory().reads(), 0);

    let snapshot = harness.snapshot().unwrap();
    let mut harness = Harness::<Script>::restore("{}", &snapshot, |_| ()).unwrap();
    harness.process(0, batch.clone()).unwrap();
    assert_eq!(harness.memory().reads(), 3);
    harness.process(0, batch).unwrap();
    assert_eq!(harness.memory().reads(), 3);
}

#[test]
fn steps_are_bounded() {
    let mut harness = Harness::<Script>::open("{}").unwrap();
    for number in 0..1_000u64 {
        harness.push(&number.to_le_bytes(), &Change::Set(number), 0).unwrap();
    }
    harness.cut().unwrap();
    // An entry is 8 bytes of key, 8 of value and 9 beside: 10 of them make 250.
    let steps = (1..).find(|_| harness.step(250).unwrap().is_some());
    assert_eq!(steps, Some(100));
}

#[test]
fn state_without_a_key_is_a_panic_that_says_so() {
    let opened = std::panic::catch_unwind(|| {
        #[derive(States)]
        struct Early(ValueState<u64>);
        #[operator]
        impl KeyedOperator for Early {
            type Key = Bytes;
            type Value = ();
            type Output = Output<Bytes, ()>;
            fn open(setup: &mut Setup) -> Result<Self> {
                let state: ValueState<u64> = setup.value_state("early");
                state.get();
                Ok(Early(state))
            }
            fn process(&mut self, _: Record<'_, Bytes, ()>, _: &mut KeyedCall<'_>, _: &mut Self::Output) -> Result<()> {
                Ok(())
            }
        }
        Harness::<Early>::open("{}").is_ok()
    });
    let message = *opened.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("state `early` belongs to a key"), "{message}");
}
