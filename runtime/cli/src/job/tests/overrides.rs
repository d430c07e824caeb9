//! What `--set` and `--parallelism` do to a job file.

use super::*;

const TEXT: &str = r#"name = "a"
parallelism = 2
[source.lines]
connector = "generator"
count = 10
[sink.counts]
connector = "file"
path = "out"
input = "lines"
"#;

fn set(options: &[&str], parallelism: Option<u32>) -> Overrides {
    Overrides { set: options.iter().map(|option| option.to_string()).collect(), parallelism }
}

fn job(options: &[&str], parallelism: Option<u32>) -> Job {
    Job::parse(Path::new("job.toml"), TEXT, &set(options, parallelism)).unwrap()
}

fn problems(options: &[&str]) -> String {
    match resolve(TEXT, &[], &set(options, None)) {
        Ok(resolved) => super::super::render(&resolved.warnings, false),
        Err(problems) => super::super::render(&problems, false),
    }
}

#[test]
fn values_are_toml_or_bare_text() {
    let job = job(
        &[
            "sink.counts.path=\"a b\"",
            "name=bare-text",
            "engine.linger=50ms",
            "source.lines.count=3",
            "limits.memory = 1000000",
        ],
        None,
    );
    assert_eq!(job.sinks[0].section.text("path").as_deref(), Some("a b"));
    assert_eq!((job.name.as_str(), job.engine.linger.as_millis()), ("bare-text", 50));
    assert_eq!(job.sources[0].section.integer("count"), Some(3));
    assert!(!job.findings.has_errors());
}

#[test]
fn later_options_win_and_whole_tables_can_be_set() {
    let job = job(&["seed=1", "seed=2", r#"sink.counts.input={from="lines",exchange="broadcast"}"#], None);
    assert_eq!(job.seed, 2);
    assert_eq!(job.sinks[0].place.inputs[0].exchange.as_ref().unwrap().0, wasmill_core::graph::Exchange::Broadcast);
}

#[test]
fn parallelism_replaces_the_default_alone() {
    let job = job(&["sink.counts.parallelism=1"], Some(4));
    assert_eq!((job.sources[0].place.parallelism, job.sinks[0].place.parallelism), (4, 1));
}

#[test]
fn what_is_wrong_names_the_option() {
    let expected = r#"error: the job has no `sink.count`
 --> --set sink.count.path=x
  = help: did you mean `counts`?

error: this has no `=`
 --> --set seed
  = help: write `--set KEY=VALUE`, such as `--set sink.counts.path=out`

error: `a b` is not the path of a key
 --> --set a b=1
  = help: write `--set KEY=VALUE`, such as `--set sink.counts.path=out`

error: `name` is a string, so there is no `name.x`
 --> --set name.x=1

error: `sink.counts` is a table
 --> --set sink.counts=3
  = help: set one of its keys: `--set sink.counts.KEY=VALUE`

error: unknown key `sed`
 --> --set sed=4
  = help: did you mean `seed`?

error: `sink.counts.overwrite` must be `true` or `false`, not a string
 --> --set sink.counts.overwrite=yes
  = help: for example `overwrite = true`"#;
    let options =
        ["sink.count.path=x", "seed", "a b=1", "name.x=1", "sink.counts=3", "sed=4", "sink.counts.overwrite=yes"];
    let shown = problems(&options);
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected.lines().collect::<Vec<_>>(), "\n{shown}");
    let shown = problems(&["sink.counts.input={from=lines}"]);
    assert!(shown.starts_with("error: the value is not TOML: "), "{shown}");
    assert!(shown.contains("\n --> --set sink.counts.input={from=lines}\n"), "{shown}");
}

#[test]
fn a_parallelism_out_of_range_names_its_option() {
    let Err(problems) = resolve(TEXT, &[], &set(&[], Some(0))) else { panic!("it was accepted") };
    assert_eq!(
        problems[0].render(false),
        "error: `parallelism` is 0, out of range\n --> --parallelism 0\n  = help: it can be from 1 to 32768"
    );
}
