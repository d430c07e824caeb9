//! Lists, maps and reduced values against a model: random operations, time to live, evictions, write-through, snapshots in
//! steps, and restores.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use wasmill_sdk::{
    Codec,
    prelude::*,
    testing::{Harness, Snapshot, Stored},
};

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Change {
    Append(String),
    ClearList,
    SetList(Vec<String>),
    ReadList,
    Put(i16, String),
    Remove(i16),
    ClearMap,
    ReadMap(i16),
    /// From a map key, pages of so many bytes.
    Scan(i16, u32),
    Add(i64),
    ClearSum,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Life {
    Endless,
    Event(u64),
    Processing(u64),
}

#[derive(Debug, Serialize, Deserialize)]
struct Config {
    life: Life,
}

/// Does to its state what each record says, and emits what it reads.
#[derive(States)]
struct Script {
    list: ListState<Text>,
    map: MapState<i16, Text>,
    sum: ReducingState<i64>,
}

#[operator]
impl KeyedOperator for Script {
    type Key = Bytes;
    type Value = Postcard<Change>;
    type Output = Output<(), Text>;

    fn open(setup: &mut Setup) -> Result<Self> {
        let ttl = match setup.config::<Config>()?.life {
            Life::Endless => None,
            Life::Event(life) => Some(Ttl::event_time(Duration::from_millis(life))),
            Life::Processing(life) => Some(Ttl::processing_time(Duration::from_millis(life))),
        };
        macro_rules! declare {
            ($name:literal) => {
                match ttl {
                    Some(ttl) => setup.state($name).ttl(ttl),
                    None => setup.state($name),
                }
            };
        }
        let (list, map) = (declare!("list").list(), declare!("map").map());
        Ok(Script { list, map, sum: declare!("sum").reducing(|sum, value| *sum += value) })
    }

    fn process(
        &mut self,
        record: Record<'_, Bytes, Postcard<Change>>,
        call: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()> {
        match record.value {
            Change::Append(element) => self.list.append(element)?,
            Change::ClearList => self.list.clear(),
            Change::SetList(elements) => self.list.set(elements.iter().map(String::as_str))?,
            Change::ReadList => {
                let list: Vec<&str> = self.list.get(call)?.collect::<Result<_>>()?;
                out.emit((), &format!("{list:?}"));
            }
            Change::Put(map_key, value) => self.map.put(*map_key, value.clone()),
            Change::Remove(map_key) => self.map.remove(*map_key),
            Change::ClearMap => self.map.clear(),
            Change::ReadMap(map_key) => out.emit((), &format!("{:?}", self.map.get(call, *map_key)?)),
            Change::Scan(from, max_bytes) => {
                let (mut entries, mut next) = (Vec::new(), Some(Cursor::at::<i16>(*from)));
                while let Some(cursor) = next {
                    let page = self.map.scan(call, &cursor, *max_bytes)?;
                    for entry in page.iter() {
                        let (map_key, value) = entry?;
                        entries.push((map_key, value.to_string()));
                    }
                    next = page.next();
                    assert!(next.is_none() || !page.is_empty(), "an empty page before the last");
                }
                out.emit((), &format!("{entries:?}"));
            }
            Change::Add(value) => {
                self.sum.add(*value);
                out.emit((), &format!("{:?}", self.sum.get()));
            }
            Change::ClearSum => self.sum.clear(),
        }
        Ok(())
    }
}

/// What a key should hold; with each value when it expires.
#[derive(Debug, Default, Clone)]
struct Held {
    list: Vec<(String, i64)>,
    map: BTreeMap<i16, (String, i64)>,
    sum: Option<(i64, i64)>,
}

impl Held {
    fn expire(&mut self, now: i64) {
        self.list.retain(|(_, expires)| *expires > now);
        self.map.retain(|_, (_, expires)| *expires > now);
        self.sum = self.sum.filter(|(_, expires)| *expires > now);
    }

    /// Does a change at `now` with what is written expiring at `expires`; what it should emit.
    fn apply(&mut self, change: &Change, now: i64, expires: i64) -> Option<String> {
        self.expire(now);
        match change {
            Change::Append(element) => self.list.push((element.clone(), expires)),
            Change::ClearList => self.list.clear(),
            Change::SetList(elements) => {
                self.list = elements.iter().map(|element| (element.clone(), expires)).collect();
            }
            Change::ReadList => {
                let list: Vec<&String> = self.list.iter().map(|(element, _)| element).collect();
                return Some(format!("{list:?}"));
            }
            Change::Put(map_key, value) => drop(self.map.insert(*map_key, (value.clone(), expires))),
            Change::Remove(map_key) => drop(self.map.remove(map_key)),
            Change::ClearMap => self.map.clear(),
            Change::ReadMap(map_key) => return Some(format!("{:?}", self.map.get(map_key).map(|(value, _)| value))),
            Change::Scan(from, _) => {
                let entries: Vec<_> = self.map.range(from..).map(|(map_key, (value, _))| (map_key, value)).collect();
                return Some(format!("{entries:?}"));
            }
            Change::Add(value) => {
                let sum = self.sum.map_or(0, |(sum, _)| sum) + value;
                self.sum = Some((sum, expires));
                return Some(format!("{:?}", Some(sum)));
            }
            Change::ClearSum => self.sum = None,
        }
        None
    }
}

type Model = BTreeMap<Vec<u8>, Held>;

/// What the host should have of a model at `now`.
fn expected(model: &Model, now: i64) -> BTreeMap<(u32, Vec<u8>), Stored> {
    let mut content = BTreeMap::new();
    for (key, held) in model {
        let mut held = held.clone();
        held.expire(now);
        if !held.list.is_empty() {
            let list = held.list.into_iter().map(|(element, expires)| (element.into_bytes(), expires)).collect();
            content.insert((0, key.clone()), Stored::List(list));
        }
        if !held.map.is_empty() {
            let entry = |(map_key, (value, expires)): (i16, (String, i64))| {
                ((map_key ^ i16::MIN).to_be_bytes().to_vec(), (value.into_bytes(), expires))
            };
            content.insert((1, key.clone()), Stored::Map(held.map.into_iter().map(entry).collect()));
        }
        if let Some((sum, expires)) = held.sum {
            content.insert((2, key.clone()), Stored::Value(sum.to_le_bytes().to_vec(), expires));
        }
    }
    content
}

/// What of a snapshot has not expired at `now`.
fn live(snapshot: &Snapshot, now: i64) -> BTreeMap<(u32, Vec<u8>), Stored> {
    let live = |stored: &Stored| {
        Some(match stored.clone() {
            Stored::Value(_, expires) if expires <= now => return None,
            Stored::Value(value, expires) => Stored::Value(value, expires),
            Stored::List(mut list) => {
                list.retain(|(_, expires)| *expires > now);
                if list.is_empty() {
                    return None;
                }
                Stored::List(list)
            }
            Stored::Map(mut map) => {
                map.retain(|_, (_, expires)| *expires > now);
                if map.is_empty() {
                    return None;
                }
                Stored::Map(map)
            }
        })
    };
    snapshot.state.iter().filter_map(|(at, stored)| Some((at.clone(), live(stored)?))).collect()
}

#[derive(Debug, Clone)]
enum Step {
    /// Keys, event times and changes.
    Batch(Vec<(u8, i64, Change)>),
    /// Moves both times on.
    Wait(i64),
    Cut,
    HandOver(u32),
    Crash,
}

fn change() -> impl Strategy<Value = Change> {
    let map_key = || -4..5i16;
    prop_oneof![
        4 => "[a-z]{0,6}".prop_map(Change::Append),
        1 => Just(Change::ClearList),
        1 => proptest::collection::vec("[a-z]{0,3}", 0..4).prop_map(Change::SetList),
        2 => Just(Change::ReadList),
        5 => (map_key(), "[a-z]{0,6}").prop_map(|(map_key, value)| Change::Put(map_key, value)),
        2 => map_key().prop_map(Change::Remove),
        1 => Just(Change::ClearMap),
        2 => map_key().prop_map(Change::ReadMap),
        2 => (map_key(), 1..40u32).prop_map(|(from, max_bytes)| Change::Scan(from, max_bytes)),
        2 => (-9..9i64).prop_map(Change::Add),
        1 => Just(Change::ClearSum),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => proptest::collection::vec((0..6u8, 0..50i64, change()), 1..20).prop_map(Step::Batch),
        2 => (0..30i64).prop_map(Step::Wait),
        2 => Just(Step::Cut),
        4 => (1..200u32).prop_map(Step::HandOver),
        1 => Just(Step::Crash),
    ]
}

fn life() -> impl Strategy<Value = Life> {
    prop_oneof![Just(Life::Endless), (1..60u64).prop_map(Life::Event), (1..60u64).prop_map(Life::Processing)]
}

proptest! {
    #[test]
    fn every_kind_of_state_holds_what_its_model_does(
        steps in proptest::collection::vec(step(), 1..40),
        bound in prop_oneof![Just(1), Just(1_200), Just(3_000), Just(64 << 20)],
        life in life(),
        write_through in any::<bool>(),
    ) {
        let config = serde_json::to_string(&Config { life }).unwrap();
        let change_context = |context: &mut wasmill_sdk::Context| {
            (context.state_cache_bytes, context.write_through) = (bound, write_through);
        };
        let mut harness = Harness::<Script>::open_with(&config, change_context).unwrap();
        let (mut model, mut now) = (Model::new(), 0);
        harness.watermark(now).unwrap();
        let mut cut: Option<(Model, i64)> = None;
        let mut last: Option<(Snapshot, Model, i64)> = None;
        for step in steps {
            match step {
                Step::Batch(changes) => {
                    let (mut batch, mut emitted) = (Batch::default(), Vec::new());
                    for (key, late, change) in &changes {
                        let (time, mut value) = (now + late - 20, Vec::new());
                        <Postcard<Change> as Codec>::encode(change, &mut value).unwrap();
                        batch.push(time, Some(&[*key]), Some(&value));
                        let expires = match life {
                            Life::Endless => i64::MAX,
                            Life::Event(life) => now.max(time) + life as i64,
                            Life::Processing(life) => now + life as i64,
                        };
                        emitted.extend(model.entry(vec![*key]).or_default().apply(change, now, expires));
                    }
                    harness.process(0, batch).unwrap();
                    let output: Vec<String> = harness.output().into_iter().map(|((), read, _)| read).collect();
                    prop_assert_eq!(output, emitted);
                    if write_through {
                        prop_assert_eq!(harness.memory().stored(), expected(&model, now));
                    }
                }
                Step::Wait(time) => {
                    now += time;
                    harness.watermark(now).unwrap();
                    harness.processing_time(now).unwrap();
                }
                Step::Cut if cut.is_none() => {
                    harness.cut().unwrap();
                    cut = Some((model.clone(), now));
                }
                Step::Cut => {}
                Step::HandOver(max_bytes) => {
                    if let Some((then, at)) = &cut
                        && let Some(snapshot) = harness.step(max_bytes).unwrap()
                    {
                        prop_assert_eq!(live(&snapshot, now), expected(then, now), "cut at {}", at);
                        last = Some((snapshot, then.clone(), now));
                        cut = None;
                    }
                }
                Step::Crash => {
                    if let Some((snapshot, then, at)) = &last {
                        harness = Harness::restore(&config, snapshot, change_context).unwrap();
                        (model, now, cut) = (then.clone(), *at, None);
                        harness.watermark(now).unwrap();
                        harness.processing_time(now).unwrap();
                    }
                }
            }
        }
    }
}
