//! State, case by case: what is owed to a cut, what expires, what is dropped from the cache, broadcast state, migrations.

use std::{collections::BTreeMap, time::Duration};

use wasmill_sdk::{
    Migration, Operator,
    native::{Instance, description},
    prelude::*,
    testing::{Harness, Memory, Stored},
};

fn describe<O: Operator>() -> Result<description::Description, String> {
    Instance::<O, Memory>::describe("{}")
}

/// Obeys commands: `put 1 a`, `get 1`, `clear`.
#[derive(States)]
struct Maps {
    map: MapState<i16, Text>,
}

#[operator]
impl KeyedOperator for Maps {
    type Key = Text;
    type Value = Text;
    type Output = Output<(), Text>;

    fn open(setup: &mut Setup) -> Result<Self> {
        let ttl = Ttl::processing_time(Duration::from_millis(10));
        Ok(Maps { map: setup.state("map").ttl(ttl).map() })
    }

    fn process(
        &mut self,
        record: Record<'_, Text, Text>,
        call: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()> {
        match record.value.split(' ').collect::<Vec<_>>()[..] {
            ["put", map_key, value] => self.map.put(map_key.parse()?, value.to_string()),
            ["get", map_key] => out.emit((), self.map.get(call, map_key.parse()?)?.unwrap_or("nothing")),
            ["clear"] => self.map.clear(),
            ["remove", map_key] => self.map.remove(map_key.parse()?),
            _ => return Err(Error::record("no command")),
        }
        Ok(())
    }
}

fn outputs(harness: &mut Harness<Maps>, commands: &[(&str, &str)]) -> Vec<String> {
    commands.iter().for_each(|(key, command)| harness.push(key, command, 0).unwrap());
    harness.output().into_iter().map(|((), text, _)| text).collect()
}

#[test]
fn a_map_that_was_cleared_before_the_cut_is_owed_its_clearing_first() {
    let mut harness = Harness::<Maps>::open("{}").unwrap();
    outputs(&mut harness, &[("a", "put 1 old"), ("b", "put 1 x"), ("a", "put 2 old")]);
    let snapshot = harness.snapshot().unwrap();
    let mut harness = Harness::<Maps>::restore("{}", &snapshot, |_| ()).unwrap();
    outputs(&mut harness, &[("a", "clear"), ("a", "put 1 new")]);
    harness.cut().unwrap();
    // The entry changes again, and a read of another map makes what is kept of it go to the host first.
    assert_eq!(outputs(&mut harness, &[("a", "put 1 newer"), ("b", "get 1"), ("a", "get 2")]), ["x", "nothing"]);
    let snapshot = harness.step(1 << 20).unwrap().unwrap();
    let map_key = |number: i16| (number ^ i16::MIN).to_be_bytes().to_vec();
    let a = Stored::Map(BTreeMap::from([(map_key(1), (b"new".to_vec(), 10))]));
    assert_eq!(snapshot.state[&(0, b"a".to_vec())], a);
}

#[test]
fn an_entry_that_the_host_gave_expires_in_the_cache_too() {
    let mut harness = Harness::<Maps>::open("{}").unwrap();
    outputs(&mut harness, &[("a", "put 1 x")]);
    let snapshot = harness.snapshot().unwrap();
    let mut harness = Harness::<Maps>::restore("{}", &snapshot, |_| ()).unwrap();
    harness.processing_time(9).unwrap();
    assert_eq!(outputs(&mut harness, &[("a", "get 1"), ("a", "put 2 y")]), ["x"]);
    harness.processing_time(10).unwrap();
    assert_eq!(outputs(&mut harness, &[("a", "get 1"), ("a", "get 2")]), ["nothing", "y"]);
    harness.processing_time(19).unwrap();
    assert_eq!(outputs(&mut harness, &[("a", "get 2")]), ["nothing"]);
}

#[test]
fn a_small_map_is_read_once() {
    let mut harness = Harness::<Maps>::open("{}").unwrap();
    let puts: Vec<String> = (0..20).map(|number| format!("put {number} x")).collect();
    puts.iter().for_each(|put| harness.push("a", put, 0).unwrap());
    assert_eq!(harness.memory().reads(), 0);
    let snapshot = harness.snapshot().unwrap();
    let mut harness = Harness::<Maps>::restore("{}", &snapshot, |_| ()).unwrap();
    assert_eq!(outputs(&mut harness, &[("a", "get 3"), ("a", "get 19"), ("a", "get 20")]), ["x", "x", "nothing"]);
    assert_eq!(harness.memory().reads(), 1);
}

/// A map whose entries come and go between two checkpoints leaves nothing behind; one that the host knows leaves its removal.
#[test]
fn entries_that_come_and_go_are_not_handed_over() {
    let mut harness = Harness::<Maps>::open("{}").unwrap();
    for number in 0..100 {
        harness.push("a", &format!("put {number} x"), 0).unwrap();
        harness.push("a", &format!("remove {number}"), 0).unwrap();
    }
    harness.push("a", "remove 7", 0).unwrap();
    harness.snapshot().unwrap();
    assert_eq!(harness.memory().writes(), 0);
    harness.push("a", "put 7 x", 0).unwrap();
    harness.snapshot().unwrap();
    assert_eq!(harness.memory().writes(), 1);
    harness.push("a", "put 7 y", 0).unwrap();
    harness.push("a", "remove 7", 0).unwrap();
    harness.snapshot().unwrap();
    assert_eq!(harness.memory().writes(), 2);
    assert!(harness.memory().stored().is_empty());
}

/// Counts records, and keeps the keys' lists.
#[derive(States)]
struct Counts {
    counts: ValueState<u64>,
    list: ListState<u64>,
}

#[operator]
impl KeyedOperator for Counts {
    type Key = u64;
    type Value = ();
    type Output = Output<u64, u64>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        let counts = setup.state("counts").schema_version(3).value();
        Ok(Counts { counts, list: setup.state("list").ttl(Ttl::event_time(Duration::from_secs(60))).list() })
    }

    fn process(&mut self, record: Record<'_, u64, ()>, call: &mut KeyedCall<'_>, _: &mut Self::Output) -> Result<()> {
        let count = self.counts.update(|count| {
            *count += 1;
            *count
        });
        self.list.append(count)?;
        call.register_event_timer(record.timestamp().unwrap_or(0) + 10, 0);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, u64>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        let elements = self.list.get(call)?;
        assert_eq!(elements.len(), elements.count());
        out.emit(timer.key(), self.counts.get().unwrap_or(0));
        Ok(())
    }

    fn migrate(migration: &mut Migration) -> Result<()> {
        match (migration.state(), migration.from_version()) {
            (0, 2) => migration.values::<Text, u64>(|count| Ok(count.parse()?)),
            (1, 1) => migration.elements::<Text, u64>(|element| Ok(element.len() as u64)),
            _ => migration.refuse(),
        }
    }
}

fn keys(keys: impl Iterator<Item = u64>) -> Batch {
    let mut batch = Batch::default();
    keys.for_each(|key| batch.push(0, Some(&key.to_le_bytes()), None));
    batch
}

#[test]
fn states_are_declared_with_version_and_time_to_live() {
    let described = describe::<Counts>().unwrap();
    let [counts, list] = &described.states[..] else { panic!("two states") };
    assert_eq!((counts.schema_version, counts.kind, counts.ttl), (3, description::StateKind::Value, None));
    let ttl = description::TimeToLive { milliseconds: 60_000, domain: TimeDomain::EventTime };
    assert_eq!((list.schema_version, list.kind, list.ttl), (1, description::StateKind::List, Some(ttl)));
    let described = describe::<Maps>().unwrap();
    assert_eq!(
        (described.states[0].map_key.name.as_str(), described.states[0].map_key.schema.as_str()),
        ("ordered", "i16")
    );
}

#[test]
fn keys_in_use_stay_in_the_cache_and_others_make_room() {
    let bound = 100_000;
    let mut harness = Harness::<Counts>::open_with("{}", |context| context.state_cache_bytes = bound).unwrap();
    let hot = || 0..50u64;
    for round in 0..100 {
        harness.process(0, keys(hot().chain(1_000 + round * 50..1_050 + round * 50))).unwrap();
    }
    // What of the hot keys was dropped is read again: one read a state and batch at most, and none where all are there.
    let before = harness.memory().reads();
    harness.process(0, keys(hot())).unwrap();
    assert_eq!(harness.memory().reads(), before);
    // A batch brings 50 new keys; about as many are written out for it, not the whole cache.
    let before = harness.memory().writes();
    harness.process(0, keys(hot().chain(9_000..9_050))).unwrap();
    let written = harness.memory().writes() - before;
    assert!((1..400).contains(&written), "{written} writes");
}

#[test]
fn lists_of_a_batch_are_fetched_in_one_read() {
    let mut harness = Harness::<Counts>::open("{}").unwrap();
    harness.process(0, keys(0..100)).unwrap();
    let snapshot = harness.snapshot().unwrap();
    let mut harness = Harness::<Counts>::restore("{}", &snapshot, |_| ()).unwrap();
    harness.process(0, keys(100..101)).unwrap();
    let before = harness.memory().reads();
    harness.watermark(10).unwrap();
    // The values in one read; the lists one by one, since none was read before.
    let first = harness.memory().reads() - before;
    assert_eq!(first, 101 + 1);
    let snapshot = harness.snapshot().unwrap();
    let mut harness = Harness::<Counts>::restore("{}", &snapshot, |_| ()).unwrap();
    harness.process(0, keys(0..1)).unwrap();
    harness.watermark(10).unwrap();
    // From then on they are read as values are. The timers are due at once.
    let before = harness.memory().reads();
    harness.process(0, keys(1..100)).unwrap();
    assert_eq!(harness.memory().reads() - before, 1 + 1);
}

#[test]
fn entries_of_an_older_version_are_rewritten() {
    let mut snapshot = Harness::<Counts>::open("{}").unwrap().snapshot().unwrap();
    let key = |number: u64| number.to_le_bytes().to_vec();
    snapshot.state.insert((0, key(1)), Stored::Value(b"41".to_vec(), i64::MAX));
    snapshot.state.insert((1, key(1)), Stored::List(vec![(b"abc".to_vec(), 70), (b"".to_vec(), 70)]));
    let migrated = snapshot.migrate::<Counts>(0, 2).unwrap().migrate::<Counts>(1, 1).unwrap();
    assert_eq!(migrated.state[&(0, key(1))], Stored::Value(41u64.to_le_bytes().to_vec(), i64::MAX));
    let list = [3u64, 0].map(|length| (length.to_le_bytes().to_vec(), 70));
    assert_eq!(migrated.state[&(1, key(1))], Stored::List(list.to_vec()));

    let error = snapshot.migrate::<Counts>(0, 1).unwrap_err();
    assert!(
        error.to_string().starts_with("this operator cannot migrate state number 0 from schema version 1"),
        "{error}"
    );
    let error = snapshot.migrate::<Maps>(0, 1).unwrap_err();
    assert!(error.to_string().starts_with("this operator cannot migrate"), "{error}");
    snapshot.state.insert((0, key(1)), Stored::Value(b"many".to_vec(), i64::MAX));
    let error = snapshot.migrate::<Counts>(0, 2).unwrap_err();
    assert_eq!(
        error,
        Error::Job(r"state number 0, key \x01\x00\x00\x00\x00\x00\x00\x00: invalid digit found in string".to_string())
    );
}

/// Emits what the rules say of a word; the rule `!` removes all, `?` asks for state of a key where there is none.
#[derive(States)]
struct Rules {
    rules: BroadcastState<Text, Text>,
    seen: ValueState<u64>,
}

#[operator]
impl KeyedBroadcastOperator for Rules {
    type Key = Text;
    type Value = ();
    type BroadcastKey = Text;
    type BroadcastValue = Option<Text>;
    type Output = Output<Text, Text>;

    fn open(setup: &mut Setup) -> Result<Self> {
        Ok(Rules { rules: setup.broadcast_state("rules"), seen: setup.value_state("seen") })
    }

    fn process(&mut self, record: Record<'_, Text, ()>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        let seen = self.seen.update(|seen| {
            *seen += 1;
            *seen
        });
        out.emit(record.key, &format!("{:?} {seen}", self.rules.get(record.key)));
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        record: Record<'_, Text, Option<Text>>,
        call: &mut BroadcastCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()> {
        match (record.key, record.value) {
            ("!", _) => self.rules.clear(call),
            ("?", _) => drop(self.seen.get()),
            (key, Some(rule)) => self.rules.put(call, key, rule.to_string()),
            (key, None) => self.rules.remove(call, key),
        }
        let rules: Vec<(String, &str)> = self.rules.iter().collect::<Result<_>>()?;
        assert_eq!((self.rules.len(), self.rules.is_empty()), (rules.len(), rules.is_empty()));
        out.emit("rules", &format!("{rules:?}"));
        Ok(())
    }
}

fn texts(harness: &mut Harness<Rules>) -> Vec<String> {
    harness.output().into_iter().map(|(_, text, _)| text).collect()
}

#[test]
fn broadcast_state_is_changed_by_one_input_and_read_by_the_other() {
    let described = describe::<Rules>().unwrap();
    let inputs: Vec<_> = described.inputs.iter().map(|input| (input.name.as_str(), input.keyed)).collect();
    assert_eq!(inputs, [("in", true), ("broadcast", false)]);
    assert_eq!(described.states[0].scope, description::StateScope::Broadcast);

    let mut harness = Harness::<Rules>::open("{}").unwrap();
    harness.push_broadcast("b", Some("two"), 0).unwrap();
    harness.push_broadcast("a", Some("one"), 0).unwrap();
    harness.push("a", (), 0).unwrap();
    harness.push_broadcast("b", None, 0).unwrap();
    harness.push("b", (), 0).unwrap();
    let expected =
        [r#"[("b", "two")]"#, r#"[("a", "one"), ("b", "two")]"#, r#"Some("one") 1"#, r#"[("a", "one")]"#, "None 1"];
    assert_eq!(texts(&mut harness), expected);

    // It is in the snapshot of the cut, and a change after the cut is not.
    harness.cut().unwrap();
    harness.push_broadcast("!", None, 0).unwrap();
    harness.push_broadcast("c", Some("three"), 0).unwrap();
    let snapshot = harness.step(1 << 20).unwrap().unwrap();
    let rules = Stored::Map(BTreeMap::from([(b"a".to_vec(), (b"one".to_vec(), i64::MAX))]));
    assert_eq!(snapshot.state[&(0, b"".to_vec())], rules);
    let now = Stored::Map(BTreeMap::from([(b"c".to_vec(), (b"three".to_vec(), i64::MAX))]));
    assert_eq!(harness.memory().stored()[&(0, b"".to_vec())], now);

    let mut harness = Harness::<Rules>::restore("{}", &snapshot, |_| ()).unwrap();
    harness.push("a", (), 0).unwrap();
    assert_eq!(texts(&mut harness), [r#"Some("one") 2"#]);
}

#[test]
fn a_broadcast_record_has_no_key() {
    let failed = std::panic::catch_unwind(|| {
        let mut harness = Harness::<Rules>::open("{}").unwrap();
        harness.push("a", (), 0).unwrap();
        harness.push_broadcast("?", None, 0)
    });
    let message = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("state `seen` belongs to a key, and there is none here"), "{message}");
}

#[test]
fn declarations_that_cannot_be_are_refused() {
    #[derive(States)]
    struct Twice(ValueState<u64>, ValueState<u64>);
    #[operator]
    impl KeyedOperator for Twice {
        type Key = Text;
        type Value = ();
        type Output = Output<(), ()>;
        fn open(setup: &mut Setup) -> Result<Self> {
            Ok(Twice(setup.value_state("one"), setup.value_state("one")))
        }
        fn process(&mut self, _: Record<'_, Text, ()>, _: &mut KeyedCall<'_>, _: &mut Self::Output) -> Result<()> {
            Ok(())
        }
    }
    assert_eq!(describe::<Twice>().unwrap_err(), "two states are named `one`");

    #[derive(States)]
    struct Brief(BroadcastState<Text, u64>);
    #[operator]
    impl KeyedBroadcastOperator for Brief {
        type Key = Text;
        type Value = ();
        type BroadcastKey = ();
        type BroadcastValue = ();
        type Output = Output<(), ()>;
        fn open(setup: &mut Setup) -> Result<Self> {
            Ok(Brief(setup.state("brief").ttl(Ttl::event_time(Duration::from_secs(1))).broadcast()))
        }
        fn process(&mut self, _: Record<'_, Text, ()>, _: &mut KeyedCall<'_>, _: &mut Self::Output) -> Result<()> {
            Ok(())
        }
        fn process_broadcast(
            &mut self,
            _: Record<'_, (), ()>,
            _: &mut BroadcastCall<'_>,
            _: &mut Self::Output,
        ) -> Result<()> {
            Ok(())
        }
    }
    assert_eq!(describe::<Brief>().unwrap_err(), "state `brief` is broadcast: its entries cannot have a time to live");
}
