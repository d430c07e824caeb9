//! Unfolds a job into subtasks and channels, spawns them, and commits when all have finished.

mod supervise;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use wasmill_core::{
    KeyGroupRange, OperatorContext, OperatorFactory, Outbox, Place, SinkContext, SinkFactory, SourceContext,
    description::StateDescription,
    graph::{NodeId, ParallelGraph, Role},
    source::BatchLimit,
    state::StateScopeRequest,
    time::NO_WATERMARK,
};

use crate::{
    Job, JobError, Running, SourceSpec,
    chain::{Body, Chain, Entry, Link, OperatorLink, Target},
    error::{Cause, Stop},
    gate::InputGate,
    head::{Head, SourceHead},
    running::Handle,
    subtask::Subtask,
    timers::Timers,
};

/// The first incarnation of a job; a later one will come from a checkpoint.
const FIRST_ATTEMPT: u64 = 1;

/// The epoch that a bounded job's only checkpoint has.
const FINAL_EPOCH: u64 = 1;

/// Makes and opens every source, operator and sink of a job, wires them and spawns their subtasks. Must be called within
/// a tokio runtime with time enabled.
///
/// # Errors
/// When the graph has errors, something is missing at a node, or an instance cannot be made. Nothing runs then.
pub async fn start(job: Job) -> Result<Running, JobError> {
    verify(&job)?;
    let handle = Handle::new(&job.graph);
    let job = Arc::new(job);
    let graph = ParallelGraph::new(job.graph.clone());
    for (&node, sink) in &job.sinks {
        let place = job.name.place(&job.graph.nodes[node].id, 0);
        sink.prepare().map_err(|error| JobError::Subtask { place, cause: error.into() })?;
    }
    let mut wires = wire::Wires::new(&job, &graph)
        .map_err(|over| JobError::Invalid { job: job.name.clone(), message: over.to_string() })?;
    let mut subtasks = Vec::new();
    for (chain, nodes) in graph.chains.iter().enumerate() {
        for index in 0..nodes.parallelism {
            let maker = Maker { job: &job, graph: &graph, handle: &handle, chain, index };
            let subtask = maker.subtask(&mut wires).await.map_err(|stop| match stop {
                Stop::Failed(error) => *error,
                Stop::Lost => unreachable!("nothing is sent before subtasks run"),
            })?;
            subtasks.push((maker.place(nodes.nodes[0]), subtask));
        }
    }
    let supervisor = tokio::spawn(supervise::supervise(job, handle.clone(), subtasks, wires.into_charge()));
    Ok(Running { handle, supervisor })
}

/// Whether the graph is sound and everything at its nodes is there.
fn verify(job: &Job) -> Result<(), JobError> {
    let invalid = |message: String| JobError::Invalid { job: job.name.clone(), message };
    if let Some(error) = job.graph.check().into_iter().next() {
        return Err(invalid(error.message));
    }
    for (id, node) in job.graph.nodes.iter().enumerate() {
        let there = match node.role {
            Role::Source => job.sources.contains_key(&id),
            Role::Operator => job.operators.contains_key(&id),
            Role::Sink => job.sinks.contains_key(&id),
        };
        if !there {
            return Err(invalid(format!("nothing was given to run at `{}`", node.id)));
        }
    }
    Ok(())
}

/// Makes one subtask.
struct Maker<'a> {
    job: &'a Arc<Job>,
    graph: &'a ParallelGraph,
    handle: &'a Handle,
    chain: usize,
    index: u32,
}

impl Maker<'_> {
    fn place(&self, node: NodeId) -> Place {
        self.job.name.place(&self.job.graph.nodes[node].id, self.index)
    }

    async fn subtask(&self, wires: &mut wire::Wires) -> Result<Subtask, Stop> {
        let nodes = &self.graph.chains[self.chain].nodes;
        let is_source = self.job.graph.nodes[nodes[0]].role == Role::Source;
        // Links are all nodes but a source at the head.
        let linked = if is_source { &nodes[1..] } else { &nodes[..] };
        let position: BTreeMap<NodeId, usize> = linked.iter().enumerate().map(|(i, &node)| (node, i)).collect();
        let mut routers = Vec::new();
        let mut targets = |node: NodeId| {
            let outputs = self.job.graph.nodes[node].outputs.len();
            let mut targets: Vec<Vec<Target>> = vec![Vec::new(); outputs];
            for (number, edge) in self.job.graph.edges.iter().enumerate().filter(|(_, edge)| edge.from == node) {
                let target = match position.get(&edge.to) {
                    Some(&index) if self.graph.is_chained(edge) => Target::Link { index, input: edge.input },
                    _ => {
                        routers.push(wires.router(self.job, number, self.index, self.place(node)));
                        Target::Router(routers.len() - 1)
                    }
                };
                targets[edge.output as usize].push(target);
            }
            targets
        };
        let entry = match is_source {
            true => Entry::Source(targets(nodes[0]).concat()),
            false => Entry::Gate,
        };
        let outputs: Vec<Vec<Vec<Target>>> = linked.iter().map(|&node| targets(node)).collect();
        let head = match is_source {
            true => Head::Source(Box::new(self.source(nodes[0])?)),
            false => Head::Gate(InputGate::new(wires.receivers(self.chain, self.index))),
        };
        let mut links = Vec::new();
        for (&node, outputs) in linked.iter().zip(outputs) {
            links.push(self.link(node, outputs).await?);
        }
        let status = |node: &NodeId| self.handle.nodes[*node].subtasks[self.index as usize].clone();
        Ok(Subtask {
            head,
            chain: Chain { entry, links, routers, clock: self.job.clock.clone() },
            source: is_source.then(|| status(&nodes[0])),
            statuses: nodes.iter().map(status).collect(),
            final_epoch: FINAL_EPOCH,
        })
    }

    fn source(&self, node: NodeId) -> Result<SourceHead, Stop> {
        let (place, settings) = (self.place(node), &self.job.settings);
        let SourceSpec { factory, out_of_orderness, watermark_rows } = &self.job.sources[&node];
        let parallelism = self.job.graph.nodes[node].parallelism;
        let source = factory
            .create(SourceContext { place: place.clone(), parallelism })
            .map_err(|error| Stop::at(&place, error))?;
        let limit =
            BatchLimit { rows: settings.batch_rows.max(1), bytes: settings.batch_bytes, linger: settings.linger };
        let event_time = factory.has_event_time().then_some((out_of_orderness.as_millis() as i64, *watermark_rows));
        Ok(SourceHead::new(source, place, limit, event_time))
    }

    async fn link(&self, node: NodeId, outputs: Vec<Vec<Target>>) -> Result<Link, Stop> {
        let place = self.place(node);
        let status = self.handle.nodes[node].subtasks[self.index as usize].clone();
        let body = match self.job.graph.nodes[node].role {
            Role::Sink => self.sink(node, &place).map(Body::Sink).map_err(|cause| Stop::at(&place, cause))?,
            _ => {
                let made = self.operator(node, &place).await;
                Body::Operator(made.map_err(|cause| Stop::at(&place, cause))?)
            }
        };
        Ok(Link { place, status, body, outputs })
    }

    fn sink(&self, node: NodeId, place: &Place) -> Result<Box<dyn wasmill_core::Sink>, Cause> {
        let factory: &Arc<dyn SinkFactory> = &self.job.sinks[&node];
        let (key, value) = self.codecs_into(node);
        let parallelism = self.job.graph.nodes[node].parallelism;
        Ok(factory.create(SinkContext { place: place.clone(), parallelism, key, value })?)
    }

    /// How the rows that reach `node` are encoded: as its (first) producer declares.
    fn codecs_into(&self, node: NodeId) -> (wasmill_core::Codec, wasmill_core::Codec) {
        let Some(edge) = self.job.graph.edges_to(node).next() else { return Default::default() };
        if let Some(source) = self.job.sources.get(&edge.from) {
            return source.factory.codecs();
        }
        let description = self.job.operators.get(&edge.from).map(|operator| operator.description());
        let output = description.and_then(|description| description.outputs.get(edge.output as usize));
        output.map(|output| (output.key.clone(), output.value.clone())).unwrap_or_default()
    }

    async fn operator(&self, node: NodeId, place: &Place) -> Result<OperatorLink, Cause> {
        let job = self.job;
        let factory: &Arc<dyn OperatorFactory> = &job.operators[&node];
        let parallelism = job.graph.nodes[node].parallelism;
        let max_parallelism = job.graph.max_parallelism;
        let states: Vec<StateDescription> = factory.description().states.clone();
        let keyed = factory.description().inputs.iter().any(|input| input.keyed);
        // Whoever has no keyed input owns no key.
        let range = match keyed {
            true => max_parallelism.range(self.index, parallelism),
            false => KeyGroupRange { start: 0, end: 0 },
        };
        let state = job.state.open(StateScopeRequest {
            place: place.clone(),
            states,
            range,
            max_parallelism,
            epoch: FINAL_EPOCH,
            quota: job.quota.clone(),
        })?;
        let timers = Arc::new(Timers::new(&job.quota)?);
        let outbox = Outbox::new(job.settings.outbox_bytes);
        let context = OperatorContext {
            place: place.clone(),
            parallelism,
            max_parallelism,
            range,
            attempt: FIRST_ATTEMPT,
            epoch: FINAL_EPOCH,
            restored: false,
            state: state.clone(),
            timers: timers.clone(),
            outbox: outbox.clone(),
            quota: job.quota.clone(),
            processing_time: job.clock.now(),
        };
        let operator = factory.create(context).await?;
        Ok(OperatorLink { operator, outbox, timers, state, watermark: NO_WATERMARK })
    }
}
