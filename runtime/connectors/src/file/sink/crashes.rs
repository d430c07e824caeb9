//! Tests that a crash between any two steps changes nothing in the end.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    fs,
    path::Path,
};

use proptest::prelude::*;

use super::{
    tests::{end, files, subtask, write},
    *,
};

/// Does `work` on the folder, which crashes before step number `at`; whether it did.
fn crashes(path: &Path, at: usize, work: impl Fn(&Folder<'_>) -> Result<(), ConnectorError>) -> bool {
    let (steps, crashed) = (Cell::new(0), Cell::new(false));
    let before = |_: &str| {
        crashed.set(steps.replace(steps.get() + 1) >= at);
        if crashed.get() { Err(io::Error::other("crash")) } else { Ok(()) }
    };
    let done = work(&Folder::with(path, &before));
    assert_eq!(done.is_err(), crashed.get(), "{done:?}");
    crashed.get()
}

/// The steps of `work`.
fn steps(path: &Path, work: impl Fn(&Folder<'_>) -> Result<(), ConnectorError>) -> Vec<String> {
    let steps = RefCell::new(Vec::new());
    let before = |step: &str| {
        steps.borrow_mut().push(step.to_string());
        Ok(())
    };
    work(&Folder::with(path, &before)).unwrap();
    steps.into_inner()
}

fn sink(folder: &Path, overwrite: bool) -> FileSink {
    FileSink { path: folder.to_path_buf(), overwrite, ..FileSink::default() }
}

/// An earlier result of two files, one of which has a name that the new one has too.
fn old(folder: &Path) {
    for name in ["part-00000-000001.txt", "part-00009-000003.txt"] {
        fs::write(folder.join(name), "old\n").unwrap();
    }
}

/// Old and new rows are never there together.
fn assert_unmixed(folder: &Path) {
    let all = files(folder, false);
    let content: BTreeSet<bool> =
        all.iter().filter(|file| !file.0.ends_with('/')).map(|file| file.1 == "old\n").collect();
    assert!(content.len() < 2, "{all:?}");
}

#[test]
fn each_step_is_durable_before_the_next_relies_on_it() {
    let folder = tempfile::tempdir().unwrap();
    old(folder.path());
    let sink = sink(folder.path(), true);
    assert_eq!(
        steps(folder.path(), |folder| sink.prepare_in(folder, false)),
        ["begin .replaced.json.tmp", "write .replaced.json.tmp", "rename to .replaced.json", "sync"]
    );
    let committables = write(&sink, 1, &[&["a"], &["b"]]);
    assert_eq!(
        steps(folder.path(), |folder| commit::commit(folder, &committables)),
        [
            "remove part-00000-000001.txt",
            "remove part-00009-000003.txt",
            "sync",
            "remove .replaced.json",
            "sync",
            "rename to part-00000-000001.txt",
            "rename to part-00001-000001.txt",
            "sync"
        ]
    );
    // The names may not have been durable, so they are made so once more.
    assert_eq!(steps(folder.path(), |folder| commit::commit(folder, &committables)), ["sync"]);
}

#[test]
fn a_crash_at_any_step_of_a_commit_changes_nothing() {
    for overwrite in [false, true] {
        for at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            if overwrite {
                old(folder.path());
            }
            let sink = sink(folder.path(), overwrite);
            sink.prepare(false).unwrap();
            let mut committables = write(&sink, 1, &[&["a"], &["b"]]);
            committables.extend(write(&sink, 2, &[&["c"]]));
            // Of an epoch that is not complete.
            write(&sink, 3, &[&["d"], &["e"], &["f"]]);
            let crashed = crashes(folder.path(), at, |folder| commit::commit(folder, &committables));
            assert_unmixed(folder.path());
            sink.prepare(true).unwrap();
            sink.commit(&committables).unwrap();
            sink.discard().unwrap();
            let expected = [("000001", 0, "a\n"), ("000001", 1, "b\n"), ("000002", 0, "c\n")]
                .map(|(epoch, subtask, rows)| (format!("part-0000{subtask}-{epoch}.txt"), rows.to_string()));
            let mut expected = expected.to_vec();
            expected.sort();
            assert_eq!(files(folder.path(), true), expected, "crash before step {at}");
            if !crashed {
                break;
            }
        }
    }
}

#[test]
fn a_crash_at_any_step_of_a_fresh_start_changes_nothing() {
    for at in 0.. {
        let folder = tempfile::tempdir().unwrap();
        old(folder.path());
        let before = files(folder.path(), true);
        let sink = sink(folder.path(), true);
        // What an earlier attempt left, which wanted to replace less.
        write(&sink, 5, &[&["x"], &["y"]]);
        fs::write(folder.path().join(".replaced.json"), r#"{"parts":["part-00000-000001.txt"]}"#).unwrap();
        let crashed = crashes(folder.path(), at, |folder| sink.prepare_in(folder, false));
        assert_eq!(files(folder.path(), false), before, "crash before step {at}");
        sink.prepare(false).unwrap();
        sink.discard().unwrap();
        let left: Vec<String> = files(folder.path(), true).into_iter().map(|file| file.0).collect();
        assert_eq!(left, [".replaced.json", "part-00000-000001.txt", "part-00009-000003.txt"]);
        sink.commit(&write(&sink, 1, &[&["a"]])).unwrap();
        assert_eq!(files(folder.path(), true), [("part-00000-000001.txt".to_string(), "a\n".to_string())]);
        if !crashed {
            break;
        }
    }
    // Where nothing is to be replaced, neither is what an earlier start wanted to.
    let folder = tempfile::tempdir().unwrap();
    for list in [".replaced.json", ".replaced.json.tmp"] {
        fs::write(folder.path().join(list), r#"{"parts":["part-00000-000001.txt"]}"#).unwrap();
    }
    sink(folder.path(), false).prepare(false).unwrap();
    assert_eq!(files(folder.path(), true), []);
}

#[test]
fn a_crash_at_any_step_of_discarding_changes_nothing() {
    for at in 0..=3 {
        let folder = tempfile::tempdir().unwrap();
        let sink = sink(folder.path(), false);
        sink.prepare(false).unwrap();
        let committables = write(&sink, 1, &[&["a"]]);
        sink.commit(&committables).unwrap();
        write(&sink, 2, &[&["b"], &["c"], &["d"]]);
        assert_eq!(crashes(folder.path(), at, |folder| sink.discard_in(folder)), at < 3);
        sink.prepare(true).unwrap();
        sink.commit(&committables).unwrap();
        sink.discard().unwrap();
        assert_eq!(files(folder.path(), true), [("part-00000-000001.txt".to_string(), "a\n".to_string())]);
    }
}

/// A crash before each step of a commit into partitions, of which one was there before and one is there no longer.
#[test]
fn a_crash_at_any_step_of_a_commit_into_partitions_changes_nothing() {
    for at in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let sink = FileSink { partition_by: vec!["a".into(), "b".into()], ..sink(folder.path(), true) };
        for partition in ["a=1/b=1", "a=0/b=1"] {
            fs::create_dir_all(folder.path().join(partition)).unwrap();
            fs::write(folder.path().join(partition).join("part-00000-000001.txt"), "old\n").unwrap();
        }
        let rows = [r#"{"a":1,"b":1}"#, r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#];
        sink.prepare(false).unwrap();
        let mut committables = write(&sink, 1, &[&rows, &rows]);
        committables.extend(write(&sink, 2, &[&rows[1..]]));
        write(&sink, 3, &[&rows]);
        let crashed = crashes(folder.path(), at, |folder| commit::commit(folder, &committables));
        assert_unmixed(folder.path());
        sink.prepare(true).unwrap();
        sink.commit(&committables).unwrap();
        sink.discard().unwrap();
        let part = |partition: &str, part: &str| (format!("{partition}/part-{part}.txt"), "{}\n".to_string());
        let expected = [
            part("a=1/b=1", "00000-000001"),
            part("a=1/b=1", "00001-000001"),
            part("a=1/b=2", "00000-000001"),
            part("a=1/b=2", "00000-000002"),
            part("a=1/b=2", "00001-000001"),
            part("a=2/b=1", "00000-000001"),
            part("a=2/b=1", "00000-000002"),
            part("a=2/b=1", "00001-000001"),
        ];
        assert_eq!(files(folder.path(), true), expected, "crash before step {at}");
        if !crashed {
            assert!(at > 20, "a commit has more steps than {at}");
            break;
        }
    }
}

#[test]
fn partitions_are_durable_before_files_are_in_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a=0/b=1")).unwrap();
    fs::write(folder.path().join("a=0/b=1/part-00000-000001.txt"), "old\n").unwrap();
    let sink = FileSink { partition_by: vec!["a".into(), "b".into()], ..sink(folder.path(), true) };
    sink.prepare(false).unwrap();
    let committables = write(&sink, 1, &[&[r#"{"a":1,"b":1}"#, r#"{"a":1,"b":2}"#]]);
    assert_eq!(
        steps(folder.path(), |folder| commit::commit(folder, &committables)),
        [
            "remove a=0/b=1/part-00000-000001.txt",
            "remove a=0/b=1 if empty",
            "remove a=0 if empty",
            "sync",
            "remove .replaced.json",
            "sync",
            "make a=1",
            "make a=1/b=1",
            "make a=1/b=2",
            "sync",
            "sync a=1",
            "rename to a=1/b=1/part-00000-000001.txt",
            "rename to a=1/b=2/part-00000-000001.txt",
            "sync a=1/b=1",
            "sync a=1/b=2",
            "sync"
        ]
    );
    assert_eq!(
        steps(folder.path(), |folder| commit::commit(folder, &committables)),
        ["sync a=1/b=1", "sync a=1/b=2", "sync"]
    );
}

/// What a job does in one epoch.
#[derive(Debug, Clone)]
struct Epoch {
    parallelism: u32,
    /// Subtasks that have a row, as bits.
    writing: u32,
    /// Whether the checkpoint is complete.
    complete: bool,
    /// The step before which its commit crashes.
    crash: usize,
    /// Whether the store is told of the commit, so that it is not done once more.
    told: bool,
}

fn epoch() -> impl Strategy<Value = Epoch> {
    (1..4u32, 0..8u32, prop::bool::weighted(0.8), 0..12usize, any::<bool>())
        .prop_map(|(parallelism, writing, complete, crash, told)| Epoch { parallelism, writing, complete, crash, told })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// A job of many attempts against a model: the rows of every complete checkpoint, once.
    #[test]
    fn any_life_of_a_job_gives_the_rows_of_its_complete_checkpoints(
        epochs in prop::collection::vec(epoch(), 1..12), overwrite: bool, partitions in 0..4usize
    ) {
        let folder = tempfile::tempdir().unwrap();
        let partition_by = if partitions > 0 { vec!["p".to_string()] } else { vec![] };
        let sink = FileSink { partition_by, ..sink(folder.path(), overwrite) };
        if overwrite { old(folder.path()); }
        sink.prepare(false).unwrap();
        let (mut pending, mut model) = (Vec::new(), BTreeSet::new());
        let mut parts: Vec<Box<dyn Sink>> = Vec::new();
        let mut restored = false;
        let mut number = 0;
        for (i, Epoch { parallelism, writing, complete, crash, told }) in epochs.into_iter().enumerate() {
            number += 1;
            if parts.is_empty() {
                parts = (0..parallelism).map(|number| subtask(&sink, number)).collect();
            }
            let mut prepared = Vec::new();
            let mut rows = Vec::new();
            for (subtask, part) in parts.iter_mut().enumerate() {
                let row = format!("{i}-{subtask}");
                // What is written, and what is there then: the folder and the line.
                let mut written = vec![(row.clone(), (String::new(), row.clone()))];
                if partitions > 0 {
                    let in_partition = |p| {
                        let line = format!(r#"{{"row":"{row}"}}"#);
                        (format!(r#"{{"p":{p},"row":"{row}"}}"#), (format!("p={p}/"), line))
                    };
                    // Not all partitions in each epoch.
                    written = (0..partitions).map(|p| in_partition((p * (i + 1)) % 4)).collect();
                    written.sort();
                    written.dedup();
                }
                if (writing >> subtask) & 1 == 0 { written.clear(); }
                let words: Vec<&str> = written.iter().map(|(word, _)| word.as_str()).collect();
                let committable = end(&mut **part, number, &words);
                prop_assert_eq!(committable.is_some(), !words.is_empty());
                rows.extend(written.into_iter().map(|(_, (folder, line))| (folder, format!("{line}\n"))));
                prepared.extend(committable);
            }
            let mut crashed = !complete;
            if complete {
                restored = true;
                pending.extend(prepared);
                model.extend(rows);
                crashed |= crashes(folder.path(), crash, |folder| commit::commit(folder, &pending));
                if !crashed && told { pending.clear(); }
            }
            assert_unmixed(folder.path());
            if crashed {
                // A new attempt; the epoch of a checkpoint that was not complete may come again.
                if !complete { number -= 1; }
                parts.clear();
                sink.prepare(restored).unwrap();
                if restored { sink.commit(&pending).unwrap(); }
                sink.discard().unwrap();
            }
        }
        sink.commit(&pending).unwrap();
        let visible = files(folder.path(), false).into_iter();
        let place = |path: &str| path.rsplit_once("part-").unwrap().0.to_string();
        let visible: Vec<(String, String)> = visible.map(|(path, line)| (place(&path), line)).collect();
        prop_assert_eq!(visible.len(), model.len());
        prop_assert_eq!(visible.into_iter().collect::<BTreeSet<_>>(), model);
    }
}
