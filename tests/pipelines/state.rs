//! The word count keeps its counts in redb: when the job has ended they are there, and can be read without its code.

use wasmill_state::Reader;

use crate::wordcount::{expected, run_example};

#[test]
fn the_counts_are_in_the_store_when_the_job_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let arguments = ["--parallelism", "3", "--state-dir", state.to_str().unwrap()];
    let ended = run_example("examples/wordcount/job.toml", "counts", &folder.path().join("out"), &arguments);
    assert_eq!(ended.code, 0, "{}", ended.stderr);

    let reader = Reader::open(&state).unwrap();
    assert!(reader.manifest().finished, "a bounded job ends with a checkpoint");
    let declared = reader.state("count", "counts").unwrap();
    let mut counts = Vec::new();
    for entry in reader.entries("count", "counts").unwrap() {
        let entry = entry.unwrap();
        let mut line = String::new();
        declared.key.text(&entry.key, &mut line);
        line.push('\t');
        declared.value.text(&entry.values[0], &mut line);
        counts.push(line);
    }
    counts.sort();
    assert!(counts == expected(), "the store's counts differ from those of wordcount.py");
}

/// A job that had finished is not run again: its result stays as it is.
#[test]
fn a_finished_job_does_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let (state, out) = (folder.path().join("state"), folder.path().join("out"));
    let arguments = ["--state-dir", state.to_str().unwrap()];
    let run = || run_example("examples/wordcount/job.toml", "counts", &out, &arguments);
    let parts = || {
        let parts = std::fs::read_dir(&out).unwrap().map(|part| part.unwrap());
        let mut parts: Vec<_> =
            parts.map(|part| (part.file_name(), part.metadata().unwrap().modified().unwrap())).collect();
        parts.sort();
        parts
    };
    assert_eq!(run().code, 0);
    let before = parts();
    let again = run();
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(parts(), before);
}
