//! Makes the channels of a job, and gives each subtask its ends.

use std::{collections::BTreeMap, sync::Arc};

use wasmill_core::{
    Charge, Place, Status,
    graph::{NodeId, ParallelGraph},
    partitioner::partitioner,
    quota::{OverQuota, Use},
};

use crate::{
    Job,
    channel::{Budget, Receiver, Sender, channel},
    router::Router,
};

/// The ends of channels that no subtask has taken yet.
pub(super) struct Wires {
    /// By edge and sending subtask, one a receiver in the order of receivers.
    senders: BTreeMap<(usize, u32), Vec<Sender>>,
    /// By chain and receiving subtask, with the input they belong to.
    receivers: BTreeMap<(usize, u32), Vec<(u32, Receiver)>>,
    /// Where the rows of these channels come from: node and subtask, in the same order.
    origins: BTreeMap<(usize, u32), Vec<(NodeId, u32)>>,
    charge: Charge,
}

impl Wires {
    /// All channels of a job; what they may hold is charged at once.
    pub(super) fn new(job: &Job, graph: &ParallelGraph) -> Result<Wires, OverQuota> {
        let settings = &job.settings;
        let charge = job.quota.charge(Use::Channels, 0)?;
        let mut wires =
            Wires { senders: BTreeMap::new(), receivers: BTreeMap::new(), origins: BTreeMap::new(), charge };
        let mut budgets = BTreeMap::new();
        for (number, edge) in graph.exchanges() {
            let chain = graph.chain_of(edge.to);
            for (from, to) in graph.channels(edge) {
                let budget = budgets.entry((chain, to)).or_insert_with(|| Budget::new(settings.gate_bytes));
                let (sender, receiver) = channel(settings.channel_batches, budget);
                wires.senders.entry((number, from)).or_default().push(sender);
                wires.receivers.entry((chain, to)).or_default().push((edge.input, receiver));
                wires.origins.entry((chain, to)).or_default().push((edge.from, from));
            }
        }
        // Each gate holds at most its budget, and less where its channels cannot hold that much.
        let batches = |gate: &Vec<_>| gate.len() * settings.channel_batches * settings.batch_bytes;
        let bytes: usize = wires.receivers.values().map(|gate| batches(gate).min(settings.gate_bytes)).sum();
        wires.charge.resize(bytes as u64)?;
        Ok(wires)
    }

    /// The router of edge number `edge` in sending subtask `from`, at `place`; `status` is that of the node that sends.
    pub(super) fn router(&mut self, job: &Job, edge: usize, from: u32, place: Place, status: Arc<Status>) -> Router {
        let senders = self.senders.remove(&(edge, from)).unwrap_or_default();
        let exchange = job.graph.edges[edge].exchange;
        let partitioner = partitioner(exchange, from as usize, senders.len(), job.graph.max_parallelism);
        Router::new(place, partitioner, senders, job.settings.batch_bytes, job.settings.router_linger(), status)
    }

    /// The channels into subtask `index` of a chain.
    pub(super) fn receivers(&mut self, chain: usize, index: u32) -> Vec<(u32, Receiver)> {
        self.receivers.remove(&(chain, index)).unwrap_or_default()
    }

    /// Where the rows of the channels into subtask `index` of a chain come from: node and subtask.
    pub(super) fn origins(&self, chain: usize, index: u32) -> &[(NodeId, u32)] {
        self.origins.get(&(chain, index)).map_or(&[], Vec::as_slice)
    }

    /// What the channels are charged, to be held as long as they exist.
    pub(super) fn into_charge(self) -> Charge {
        self.charge
    }
}
