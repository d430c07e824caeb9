//! Holds the logical graph: sources, operators and sinks, and the exchanges between them.

use crate::MaxParallelism;

/// Index of a node in [`LogicalGraph::nodes`].
pub type NodeId = usize;

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Brings rows in.
    Source,
    /// Transforms rows.
    Operator,
    /// Takes rows out.
    Sink,
}

/// How rows are spread between the subtasks of two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    /// To the subtask of the same index.
    Forward,
    /// By key group.
    Hash,
    /// Evenly.
    Rebalance,
    /// To every subtask.
    Broadcast,
}

impl Exchange {
    /// All exchanges, by the names that a job file uses.
    pub const NAMES: [(&'static str, Exchange); 4] = [
        ("forward", Exchange::Forward),
        ("hash", Exchange::Hash),
        ("rebalance", Exchange::Rebalance),
        ("broadcast", Exchange::Broadcast),
    ];

    /// The name that a job file uses.
    pub fn name(self) -> &'static str {
        match self {
            Exchange::Forward => "forward",
            Exchange::Hash => "hash",
            Exchange::Rebalance => "rebalance",
            Exchange::Broadcast => "broadcast",
        }
    }
}

/// A source, an operator or a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The id in the job file, unique in the job.
    pub id: String,
    /// What it does.
    pub role: Role,
    /// What it is, for people: a connector or a component.
    pub title: String,
    /// Number of subtasks, at least 1.
    pub parallelism: u32,
    /// Whether it may share a subtask with its predecessor.
    pub chain: bool,
    /// Names of its outputs; a source has one, a sink none.
    pub outputs: Vec<String>,
}

/// Rows flow from an output of one node to an input of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The node that emits.
    pub from: NodeId,
    /// Which of its outputs.
    pub output: u32,
    /// The node that receives.
    pub to: NodeId,
    /// Which of its inputs.
    pub input: u32,
    /// How rows are spread.
    pub exchange: Exchange,
}

/// A job as written: nodes and edges. [`LogicalGraph::check`] finds what cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalGraph {
    /// All nodes.
    pub nodes: Vec<Node>,
    /// All edges.
    pub edges: Vec<Edge>,
    /// The number of key groups.
    pub max_parallelism: MaxParallelism,
}

/// What is wrong with a graph, at which node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct GraphError {
    /// The node at fault.
    pub node: NodeId,
    /// What is wrong and what to do.
    pub message: String,
}

impl LogicalGraph {
    /// Edges that leave `node`, in the order written.
    pub fn edges_from(&self, node: NodeId) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |edge| edge.from == node)
    }

    /// Edges that enter `node`, in the order written.
    pub fn edges_to(&self, node: NodeId) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |edge| edge.to == node)
    }

    /// The nodes so that each comes after all that feed it; `Err` names the nodes on or behind a cycle.
    ///
    /// # Errors
    /// The nodes that no order can place.
    pub fn order(&self) -> Result<Vec<NodeId>, Vec<NodeId>> {
        let mut waiting: Vec<usize> = (0..self.nodes.len()).map(|node| self.edges_to(node).count()).collect();
        let mut order: Vec<NodeId> = (0..self.nodes.len()).filter(|&node| waiting[node] == 0).collect();
        let mut next = 0;
        while let Some(&node) = order.get(next) {
            next += 1;
            for edge in self.edges_from(node) {
                waiting[edge.to] -= 1;
                if waiting[edge.to] == 0 {
                    order.push(edge.to);
                }
            }
        }
        if order.len() == self.nodes.len() {
            return Ok(order);
        }
        Err((0..self.nodes.len()).filter(|&node| waiting[node] > 0).collect())
    }

    /// Everything that cannot run: cycles, nodes without input, more subtasks than key groups, forward exchanges between
    /// unequal parallelisms.
    pub fn check(&self) -> Vec<GraphError> {
        let mut errors = Vec::new();
        let mut error = |node, message: String| errors.push(GraphError { node, message });
        for (id, node) in self.nodes.iter().enumerate() {
            if node.parallelism == 0 {
                error(id, format!("`{}` has a parallelism of 0; it needs at least 1", node.id));
            }
            if node.parallelism > self.max_parallelism.get() {
                let max = self.max_parallelism.get();
                error(
                    id,
                    format!(
                        "`{}` has a parallelism of {}, above the job's max-parallelism of {max}",
                        node.id, node.parallelism
                    ),
                );
            }
            if node.role != Role::Source && self.edges_to(id).next().is_none() {
                error(id, format!("`{}` has no input", node.id));
            }
        }
        for edge in self.edges.iter().filter(|edge| edge.exchange == Exchange::Forward) {
            let (from, to) = (&self.nodes[edge.from], &self.nodes[edge.to]);
            if from.parallelism != to.parallelism {
                let message = format!(
                    "`{}` (parallelism {}) receives from `{}` (parallelism {}) by `forward`, which needs equal parallelism: \
                     make them equal, or use `rebalance` or `hash`",
                    to.id, to.parallelism, from.id, from.parallelism
                );
                error(edge.to, message);
            }
        }
        if let Err(cycle) = self.order() {
            let names: Vec<String> = cycle.iter().map(|&node| format!("`{}`", self.nodes[node].id)).collect();
            error(cycle[0], format!("rows would go in a circle through {}: a job flows one way", names.join(", ")));
        }
        errors
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `id:parallelism` nodes and `from>to:exchange` edges; the first nodes without input are sources, those without output
    /// sinks.
    pub(crate) fn graph(nodes: &[(&str, u32)], edges: &[(usize, usize, Exchange)]) -> LogicalGraph {
        let role = |node| match (edges.iter().any(|e| e.1 == node), edges.iter().any(|e| e.0 == node)) {
            (false, _) => Role::Source,
            (true, true) => Role::Operator,
            (true, false) => Role::Sink,
        };
        let node = |(i, (id, parallelism)): (usize, &(&str, u32))| Node {
            id: id.to_string(),
            role: role(i),
            title: String::new(),
            parallelism: *parallelism,
            chain: true,
            outputs: vec!["out".to_string()],
        };
        LogicalGraph {
            nodes: nodes.iter().enumerate().map(node).collect(),
            edges: edges.iter().map(|&(from, to, exchange)| Edge { from, output: 0, to, input: 0, exchange }).collect(),
            max_parallelism: MaxParallelism::DEFAULT,
        }
    }

    #[test]
    fn a_sound_graph_has_no_errors() {
        let graph = graph(&[("a", 2), ("b", 2), ("c", 1)], &[(0, 1, Exchange::Forward), (1, 2, Exchange::Hash)]);
        assert_eq!(graph.check(), vec![]);
        assert_eq!(graph.order(), Ok(vec![0, 1, 2]));
    }

    #[test]
    fn every_error_is_found_at_once() {
        let mut graph = graph(
            &[("a", 200), ("b", 2), ("c", 2)],
            &[(0, 1, Exchange::Forward), (1, 2, Exchange::Hash), (2, 1, Exchange::Hash)],
        );
        graph.nodes[2].parallelism = 0;
        let messages: Vec<String> = graph.check().into_iter().map(|e| e.message).collect();
        assert_eq!(messages.len(), 4, "{messages:#?}");
        assert!(messages[0].contains("above the job's max-parallelism of 128"));
        assert!(messages[1].contains("`c` has a parallelism of 0"));
        assert!(messages[2].contains("by `forward`, which needs equal parallelism"));
        assert!(messages[3].contains("in a circle through `b`, `c`"));
    }
}
