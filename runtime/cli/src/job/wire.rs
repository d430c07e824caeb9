//! Decides where each edge of a job file leads, and by which exchange.

use std::collections::HashMap;

use wasmill_connectors::file::FileSink;
use wasmill_core::{
    Description,
    graph::{Edge, Exchange, NodeId, Role},
    time::TimeDomain,
};

use super::{
    codecs,
    nodes::{DEAD_LETTER, Input},
    problem::Findings,
    read::Job,
    resolve::{Known, Output, name},
    suggest::{list, meant_or_list, quote},
    tree::At,
};

/// The edges of a job.
pub(super) struct Wired {
    pub(super) edges: Vec<Edge>,
    /// Where each edge stands.
    at: Vec<At>,
    /// Whether an edge of each node was refused.
    refused: Vec<bool>,
}

impl Wired {
    /// Wires what can be wired, and tells what cannot.
    pub(super) fn new(nodes: &[Known<'_>], findings: &mut Findings) -> Wired {
        let mut ids: HashMap<&str, NodeId> = HashMap::new();
        for (i, known) in nodes.iter().enumerate() {
            ids.entry(&known.place.id).or_insert(i);
        }
        let mut wired = Wired { edges: Vec::new(), at: Vec::new(), refused: vec![false; nodes.len()] };
        for (to, known) in nodes.iter().enumerate() {
            wired.refused[to] = known.role != Role::Source && known.place.inputs_incomplete;
            for input in &known.place.inputs {
                match edge(nodes, &ids, to, input, findings) {
                    Some(edge) => {
                        wired.edges.push(edge);
                        wired.at.push(input.from_at.clone());
                    }
                    None => wired.refused[to] = true,
                }
            }
        }
        wired
    }

    /// Inputs without rows, outputs that nobody takes, event-time timers that never fire.
    pub(super) fn check_flow(
        &self,
        nodes: &[Known<'_>],
        job: &Job,
        descriptions: &HashMap<usize, Description>,
        findings: &mut Findings,
    ) {
        for (i, known) in nodes.iter().enumerate() {
            let open = known.inputs.unwrap_or_default().iter().enumerate().filter(|_| !self.refused[i]);
            for (index, input) in open {
                if !self.edges.iter().any(|edge| edge.to == i && edge.input == index as u32) {
                    findings.error(
                        &known.place.at,
                        format!("nothing goes to the input {} of {}", quote(&input.name), name(known)),
                        format!("add `{{ from = \"NODE\", as = \"{}\" }}` to its `input`", input.name),
                    );
                }
            }
        }
        if self.refused.contains(&true) {
            // Where rows were meant to go is not known.
            return;
        }
        for (i, known) in nodes.iter().enumerate() {
            for (index, output) in known.outputs.iter().flatten().enumerate() {
                if self.edges.iter().any(|edge| edge.from == i && edge.output == index as u32) {
                    continue;
                }
                if known.dead_letters == Some(index) {
                    let message = format!("records that {} cannot process are lost", name(known));
                    let hint = format!(
                        "nobody takes its output `{DEAD_LETTER}`; to keep them, add a sink with `input = \"{}.{DEAD_LETTER}\"`",
                        known.place.id
                    );
                    findings.warning(&known.place.at, message, hint);
                    continue;
                }
                let (message, from) = match known.role {
                    Role::Source => (format!("nobody takes the rows of {}", name(known)), known.place.id.clone()),
                    _ => (
                        format!("nobody takes the output {} of {}", quote(output.name), name(known)),
                        format!("{}.{}", known.place.id, output.name),
                    ),
                };
                let hint = format!("they are counted and dropped; to keep them, add a sink with `input = \"{from}\"`");
                findings.warning(&known.place.at, message, hint);
            }
        }
        self.check_timers(nodes, job, descriptions, findings);
    }

    /// A sink writes all of its rows in one way, so they must be encoded in one way.
    pub(super) fn check_sinks(&self, nodes: &[Known<'_>], findings: &mut Findings) {
        let mut first: HashMap<NodeId, &Edge> = HashMap::new();
        for (edge, at) in self.edges.iter().zip(&self.at) {
            let Some(writes_key) = nodes[edge.to].writes_key else { continue };
            let other = *first.entry(edge.to).or_insert(edge);
            let output = |edge: &Edge| nodes[edge.from].outputs.as_ref()?.get(edge.output as usize);
            let (Some(one), Some(two)) = (output(other), output(edge)) else { continue };
            let key = |output: &Output<'_>| output.key.map_or("none", |codec| codec.name.as_str()).to_string();
            let keys = ("keys", key(one), key(two));
            let values = ("values", one.value.name.clone(), two.value.name.clone());
            for (what, one, two) in [Some(keys).filter(|_| writes_key), Some(values)].into_iter().flatten() {
                if one != two {
                    let (sink, from) = (name(&nodes[edge.to]), name(&nodes[edge.from]));
                    let (one, two) = (quote(&one), quote(&two));
                    findings.error(
                        at,
                        format!(
                            "{what} that {sink} takes from {from} are {two}, but those from {} are {one}",
                            name(&nodes[other.from])
                        ),
                        "a sink writes all of its rows in one way: give each stream a sink of its own",
                    );
                }
            }
        }
    }

    /// Rows are partitioned by members of their JSON.
    pub(super) fn check_partitions(&self, nodes: &[Known<'_>], job: &Job, findings: &mut Findings) {
        let first_sink = job.sources.len() + job.operators.len();
        for (edge, at) in self.edges.iter().zip(&self.at) {
            let sink = edge.to.checked_sub(first_sink).and_then(|sink| job.sinks.get(sink));
            let output = nodes[edge.from].outputs.as_ref().and_then(|outputs| outputs.get(edge.output as usize));
            let (Some(sink), Some(output)) = (sink, output) else { continue };
            if sink.section.has("partition-by") && !FileSink::can_partition(output.value) {
                let (sink, from, codec) = (name(&nodes[edge.to]), name(&nodes[edge.from]), quote(&output.value.name));
                let message = format!("{sink} partitions rows by members of JSON, but {from} gives values as {codec}");
                let hint = "remove `partition-by`, or put an operator between them that gives JSON objects, as `json` or `text`";
                findings.error(at, message, hint);
            }
        }
    }

    fn check_timers(
        &self,
        nodes: &[Known<'_>],
        job: &Job,
        descriptions: &HashMap<usize, Description>,
        findings: &mut Findings,
    ) {
        let mut from = vec![Vec::new(); nodes.len()];
        for edge in &self.edges {
            from[edge.to].push(edge.from);
        }
        for (i, known) in nodes.iter().enumerate() {
            let description = i.checked_sub(job.sources.len()).and_then(|operator| descriptions.get(&operator));
            if !description.is_some_and(|description| description.timers.contains(&TimeDomain::EventTime)) {
                continue;
            }
            let timeless = |feed: &super::connect::Feed| !feed.bounded && !feed.has_watermarks;
            for source in sources_of(i, &from).into_iter().filter(|&source| nodes[source].feed.is_some_and(timeless)) {
                let timed = job.sources.get(source).is_some_and(|source| source.section.has("event-time"));
                let source = &nodes[source].place.id;
                let (why, hint) = match timed {
                    true => ("has no watermarks", format!("let `source.{source}.event-time` have `watermarks`")),
                    false => ("has no event time", format!("add a table `[source.{source}.event-time]`")),
                };
                let (setter, source) = (name(known), quote(source));
                let message = format!(
                    "{setter} sets timers in event time, but {source} {why} and may never end: the timers do not fire"
                );
                findings.warning(&known.place.at, message, hint);
            }
        }
    }
}

/// The nodes without input that `node` gets rows from, by whatever way, in order; `from` has those that feed each node.
fn sources_of(node: NodeId, from: &[Vec<NodeId>]) -> Vec<NodeId> {
    let (mut seen, mut waiting) = (vec![false; from.len()], vec![node]);
    while let Some(next) = waiting.pop() {
        if !std::mem::replace(&mut seen[next], true) {
            waiting.extend(&from[next]);
        }
    }
    (0..from.len()).filter(|&i| seen[i] && from[i].is_empty()).collect()
}

/// The edge that `input` of node `to` means, unless it was refused.
fn edge(
    nodes: &[Known<'_>],
    ids: &HashMap<&str, NodeId>,
    to: NodeId,
    input: &Input,
    findings: &mut Findings,
) -> Option<Edge> {
    let target = &nodes[to];
    let Some(&from) = ids.get(input.from.as_str()) else {
        let givers: Vec<&str> = nodes.iter().filter(|n| n.role != Role::Sink).map(|n| n.place.id.as_str()).collect();
        let message = format!("{} takes rows from {}, which does not exist", name(target), quote(&input.from));
        findings.error(&input.from_at, message, meant_or_list(&input.from, &givers, "rows come from"));
        return None;
    };
    let origin = &nodes[from];
    if origin.role == Role::Sink {
        let message = format!("{} takes rows from {}, which is a sink", name(target), quote(&input.from));
        findings.error(&input.from_at, message, "take them from where the sink takes them");
        return None;
    }
    let output = output(origin, input, findings);
    let index = input_index(target, input, findings);
    let (output, index) = (output?, index?);
    let description = target.inputs.and_then(|inputs| inputs.get(index));
    let given = origin.outputs.as_ref().and_then(|outputs| outputs.get(output));
    let equal = origin.place.parallelism == target.place.parallelism;
    let keyed = description.is_some_and(|input| input.keyed);
    let exchange = match &input.exchange {
        Some((exchange, _)) => *exchange,
        None if keyed => Exchange::Hash,
        None if equal => Exchange::Forward,
        None => Exchange::Rebalance,
    };
    if let (Some(description), Some((written, at))) = (description.filter(|_| keyed), &input.exchange)
        && *written != Exchange::Hash
    {
        let (id, input) = (name(target), quote(&description.name));
        let message = format!("the input {input} of {id} is keyed, but its rows come by {}", quote(written.name()));
        findings.error(at, message, "use `hash`, or leave `exchange` out: equal keys must go to the same subtask");
        return None;
    }
    if exchange == Exchange::Hash && given.is_some_and(|output| output.key.is_none()) {
        let id = &origin.place.id;
        let hint = match origin.feed.and_then(|feed| feed.key_hint) {
            Some(key) => format!("give `[source.{id}]` {key}, or let an operator between them set it"),
            None => "let an operator between them set it".to_string(),
        };
        let message =
            format!("rows go from {} to {} by key, but {} gives them none", quote(id), name(target), quote(id));
        findings.error(&input.from_at, message, hint);
    }
    if let (Some(description), Some(given)) = (description, given) {
        codecs::check(origin, given, target, description, input, findings);
    }
    Some(Edge { from, output: output as u32, to, input: index as u32, exchange })
}

/// Which output of `origin` is meant: without a name the first.
fn output(origin: &Known<'_>, input: &Input, findings: &mut Findings) -> Option<usize> {
    let Some(outputs) = &origin.outputs else { return Some(0) };
    let names: Vec<&str> = outputs.iter().map(|output| output.name).collect();
    if names.is_empty() {
        let message = format!("nothing comes out of {}: its component describes no output", name(origin));
        findings.error(&input.from_at, message, "take rows from another node");
        return None;
    }
    let Some(wanted) = &input.output else {
        if origin.dead_letters == Some(0) {
            let message = format!("nothing comes out of {} but dead letters", name(origin));
            let hint = format!("if they are meant, write \"{}.{DEAD_LETTER}\"", origin.place.id);
            findings.error(&input.from_at, message, hint);
            return None;
        }
        return Some(0);
    };
    let found = names.iter().position(|name| name == wanted);
    if found.is_none() && wanted == DEAD_LETTER && origin.role == Role::Operator {
        let (id, message) = (&origin.place.id, format!("{} has no output {}", name(origin), quote(wanted)));
        let hint = format!("add `on-error = \"{DEAD_LETTER}\"` to `[operator.{id}]`");
        findings.error(&input.from_at, message, hint);
    } else if found.is_none() {
        let there_is = if names.len() == 1 { "it has" } else { "its outputs are" };
        let message = format!("{} has no output {}", name(origin), quote(wanted));
        findings.error(&input.from_at, message, meant_or_list(wanted, &names, there_is));
    }
    found
}

/// Which input of `target` is meant: without a name the only one.
fn input_index(target: &Known<'_>, input: &Input, findings: &mut Findings) -> Option<usize> {
    let Some(inputs) = target.inputs else {
        if let (Role::Sink, Some((_, at))) = (target.role, &input.name) {
            findings.error(at, format!("{} is a sink: its input has no name", name(target)), "remove `as`");
            return None;
        }
        return Some(0);
    };
    let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    match &input.name {
        Some((wanted, at)) => {
            let found = names.iter().position(|name| name == wanted);
            if found.is_none() {
                let there_is = if names.len() == 1 { "it has" } else { "its inputs are" };
                let message = format!("{} has no input {}", name(target), quote(wanted));
                findings.error(at, message, meant_or_list(wanted, &names, there_is));
            }
            found
        }
        None if names.len() == 1 => Some(0),
        // Without inputs the description itself has been refused.
        None if names.is_empty() => None,
        None => {
            let message = format!("{} has the inputs {}: say which", name(target), list(names.iter().copied(), "and"));
            let hint = format!("write `{{ from = \"{}\", as = \"{}\" }}`", input.from, names[0]);
            findings.error(&input.from_at, message, hint);
            None
        }
    }
}
