//! Makes one attempt of a job: every instance as at the checkpoint it begins from, and the channels between them.

mod wire;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;
use wasmill_core::{
    Charge, KeyGroupRange, OperatorFactory, Outbox, Place, SinkContext, SinkFactory, SourceContext,
    checkpoint::{Change, Manifest, SubtaskManifest},
    graph::{NodeId, ParallelGraph, Role},
    source::{BatchLimit, SplitState},
    state::StateScopeRequest,
    status::CallStages,
    time::{NO_WATERMARK, TimeDomain},
};

use crate::{
    ExecutionMode, Handle, Job, SourceSpec,
    chain::{Body, Chain, Entry, Link, OperatorLink, Target},
    coordinator::{Command, Member, Report},
    dead_letter::DeadLetters,
    drift::{DriftGroup, DriftMember},
    error::{Cause, Stop},
    gate::InputGate,
    head::{Head, SourceHead, SourceHeadContext},
    migration,
    running::NodeStatus,
    seed::Seed,
    standing::{Channel, Level, Standing},
    subtask::{Participant, Subtask},
    timers::Timers,
};

/// Where an attempt begins.
pub(crate) struct Beginning {
    /// The incarnation, from 1.
    pub(crate) attempt: u64,
    /// The checkpoint; `None` for a fresh start.
    pub(crate) manifest: Option<Arc<Manifest>>,
    /// What the checkpoint means for this job.
    pub(crate) changes: Vec<Change>,
    /// The epoch that changes belong to at first: above all that were ever used.
    pub(crate) epoch: u64,
}

/// An attempt whose subtasks are made and do not run yet.
pub(crate) struct Attempt {
    pub(crate) subtasks: Vec<(Place, Subtask)>,
    pub(crate) members: Vec<Member>,
    pub(crate) reports: mpsc::UnboundedReceiver<Report>,
    pub(crate) command: watch::Sender<Command>,
    pub(crate) beside: TaskTracker,
    /// What the channels are charged.
    pub(crate) charge: Charge,
}

impl Attempt {
    /// Makes and opens every source, operator and sink.
    pub(crate) async fn make(job: &Arc<Job>, handle: &Handle, beginning: &Beginning) -> Result<Attempt, Stop> {
        let graph = ParallelGraph::new(job.graph.clone());
        let statuses = handle.begin_attempt(&job.graph);
        let aligned = job.sources.values().filter_map(|source| source.alignment.as_ref());
        let groups: BTreeMap<String, Arc<DriftGroup>> =
            aligned.map(|alignment| (alignment.group.clone(), DriftGroup::new())).collect();
        let over = |over| Stop::at(&job.name.place("channels", 0), Cause::OverQuota(over));
        let mut wires = wire::Wires::new(job, &graph).map_err(over)?;
        // Epochs up to the first have been used: nobody takes part in them.
        let begun = Command { epoch: beginning.epoch.saturating_sub(1), ..Command::default() };
        let (reporter, reports) = mpsc::unbounded_channel();
        let (command, commanded) = watch::channel(begun);
        let beside = TaskTracker::new();
        let (mut subtasks, mut members) = (Vec::new(), Vec::new());
        for (chain, nodes) in graph.chains.iter().enumerate() {
            for index in 0..nodes.parallelism {
                let participant = Participant {
                    job: job.clone(),
                    handle: handle.clone(),
                    subtask: subtasks.len(),
                    reports: reporter.clone(),
                    command: commanded.clone(),
                    beside: beside.clone(),
                    epoch: begun.epoch,
                    cut: None,
                    acknowledging: None,
                };
                let maker =
                    Maker { job, handle, graph: &graph, statuses: &statuses, groups: &groups, beginning, chain, index };
                let place = maker.place(nodes.nodes[0]);
                subtasks.push((place, maker.subtask(&mut wires, participant).await?));
                members.push(Member { nodes: nodes.nodes.clone(), index });
            }
        }
        Ok(Attempt { subtasks, members, reports, command, beside, charge: wires.into_charge() })
    }
}

/// Makes one subtask.
struct Maker<'a> {
    job: &'a Arc<Job>,
    handle: &'a Handle,
    graph: &'a ParallelGraph,
    statuses: &'a [NodeStatus],
    /// The sources that wait for each other, by the name of their group.
    groups: &'a BTreeMap<String, Arc<DriftGroup>>,
    beginning: &'a Beginning,
    chain: usize,
    index: u32,
}

impl Maker<'_> {
    fn place(&self, node: NodeId) -> Place {
        self.job.name.place(&self.job.graph.nodes[node].id, self.index)
    }

    fn parallelism(&self, node: NodeId) -> u32 {
        self.job.graph.nodes[node].parallelism
    }

    /// What a node's subtask was at the checkpoint.
    fn restored(&self, node: NodeId) -> SubtaskManifest {
        let manifest = self.beginning.manifest.as_ref();
        let found = manifest.and_then(|manifest| manifest.node(&self.job.graph.nodes[node].id));
        match found {
            Some(found) => found.restored(self.index, self.parallelism(node)),
            None => SubtaskManifest { watermark: NO_WATERMARK, finished: false },
        }
    }

    async fn subtask(&self, wires: &mut wire::Wires, checkpoints: Participant) -> Result<Subtask, Stop> {
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
                        let status = self.statuses[node].subtasks[self.index as usize].clone();
                        routers.push(wires.router(self.job, number, self.index, self.place(node), status));
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
        let mut restored = self.restored(nodes[0]);
        let head = match is_source {
            true => {
                let source;
                (source, restored) = self.source(nodes[0], &checkpoints)?;
                Head::Source(Box::new(source))
            }
            false => {
                let channels = wires.receivers(self.chain, self.index);
                let inputs: Vec<u32> = channels.iter().map(|(input, _)| *input).collect();
                let standing = self.gate(nodes[0], wires.origins(self.chain, self.index), &inputs);
                Head::Gate(InputGate::new(channels, restored.watermark).publish(standing))
            }
        };
        let mut links = Vec::new();
        for (&node, outputs) in linked.iter().zip(outputs) {
            // What follows a source in its subtask begins as the source does.
            let restored = if is_source { restored } else { self.restored(node) };
            links.push(self.link(node, outputs, restored).await?);
        }
        let status = |node: &NodeId| self.statuses[*node].subtasks[self.index as usize].clone();
        Ok(Subtask {
            head,
            chain: Chain {
                entry,
                links,
                routers,
                clock: self.job.clock.clone(),
                watermark: restored.watermark,
                mode: self.job.mode,
            },
            source: is_source.then(|| status(&nodes[0])),
            statuses: nodes.iter().map(status).collect(),
            checkpoints,
            stepped: Duration::ZERO,
            stateful: linked.iter().any(|node| {
                let operator = self.job.operators.get(node);
                operator.is_some_and(|operator| !operator.description().states.is_empty())
            }),
        })
    }

    /// The head of a source's subtask, and how it begins.
    fn source(&self, node: NodeId, checkpoints: &Participant) -> Result<(SourceHead, SubtaskManifest), Stop> {
        let (place, settings) = (self.place(node), &self.job.settings);
        let spec = &self.job.sources[&node];
        let found = self.beginning.manifest.as_ref().and_then(|manifest| manifest.node(&place.operator));
        let restored: Option<Arc<[SplitState]>> = found.map(|found| found.splits.clone().into());
        let context =
            SourceContext { place: place.clone(), parallelism: self.parallelism(node), restored: restored.clone() };
        let source = spec.factory.create(context).map_err(|error| Stop::at(&place, error))?;
        let limit =
            BatchLimit { rows: settings.source_rows(&place), bytes: settings.batch_bytes, linger: settings.linger };
        let standing = self.stand(node, Standing::Source(Mutex::default()));
        let begins = match found {
            Some(found) => found.restored_source(self.index, self.parallelism(node), !source.splits().is_empty()),
            None => self.restored(node),
        };
        let head = SourceHead::new(
            source,
            SourceHeadContext {
                place,
                limit,
                rules: spec.rules(self.job.mode),
                restored: restored.as_deref().unwrap_or_default(),
                watermark: begins.watermark,
                clock: self.job.clock.clone(),
                drift: self.drift(spec),
                standing,
                command: checkpoints.command.clone(),
                is_driven: settings.interleaving.is_some(),
            },
        );
        Ok((head, begins))
    }

    /// The place of a source's subtask among those it waits for. In batch mode there is no watermark to wait for.
    fn drift(&self, spec: &SourceSpec) -> Option<DriftMember> {
        let alignment = spec.alignment.as_ref().filter(|_| self.job.mode == ExecutionMode::Streaming)?;
        let max = i64::try_from(alignment.max_drift.as_millis()).unwrap_or(i64::MAX);
        self.groups.get(&alignment.group).map(|group| group.join(max))
    }

    /// Publishes where the inputs of a node's subtask stand.
    fn stand(&self, node: NodeId, standing: Standing) -> Arc<Standing> {
        let standing = Arc::new(standing);
        // Each subtask is made once an attempt, and so are the statuses.
        let _ = self.statuses[node].standings[self.index as usize].set(standing.clone());
        standing
    }

    /// What is published of the channels into this chain.
    fn gate(&self, node: NodeId, origins: &[(NodeId, u32)], inputs: &[u32]) -> Arc<Standing> {
        let mut numbers = inputs.to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        let described = self.job.operators.get(&node).map(|operator| &operator.description().inputs);
        let name = |number: &u32| {
            let found = described.and_then(|inputs| inputs.get(*number as usize));
            (found.map_or_else(|| "in".to_string(), |input| input.name.clone()), Level::default())
        };
        let channel = |(&(from, subtask), input): (&(NodeId, u32), &u32)| Channel {
            input: numbers.partition_point(|number| number < input),
            from: self.job.graph.nodes[from].id.clone(),
            subtask,
            level: Level::default(),
        };
        let channels = origins.iter().zip(inputs).map(channel).collect();
        self.stand(node, Standing::Gate { inputs: numbers.iter().map(name).collect(), channels })
    }

    async fn link(&self, node: NodeId, outputs: Vec<Vec<Target>>, restored: SubtaskManifest) -> Result<Link, Stop> {
        let place = self.place(node);
        let status = self.statuses[node].subtasks[self.index as usize].clone();
        let body = match self.job.graph.nodes[node].role {
            Role::Sink => self.sink(node, &place).map(Body::Sink).map_err(|cause| Stop::at(&place, cause))?,
            _ => Body::Operator(self.operator(node, &place, restored).await?),
        };
        Ok(Link { node, place, status, body, outputs })
    }

    fn sink(&self, node: NodeId, place: &Place) -> Result<Box<dyn wasmill_core::Sink>, Cause> {
        let factory: &Arc<dyn SinkFactory> = &self.job.sinks[&node];
        let (key, value) = self.codecs_into(node);
        let context = SinkContext { place: place.clone(), parallelism: self.parallelism(node), key, value };
        Ok(factory.create(context)?)
    }

    /// How the rows that reach `node` are encoded: as its (first) producer declares.
    fn codecs_into(&self, node: NodeId) -> (wasmill_core::Codec, wasmill_core::Codec) {
        let Some(edge) = self.job.graph.edges_to(node).next() else { return Default::default() };
        if let Some(source) = self.job.sources.get(&edge.from) {
            return source.factory.codecs();
        }
        let Some(operator) = self.job.operators.get(&edge.from) else { return Default::default() };
        match operator.description().outputs.get(edge.output as usize) {
            Some(output) => (output.key.clone(), output.value.clone()),
            None => (wasmill_core::Codec::named("bytes"), wasmill_core::Codec::named("json")),
        }
    }

    async fn operator(&self, node: NodeId, place: &Place, begins: SubtaskManifest) -> Result<OperatorLink, Stop> {
        let (job, Beginning { attempt, changes, epoch, manifest }) = (self.job, self.beginning);
        let factory: &Arc<dyn OperatorFactory> = &job.operators[&node];
        let max_parallelism = job.graph.max_parallelism;
        let keyed = factory.description().inputs.iter().any(|input| input.keyed);
        // Whoever has no keyed input owns no key.
        let range = match keyed {
            true => max_parallelism.range(self.index, self.parallelism(node)),
            false => KeyGroupRange { start: 0, end: 0 },
        };
        let failed = |cause: Cause| Stop::at(place, cause);
        let state = job.state.open(StateScopeRequest {
            place: place.clone(),
            parallelism: self.parallelism(node),
            states: factory.description().states.clone(),
            range,
            max_parallelism,
            epoch: *epoch,
            quota: job.quota.clone(),
        });
        let state = state.map_err(|error| failed(error.into()))?;
        let timers = Arc::new(Timers::new(&job.quota).map_err(|over| failed(over.into()))?);
        let restored = manifest.is_some();
        if restored {
            migration::migrate(place, &**factory, &*state, *epoch, changes).await?;
            for domain in [TimeDomain::EventTime, TimeDomain::ProcessingTime] {
                let stored = state.timers(domain).await.map_err(|error| failed(error.into()))?;
                timers.restore(domain, &stored).map_err(|over| failed(over.into()))?;
            }
        }
        let outbox = Outbox::new(job.settings.outbox_bytes);
        let seed = Seed {
            factory: factory.clone(),
            place: place.clone(),
            parallelism: self.parallelism(node),
            max_parallelism,
            range,
            attempt: *attempt,
            state: state.clone(),
            timers: timers.clone(),
            outbox: outbox.clone(),
            write_through: job.dead_letters.contains(&node),
            quota: job.quota.clone(),
        };
        let operator = seed.make(*epoch, restored, job.clock.now()).await?;
        let SubtaskManifest { watermark, finished } = begins;
        let dead_letters = seed.write_through.then(|| {
            Box::new(DeadLetters {
                epoch: *epoch,
                output: factory.description().outputs.len() as u32,
                inputs: factory.description().inputs.clone(),
                handle: self.handle.clone(),
                seed,
            })
        });
        let stages = CallStages::default();
        Ok(OperatorLink { operator, outbox, timers, state, watermark, finished, dead_letters, stages })
    }
}
