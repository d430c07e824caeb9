//! What is wrong between nodes, once their components are described.

use wasmill_core::{
    description::{StateDescription, StateKind, StateScope, TimeToLive},
    graph::{Edge, Exchange},
    time::TimeDomain,
};

use super::*;

pub(super) const HEAD: &str = r#"name = "a"
parallelism = 2
[source.lines]
connector = "generator"
count = 10
"#;

fn shown(tail: &str, described: &[(&str, Description)]) -> String {
    problems(&format!("{HEAD}{tail}"), described)
}

pub(super) fn expect(tail: &str, described: &[(&str, Description)], expected: &str) {
    let shown = shown(tail, described);
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected.lines().collect::<Vec<_>>(), "\n{shown}");
}

fn edges(tail: &str, described: &[(&str, Description)]) -> Vec<Edge> {
    match resolve(&format!("{HEAD}{tail}"), described, &Overrides::default()) {
        Ok(resolved) => resolved.graph.edges,
        Err(problems) => panic!("{}", super::super::render(&problems, false)),
    }
}

#[test]
fn exchanges_are_chosen_by_key_and_parallelism() {
    let tail = r#"[operator.count]
component = "count.wasm"
input = "lines"
[sink.same]
connector = "discard"
input = "count"
[sink.one]
connector = "discard"
parallelism = 1
input = ["count", { from = "lines.out", exchange = "broadcast" }]
"#;
    let count = description(&[("in!", "u64")], &[("out", "u64")]);
    let count =
        Description { inputs: vec![InputDescription { key: Codec::named("u64"), ..count.inputs[0].clone() }], ..count };
    let edge = |from, to, exchange| Edge { from, output: 0, to, input: 0, exchange };
    assert_eq!(
        edges(tail, &[("count", count)]),
        [
            edge(0, 1, Exchange::Hash),
            edge(1, 2, Exchange::Forward),
            edge(1, 3, Exchange::Rebalance),
            edge(0, 3, Exchange::Broadcast)
        ]
    );
}

#[test]
fn inputs_and_outputs_are_found_by_name() {
    let tail = r#"[operator.join]
component = "join.wasm"
input = [{ from = "lines", as = "right" }, { from = "lines", as = "left" }]
[sink.late]
connector = "discard"
input = "join.late"
[sink.main]
connector = "discard"
input = "join"
"#;
    let join = description(&[("left", "bytes"), ("right", "bytes")], &[("out", "text"), ("late", "text")]);
    let join = Description { inputs: join.inputs.into_iter().map(any_key).collect(), ..join };
    let edge = |from, output, to, input| Edge { from, output, to, input, exchange: Exchange::Forward };
    assert_eq!(
        edges(tail, &[("join", join)]),
        [edge(0, 0, 1, 1), edge(0, 0, 1, 0), edge(1, 1, 2, 0), edge(1, 0, 3, 0)]
    );
}

fn any_key(input: InputDescription) -> InputDescription {
    InputDescription { key: Codec::named("bytes"), ..input }
}

/// An operator that takes everything.
pub(super) fn any(inputs: &[&str], outputs: &[&str]) -> Description {
    let pairs = |names: &[&'static str]| names.iter().map(|name| (*name, "bytes")).collect::<Vec<_>>();
    let leak = |names: &[&str]| names.iter().map(|name| &*name.to_string().leak()).collect::<Vec<&'static str>>();
    let made = description(&pairs(&leak(inputs)), &pairs(&leak(outputs)));
    Description { inputs: made.inputs.into_iter().map(any_key).collect(), ..made }
}

#[test]
fn names_that_do_not_exist() {
    let tail = r#"[operator.join]
component = "join.wasm"
input = [{ from = "lines", as = "lefd" }, "lines.ou", "lines", "out"]
[sink.out]
connector = "discard"
input = { from = "join.other", as = "in" }
"#;
    let expected = r#"error: `join` has no input `lefd`
 --> job.toml:8:33
  |
8 | input = [{ from = "lines", as = "lefd" }, "lines.ou", "lines", "out"]
  |                                 ^^^^^^
  = help: did you mean `left`?

error: `lines` has no output `ou`
 --> job.toml:8:43
  |
8 | input = [{ from = "lines", as = "lefd" }, "lines.ou", "lines", "out"]
  |                                           ^^^^^^^^^^
  = help: did you mean `out`?

error: `join` has the inputs `left` and `right`: say which
 --> job.toml:8:43
  |
8 | input = [{ from = "lines", as = "lefd" }, "lines.ou", "lines", "out"]
  |                                           ^^^^^^^^^^
  = help: write `{ from = "lines", as = "left" }`

error: `join` has the inputs `left` and `right`: say which
 --> job.toml:8:55
  |
8 | input = [{ from = "lines", as = "lefd" }, "lines.ou", "lines", "out"]
  |                                                       ^^^^^^^
  = help: write `{ from = "lines", as = "left" }`

error: `join` takes rows from `out`, which is a sink
 --> job.toml:8:64
  |
8 | input = [{ from = "lines", as = "lefd" }, "lines.ou", "lines", "out"]
  |                                                                ^^^^^
  = help: take them from where the sink takes them

error: `join` has no output `other`
  --> job.toml:11:18
   |
11 | input = { from = "join.other", as = "in" }
   |                  ^^^^^^^^^^^^
   = help: its outputs are `main` and `late`

error: `out` is a sink: its input has no name
  --> job.toml:11:37
   |
11 | input = { from = "join.other", as = "in" }
   |                                     ^^^^
   = help: remove `as`"#;
    expect(tail, &[("join", any(&["left", "right"], &["main", "late"]))], expected);
}

#[test]
fn a_keyed_input_has_a_hash_exchange_before_it() {
    for exchange in ["forward", "rebalance", "broadcast"] {
        let tail = format!(
            "[operator.count]\ncomponent = \"count.wasm\"\ninput = {{ from = \"lines\", exchange = \"{exchange}\" }}\n"
        );
        let expected = format!(
            "error: the input `in` of `count` is keyed, but its rows come by `{exchange}`\n \
             --> job.toml:8:38\n  |\n\
             8 | input = {{ from = \"lines\", exchange = \"{exchange}\" }}\n  \
             |                                      {}\n  \
             = help: use `hash`, or leave `exchange` out: equal keys must go to the same subtask",
            "^".repeat(exchange.len() + 2)
        );
        expect(&tail, &[("count", any(&["in!"], &[]))], &expected);
    }
}

#[test]
fn rows_without_keys_cannot_go_by_key() {
    let text = r#"name = "a"
[source.lines]
connector = "stdin"
[operator.count]
component = "count.wasm"
input = "lines"
"#;
    let expected = r#"error: rows go from `lines` to `count` by key, but `lines` gives them none
 --> job.toml:6:9
  |
6 | input = "lines"
  |         ^^^^^^^
  = help: let an operator between them set it"#;
    let count = [("count", any(&["in!"], &[]))];
    assert_eq!(problems(text, &count), expected);
    let json = text.replace("\"stdin\"", "\"stdin\"\nformat = \"json\"");
    assert!(
        problems(&json, &count).contains("help: give `[source.lines]` a `key`, or let an operator between them set it")
    );
    let keyed = json.replace("\"json\"", "\"json\"\nkey = \"/k\"");
    assert_eq!(problems(&keyed, &count), "");
    let without = text.replace("\"stdin\"", "\"generator\"\nkeys = 0");
    assert!(problems(&without, &count).contains("a number of `keys`"));
}

#[test]
fn codecs_must_fit_unless_one_is_bytes_or_unknown() {
    let tail = r#"[operator.a]
component = "a.wasm"
input = "lines"
[operator.b]
component = "b.wasm"
input = "a"
"#;
    let (json, text) = (description(&[("in", "json")], &[("out", "text")]), description(&[("in", "text")], &[]));
    let expected = r#"error: `a` reads keys as `text`, but `lines` gives `u64`
 --> job.toml:8:9
  |
8 | input = "lines"
  |         ^^^^^^^
  = help: change the one or the other, or put an operator between them that converts

error: `a` reads values as `json`, but `lines` gives `u64`
 --> job.toml:8:9
  |
8 | input = "lines"
  |         ^^^^^^^
  = help: change the one or the other, or put an operator between them that converts"#;
    expect(tail, &[("a", json.clone()), ("b", text.clone())], expected);
    let mut unread = json.clone();
    (unread.inputs[0].columns.keys, unread.inputs[0].columns.values) = (false, false);
    expect(tail, &[("a", unread), ("b", text.clone())], "");
    for open in ["bytes", "from-the-future"] {
        let a = Description { inputs: any(&["in"], &[]).inputs, ..description(&[], &[("out", open)]) };
        expect(tail, &[("a", a), ("b", text.clone())], "");
    }
    let postcard = |schema: &str| Codec { name: "postcard".to_string(), schema: schema.to_string() };
    let (mut a, mut b) = (any(&["in"], &["out"]), any(&["in"], &[]));
    (a.outputs[0].value, b.inputs[0].value) = (postcard("A"), postcard("B"));
    let shown = shown(tail, &[("a", a), ("b", b)]);
    assert!(shown.starts_with("warning: `b` reads values as `B`, but `a` gives `A`\n  --> job.toml:11:9\n"), "{shown}");
}

#[test]
fn what_nobody_feeds_or_takes() {
    let tail = r#"[operator.join]
component = "join.wasm"
input = { from = "lines", as = "left" }
"#;
    let expected = r#"error: nothing goes to the input `right` of `join`
 --> job.toml:6:11
  |
6 | [operator.join]
  |           ^^^^
  = help: add `{ from = "NODE", as = "right" }` to its `input`

warning: nobody takes the output `late` of `join`
 --> job.toml:6:11
  |
6 | [operator.join]
  |           ^^^^
  = help: they are counted and dropped; to keep them, add a sink with `input = "join.late"`"#;
    expect(tail, &[("join", any(&["left", "right"], &["late"]))], expected);
    let expected = r#"warning: nobody takes the rows of `lines`
 --> job.toml:3:9
  |
3 | [source.lines]
  |         ^^^^^
  = help: they are counted and dropped; to keep them, add a sink with `input = "lines"`"#;
    expect("", &[], expected);
}

#[test]
fn an_id_is_used_once() {
    let expected = r#"error: the id `lines` is taken: a source has it already
 --> job.toml:6:7
  |
6 | [sink.lines]
  |       ^^^^^
  = help: give every source, operator and sink an id of its own"#;
    expect("[sink.lines]\nconnector = \"discard\"\ninput = \"lines\"\n", &[], expected);
}

#[test]
fn rows_flow_one_way_and_forward_needs_equals() {
    let tail = r#"[operator.a]
component = "a.wasm"
input = ["lines", "b"]
[operator.b]
component = "b.wasm"
parallelism = 3
input = { from = "a", exchange = "forward" }
"#;
    let expected = r#"error: rows would go in a circle through `a`, `b`
 --> job.toml:6:11
  |
6 | [operator.a]
  |           ^
  = help: a job flows one way

error: `b` (parallelism 3) receives from `a` (parallelism 2) by `forward`, which needs equal parallelism
 --> job.toml:9:11
  |
9 | [operator.b]
  |           ^
  = help: make them equal, or use `rebalance` or `hash`"#;
    expect(tail, &[("a", any(&["in"], &["out"])), ("b", any(&["in"], &["out"]))], expected);
}

#[test]
fn what_a_component_describes_can_be_refused() {
    let tail = "[operator.a]\ncomponent = \"a.wasm\"\ninput = \"lines\"\n";
    let state = StateDescription {
        name: "seen".to_string(),
        kind: StateKind::List,
        scope: StateScope::Keyed,
        key: Codec::default(),
        map_key: Codec::default(),
        value: Codec::default(),
        schema_version: 1,
        ttl: Some(TimeToLive { milliseconds: 0, domain: TimeDomain::EventTime }),
    };
    let a = Description { states: vec![state], ..any(&["in!"], &[]) };
    let expected = r#"error: the component of `a` cannot run: its state `seen` has a time to live of 0 ms
 --> job.toml:7:13
  |
7 | component = "a.wasm"
  |             ^^^^^^^^"#;
    expect(tail, &[("a", a)], expected);
}

#[test]
fn a_component_is_looked_for() {
    let tail = "[operator.a]\ncomponent = \"wordcont.wasm\"\ninput = \"lines\"\n[sink.out]\nconnector = \"discard\"\ninput = \"a.any\"\n";
    let expected = r#"error: there is no component `wordcont.wasm`
 --> job.toml:7:13
  |
7 | component = "wordcont.wasm"
  |             ^^^^^^^^^^^^^^^
  = help: did you mean `wordcount.wasm`?"#;
    expect(tail, &[("wordcount", any(&[], &[]))], expected);
}

#[test]
fn a_configuration_that_is_refused_is_shown_at_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.wasm"), "").unwrap();
    let text = format!("{HEAD}[operator.a]\ncomponent = \"a.wasm\"\ninput = \"lines\"\nconfig = {{ size = -1 }}\n");
    let job = Job::parse(&folder.path().join("job.toml"), &text, &Overrides::default()).unwrap();
    let mut refuse = |operator: &Operator, _: &Path| -> Result<Description, DescribeError> {
        assert_eq!(operator.config, "{\"size\":-1}");
        Err(DescribeError { message: "the size must be positive".to_string(), hint: None, config: true })
    };
    let Err(problems) = job.resolve(&mut refuse) else { panic!("it was accepted") };
    let Some(super::super::Position::File { line, column, .. }) = &problems[0].position else { panic!() };
    assert_eq!((line, column, problems[0].message.as_str()), (&9, &10, "the size must be positive"));
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_job_that_no_process_holds_is_refused() {
    let tail = "[sink.out]\nconnector = \"discard\"\ninput = { from = \"lines\", exchange = \"hash\" }\n";
    let text = format!("{HEAD}{tail}").replace("parallelism = 2", "parallelism = 32768\nmax-parallelism = 32768");
    assert_eq!(
        messages(&text, &[]),
        [
            "the job would have 65536 subtasks; one process runs at most 5000",
            "the job would have 1073741824 channels; one process runs at most 1000000"
        ]
    );
}
