//! The queries of Nexmark over 20,000 events out of order, at two parallelisms and crashed at every barrier, against the digests of
//! what DuckDB answers (`examples/nexmark/oracle`).

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use sha2::{Digest, Sha256};
use wasmill_tests::{built, root, run, wasmill};

/// The events, as in `examples/nexmark/oracle/events.toml`.
const EVENTS: [&str; 4] = [
    "source.events.events=20000",
    "source.events.base-time=1437004740000",
    "source.events.events-per-second=200",
    "source.events.out-of-order-group=500",
];

/// What a query's job is changed by.
fn settings(query: &str) -> Vec<&'static str> {
    let clock = (query == "q12").then_some("operator.counts.config.clock=event");
    EVENTS.into_iter().chain(clock).flat_map(|set| ["--set", set]).collect()
}

fn job(query: &str) -> std::path::PathBuf {
    built("examples/nexmark/nexmark-queries.wasm");
    root().join("examples/nexmark/jobs").join(format!("{query}.toml"))
}

/// The rows of a folder of part files and of the partitions in it, as text: each a JSON object with its members in alphabetical order,
/// those that tell its partition among them.
fn rows(folder: &Path, partition: &BTreeMap<String, Value>) -> Vec<String> {
    let canonical = |line: &str| {
        let mut row: BTreeMap<String, Value> = serde_json::from_str(line).expect("a row is a JSON object");
        for (member, value) in partition {
            assert_eq!(row.insert(member.clone(), value.clone()), None, "`{member}` is in the name of the folder only");
        }
        serde_json::to_string(&row).expect("JSON can be written")
    };
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the result folder exists") {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        assert!(!name.starts_with('.'), "{name} is left over");
        if path.is_dir() {
            let (member, value) = name.split_once('=').expect("a folder is a partition");
            let mut partition = partition.clone();
            // Of what is escaped there is only this.
            partition.insert(member.to_string(), value.replace("%3A", ":").into());
            let within = rows(&path, &partition);
            assert!(!within.is_empty(), "{} is there for nothing", path.display());
            all.extend(within);
        } else {
            all.extend(std::fs::read_to_string(&path).expect("a part file can be read").lines().map(canonical));
        }
    }
    all
}

/// Number and digest of rows, sorted as text.
fn digest(folder: &Path) -> (u64, String) {
    let mut rows = rows(folder, &BTreeMap::new());
    rows.sort();
    let hash = Sha256::digest(rows.join("\n"));
    (rows.len() as u64, hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn answers(query: &str) {
    let expected: Value = serde_json::from_str(include_str!("../../examples/nexmark/expected/20000.json")).unwrap();
    let expected = (expected[query]["rows"].as_u64().unwrap(), expected[query]["sha256"].as_str().unwrap().to_string());
    assert!(expected.0 > 0, "a query without an answer proves nothing");
    for parallelism in ["1", "2", "3"] {
        let folder = tempfile::tempdir().unwrap();
        let out = format!("sink.results.path={:?}", folder.path().join("out").display().to_string());
        let mut command = wasmill();
        command.arg("run").arg(job(query)).args(["--parallelism", parallelism, "--set", &out]).args(settings(query));
        let ended = run(&mut command);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let out = folder.path().join("out");
        let partitioned = std::fs::read_dir(&out).unwrap().all(|entry| entry.unwrap().path().is_dir());
        assert_eq!(partitioned, query == "q10", "q10 is the query whose rows are in partitions, and all of them are");
        let found = digest(&out);
        assert_eq!(
            found, expected,
            "{query} at parallelism {parallelism}: rows and digest differ from DuckDB's; \
             `cargo xtask nexmark --check --events 20k --queries {query}` shows the rows"
        );
    }
}

fn survives(query: &str) {
    let mut command = wasmill();
    command.arg("test").arg(job(query)).args(["--crash-every-barrier", "--rescale", "--seed", "1", "--json"]);
    // Or else a quick query is over before there is much to crash in.
    command.args(["--set", "source.events.rate=50000"]);
    let ended = run(command.args(settings(query)));
    assert_eq!(ended.code, 0, "{query}: {}{}", ended.stdout, ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).expect("--json prints one JSON object");
    assert!(report["crashes"].as_u64().is_some_and(|crashes| crashes >= 10), "{query} hardly crashed: {report}");
}

macro_rules! queries {
    ($($query:ident),*) => {
        $(
            #[test]
            fn $query() {
                answers(stringify!($query));
                survives(stringify!($query));
            }
        )*
    };
}

queries!(q0, q1, q2, q3, q4, q5, q6, q7, q8, q9, q10, q11, q12, q13, q14, q15, q16, q17, q18, q19, q20, q21, q22);
