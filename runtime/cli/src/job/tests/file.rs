//! What is wrong in a job file alone.

use std::time::Duration;

use super::*;

/// Twelve mistakes; what each costs is told once, and no other is hidden by it.
#[test]
fn many_mistakes_are_told_at_once() {
    let text = r#"name = "many mistakes"
paralelism = 2
seed = "x"

[limits]
memory = "lots"
call-budget = 10

[engine]
batch-size = "1B"

[source.lines]
connector = "file"
format = "txt"

[operator.split]
component = "split.wasm"
input = "line"

[operator.count]
component = "count.wasm"
input = { from = "split", exchange = "forwards" }
parallelism = 200

[sink.counts]
connector = "stdout"
path = "out"
input = []
"#;
    let expected = r#"error: `name` has a ` ` in it: only letters, digits, `-` and `_` are allowed
 --> job.toml:1:8
  |
1 | name = "many mistakes"
  |        ^^^^^^^^^^^^^^^
  = help: for example `many-mistakes`

error: unknown key `paralelism`
 --> job.toml:2:1
  |
2 | paralelism = 2
  | ^^^^^^^^^^
  = help: did you mean `parallelism`?

error: `seed` must be an integer, not a string
 --> job.toml:3:8
  |
3 | seed = "x"
  |        ^^^
  = help: for example `seed = 7`

error: `limits.memory` is not a size: `lots`
 --> job.toml:6:10
  |
6 | memory = "lots"
  |          ^^^^^^
  = help: write bytes, or a whole number with a unit (B, KiB, MiB, GiB, TiB, kB, MB, GB, TB): for example `memory = "512MiB"`

error: `limits.call-budget` is not a time span: `10`
 --> job.toml:7:15
  |
7 | call-budget = 10
  |               ^^
  = help: write a whole number with a unit (ms, s, m, h, d): for example `call-budget = "2s"`

error: `engine.batch-size` is 1B, out of range
  --> job.toml:10:14
   |
10 | batch-size = "1B"
   |              ^^^^
   = help: it can be from 64B to 64MiB

error: `source.lines` has no `path`
  --> job.toml:12:9
   |
12 | [source.lines]
   |         ^^^^^
   = help: add `path = ["data/*.jsonl", "more.jsonl.gz"]`

error: `source.lines.format` cannot be `txt`
  --> job.toml:14:10
   |
14 | format = "txt"
   |          ^^^^^
   = help: did you mean `text`? It can be `text`, `json` or `csv`

error: there is no component `split.wasm`
  --> job.toml:17:13
   |
17 | component = "split.wasm"
   |             ^^^^^^^^^^^^
   = help: build it with `wasmill build`, or correct the path; it is relative to the job file

error: `split` takes rows from `line`, which does not exist
  --> job.toml:18:9
   |
18 | input = "line"
   |         ^^^^^^
   = help: did you mean `lines`?

error: `count` has a parallelism of 200, above the job's max-parallelism of 128
  --> job.toml:20:11
   |
20 | [operator.count]
   |           ^^^^^

error: there is no component `count.wasm`
  --> job.toml:21:13
   |
21 | component = "count.wasm"
   |             ^^^^^^^^^^^^
   = help: build it with `wasmill build`, or correct the path; it is relative to the job file

error: `operator.count.input.exchange` cannot be `forwards`
  --> job.toml:22:38
   |
22 | input = { from = "split", exchange = "forwards" }
   |                                      ^^^^^^^^^^
   = help: did you mean `forward`? It can be `forward`, `hash`, `rebalance` or `broadcast`

error: a `stdout` sink has no key `path`
  --> job.toml:27:1
   |
27 | path = "out"
   | ^^^^
   = help: remove it: it belongs to `file`

error: `sink.counts.input` is an empty list
  --> job.toml:28:9
   |
28 | input = []
   |         ^^
   = help: name the node that the rows come from"#;
    pretty(&problems(text, &[]), expected);
}

/// Compares line by line, so that a difference is found by eye.
fn pretty(actual: &str, expected: &str) {
    assert_eq!(actual.lines().collect::<Vec<_>>(), expected.lines().collect::<Vec<_>>(), "\n{actual}");
}

#[test]
fn what_is_wrong_with_a_syntax_is_shown_where_it_stands() {
    let shown = problems("name = \"broken\n[source.lines]\n", &[]);
    let lines: Vec<&str> = shown.lines().collect();
    // The words are those of the TOML parser.
    assert!(lines[0].starts_with("error: this is not TOML: "), "{shown}");
    assert_eq!(lines[1..], [" --> job.toml:1:15", "  |", "1 | name = \"broken", "  |               ^"], "{shown}");
    let marked = problems("\u{feff}name = broken\r\n", &[]);
    assert!(marked.ends_with(" --> job.toml:1:8\n  |\n1 | name = broken\n  |        ^^^^^^"), "{marked}");
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    let shown = problems("name = \"a\"\nname = \"b\"\n", &[]);
    assert!(shown.starts_with("error: this is not TOML: duplicate key\n --> job.toml:2:1\n"), "{shown}");
}

#[test]
fn defaults_are_those_that_are_documented() {
    let job = Job::parse(Path::new("job.toml"), "name = \"a\"", &Overrides::default()).unwrap();
    assert_eq!((job.max_parallelism.get(), job.seed), (128, 0));
    assert_eq!(job.engine.memory, 4 << 30);
    assert_eq!((job.state.directory, job.state.cache_bytes), (None, 128 << 20));
    let text = "name = \"a\"\n[limits]\ncall-budget = \"1s\"\n[operator.x]\ncomponent = \"x\"\ninput = \"y\"\n\
                [operator.x.limits]\nmemory = 1000000\n";
    let job = Job::parse(Path::new("job.toml"), text, &Overrides::default()).unwrap();
    let limits = job.operators[0].limits;
    assert_eq!(
        (limits.memory, limits.call_budget, limits.max_batch_bytes),
        (1_000_000, Duration::from_secs(1), 64 << 20)
    );
}

/// The host knows the same limits by itself.
#[test]
fn limits_are_the_hosts() {
    let text = "name = \"a\"\n[operator.x]\ncomponent = \"x\"\ninput = \"y\"\n";
    let limits = Job::parse(Path::new("job.toml"), text, &Overrides::default()).unwrap().operators[0].limits;
    let host = wasmill_host::Limits::default();
    assert_eq!(
        (limits.memory, limits.call_budget, limits.max_batch_bytes),
        (host.memory, host.call_budget, host.max_batch_bytes)
    );
}

#[test]
fn paths_are_relative_to_the_job_file() {
    let text = "name = \"a\"\n[state]\ndirectory = \"state\"\n[operator.x]\ncomponent = \"../x.wasm\"\ninput = \"y\"\n";
    let job = Job::parse(Path::new("jobs/one/job.toml"), text, &Overrides::default()).unwrap();
    assert_eq!(job.operators[0].component.as_deref(), Some(Path::new("jobs/one/../x.wasm")));
    assert_eq!(job.state.directory.as_deref(), Some(Path::new("jobs/one/state")));
}

#[test]
fn a_configuration_becomes_json() {
    let text = "name = \"a\"\n[operator.x]\ncomponent = \"x\"\ninput = \"y\"\n\
                [operator.x.config]\ndate = 2024-05-01\nlist = [1, 2.5, true]\ntable = { \"a b\" = \"c\" }\n";
    let job = Job::parse(Path::new("job.toml"), text, &Overrides::default()).unwrap();
    let config: serde_json::Value = serde_json::from_str(&job.operators[0].config).unwrap();
    assert_eq!(config, serde_json::json!({"date": "2024-05-01", "list": [1, 2.5, true], "table": {"a b": "c"}}));
    let text = text.replace("2.5", "nan");
    assert!(messages(&text, &[]).contains(&"`NaN` cannot be handed to an operator".to_string()));
}

#[test]
fn keys_that_mean_nothing_with_a_format_are_refused() {
    let text = r#"name = "a"
[source.lines]
connector = "stdin"
delimiter = ";"
event-time = { field = "/t" }
[sink.out]
connector = "stdout"
input = "lines"
"#;
    let expected = r#"error: `delimiter` means nothing with format `text`
 --> job.toml:4:1
  |
4 | delimiter = ";"
  | ^^^^^^^^^
  = help: remove it, or use the format `csv`

error: `event-time` means nothing with format `text`
 --> job.toml:5:1
  |
5 | event-time = { field = "/t" }
  | ^^^^^^^^^^
  = help: remove it, or use the format `json` or `csv`"#;
    pretty(&problems(text, &[]), expected);
}

#[test]
fn json_fields_are_json_pointers() {
    let text = r#"name = "a"
[source.lines]
connector = "stdin"
format = "json"
key = "user.id"
event-time = { field = "/a~b" }
[sink.out]
connector = "stdout"
input = "lines"
"#;
    let expected = r#"error: `key` is not a JSON Pointer: `user.id`
 --> job.toml:5:7
  |
5 | key = "user.id"
  |       ^^^^^^^^^
  = help: write a `/` before each step: "/user/id"

error: `event-time.field` is not a JSON Pointer: `/a~b`
 --> job.toml:6:24
  |
6 | event-time = { field = "/a~b" }
  |                        ^^^^^^
  = help: write a `/` before each step: "/a~0b""#;
    pretty(&problems(text, &[]), expected);
}

#[test]
fn a_section_without_an_id_is_explained() {
    let text = "name = \"a\"\n[source]\nconnector = \"stdin\"\n[[sink.out]]\nconnector = \"stdout\"\n";
    let shown = problems(text, &[]);
    assert!(shown.contains("`source.connector` must be a table, not a string"), "{shown}");
    assert!(shown.contains("give every source an id of its own: `[source.ID]`"), "{shown}");
    assert!(shown.contains("`sink.out` must be a table, not a list"), "{shown}");
}

#[test]
fn an_empty_file_says_what_a_job_needs() {
    let expected = r#"error: the job has no `name`
 --> job.toml
  = help: add `name = "wordcount"`

error: the job has no source
 --> job.toml
  = help: add a table `[source.ID]`, such as `[source.lines]` with `connector = "file"`"#;
    pretty(&problems("", &[]), expected);
}
