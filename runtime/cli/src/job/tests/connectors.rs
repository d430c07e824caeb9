//! What is wrong with sources and sinks.

use wasmill_core::time::TimeDomain;

use super::{
    flow::{HEAD, any, expect},
    *,
};

#[test]
fn standard_input_is_one_stream() {
    let text = r#"name = "a"
parallelism = 4
[source.a]
connector = "stdin"
[source.b]
connector = "stdin"
parallelism = 2
[sink.out]
connector = "stdout"
input = ["a", "b"]
"#;
    let expected = r#"error: `b` reads standard input, but `a` does already
 --> job.toml:6:13
  |
6 | connector = "stdin"
  |             ^^^^^^^
  = help: let both take rows from one source

error: `b` reads standard input with a parallelism of 2
 --> job.toml:7:15
  |
7 | parallelism = 2
  |               ^
  = help: standard input is one stream: remove `parallelism`; what follows can be parallel"#;
    assert_eq!(problems(text, &[]), expected);
}

#[test]
fn two_sinks_do_not_share_a_folder() {
    let sink =
        |id: &str, path: &str| format!("[sink.{id}]\nconnector = \"file\"\npath = \"{path}\"\ninput = \"lines\"\n");
    let tail = sink("x", "out") + &sink("y", "./a/../out/");
    let expected = r#"error: `y` writes to `./a/../out/`, but `x` does already
  --> job.toml:12:8
   |
12 | path = "./a/../out/"
   |        ^^^^^^^^^^^^^
   = help: give every sink a folder of its own"#;
    expect(&tail, &[], expected);
}

#[test]
fn rows_are_partitioned_by_some_fields_each_once() {
    let sink = |fields: &str| {
        let head = "[sink.x]\nconnector = \"file\"\npath = \"out\"\ninput = \"lines\"\npartition-by = ";
        format!("{head}{fields}\n")
    };
    for (fields, expected) in [
        (r#"["a", "b", "a"]"#, "rows cannot be partitioned: `a` is there twice"),
        (
            r#"["1", "2", "3", "4", "5", "6", "7", "8", "9"]"#,
            "rows cannot be partitioned: there are more than 8 fields",
        ),
        (r#"["a", ""]"#, "`sink.x.partition-by` has an empty string"),
        ("[]", "`sink.x.partition-by` is empty"),
        ("7", "`sink.x.partition-by` must be a string or a list of strings, not an integer"),
    ] {
        let text = format!("{HEAD}{}", sink(fields));
        let found = problems(&text, &[]);
        assert!(found.contains(&format!("error: {expected}\n")), "{found}");
    }
    let expected = r#"error: `x` partitions rows by members of JSON, but `lines` gives values as `u64`
 --> job.toml:9:9
  |
9 | input = "lines"
  |         ^^^^^^^
  = help: remove `partition-by`, or put an operator between them that gives JSON objects, as `json` or `text`"#;
    expect(&sink(r#""a""#), &[], expected);
    let text = format!("{HEAD}{}", sink(r#"["a", "b"]"#))
        .replace("\"generator\"\ncount = 10", "\"stdin\"\nformat = \"json\"\nparallelism = 1");
    assert_eq!(problems(&text, &[]), "");
}

#[test]
fn files_of_a_source_must_be_there() {
    let text = "name = \"a\"\n[source.lines]\nconnector = \"file\"\npath = [\"a.wasm\", \"no/*.txt\"]\n\
                [sink.out]\nconnector = \"stdout\"\ninput = \"lines\"\n";
    let expected = r#"error: no file matches no/*.txt
 --> job.toml:4:19
  |
4 | path = ["a.wasm", "no/*.txt"]
  |                   ^^^^^^^^^^
  = help: correct the path; it is relative to the job file"#;
    assert_eq!(problems(text, &[("a", any(&[], &[]))]), expected);
}

#[test]
fn event_time_timers_need_event_time_or_an_end() {
    let tail = "[operator.w]\ncomponent = \"w.wasm\"\ninput = \"lines\"\n";
    let window = Description { timers: vec![TimeDomain::EventTime], ..any(&["in!"], &[]) };
    expect(tail, &[("w", window.clone())], "");
    let endless = format!("{HEAD}{tail}").replace("count = 10\n", "");
    let expected = r#"warning: `w` sets timers in event time, but `lines` has no event time and may never end: the timers do not fire
 --> job.toml:5:11
  |
5 | [operator.w]
  |           ^
  = help: add a table `[source.lines.event-time]`"#;
    assert_eq!(problems(&endless, &[("w", window.clone())]), expected);
    let timed = endless.replace("\"generator\"", "\"generator\"\nevent-time = {}");
    assert_eq!(problems(&timed, &[("w", window.clone())]), "");
    let unmarked = endless.replace("\"generator\"", "\"generator\"\nevent-time = { watermarks = \"none\" }");
    let expected = expected
        .replace("has no event time", "has no watermarks")
        .replace("add a table `[source.lines.event-time]`", "let `source.lines.event-time` have `watermarks`")
        .replace(":5:", ":6:")
        .replace("5 |", "6 |");
    assert_eq!(problems(&unmarked, &[("w", window)]), expected);
}

#[test]
fn a_sink_writes_rows_of_one_encoding() {
    let text = r#"name = "a"
[source.lines]
connector = "stdin"
[source.numbers]
connector = "generator"
[sink.out]
connector = "stdout"
key = true
input = ["lines", "numbers"]
"#;
    let expected = r#"error: keys that `out` takes from `numbers` are `u64`, but those from `lines` are `none`
 --> job.toml:9:19
  |
9 | input = ["lines", "numbers"]
  |                   ^^^^^^^^^
  = help: a sink writes all of its rows in one way: give each stream a sink of its own

error: values that `out` takes from `numbers` are `u64`, but those from `lines` are `text`
 --> job.toml:9:19
  |
9 | input = ["lines", "numbers"]
  |                   ^^^^^^^^^
  = help: a sink writes all of its rows in one way: give each stream a sink of its own"#;
    assert_eq!(problems(text, &[]), expected);
    assert_eq!(messages(&text.replace("key = true\n", ""), &[]).len(), 1);
    assert_eq!(problems(&text.replace("\"stdout\"\nkey = true", "\"discard\""), &[]), "");
}
