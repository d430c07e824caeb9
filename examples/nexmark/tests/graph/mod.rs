//! Runs the graph of a job file natively: every operator at a parallelism, rows cut into batches and channels interleaved by
//! a seed. Event time moves as the source `nexmark` moves it: by the highest time so far, less what events are out of order.

pub(crate) mod events;

use std::{collections::BTreeMap, path::Path};

use nexmark_queries::Operators;
use serde_json::{Map, Value};
use wasmill_sdk::{Batch, Instance, testing::Harness};

use events::{Event, START};

/// How a graph is run. Results must not depend on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) parallelism: usize,
    pub(crate) batch_rows: usize,
    /// How far events may be out of order, milliseconds.
    pub(crate) disorder: i64,
    pub(crate) seed: u64,
    /// Whether operators go on from snapshots now and then.
    pub(crate) crashes: bool,
}

/// What a channel between two subtasks carries.
#[derive(Debug, Clone)]
enum Element {
    Rows(u32, Batch),
    Watermark(i64),
}

/// What each subtask of a node gave, in order.
type Streams = Vec<Vec<Element>>;

struct Node {
    config: String,
    /// Node, number of its output, number of the input here, and whether every subtask gets all.
    inputs: Vec<(String, u32, u32, bool)>,
    keyed: Vec<bool>,
}

/// Numbers that look random, by the generator `splitmix64`.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// The rows that the query `name` writes for `events`, with further rows of other sources; sorted.
pub(crate) fn run(name: &str, events: &[Event], side: &[Value], plan: Plan) -> Vec<Value> {
    run_with(name, |_| (), events, side, plan)
}

/// The same, with a job file that is changed first.
pub(crate) fn run_with(
    name: &str,
    change: impl Fn(&mut Value),
    events: &[Event],
    side: &[Value],
    plan: Plan,
) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("jobs/{name}.toml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut job: Value = toml_edit::de::from_str(&text).unwrap();
    change(&mut job);
    let mut dice = Dice(plan.seed);
    let mut streams: BTreeMap<String, Streams> = BTreeMap::new();
    for (id, source) in job["source"].as_object().unwrap() {
        let is_nexmark = source["connector"] == "nexmark";
        let given = if is_nexmark { source_of_events(events, plan, &mut dice) } else { source_of_side(side, plan) };
        streams.insert(id.clone(), given);
    }
    let operators = job["operator"].as_object().unwrap();
    while let Some((id, table)) = operators.iter().find(|(id, table)| {
        !streams.contains_key(*id) && inputs(table).iter().all(|input| streams.contains_key(node_of(input)))
    }) {
        let node = node(table, operators);
        let given = node.run(&streams, plan, &mut dice);
        streams.insert(id.clone(), given);
    }
    let sink = job["sink"].as_object().unwrap().values().next().unwrap();
    let last = &streams[sink["input"].as_str().unwrap()];
    let mut rows = Vec::new();
    for element in last.iter().flatten() {
        if let Element::Rows(0, batch) = element {
            rows.extend((0..batch.rows()).map(|row| serde_json::from_slice(batch.value(row).unwrap()).unwrap()));
        }
    }
    rows.sort_by_key(Value::to_string);
    rows
}

/// The tables of `input`, each with `from`.
fn inputs(table: &Value) -> Vec<Map<String, Value>> {
    let all = match &table["input"] {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    };
    let table = |input: Value| match input {
        Value::Object(table) => table,
        name => Map::from_iter([("from".to_string(), name)]),
    };
    all.into_iter().map(table).collect()
}

fn node_of(input: &Map<String, Value>) -> &str {
    input["from"].as_str().unwrap().split('.').next().unwrap()
}

fn described(config: &str) -> wasmill_sdk::native::description::Description {
    Instance::<Operators, wasmill_sdk::testing::Memory>::describe(config).unwrap()
}

fn node(table: &Value, operators: &Map<String, Value>) -> Node {
    let config = table["config"].to_string();
    let description = described(&config);
    let input_of = |input: Map<String, Value>| {
        let (from, output) = match input["from"].as_str().unwrap().split_once('.') {
            None => (input["from"].as_str().unwrap(), 0),
            Some((from, name)) => {
                let outputs = described(&operators[from]["config"].to_string()).outputs;
                (from, outputs.iter().position(|output| output.name == name).unwrap() as u32)
            }
        };
        let at = input
            .get("as")
            .map_or(0, |name| description.inputs.iter().position(|input| *name == input.name).unwrap() as u32);
        let broadcast = input.get("exchange").is_some_and(|exchange| exchange == "broadcast");
        (from.to_string(), output, at, broadcast)
    };
    let inputs = inputs(table).into_iter().map(input_of).collect();
    Node { config, inputs, keyed: description.inputs.iter().map(|input| input.keyed).collect() }
}

/// Events in turn to each subtask, its batches each followed by its watermark.
fn source_of_events(events: &[Event], plan: Plan, dice: &mut Dice) -> Streams {
    let mut streams = vec![Vec::new(); plan.parallelism];
    for (subtask, stream) in streams.iter_mut().enumerate() {
        let own: Vec<&Event> = events.iter().skip(subtask).step_by(plan.parallelism).collect();
        let (mut rest, mut highest) = (&own[..], i64::MIN);
        while !rest.is_empty() {
            let (taken, after) = rest.split_at(rest.len().min(1 + dice.below(plan.batch_rows)));
            let mut batch = Batch::default();
            for event in taken {
                batch.push(event.time(), None, Some(&event.encoded()));
                highest = highest.max(event.time());
            }
            stream.extend([Element::Rows(0, batch), Element::Watermark(highest - plan.disorder - 1)]);
            rest = after;
        }
        stream.push(Element::Watermark(i64::MAX));
    }
    streams
}

/// Rows of JSON, all in the first subtask, without event time.
fn source_of_side(side: &[Value], plan: Plan) -> Streams {
    let mut streams = vec![vec![Element::Watermark(i64::MAX)]; plan.parallelism];
    let mut batch = Batch::default();
    side.iter().for_each(|row| batch.push(i64::MIN, None, Some(row.to_string().as_bytes())));
    streams[0].insert(0, Element::Rows(0, batch));
    streams
}

impl Node {
    fn run(&self, streams: &BTreeMap<String, Streams>, plan: Plan, dice: &mut Dice) -> Streams {
        (0..plan.parallelism).map(|subtask| self.run_subtask(subtask, streams, plan, dice)).collect()
    }

    fn run_subtask(
        &self,
        subtask: usize,
        streams: &BTreeMap<String, Streams>,
        plan: Plan,
        dice: &mut Dice,
    ) -> Vec<Element> {
        let mut harness = Harness::<Operators>::open(&self.config).unwrap();
        let mut channels: Vec<(u32, Vec<Element>)> = Vec::new();
        for (from, output, at, broadcast) in &self.inputs {
            let keyed = self.keyed[*at as usize];
            let senders = streams[from].iter().enumerate();
            // Without keys rows go forward, to the subtask of the same index.
            let senders = senders.filter(|(index, _)| keyed || *broadcast || *index == subtask);
            for (_, sender) in senders {
                let mine = |element: &Element| match element {
                    Element::Rows(of, batch) if of == output => {
                        let rows = if keyed { share(batch, subtask, plan.parallelism) } else { batch.clone() };
                        (rows.rows() > 0).then_some(Element::Rows(*at, rows))
                    }
                    Element::Rows(..) => None,
                    watermark => Some(watermark.clone()),
                };
                channels.push((*at, sender.iter().filter_map(mine).rev().collect()));
            }
        }
        let mut watermarks = vec![i64::MIN; channels.len()];
        let mut lowest = i64::MIN;
        let (mut given, mut now) = (Vec::new(), START);
        while channels.iter().any(|(_, left)| !left.is_empty()) {
            let open: Vec<usize> = (0..channels.len()).filter(|&at| !channels[at].1.is_empty()).collect();
            let channel = open[dice.below(open.len())];
            // A crash right after a checkpoint: a fresh instance goes on with what the last one wrote down.
            if plan.crashes && dice.below(8) == 0 {
                let snapshot = harness.snapshot().unwrap();
                harness = Harness::restore(&self.config, &snapshot, |_| ()).unwrap();
                harness.watermark(lowest).unwrap();
                take(&mut harness, &mut given);
            }
            match channels[channel].1.pop().unwrap() {
                Element::Rows(input, batch) => {
                    now += dice.below(1_000) as i64;
                    harness.processing_time(now).unwrap();
                    harness.process(input, batch).unwrap();
                    take(&mut harness, &mut given);
                }
                Element::Watermark(watermark) => {
                    watermarks[channel] = watermark;
                    lowest = *watermarks.iter().min().unwrap();
                    harness.watermark(lowest).unwrap();
                    take(&mut harness, &mut given);
                    given.push(Element::Watermark(lowest));
                }
            }
        }
        harness.finish().unwrap();
        // As at the end of a job, whose processing-time timers fire.
        harness.processing_time(now + 86_400_000).unwrap();
        let end = given.pop();
        take(&mut harness, &mut given);
        given.extend(end);
        given
    }
}

fn take(harness: &mut Harness<Operators>, given: &mut Vec<Element>) {
    given.extend(harness.batches().into_iter().map(|(output, batch)| Element::Rows(output, batch)));
}

/// The rows whose keys belong to `subtask`.
fn share(batch: &Batch, subtask: usize, parallelism: usize) -> Batch {
    let mut share = Batch::default();
    for row in 0..batch.rows() {
        let key = batch.key(row).expect("it has a key");
        let hash = key.iter().fold(0usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        if hash % parallelism == subtask {
            share.push(batch.timestamp(row).unwrap_or(i64::MIN), Some(key), batch.value(row));
        }
    }
    share
}
