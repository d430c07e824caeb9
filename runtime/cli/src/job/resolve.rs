//! Decides whether a job can run: joins its nodes to a logical graph, and tells all problems at once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use wasmill_core::{
    Codec, Description,
    description::InputDescription,
    graph::{Edge, Exchange, LogicalGraph, Node, NodeId, Role},
};

use super::{
    connect::{Connected, Feed},
    describe::Describe,
    nodes::{DEAD_LETTER, Place},
    problem::{Findings, Problem},
    read::Job,
    suggest::quote,
    wire::Wired,
};

/// The most subtasks of all nodes together: a process has room for as many instances.
const SUBTASKS: u64 = 5_000;

/// The most channels of a job.
const CHANNELS: u64 = 1_000_000;

/// A job that can run.
pub struct Resolved {
    /// Its graph: sources, operators and sinks in the order of the job file.
    pub graph: LogicalGraph,
    /// The descriptions of its operators.
    pub descriptions: BTreeMap<NodeId, Description>,
    /// Its sources and sinks, ready to be made.
    pub connected: Connected,
    /// What may not be as meant.
    pub warnings: Vec<Problem>,
}

/// A node, as its neighbours see it. What is unknown has been told already.
pub(super) struct Known<'a> {
    pub(super) place: &'a Place,
    pub(super) role: Role,
    pub(super) title: String,
    /// Its inputs by name; `None` for a sink, and where the operator's description is missing.
    pub(super) inputs: Option<&'a [InputDescription]>,
    /// Its outputs; `None` where the operator's description is missing.
    pub(super) outputs: Option<Vec<Output<'a>>>,
    /// Which of them has the records that the operator cannot process, if one has.
    pub(super) dead_letters: Option<usize>,
    /// Of a sink that writes rows: whether it writes keys too.
    pub(super) writes_key: Option<bool>,
    /// What a source brings, if the node is one that is known.
    pub(super) feed: Option<&'a Feed>,
}

/// An output, and how its rows are encoded.
pub(super) struct Output<'a> {
    pub(super) name: &'a str,
    /// `None` where rows have no key.
    pub(super) key: Option<&'a Codec>,
    pub(super) value: &'a Codec,
}

/// The output that an operator with `on-error = "dead-letter"` has behind those it describes: the record's key as it came,
/// and a JSON object.
fn dead_letters() -> Output<'static> {
    static KEY: LazyLock<Codec> = LazyLock::new(|| Codec::named("bytes"));
    static VALUE: LazyLock<Codec> = LazyLock::new(|| Codec::named("json"));
    Output { name: DEAD_LETTER, key: Some(&KEY), value: &VALUE }
}

/// Whether an operator describes an output of that name itself.
fn has_dead_letters(description: &Description) -> bool {
    description.outputs.iter().any(|output| output.name == DEAD_LETTER)
}

impl Job {
    /// Checks everything that can be checked without running the job.
    ///
    /// # Errors
    /// All problems, warnings too, in the order of the job file, when at least one is an error.
    pub fn resolve(&self, describe: &mut dyn Describe) -> Result<Resolved, Vec<Problem>> {
        let mut findings = self.findings.clone();
        let descriptions = self.describe(describe, &mut findings);
        self.check_dead_letters(&descriptions, &mut findings);
        let connected = self.connect(&mut findings);
        let nodes = self.known(&descriptions, &connected);
        let wired = Wired::new(&nodes, &mut findings);
        wired.check_flow(&nodes, self, &descriptions, &mut findings);
        wired.check_sinks(&nodes, &mut findings);
        wired.check_partitions(&nodes, self, &mut findings);
        let graph = self.graph(&nodes, wired.edges);
        self.check_graph(&nodes, &graph, &mut findings);
        let first_operator = self.sources.len();
        let is_sound = !findings.has_errors();
        let problems = findings.problems(&self.text, &self.options);
        if !is_sound {
            return Err(problems);
        }
        let descriptions = descriptions.into_iter().map(|(i, description)| (first_operator + i, description)).collect();
        Ok(Resolved { graph, descriptions, connected, warnings: problems })
    }

    /// The output of dead letters must have a name of its own.
    fn check_dead_letters(&self, descriptions: &HashMap<usize, Description>, findings: &mut Findings) {
        for (i, operator) in self.operators.iter().enumerate().filter(|(_, operator)| operator.dead_letter) {
            if descriptions.get(&i).is_some_and(has_dead_letters) {
                let id = quote(&operator.place.id);
                findings.error(
                    operator.section.at("on-error"),
                    format!("the component of {id} describes an output `{DEAD_LETTER}` itself"),
                    "leave `on-error` out, or rename the output in the component",
                );
            }
        }
    }

    fn known<'a>(&'a self, descriptions: &'a HashMap<usize, Description>, connected: &'a Connected) -> Vec<Known<'a>> {
        let mut nodes = Vec::new();
        for (i, source) in self.sources.iter().enumerate() {
            let feed = connected.feeds.get(&i);
            let outputs = feed.map(|feed| {
                let key = feed.has_keys.then_some(&feed.key);
                vec![Output { name: "out", key, value: &feed.value }]
            });
            let title = source.connector.to_string();
            nodes.push(Known {
                place: &source.place,
                role: Role::Source,
                title,
                inputs: None,
                outputs,
                dead_letters: None,
                writes_key: None,
                feed,
            });
        }
        for (i, operator) in self.operators.iter().enumerate() {
            let description = descriptions.get(&i);
            let file = operator.component.as_ref().and_then(|path| path.file_name());
            let title = file.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let inputs = description.map(|description| description.inputs.as_slice());
            let buries = |description: &&Description| operator.dead_letter && !has_dead_letters(description);
            let buries = description.filter(buries).map(|description| description.outputs.len());
            let outputs = description.map(|description| {
                let outputs = description.outputs.iter();
                let outputs =
                    outputs.map(|output| Output { name: &output.name, key: Some(&output.key), value: &output.value });
                outputs.chain(buries.map(|_| dead_letters())).collect()
            });
            nodes.push(Known {
                place: &operator.place,
                role: Role::Operator,
                title,
                inputs,
                outputs,
                dead_letters: buries,
                writes_key: None,
                feed: None,
            });
        }
        for sink in &self.sinks {
            let title = sink.connector.to_string();
            let writes_key = (sink.connector != "discard").then(|| sink.section.boolean("key").unwrap_or_default());
            let outputs = Some(Vec::new());
            nodes.push(Known {
                place: &sink.place,
                role: Role::Sink,
                title,
                inputs: None,
                outputs,
                dead_letters: None,
                writes_key,
                feed: None,
            });
        }
        nodes
    }

    fn graph(&self, nodes: &[Known<'_>], edges: Vec<Edge>) -> LogicalGraph {
        let node = |known: &Known<'_>| Node {
            id: known.place.id.clone(),
            role: known.role,
            title: known.title.clone(),
            parallelism: known.place.parallelism,
            chain: known.place.chain,
            outputs: known.outputs.iter().flatten().map(|output| output.name.to_string()).collect(),
        };
        LogicalGraph { nodes: nodes.iter().map(node).collect(), edges, max_parallelism: self.max_parallelism }
    }

    /// What the graph says of itself, at the lines of its nodes.
    fn check_graph(&self, nodes: &[Known<'_>], graph: &LogicalGraph, findings: &mut Findings) {
        let mut whole = graph.clone();
        for (to, known) in nodes.iter().enumerate() {
            // That its edge was refused has been told; a stand-in keeps the graph from saying so again.
            if known.role != Role::Source && graph.edges_to(to).next().is_none() {
                let from = whole.nodes.len();
                whole.nodes.push(Node { parallelism: 1, role: Role::Source, ..whole.nodes[to].clone() });
                whole.edges.push(Edge { from, output: 0, to, input: 0, exchange: Exchange::Rebalance });
            }
        }
        for error in whole.check() {
            let at = nodes.get(error.node).map_or(&super::tree::At::Whole, |known| &known.place.at);
            // The graph says what to do after a colon; here it is a line of its own.
            let (message, hint) = error.message.split_once(": ").unwrap_or((&error.message, ""));
            findings.error(at, message, hint);
        }
        let parallelism = |node: NodeId| u64::from(graph.nodes[node].parallelism);
        let subtasks: u64 = (0..graph.nodes.len()).map(parallelism).sum();
        let channels = graph.edges.iter().map(|edge| match edge.exchange {
            Exchange::Forward => parallelism(edge.to),
            _ => parallelism(edge.from) * parallelism(edge.to),
        });
        let channels: u64 = channels.sum();
        // Where a call fails and the job goes on, a fresh instance is made before the one that failed is gone.
        let instances = |known: &Known<'_>| match (known.role, known.dead_letters) {
            (Role::Operator, Some(_)) => 2 * u64::from(known.place.parallelism),
            (Role::Operator, None) => known.place.parallelism.into(),
            _ => 0,
        };
        let instances = nodes.iter().filter(|_| subtasks <= SUBTASKS).map(instances).sum();
        let counted = [
            (subtasks, SUBTASKS, "subtasks"),
            (instances, SUBTASKS, "instances, two a subtask where there are dead letters"),
            (channels, CHANNELS, "channels"),
        ];
        for (count, most, what) in counted {
            if count > most {
                let message = format!("the job would have {count} {what}; one process runs at most {most}");
                findings.error(&super::tree::At::Whole, message, "lower `parallelism`");
            }
        }
    }
}

/// `` `id` `` of a node.
pub(super) fn name(known: &Known<'_>) -> String {
    quote(&known.place.id)
}
