//! Shows a job's graph: as written and as it runs, as text, Mermaid and DOT.

mod dot;
mod drawing;
mod mermaid;
mod table;

use wasmill_core::graph::{Edge, Exchange, LogicalGraph, NodeId, ParallelGraph, Role};

use super::nodes::DEAD_LETTER;

/// Which graph is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Sources, operators and sinks, and the exchanges between them.
    Logical,
    /// Subtasks, and the channels between them.
    Parallel,
    /// Both, in one picture.
    Both,
}

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for a terminal.
    Text,
    /// A Mermaid flowchart.
    Mermaid,
    /// A DOT digraph, for Graphviz.
    Dot,
}

/// Shows `graph`; the same graph always looks the same.
pub fn render(graph: &ParallelGraph, view: View, format: Format) -> String {
    match format {
        Format::Text => table::text(graph, view),
        Format::Mermaid => mermaid::flowchart(&drawing::drawing(graph, view)),
        Format::Dot => dot::digraph(&drawing::drawing(graph, view)),
    }
}

/// The nodes in the order in which rows flow.
fn order(graph: &LogicalGraph) -> Vec<NodeId> {
    graph.order().unwrap_or_else(|_| (0..graph.nodes.len()).collect())
}

/// What a node does.
fn role(role: Role) -> &'static str {
    match role {
        Role::Source => "source",
        Role::Operator => "operator",
        Role::Sink => "sink",
    }
}

/// Where an edge begins: the node, and its output unless that is the first one for rows.
fn origin(graph: &LogicalGraph, edge: &Edge) -> String {
    let node = &graph.nodes[edge.from];
    match node.outputs.get(edge.output as usize) {
        Some(output) if is_named(graph, edge) => format!("{}.{output}", node.id),
        _ => node.id.clone(),
    }
}

/// Whether an edge is shown with the output where it begins.
fn is_named(graph: &LogicalGraph, edge: &Edge) -> bool {
    edge.output > 0 || has_dead_letters(graph, edge)
}

/// Whether records that an operator cannot process go along an edge.
fn has_dead_letters(graph: &LogicalGraph, edge: &Edge) -> bool {
    graph.nodes[edge.from].outputs.get(edge.output as usize).is_some_and(|output| output == DEAD_LETTER)
}

/// A chain of more nodes is shown by its first and its last.
const CHAINED: usize = 40;

/// The nodes of a chain: `a -> b`, or `a -> (b -> c, d)` where it branches.
fn chain(graph: &ParallelGraph, index: usize) -> String {
    // Each node comes after the one that feeds it: from the end, what follows a node has been shown before it is.
    let nodes = &graph.chains[index].nodes;
    if let ([first, .., last], true) = (nodes.as_slice(), nodes.len() > CHAINED) {
        let id = |node: NodeId| &graph.logical.nodes[node].id;
        return format!("{} -> ... -> {} ({} nodes)", id(*first), id(*last), nodes.len());
    }
    let mut shown: Vec<String> = nodes.iter().map(|&node| graph.logical.nodes[node].id.clone()).collect();
    for (i, &node) in nodes.iter().enumerate().rev() {
        let followers = graph.logical.edges_from(node).filter(|edge| graph.is_chained(edge)).map(|edge| edge.to);
        let place = |follower: NodeId| nodes.iter().position(|&node| node == follower);
        let next: Vec<String> = followers.filter_map(place).map(|place| shown[place].clone()).collect();
        match next.as_slice() {
            [] => {}
            [one] => shown[i] = format!("{} -> {one}", shown[i]),
            several => shown[i] = format!("{} -> ({})", shown[i], several.join(", ")),
        }
    }
    shown.swap_remove(0)
}

/// The key groups of a subtask of a chain whose rows come by key.
fn key_groups(graph: &ParallelGraph, chain: usize, subtask: u32) -> Option<String> {
    let chain = &graph.chains[chain];
    let by_key = graph.logical.edges_to(chain.nodes[0]).any(|edge| edge.exchange == Exchange::Hash);
    by_key.then(|| graph.logical.max_parallelism.range(subtask, chain.parallelism).to_string())
}

/// How many channels an edge between chains has.
fn channels(graph: &ParallelGraph, edge: &Edge) -> u64 {
    let parallelism = |node: NodeId| u64::from(graph.logical.nodes[node].parallelism);
    match edge.exchange {
        Exchange::Forward => parallelism(edge.from),
        _ => parallelism(edge.from) * parallelism(edge.to),
    }
}

/// `[0]` or `[0-3]`: all subtasks of a node.
fn subtasks(parallelism: u32) -> String {
    if parallelism == 1 { "[0]".to_string() } else { format!("[0-{}]", parallelism - 1) }
}

#[cfg(test)]
mod tests;
