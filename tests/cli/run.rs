//! What a run prints: a summary for people, one JSON object for programs, and its exit codes.

use serde_json::Value;
use wasmill_tests::{root, wasmill};

use crate::run;

/// The word count, with its result in a folder of its own.
fn wordcount(out: &std::path::Path) -> std::process::Command {
    let mut command = wasmill();
    let path = format!("sink.counts.path={:?}", out.display().to_string());
    command.args(["run", "wordcount/job.toml", "--set", &path]).current_dir(root().join("examples"));
    command
}

#[test]
fn a_summary_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let printed = run(&mut wordcount(&folder.path().join("out")));
    assert!(printed.starts_with("exit code: 0\n----- stdout -----\n\n"), "stdout is for data: {printed}");
    for expected in ["lines", "split", "count", "729531", "13822", &folder.path().join("out").display().to_string()] {
        assert!(printed.replace([',', '_', ' '], "").contains(expected), "{expected} is not in: {printed}");
    }
}

#[test]
fn one_json_object_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let ended = wasmill_tests::run(wordcount(&folder.path().join("out")).arg("--json"));
    let summary: Value = serde_json::from_str(&ended.stdout).unwrap();
    insta::assert_snapshot!(shape(&summary, 0));
}

/// Each node says in which stage its time went: those it has took some, the others none, and all of them no more than there was.
#[test]
fn the_stages_of_each_node() {
    let folder = tempfile::tempdir().unwrap();
    let ended = wasmill_tests::run(wordcount(&folder.path().join("out")).arg("--json"));
    let summary: Value = serde_json::from_str(&ended.stdout).unwrap();
    let all = [
        "source_ns",
        "lower_ns",
        "guest_ns",
        "lift_ns",
        "state_ns",
        "partition_ns",
        "sink_ns",
        "checkpoint_ns",
        "queue_ns",
        "wait_ns",
    ];
    let inside: &[_] = &["lower_ns", "guest_ns", "lift_ns"];
    let expected = [("lines", &["source_ns"][..]), ("split", inside), ("count", inside), ("counts", &["sink_ns"])];
    for (id, some) in expected {
        let nodes = summary["nodes"].as_array().unwrap();
        let node = nodes.iter().find(|node| node["id"] == *id).unwrap();
        let stages = node["stages"].as_object().unwrap();
        let mut names: Vec<&str> = stages.keys().map(String::as_str).collect();
        names.sort_by_key(|name| all.iter().position(|stage| stage == name));
        assert_eq!(names, all, "{id}");
        for stage in ["source_ns", "lower_ns", "guest_ns", "lift_ns", "sink_ns"] {
            let took = stages[stage].as_u64().unwrap();
            assert_eq!(took > 0, some.contains(&stage), "{stage} of {id} took {took} ns");
        }
        let sum: u64 = stages.values().map(|ns| ns.as_u64().unwrap()).sum();
        let subtasks = node["subtasks"].as_array().unwrap();
        let times = ["busy_ns", "idle_ns", "backpressured_ns"];
        let time: u64 = subtasks.iter().flat_map(|subtask| times.map(|time| subtask[time].as_u64().unwrap())).sum();
        assert!(sum <= time + 1_000_000, "{id}: {sum} ns in stages, {time} ns in all");
    }
}

#[test]
fn a_breakdown_by_stage_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let ended = wasmill_tests::run(wordcount(&folder.path().join("out")).arg("--stages"));
    let mut lines = ended.stderr.lines().skip_while(|line| !line.starts_with("nanoseconds per record"));
    let titles: Vec<&str> = lines.nth(1).unwrap().split_whitespace().collect();
    let stages = ["source", "lower", "guest", "lift", "state", "partition", "sink", "checkpoint", "queue", "wait"];
    assert_eq!(titles, [&["node", "records"], &stages[..]].concat());
    let nodes: Vec<&str> = lines.take(4).map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(nodes, ["lines", "split", "count", "counts"]);
}

/// What operators report of themselves is in the report; what is no metric is not.
#[test]
fn the_metrics_of_operators() {
    let component = wasmill_tests::built("tests/hostile/guest/hostile-guest.wasm");
    let folder = tempfile::tempdir().unwrap();
    let job = format!(
        r#"name = "metrics"
[source.numbers]
connector = "generator"
count = 1000
[operator.op]
component = {component:?}
config = {{ do = "good-metrics" }}
input = "numbers"
[sink.out]
connector = "discard"
input = "op"
"#
    );
    std::fs::write(folder.path().join("job.toml"), job).unwrap();
    let ended = wasmill_tests::run(wasmill().args(["run", "job.toml", "--json"]).current_dir(folder.path()));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let summary: Value = serde_json::from_str(&ended.stdout).unwrap();
    let rows = serde_json::json!({"operator": "op", "subtask": 0, "name": "rows", "kind": "counter", "value": 1000.0});
    assert_eq!(summary["metrics"], serde_json::json!([rows]));
}

/// The keys of a JSON value and the types of its values, without the values themselves, which differ from run to run.
fn shape(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth + 1);
    match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| format!("\n{indent}{key}: {}", shape(value, depth + 1))).collect()
        }
        Value::Array(list) => format!("list of{}", list.first().map(|v| shape(v, depth + 1)).unwrap_or_default()),
        Value::String(_) => "string".to_string(),
        Value::Number(_) => "number".to_string(),
        Value::Bool(_) => "bool".to_string(),
        Value::Null => "null".to_string(),
    }
}

/// A job that fails leaves no result, names the place and exits with 1.
#[test]
fn a_job_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.jsonl"), "{\"a\": 1}\n{\"a\": \n").unwrap();
    let job = r#"name = "fails"
[source.lines]
connector = "file"
path = "bad.jsonl"
format = "json"
[sink.out]
connector = "file"
path = "out"
format = "json"
input = "lines"
"#;
    std::fs::write(folder.path().join("job.toml"), job).unwrap();
    let once = ["run", "job.toml", "--set", "restart.strategy=none"];
    let ended = wasmill_tests::run(wasmill().args(once).current_dir(folder.path()));
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    for expected in ["`fails`", "`lines`", "bad.jsonl", "2"] {
        assert!(ended.stderr.contains(expected), "{expected} is not in: {}", ended.stderr);
    }
    let left: Vec<_> = std::fs::read_dir(folder.path().join("out")).map(|d| d.flatten().collect()).unwrap_or_default();
    assert!(left.is_empty(), "half a result was left: {left:?}");
}

#[test]
fn a_result_is_not_overwritten_by_accident() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    assert!(wordcount(&out).status().unwrap().success());
    let refused = wasmill_tests::run(wordcount(&out).args(["--set", "sink.counts.overwrite=false"]));
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("overwrite"), "{}", refused.stderr);
}

/// Ctrl-C ends an endless job at once, with its exit code, and nothing half-written.
#[cfg(unix)]
#[test]
fn an_interrupted_job() {
    let folder = tempfile::tempdir().unwrap();
    let job = r#"name = "endless"
[source.numbers]
connector = "generator"
rate = 1000
[sink.out]
connector = "file"
path = "out"
format = "json"
input = "numbers"
"#;
    std::fs::write(folder.path().join("job.toml"), job).unwrap();
    let mut command = wasmill();
    command.args(["run", "job.toml"]).current_dir(folder.path());
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    // Until it runs: then its unfinished file is there.
    let unfinished = || std::fs::read_dir(folder.path().join("out")).is_ok_and(|mut entries| entries.next().is_some());
    for _ in 0..1_000 {
        if unfinished() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(unfinished(), "the job does not run");
    std::thread::sleep(std::time::Duration::from_millis(200));
    let interrupted = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let since = std::time::Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(since.elapsed().as_secs() < 5);
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read_dir(folder.path().join("out")).unwrap().count(), 0);
}
