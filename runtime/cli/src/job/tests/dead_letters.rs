//! Operators with `on-error = "dead-letter"`: the output that they have more than they describe.

use wasmill_core::graph::{Edge, Exchange, ParallelGraph};

use super::{
    super::plan::{Format, View, render},
    flow::{HEAD, any, expect},
    *,
};

fn resolved(tail: &str, described: &[(&str, Description)]) -> Resolved {
    match resolve(&format!("{HEAD}{tail}"), described, &Overrides::default()) {
        Ok(resolved) => resolved,
        Err(problems) => panic!("{}", super::super::render(&problems, false)),
    }
}

const TAIL: &str = r#"[operator.count]
component = "count.wasm"
input = "lines"
on-error = "dead-letter"
[sink.out]
connector = "discard"
input = ["count", "count.late"]
[sink.letters]
connector = "stdout"
parallelism = 1
key = true
input = "count.dead-letter"
"#;

/// Behind the others, where the engine puts it.
#[test]
fn the_output_is_the_last_one() {
    let resolved = resolved(TAIL, &[("count", any(&["in"], &["out", "late"]))]);
    assert_eq!(resolved.graph.nodes[1].outputs, ["out", "late", "dead-letter"]);
    let edge = |output, to, exchange| Edge { from: 1, output, to, input: 0, exchange };
    assert_eq!(
        resolved.graph.edges[1..],
        [edge(0, 2, Exchange::Forward), edge(1, 2, Exchange::Forward), edge(2, 3, Exchange::Rebalance)]
    );
    assert_eq!(resolved.descriptions[&1].outputs.len(), 2, "the component's own");
    assert_eq!(resolved.warnings, []);
}

#[test]
fn it_is_drawn_apart() {
    let resolved = resolved(TAIL, &[("count", any(&["in"], &["out", "late"]))]);
    let graph = ParallelGraph::new(resolved.graph);
    let text = render(&graph, View::Logical, Format::Text);
    assert!(text.contains("letters  sink      stdout      1            count.dead-letter by rebalance\n"), "{text}");
    let text = render(&graph, View::Parallel, Format::Text);
    assert!(text.contains("letters [0] by rebalance from count.dead-letter\n"), "{text}");
    let mermaid = render(&graph, View::Logical, Format::Mermaid);
    assert!(mermaid.contains("  n1 -->|\"count.late by forward\"| n2\n"), "{mermaid}");
    assert!(mermaid.contains("  n1 -.->|\"count.dead-letter by rebalance\"| n3\n"), "{mermaid}");
    let dot = render(&graph, View::Logical, Format::Dot);
    assert!(dot.contains("  n1 -> n2 [label=\"forward\"];\n"), "{dot}");
    assert!(dot.contains("  n1 -> n3 [label=\"count.dead-letter by rebalance\", style=dashed];\n"), "{dot}");
    let dot = render(&graph, View::Parallel, Format::Dot);
    assert_eq!(dot.matches("style=dashed").count(), 2, "one a channel: {dot}");
}

#[test]
fn that_nobody_takes_it_is_told() {
    let tail = TAIL.split_once("[sink.letters]").unwrap().0;
    let expected = r#"warning: records that `count` cannot process are lost
 --> job.toml:6:11
  |
6 | [operator.count]
  |           ^^^^^
  = help: nobody takes its output `dead-letter`; to keep them, add a sink with `input = "count.dead-letter"`"#;
    expect(tail, &[("count", any(&["in"], &["out", "late"]))], expected);
}

#[test]
fn a_component_with_such_an_output_is_refused() {
    let expected = r#"error: the component of `count` describes an output `dead-letter` itself
 --> job.toml:9:12
  |
9 | on-error = "dead-letter"
  |            ^^^^^^^^^^^^^
  = help: leave `on-error` out, or rename the output in the component"#;
    let own = any(&["in"], &["out", "late", "dead-letter"]);
    expect(TAIL, &[("count", own.clone())], expected);
    // Without `on-error` it is an output as any other.
    let resolved = resolved(&TAIL.replace("on-error = \"dead-letter\"\n", ""), &[("count", own)]);
    assert_eq!(resolved.graph.nodes[1].outputs, ["out", "late", "dead-letter"]);
}

#[test]
fn without_on_error_there_is_none() {
    let tail = TAIL.replace("on-error = \"dead-letter\"\n", "");
    let expected = r#"error: `count` has no output `dead-letter`
  --> job.toml:16:9
   |
16 | input = "count.dead-letter"
   |         ^^^^^^^^^^^^^^^^^^^
   = help: add `on-error = "dead-letter"` to `[operator.count]`"#;
    expect(&tail, &[("count", any(&["in"], &["out", "late"]))], expected);
    let tail = "[sink.out]\nconnector = \"discard\"\ninput = \"lines.dead-letter\"\n";
    let shown = problems(&format!("{HEAD}{tail}"), &[]);
    assert!(shown.contains("error: `lines` has no output `dead-letter`\n"), "{shown}");
    assert!(shown.ends_with("= help: it has `out`"), "only operators have it: {shown}");
}

/// An operator without outputs of its own has this one, but nobody gets it by mistake.
#[test]
fn it_is_never_meant_without_its_name() {
    let tail = r#"[operator.save]
component = "save.wasm"
input = "lines"
on-error = "dead-letter"
[sink.out]
connector = "discard"
input = "save"
"#;
    let described = [("save", any(&["in"], &[]))];
    let expected = r#"error: nothing comes out of `save` but dead letters
  --> job.toml:12:9
   |
12 | input = "save"
   |         ^^^^^^
   = help: if they are meant, write "save.dead-letter""#;
    expect(tail, &described, expected);
    let resolved = resolved(&tail.replace("\"save\"\n", "\"save.dead-letter\"\n"), &described);
    assert_eq!(resolved.graph.nodes[1].outputs, ["dead-letter"]);
    let mermaid = render(&ParallelGraph::new(resolved.graph), View::Logical, Format::Mermaid);
    assert!(mermaid.contains("n1 -.->|\"save.dead-letter by forward\"| n2"), "{mermaid}");
}

/// Its value is `json`, and its key fits everything.
#[test]
fn its_codecs_are_checked() {
    let keyed = |value| description(&[("in!", value)], &[("out", "text")]);
    let tail = |sink: &str| {
        format!(
            "[operator.count]\ncomponent = \"count.wasm\"\ninput = \"lines\"\non-error = \"dead-letter\"\n\
             [operator.sort]\ncomponent = \"sort.wasm\"\ninput = \"count.dead-letter\"\n\
             [sink.out]\nconnector = \"stdout\"\ninput = {sink}\n"
        )
    };
    let count = || ("count", any(&["in"], &["out"]));
    let resolved = resolved(&tail("[\"sort\"]"), &[count(), ("sort", keyed("json"))]);
    assert!(resolved.warnings.iter().all(|warning| warning.message.starts_with("nobody takes the output `out`")));
    let edge = resolved.graph.edges.iter().find(|edge| edge.to == 2).unwrap();
    assert_eq!((edge.output, edge.exchange), (1, Exchange::Hash));
    let wrong = messages(&format!("{HEAD}{}", tail("\"sort\"")), &[count(), ("sort", keyed("u64"))]);
    assert_eq!(wrong[1..], ["`sort` reads values as `u64`, but `count` gives `json`"]);
    let mixed = tail("[\"sort\", \"count.dead-letter\"]");
    let mixed = messages(&format!("{HEAD}{mixed}"), &[count(), ("sort", keyed("json"))]);
    assert_eq!(mixed[1..], ["values that `out` takes from `count` are `json`, but those from `sort` are `text`"]);
}

#[test]
fn hostile_values() {
    for (value, message) in [
        ("\"dead-letters\"", "`operator.count.on-error` cannot be `dead-letters`"),
        ("\"skip\"", "`operator.count.on-error` cannot be `skip`"),
        ("true", "`operator.count.on-error` must be a string, not a boolean"),
        ("[]", "`operator.count.on-error` must be a string, not a list"),
    ] {
        let text = TAIL.replace("on-error = \"dead-letter\"", &format!("on-error = {value}"));
        let messages = messages(&format!("{HEAD}{text}"), &[("count", any(&["in"], &["out", "late"]))]);
        assert!(messages.contains(&message.to_string()), "{messages:?}");
    }
}

/// A fresh instance is made while the one that failed is still there.
#[test]
fn instances_are_counted_twice() {
    let text = |parallelism: u32| {
        format!(
            "name = \"a\"\nmax-parallelism = 5000\n[source.lines]\nconnector = \"generator\"\ncount = 1\n\
             [operator.count]\ncomponent = \"count.wasm\"\ninput = \"lines\"\non-error = \"dead-letter\"\n\
             parallelism = {parallelism}\n[sink.out]\nconnector = \"discard\"\ninput = [\"count\", \"count.dead-letter\"]\n"
        )
    };
    let described = [("count", any(&["in"], &["out"]))];
    assert_eq!(messages(&text(2_500), &described), [""; 0]);
    assert_eq!(
        messages(&text(2_501), &described),
        [
            "the job would have 5002 instances, two a subtask where there are dead letters; one process runs at most 5000"
        ]
    );
    assert_eq!(messages(&text(4_999), &described), ["the job would have 5001 subtasks; one process runs at most 5000"]);
}
