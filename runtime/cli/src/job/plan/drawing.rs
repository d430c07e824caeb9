//! Lays a graph out as boxes in groups, and arrows: what Mermaid and DOT have in common.

use wasmill_core::graph::{Edge, Exchange, ParallelGraph};

use super::{View, chain, channels, has_dead_letters, is_named, key_groups, order, origin, role, subtasks};

/// A chain of more subtasks is drawn as one box.
const BOXES: u32 = 16;

/// An edge of more channels is drawn as one arrow.
const ARROWS: u64 = 64;

/// Boxes, groups of boxes, and arrows.
#[derive(Debug, Default)]
pub(super) struct Drawing {
    pub(super) groups: Vec<Group>,
    pub(super) boxes: Vec<Vertex>,
    pub(super) arrows: Vec<Arrow>,
}

/// Boxes and groups in a frame.
#[derive(Debug)]
pub(super) struct Group {
    /// Letters and digits, unique.
    pub(super) id: String,
    pub(super) label: String,
    pub(super) groups: Vec<Group>,
    pub(super) boxes: Vec<Vertex>,
}

/// A box. Not called one, since that is a type of Rust.
#[derive(Debug)]
pub(super) struct Vertex {
    /// Letters, digits and underscores, unique.
    pub(super) id: String,
    pub(super) lines: Vec<String>,
}

/// An arrow between boxes.
#[derive(Debug)]
pub(super) struct Arrow {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) label: String,
    /// Whether dead letters go along it: it is drawn dashed.
    pub(super) dashed: bool,
    /// The frames it stands for as a whole, if it does: from and to.
    pub(super) frames: Option<(String, String)>,
}

/// The drawing of one view, or of both side by side.
pub(super) fn drawing(graph: &ParallelGraph, view: View) -> Drawing {
    let mut drawing = Drawing::default();
    if view != View::Parallel {
        let boxes = logical(graph, &mut drawing.arrows);
        match view {
            View::Both => drawing.groups.push(group("logical", "Logical graph", vec![], boxes)),
            _ => drawing.boxes = boxes,
        }
    }
    if view != View::Logical {
        let groups = parallel(graph, &mut drawing.arrows);
        match view {
            View::Both => drawing.groups.push(group("parallel", "Parallel graph", groups, vec![])),
            _ => drawing.groups = groups,
        }
    }
    drawing
}

fn group(id: &str, label: &str, groups: Vec<Group>, boxes: Vec<Vertex>) -> Group {
    Group { id: id.to_string(), label: label.to_string(), groups, boxes }
}

fn logical(graph: &ParallelGraph, arrows: &mut Vec<Arrow>) -> Vec<Vertex> {
    let graph = &graph.logical;
    arrows.extend(graph.edges.iter().map(|edge| Arrow {
        from: format!("n{}", edge.from),
        to: format!("n{}", edge.to),
        label: label(graph, edge),
        dashed: has_dead_letters(graph, edge),
        frames: None,
    }));
    let node = |id: usize| {
        let node = &graph.nodes[id];
        let what = format!("{} {}", role(node.role), node.title);
        let parallelism = format!("parallelism {}", node.parallelism);
        Vertex { id: format!("n{id}"), lines: vec![node.id.clone(), what.trim_end().to_string(), parallelism] }
    };
    order(graph).into_iter().map(node).collect()
}

/// `hash`, or `late by hash` where the output is not the first.
fn label(graph: &wasmill_core::graph::LogicalGraph, edge: &Edge) -> String {
    match is_named(graph, edge) {
        false => edge.exchange.name().to_string(),
        true => format!("{} by {}", origin(graph, edge), edge.exchange.name()),
    }
}

fn parallel(graph: &ParallelGraph, arrows: &mut Vec<Arrow>) -> Vec<Group> {
    for (_, edge) in graph.exchanges() {
        let (from, to) = (graph.chain_of(edge.from), graph.chain_of(edge.to));
        let parallelism = |chain: usize| graph.chains[chain].parallelism;
        let count = channels(graph, edge);
        let (label, dashed) = (label(&graph.logical, edge), has_dead_letters(&graph.logical, edge));
        if count > ARROWS || parallelism(from) > BOXES || parallelism(to) > BOXES {
            arrows.push(Arrow {
                from: format!("c{from}_0"),
                to: format!("c{to}_0"),
                label: format!("{label}, {count} channels"),
                dashed,
                frames: Some((format!("c{from}"), format!("c{to}"))),
            });
            continue;
        }
        for sender in 0..parallelism(from) {
            let receivers = match edge.exchange {
                Exchange::Forward => sender..sender + 1,
                _ => 0..parallelism(to),
            };
            arrows.extend(receivers.map(|receiver| Arrow {
                from: format!("c{from}_{sender}"),
                to: format!("c{to}_{receiver}"),
                label: label.clone(),
                dashed,
                frames: None,
            }));
        }
    }
    let frame = |(index, chain): (usize, &wasmill_core::graph::Chain)| {
        let groups = |subtask| key_groups(graph, index, subtask).map(|groups| format!("key groups {groups}"));
        let boxes = match chain.parallelism > BOXES {
            true => vec![Vertex { id: format!("c{index}_0"), lines: vec![subtasks(chain.parallelism)] }],
            false => (0..chain.parallelism)
                .map(|subtask| {
                    let lines = std::iter::once(format!("[{subtask}]")).chain(groups(subtask)).collect();
                    Vertex { id: format!("c{index}_{subtask}"), lines }
                })
                .collect(),
        };
        group(&format!("c{index}"), &self::chain(graph, index), vec![], boxes)
    };
    graph.chains.iter().enumerate().map(frame).collect()
}
