//! Shows a graph as columns of text.

use std::{collections::BTreeMap, fmt::Write as _};

use wasmill_core::graph::{Edge, Exchange, NodeId, ParallelGraph};

use super::{View, chain, channels, is_named, key_groups, order, origin, role, subtasks};
use crate::format::columns;

/// One view, or both with an empty line between them.
pub(super) fn text(graph: &ParallelGraph, view: View) -> String {
    match view {
        View::Logical => logical(graph),
        View::Parallel => parallel(graph),
        View::Both => format!("{}\n{}", logical(graph), parallel(graph)),
    }
}

fn logical(graph: &ParallelGraph) -> String {
    let graph = &graph.logical;
    let mut rows = vec![["node", "", "", "parallelism", "rows from"].map(str::to_string).to_vec()];
    for id in order(graph) {
        let node = &graph.nodes[id];
        let several = graph.edges_to(id).any(|edge| edge.input > 0);
        let from = graph.edges_to(id).map(|edge| {
            let input = if several { format!(" into input {}", edge.input) } else { String::new() };
            format!("{} by {}{input}", origin(graph, edge), edge.exchange.name())
        });
        let from = some(from);
        let title = visible(&node.title);
        rows.push(vec![node.id.clone(), role(node.role).to_string(), title, node.parallelism.to_string(), from]);
    }
    let nodes = counted(graph.nodes.len() as u64, "node");
    format!("Logical graph: {nodes}\n\n{}", indented(&columns(&rows)))
}

fn parallel(graph: &ParallelGraph) -> String {
    let keyed = |index: usize| key_groups(graph, index, 0).is_some();
    let any_keyed = (0..graph.chains.len()).any(keyed);
    let row = |subtask: String, groups: &str, to: String| match any_keyed {
        true => vec![subtask, groups.to_string(), to],
        false => vec![subtask, to],
    };
    let mut rows = vec![row("subtask".to_string(), "key groups", "rows to".to_string())];
    let mut leaving: BTreeMap<NodeId, Vec<&Edge>> = BTreeMap::new();
    for (_, edge) in graph.exchanges() {
        leaving.entry(edge.from).or_default().push(edge);
    }
    for (index, chain) in graph.chains.iter().enumerate() {
        let shown = self::chain(graph, index);
        let leaving: Vec<&Edge> = chain.nodes.iter().filter_map(|node| leaving.get(node)).flatten().copied().collect();
        for subtask in 0..chain.parallelism {
            let groups = key_groups(graph, index, subtask).unwrap_or_default();
            rows.push(row(
                format!("{shown} [{subtask}]"),
                &groups,
                receivers(graph, &leaving, chain.nodes.last(), subtask),
            ));
        }
    }
    let channels: u64 = graph.exchanges().map(|(_, edge)| channels(graph, edge)).sum();
    let (subtasks, channels) = (counted(graph.subtasks().into(), "subtask"), counted(channels, "channel"));
    format!("Parallel graph: {subtasks}, {channels}\n\n{}", indented(&columns(&rows)))
}

/// Where the rows of a subtask go. All subtasks of a node are one range, so that a large fan-out is as short as a small one.
/// Edges that leave from elsewhere than the end of the chain say from where.
fn receivers(graph: &ParallelGraph, leaving: &[&Edge], last: Option<&NodeId>, subtask: u32) -> String {
    let receivers = leaving.iter().map(|edge| {
        let to = &graph.logical.nodes[edge.to];
        let range = match edge.exchange {
            Exchange::Forward => format!("[{subtask}]"),
            _ => subtasks(to.parallelism),
        };
        let mut text = format!("{} {range} by {}", to.id, edge.exchange.name());
        if last != Some(&edge.from) || is_named(&graph.logical, edge) {
            let _ = write!(text, " from {}", origin(&graph.logical, edge));
        }
        text
    });
    some(receivers)
}

/// The first few of a list, and how many more there are.
fn some(list: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 8;
    let list: Vec<String> = list.collect();
    match list.len() {
        0..=SHOWN => list.join(", "),
        more => format!("{}, and {} more", list[..SHOWN].join(", "), more - SHOWN),
    }
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("  {line}\n")).collect()
}

/// A title may be the name of any file.
fn visible(title: &str) -> String {
    title.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
