//! Holds the parallel graph: chains as subtasks, and the channels between them.

use super::{Chain, Edge, Exchange, LogicalGraph, NodeId, chains};

/// A logical graph unfolded: each chain is so many subtasks, each edge between chains so many channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParallelGraph {
    /// The graph it was made of.
    pub logical: LogicalGraph,
    /// Its chains, in the order in which rows flow.
    pub chains: Vec<Chain>,
}

/// The channels of one edge, as (sending subtask, receiving subtask).
pub type Channels = Vec<(u32, u32)>;

impl ParallelGraph {
    /// Unfolds a graph.
    ///
    /// # Panics
    /// If the graph has a cycle ([`LogicalGraph::check`]).
    pub fn new(logical: LogicalGraph) -> ParallelGraph {
        let chains = chains(&logical);
        ParallelGraph { logical, chains }
    }

    /// The chain that `node` is in.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn chain_of(&self, node: NodeId) -> usize {
        self.chains.iter().position(|chain| chain.nodes.contains(&node)).expect("every node is in a chain")
    }

    /// Whether an edge stays within a chain.
    pub fn is_chained(&self, edge: &Edge) -> bool {
        let chain = &self.chains[self.chain_of(edge.to)];
        chain.nodes[0] != edge.to && chain.nodes.contains(&edge.from)
    }

    /// The edges between chains, with their index in [`LogicalGraph::edges`].
    pub fn exchanges(&self) -> impl Iterator<Item = (usize, &Edge)> {
        self.logical.edges.iter().enumerate().filter(|(_, edge)| !self.is_chained(edge))
    }

    /// The channels of an edge between chains.
    pub fn channels(&self, edge: &Edge) -> Channels {
        let (from, to) = (self.logical.nodes[edge.from].parallelism, self.logical.nodes[edge.to].parallelism);
        match edge.exchange {
            Exchange::Forward => (0..from).map(|i| (i, i)).collect(),
            _ => (0..from).flat_map(|i| (0..to).map(move |j| (i, j))).collect(),
        }
    }

    /// Number of subtasks in all.
    pub fn subtasks(&self) -> u32 {
        self.chains.iter().map(|chain| chain.parallelism).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::logical::tests::graph, Exchange::*, *};

    /// The example of Flink's concepts page: source and map chained at parallelism 2, a keyed operator at 2, a sink at 1.
    #[test]
    fn the_concepts_page() {
        let logical = graph(
            &[("source", 2), ("map", 2), ("apply", 2), ("sink", 1)],
            &[(0, 1, Forward), (1, 2, Hash), (2, 3, Rebalance)],
        );
        let parallel = ParallelGraph::new(logical);
        assert_eq!(
            parallel.chains.iter().map(|c| (c.nodes.clone(), c.parallelism)).collect::<Vec<_>>(),
            [(vec![0, 1], 2), (vec![2], 2), (vec![3], 1)]
        );
        assert_eq!(parallel.subtasks(), 5);
        let channels: Vec<Channels> = parallel.exchanges().map(|(_, edge)| parallel.channels(edge)).collect();
        assert_eq!(channels, [vec![(0, 0), (0, 1), (1, 0), (1, 1)], vec![(0, 0), (1, 0)]]);
    }
}
