//! Plans against pictures that were drawn by hand.

use wasmill_core::{MaxParallelism, graph::Node};

use super::*;

fn graph(nodes: &[(&str, Role, u32)], edges: &[(usize, u32, usize, u32, Exchange)]) -> ParallelGraph {
    let node = |(id, role, parallelism): &(&str, Role, u32)| Node {
        id: id.to_string(),
        role: *role,
        title: if *role == Role::Operator { format!("{id}.wasm") } else { "file".to_string() },
        parallelism: *parallelism,
        chain: true,
        outputs: vec!["out".to_string(), "late".to_string()],
    };
    let edge = |&(from, output, to, input, exchange): &(usize, u32, usize, u32, Exchange)| Edge {
        from,
        output,
        to,
        input,
        exchange,
    };
    ParallelGraph::new(LogicalGraph {
        nodes: nodes.iter().map(node).collect(),
        edges: edges.iter().map(edge).collect(),
        max_parallelism: MaxParallelism::DEFAULT,
    })
}

use Exchange::*;
use Role::*;

/// The example of Flink's concepts page.
fn concepts() -> ParallelGraph {
    graph(
        &[("source", Source, 2), ("map", Operator, 2), ("apply", Operator, 2), ("sink", Sink, 1)],
        &[(0, 0, 1, 0, Forward), (1, 0, 2, 0, Hash), (2, 0, 3, 0, Rebalance)],
    )
}

#[test]
fn the_concepts_page_as_text() {
    let expected = "\
Logical graph: 4 nodes

  node                          parallelism  rows from
  source  source    file        2
  map     operator  map.wasm    2            source by forward
  apply   operator  apply.wasm  2            map by hash
  sink    sink      file        1            apply by rebalance

Parallel graph: 5 subtasks, 6 channels

  subtask            key groups  rows to
  source -> map [0]              apply [0-1] by hash
  source -> map [1]              apply [0-1] by hash
  apply [0]          0-63        sink [0] by rebalance
  apply [1]          64-127      sink [0] by rebalance
  sink [0]
";
    assert_eq!(render(&concepts(), View::Both, Format::Text), expected);
}

#[test]
fn the_concepts_page_as_mermaid() {
    let expected = r#"flowchart LR
  subgraph c0["source -#62; map"]
    c0_0["[0]"]
    c0_1["[1]"]
  end
  subgraph c1["apply"]
    c1_0["[0]<br>key groups 0-63"]
    c1_1["[1]<br>key groups 64-127"]
  end
  subgraph c2["sink"]
    c2_0["[0]"]
  end
  c0_0 -->|"hash"| c1_0
  c0_0 -->|"hash"| c1_1
  c0_1 -->|"hash"| c1_0
  c0_1 -->|"hash"| c1_1
  c1_0 -->|"rebalance"| c2_0
  c1_1 -->|"rebalance"| c2_0
"#;
    assert_eq!(render(&concepts(), View::Parallel, Format::Mermaid), expected);
}

#[test]
fn the_concepts_page_as_dot() {
    let expected = r#"digraph job {
  rankdir=LR;
  compound=true;
  node [shape=box];
  n0 [label="source\nsource file\nparallelism 2"];
  n1 [label="map\noperator map.wasm\nparallelism 2"];
  n2 [label="apply\noperator apply.wasm\nparallelism 2"];
  n3 [label="sink\nsink file\nparallelism 1"];
  n0 -> n1 [label="forward"];
  n1 -> n2 [label="hash"];
  n2 -> n3 [label="rebalance"];
}
"#;
    assert_eq!(render(&concepts(), View::Logical, Format::Dot), expected);
}

#[test]
fn branches_side_outputs_and_several_inputs() {
    let graph = graph(
        &[("a", Source, 1), ("b", Operator, 1), ("c", Sink, 1), ("d", Operator, 1), ("e", Sink, 1)],
        &[
            (0, 0, 1, 0, Forward),
            (0, 0, 3, 0, Broadcast),
            (1, 0, 2, 0, Forward),
            (1, 1, 3, 1, Forward),
            (3, 0, 4, 0, Forward),
        ],
    );
    let expected = "\
Logical graph: 5 nodes

  node                    parallelism  rows from
  a     source    file    1
  b     operator  b.wasm  1            a by forward
  c     sink      file    1            b by forward
  d     operator  d.wasm  1            a by broadcast into input 0, b.late by forward into input 1
  e     sink      file    1            d by forward
";
    assert_eq!(render(&graph, View::Logical, Format::Text), expected);
    let parallel = render(&graph, View::Parallel, Format::Text);
    let expected = "\
Parallel graph: 2 subtasks, 2 channels

  subtask          rows to
  a -> b -> c [0]  d [0] by broadcast from a, d [0] by forward from b.late
  d -> e [0]
";
    assert_eq!(parallel, expected);
}

#[test]
fn a_chain_that_branches_is_shown_as_a_tree() {
    let graph = graph(
        &[("a", Source, 1), ("b", Operator, 1), ("c", Sink, 1), ("d", Sink, 1)],
        &[(0, 0, 1, 0, Forward), (0, 0, 2, 0, Forward), (1, 0, 3, 0, Forward)],
    );
    assert!(render(&graph, View::Parallel, Format::Text).contains("  a -> (b -> d, c) [0]\n"));
}

/// At a parallelism of 100 there are 10,000 channels: one arrow, and two boxes.
#[test]
fn a_large_fan_out_is_one_arrow() {
    let graph = graph(&[("a", Source, 100), ("b", Sink, 100)], &[(0, 0, 1, 0, Hash)]);
    let mermaid = render(&graph, View::Parallel, Format::Mermaid);
    assert_eq!(
        mermaid,
        "flowchart LR\n  subgraph c0[\"a\"]\n    c0_0[\"[0-99]\"]\n  end\n  subgraph c1[\"b\"]\n    c1_0[\"[0-99]\"]\n  end\n  \
         c0 -->|\"hash, 10000 channels\"| c1\n"
    );
    let dot = render(&graph, View::Parallel, Format::Dot);
    assert!(dot.contains("c0_0 -> c1_0 [label=\"hash, 10000 channels\", ltail=\"cluster_c0\", lhead=\"cluster_c1\"];"));
    let text = render(&graph, View::Parallel, Format::Text);
    assert!(text.starts_with("Parallel graph: 200 subtasks, 10000 channels\n"));
    assert_eq!(text.lines().filter(|line| line.contains("b [0-99] by hash")).count(), 100);
}

/// As many nodes as a job may have, once in one chain and once all around one.
#[test]
fn many_nodes_are_shown_in_short() {
    let ids: Vec<String> = (0..1_000).map(|i| format!("n{i}")).collect();
    let nodes: Vec<_> = ids.iter().map(|id| (id.as_str(), Operator, 1)).collect();
    let chained: Vec<_> = (1..1_000).map(|i| (i - 1, 0, i, 0, Forward)).collect();
    let text = render(&graph(&nodes, &chained), View::Parallel, Format::Text);
    assert_eq!(
        text,
        "Parallel graph: 1 subtask, 0 channels\n\n  subtask                             rows to\n  n0 -> ... -> n999 (1000 nodes) [0]\n"
    );
    let around: Vec<_> = (1..1_000).map(|i| (0, 0, i, 0, Rebalance)).collect();
    let text = render(&graph(&nodes, &around), View::Parallel, Format::Text);
    let first = text.lines().nth(3).unwrap();
    assert!(
        first.starts_with("  n0 [0]    n1 [0] by rebalance, n2 [0]") && first.ends_with(", and 991 more"),
        "{first}"
    );
}

#[test]
fn labels_cannot_break_out() {
    let mut graph = concepts();
    graph.logical.nodes[1].title = "a\"];\\\n<b>#x`*.wasm".to_string();
    let mermaid = render(&graph, View::Logical, Format::Mermaid);
    assert!(mermaid.contains("operator a#34;];#92;\u{fffd}#60;b#62;#35;x#96;#42;.wasm<br>"), "{mermaid}");
    let dot = render(&graph, View::Logical, Format::Dot);
    assert!(dot.contains("operator a\\\"];\\\\\u{fffd}<b>#x`*.wasm\\n"), "{dot}");
    assert!(!render(&graph, View::Logical, Format::Text).contains("\\\n"));
}
