//! The word count keeps its counts in redb: when the job has ended they are there, and can be read without its code.

use wasmill_state::RedbState;

use crate::wordcount::{expected, run_example};

#[test]
fn the_counts_are_in_the_store_when_the_job_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let arguments = ["--parallelism", "3", "--state-dir", state.to_str().unwrap()];
    let ended = run_example("examples/wordcount/job.toml", "counts", &folder.path().join("out"), &arguments);
    assert_eq!(ended.code, 0, "{}", ended.stderr);

    let store = RedbState::open_read_only(&state).unwrap();
    let declared =
        store.operators().iter().find(|operator| operator.id == "count").expect("the operator is in the store");
    assert_eq!(declared.states[0].name, "counts");
    let (key, value) = (&declared.states[0].key, &declared.states[0].value);
    let mut counts = Vec::new();
    for entry in store.entries("count", "counts").unwrap() {
        let entry = entry.unwrap();
        let mut line = String::new();
        key.text(&entry.key, &mut line);
        line.push('\t');
        value.text(&entry.value, &mut line);
        counts.push(line);
    }
    counts.sort();
    assert!(counts == expected(), "the store's counts differ from those of wordcount.py");
}

/// A directory that holds state is not written over: this version cannot resume.
#[test]
fn a_used_state_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let arguments = ["--state-dir", state.to_str().unwrap()];
    let run = |out: &str| run_example("examples/wordcount/job.toml", "counts", &folder.path().join(out), &arguments);
    assert_eq!(run("first").code, 0);
    let refused = run("second");
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains(state.to_str().unwrap()), "{}", refused.stderr);
}
