//! Decides which nodes share a subtask.
//!
//! As in Flink: a node is chained to its predecessor when it has exactly one input edge, that edge is a forward exchange
//! between equal parallelisms, and neither the node nor the job says otherwise. Chained nodes hand batches over by a
//! function call; all others through channels.

use super::{Exchange, LogicalGraph, NodeId};

/// Nodes that run in one subtask: a tree, each node after the one that feeds it. The first is the head: a source, or the
/// node that has the input gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The nodes, head first.
    pub nodes: Vec<NodeId>,
    /// Number of subtasks.
    pub parallelism: u32,
}

/// The chains of a graph, in the order in which rows flow.
///
/// # Panics
/// If the graph has a cycle ([`LogicalGraph::check`]).
pub fn chains(graph: &LogicalGraph) -> Vec<Chain> {
    let order = graph.order().expect("the graph was checked for cycles");
    let mut chains: Vec<Chain> = Vec::new();
    let mut chain_of = vec![usize::MAX; graph.nodes.len()];
    for node in order {
        match predecessor(graph, node) {
            Some(predecessor) => {
                chain_of[node] = chain_of[predecessor];
                chains[chain_of[node]].nodes.push(node);
            }
            None => {
                chain_of[node] = chains.len();
                chains.push(Chain { nodes: vec![node], parallelism: graph.nodes[node].parallelism });
            }
        }
    }
    chains
}

/// The node that `node` is chained to.
fn predecessor(graph: &LogicalGraph, node: NodeId) -> Option<NodeId> {
    let mut edges = graph.edges_to(node);
    let (edge, None) = (edges.next()?, edges.next()) else { return None };
    let equal = graph.nodes[edge.from].parallelism == graph.nodes[node].parallelism;
    (edge.exchange == Exchange::Forward && equal && graph.nodes[node].chain).then_some(edge.from)
}

#[cfg(test)]
mod tests {
    use super::{super::logical::tests::graph, Exchange::*, *};

    fn ids(graph: &LogicalGraph) -> Vec<Vec<&str>> {
        chains(graph).iter().map(|c| c.nodes.iter().map(|&n| graph.nodes[n].id.as_str()).collect()).collect()
    }

    #[test]
    fn forward_edges_of_equal_parallelism_chain() {
        let g = graph(&[("a", 2), ("b", 2), ("c", 2), ("d", 1)], &[(0, 1, Forward), (1, 2, Hash), (2, 3, Rebalance)]);
        assert_eq!(ids(&g), [vec!["a", "b"], vec!["c"], vec!["d"]]);
    }

    #[test]
    fn a_chain_branches_but_never_joins() {
        let g = graph(
            &[("a", 1), ("b", 1), ("c", 1), ("d", 1)],
            &[(0, 1, Forward), (0, 2, Forward), (1, 3, Forward), (2, 3, Forward)],
        );
        assert_eq!(ids(&g), [vec!["a", "b", "c"], vec!["d"]]);
    }

    #[test]
    fn chaining_can_be_switched_off() {
        let mut g = graph(&[("a", 1), ("b", 1), ("c", 1)], &[(0, 1, Forward), (1, 2, Forward)]);
        g.nodes[1].chain = false;
        assert_eq!(ids(&g), [vec!["a"], vec!["b", "c"]]);
    }
}
