//! State of every kind outlives a savepoint, another parallelism and another schema version, in whole jobs.
#![cfg(unix)]

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use wasmill_tests::{Ended, built, run, sorted_lines, wasmill};

/// Rows of the whole stream; row i has the value i and comes at i milliseconds of event time.
const ROWS: u64 = 30_000;

/// The job over the whole stream, with totals of schema version `schema`; endless and slow where it is to be stopped.
fn job(folder: &Path, name: &str, schema: u32, endless: bool) {
    let length = if endless { "rate = 8000".to_string() } else { format!("count = {ROWS}") };
    let ledger = built("tests/ledger/ledger.wasm");
    let text = format!(
        r#"name = "ledger"
parallelism = 2
[checkpoint]
interval = "50ms"
[source.rows]
connector = "generator"
keys = 20
{length}
[source.rows.event-time]
interval = "1ms"
[source.names]
connector = "generator"
keys = 0
count = 4
parallelism = 1
[operator.ledger]
component = {ledger:?}
config = {{ schema = {schema} }}
input = [{{ from = "rows", as = "in" }}, {{ from = "names", as = "broadcast", exchange = "broadcast" }}]
[sink.out]
connector = "file"
path = "out"
format = "json"
key = true
overwrite = true
input = "ledger"
"#
    );
    fs::write(folder.join(name), text).unwrap();
}

/// A run that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wasmill_in(folder: &Path, arguments: &[&str]) -> Ended {
    run(wasmill().args(arguments).current_dir(folder))
}

/// Runs the endless job for a while, with totals of schema version `schema`, and stops it with a savepoint.
fn stopped_with_a_savepoint(folder: &Path, schema: u32) {
    job(folder, "first.toml", schema, true);
    let mut command = wasmill();
    command.args(["run", "first.toml", "--state-dir", "state"]).current_dir(folder);
    let mut running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    for _ in 0..1_000 {
        // Rows for more than a second of event time, so that the time to live matters.
        if fs::read_dir(folder.join("state/checkpoints")).is_ok_and(|mut found| found.next().is_some()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(1_500));
    let live = wasmill_in(folder, &["state", "scan", "state", "ledger.remainders"]);
    assert_eq!(live.code, 0, "{}", live.stderr);
    assert!(live.stdout.lines().count() == 80, "20 keys with 4 remainders each:\n{}", live.stdout);
    let stop = wasmill_in(folder, &["stop", "first.toml", "--state-dir", "state", "--savepoint", "savepoint"]);
    assert_eq!(stop.code, 0, "{}", stop.stderr);
    assert!(running.0.wait().unwrap().success());
}

/// The numbers of each key's rows, by a job without state.
fn rows_by_key(folder: &Path) -> BTreeMap<u64, Vec<u64>> {
    let text = format!(
        "name = \"rows\"\nparallelism = 1\n[source.rows]\nconnector = \"generator\"\nkeys = 20\ncount = {ROWS}\n\
         [sink.all]\nconnector = \"file\"\npath = \"all\"\nformat = \"json\"\nkey = true\ninput = \"rows\"\n"
    );
    fs::write(folder.join("rows.toml"), text).unwrap();
    let ended = wasmill_in(folder, &["run", "rows.toml"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let mut rows: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for line in sorted_lines(&folder.join("all")) {
        let row: Value = serde_json::from_str(&line).unwrap();
        rows.entry(row["key"].as_u64().unwrap()).or_default().push(row["value"].as_u64().unwrap());
    }
    rows.values_mut().for_each(|rows| rows.sort());
    rows
}

#[test]
fn state_of_every_kind_goes_on_in_another_schema_at_another_parallelism() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    stopped_with_a_savepoint(folder, 1);
    job(folder, "second.toml", 2, false);

    let check = wasmill_in(folder, &["check", "second.toml", "--against", "savepoint"]);
    assert_eq!(check.code, 0, "{}{}", check.stdout, check.stderr);
    let said = check.stdout + &check.stderr;
    assert!(said.contains("total") && said.contains("migrate"), "{said}");

    let again = ["run", "second.toml", "--state-dir", "other", "--from-savepoint", "savepoint", "--parallelism", "3"];
    let second = wasmill_in(folder, &again);
    assert_eq!(second.code, 0, "{}", second.stderr);
    let expected = rows_by_key(folder);
    let told: BTreeMap<u64, Value> = sorted_lines(&folder.join("out"))
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|row| (row["key"].as_u64().unwrap(), row["value"].clone()))
        .collect();
    assert_eq!(told.len(), expected.len());
    for (key, rows) in expected {
        let told = &told[&key];
        let count = |rest| rows.iter().filter(|&row| row % 4 == rest).count();
        assert_eq!(told["schema"], 2);
        assert_eq!(told["sum"], json!(rows.iter().sum::<u64>()), "key {key}");
        assert_eq!(told["remainders"], json!([count(0), count(1), count(2), count(3)]), "key {key}");
        assert_eq!(told["names"], json!([0, 10, 20, 30]), "key {key}: the names came before the savepoint only");
        let mut list: Vec<u64> = told["rows"].as_array().unwrap().iter().map(|row| row.as_u64().unwrap()).collect();
        list.sort();
        assert_eq!(list, rows, "key {key}");
        // 30 seconds of event time with rows every 20 ms. A period ends when the watermark has passed its end, which it does
        // sooner or later by as much as a batch holds.
        let periods = told["periods"].as_u64().unwrap();
        assert!((5..=30).contains(&periods), "key {key}: {periods} periods of a second in 30 seconds");
    }
}

/// Two jobs that begin from one savepoint and write into one folder: the second ends at once, and changes nothing there.
#[test]
fn results_of_two_jobs_are_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    stopped_with_a_savepoint(folder, 1);
    job(folder, "second.toml", 1, false);
    let once = |state: &str, parallelism: &str| {
        // One checkpoint, at the end: so both write parts of the same name.
        let from = ["--from-savepoint", "savepoint", "--state-dir", state, "--set", "checkpoint.interval=\"1h\""];
        wasmill_in(folder, &[&["run", "second.toml", "--parallelism", parallelism][..], &from].concat())
    };
    let first = once("a", "3");
    assert_eq!(first.code, 0, "{}", first.stderr);
    let result = sorted_lines(&folder.join("out"));
    let second = once("b", "2");
    assert_ne!(second.code, 0);
    assert!(second.stderr.contains("is there already, with other rows"), "{}", second.stderr);
    assert!(!second.stderr.contains("the next one begins"), "{}", second.stderr);
    assert_eq!(sorted_lines(&folder.join("out")), result);
}

/// A schema version that the operator cannot read is refused before anything runs, and the savepoint stays as it was.
#[test]
fn a_schema_that_cannot_be_migrated_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    stopped_with_a_savepoint(folder, 2);
    job(folder, "second.toml", 1, false);
    let second = wasmill_in(folder, &["run", "second.toml", "--state-dir", "other", "--from-savepoint", "savepoint"]);
    assert_ne!(second.code, 0);
    assert!(second.stderr.contains("total") && second.stderr.contains("version"), "{}", second.stderr);
    assert!(!folder.join("out").exists() || sorted_lines(&folder.join("out")).is_empty());
    let listed = wasmill_in(folder, &["state", "list", "savepoint"]);
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    for state in ["total", "rows", "remainders", "period", "periods", "names"] {
        assert!(listed.stdout.contains(state), "{}", listed.stdout);
    }
}
