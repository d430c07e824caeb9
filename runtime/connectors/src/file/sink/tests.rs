//! Tests what a folder holds after an undisturbed run, and what is refused.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

use wasmill_core::{Batch, BatchBuilder, Codec, JobName, Row, batch::NO_TIME};

use super::*;

pub(super) fn batch(words: &[&str]) -> Batch {
    let mut builder = BatchBuilder::default();
    for word in words {
        builder.push(Row { timestamp: NO_TIME, key: None, value: Some(word.as_bytes()), headers: &[] });
    }
    builder.take()
}

/// One subtask.
pub(super) fn subtask(sink: &FileSink, subtask: u32) -> Box<dyn Sink> {
    let place = JobName::local("test").place("out", subtask);
    let (key, value) = (Codec::named("bytes"), Codec::named("text"));
    sink.create(SinkContext { place, parallelism: 2, key, value }).unwrap()
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Writes words by one subtask and ends the epoch.
pub(super) fn end(part: &mut dyn Sink, epoch: u64, words: &[&str]) -> Option<Committable> {
    block_on(async {
        part.write(batch(words)).await.unwrap();
        part.pre_commit(epoch).await.unwrap()
    })
}

/// Writes words as fresh subtasks, one a list, in one epoch; returns the committables.
pub(super) fn write(sink: &FileSink, epoch: u64, words: &[&[&str]]) -> Vec<Committable> {
    let part = |(number, words): (usize, &&[&str])| end(&mut *subtask(sink, number as u32), epoch, words);
    words.iter().enumerate().filter_map(part).collect()
}

/// Paths and content of what is in a folder and below, hidden files with `hidden`. A folder that is empty is there without content.
pub(super) fn files(folder: &Path, hidden: bool) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = folder.join(&name);
        if name.starts_with('.') && !hidden {
            continue;
        }
        if !path.is_dir() {
            all.push((name, fs::read_to_string(path).unwrap()));
            continue;
        }
        let below = files(&path, hidden);
        if below.is_empty() {
            all.push((format!("{name}/"), String::new()));
        }
        all.extend(below.into_iter().map(|(below, content)| (format!("{name}/{below}"), content)));
    }
    all.sort();
    all
}

pub(super) fn file(name: &str, content: &str) -> (String, String) {
    (name.to_string(), content.to_string())
}

fn sink(folder: &Path) -> FileSink {
    FileSink { path: folder.join("in/out"), ..FileSink::default() }
}

#[test]
fn rows_are_invisible_until_committed_and_committing_twice_is_once() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path());
    sink.prepare(false).unwrap();
    let mut parts = [subtask(&sink, 0), subtask(&sink, 1)];
    let first = [end(&mut *parts[0], 1, &["a", "b"]).unwrap(), end(&mut *parts[1], 1, &["c"]).unwrap()];
    // An epoch without rows has no file.
    assert_eq!(end(&mut *parts[0], 2, &[]), None);
    let second = end(&mut *parts[1], 2, &["d"]).unwrap();
    assert_eq!(files(&sink.path, false), []);
    sink.commit(&first).unwrap();
    let visible = vec![file("part-00000-000001.txt", "a\nb\n"), file("part-00001-000001.txt", "c\n")];
    assert_eq!(files(&sink.path, false), visible);
    sink.commit(&first).unwrap();
    sink.commit(&[first[1].clone(), second.clone(), second]).unwrap();
    let visible = [visible, vec![file("part-00001-000002.txt", "d\n")]].concat();
    assert_eq!(files(&sink.path, true), visible);
    let refused = sink.prepare(false).unwrap_err().to_string();
    assert!(refused.contains("holds an earlier result") && refused.contains("overwrite = true"), "{refused}");
    sink.prepare(true).unwrap();
    assert_eq!(files(&sink.path, true), visible);
}

#[test]
fn a_committable_is_what_is_documented() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path());
    sink.prepare(false).unwrap();
    let committable = end(&mut *subtask(&sink, 12), 7, &["abc"]).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&committable.0).unwrap();
    let (staged, content) = files(&sink.path, true).remove(0);
    assert_eq!(json, serde_json::json!([{ "part": "part-00012-000007.txt", "staged": staged, "bytes": 4 }]));
    assert!(staged.starts_with(".part-00012-") && content == "abc\n", "{staged}");
}

#[test]
fn ending_an_epoch_does_not_wait_for_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path());
    sink.prepare(false).unwrap();
    let mut part = subtask(&sink, 0);
    let (first, second) = block_on(async {
        part.write(batch(&["a"])).await.unwrap();
        let first = part.pre_commit(1);
        // Rows of the next epoch are written before anyone has waited for the last one.
        part.write(batch(&["b"])).await.unwrap();
        let second = part.pre_commit(2);
        assert_eq!(files(&sink.path, true).iter().map(|file| file.1.len()).sum::<usize>(), 0, "rows are in buffers");
        (first.await, second.await)
    });
    sink.commit(&[first.unwrap().unwrap(), second.unwrap().unwrap()]).unwrap();
    assert_eq!(files(&sink.path, true), [file("part-00000-000001.txt", "a\n"), file("part-00000-000002.txt", "b\n")]);
}

#[test]
fn what_was_not_committed_is_discarded_and_what_was_stays() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path());
    sink.prepare(false).unwrap();
    let committed = write(&sink, 1, &[&["a"]]);
    write(&sink, 2, &[&["b"]]);
    // A subtask of an attempt that ended without being told so.
    let mut late = subtask(&sink, 0);
    block_on(late.write(batch(&["late"]))).unwrap();
    sink.commit(&committed).unwrap();
    sink.discard().unwrap();
    let visible = file("part-00000-000001.txt", "a\n");
    assert_eq!(files(&sink.path, true), std::slice::from_ref(&visible));
    // Nor does it harm the next attempt, which writes the same epoch at another parallelism.
    let again = write(&sink, 2, &[&["b"], &["c"]]);
    block_on(late.write(batch(&["late"]))).unwrap();
    drop(late);
    sink.commit(&again).unwrap();
    let visible = [visible, file("part-00000-000002.txt", "b\n"), file("part-00001-000002.txt", "c\n")];
    assert_eq!(files(&sink.path, true), visible);
    fs::remove_dir_all(folder.path().join("in")).unwrap();
    sink.discard().unwrap();
    sink.prepare(true).unwrap();
    assert_eq!(files(&sink.path, true), []);
}

#[test]
fn overwriting_keeps_the_old_result_until_the_new_one_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let sink = FileSink { overwrite: true, ..sink(folder.path()) };
    fs::create_dir_all(&sink.path).unwrap();
    let old: Vec<_> = ["mine.txt", "part-00000-000001.txt", "part-00007.txt"].map(|name| file(name, "old")).into();
    for (name, content) in &old {
        fs::write(sink.path.join(name), content).unwrap();
    }
    sink.prepare(false).unwrap();
    write(&sink, 1, &[&["lost"]]);
    sink.discard().unwrap();
    assert_eq!(files(&sink.path, false), old);
    sink.prepare(true).unwrap();
    let new = write(&sink, 1, &[&["new"]]);
    assert_eq!(files(&sink.path, false), old);
    sink.commit(&new).unwrap();
    let mine = file("mine.txt", "old");
    assert_eq!(files(&sink.path, true), [mine.clone(), file("part-00000-000001.txt", "new\n")]);
    // Of a result without a row nothing is left but that the old one is gone.
    sink.prepare(false).unwrap();
    sink.commit(&[]).unwrap();
    assert_eq!(files(&sink.path, true), [mine]);
}

#[test]
fn files_that_no_sink_wrote_are_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let sink = FileSink { overwrite: true, ..sink(folder.path()) };
    fs::create_dir_all(&sink.path).unwrap();
    fs::write(sink.path.join("part-time.txt"), "jobs").unwrap();
    let refused = sink.prepare(false).unwrap_err().to_string();
    assert!(refused.contains("holds part-time.txt, which no file sink wrote"), "{refused}");
    fs::remove_file(sink.path.join("part-time.txt")).unwrap();
    fs::create_dir(sink.path.join("part-00000.txt")).unwrap();
    assert!(sink.prepare(false).unwrap_err().to_string().contains("holds part-00000.txt, which"));
}

#[test]
fn each_file_is_compressed_whole() {
    for (compression, extension) in [(Compression::Gzip, "gz"), (Compression::Zstd, "zst")] {
        let folder = tempfile::tempdir().unwrap();
        let sink = FileSink { compression, ..sink(folder.path()) };
        sink.prepare(false).unwrap();
        let mut part = subtask(&sink, 0);
        let committables: Vec<Committable> =
            (1..=2).map(|epoch| end(&mut *part, epoch, &["a", "b"]).unwrap()).collect();
        sink.commit(&committables).unwrap();
        for epoch in 1..=2 {
            let file = File::open(sink.path.join(format!("part-00000-00000{epoch}.txt.{extension}"))).unwrap();
            let mut text = String::new();
            match compression {
                Compression::Gzip => flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap(),
                _ => zstd::stream::read::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap(),
            };
            assert_eq!(text, "a\nb\n");
        }
    }
}

/// Prepares two subtasks' files, has `change` do something to the folder, and commits: the error, and the folder untouched.
fn refused(change: &dyn Fn(&Path, &str)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path());
    sink.prepare(false).unwrap();
    let committables = write(&sink, 1, &[&["a"], &["b"]]);
    let staged = files(&sink.path, true).remove(1).0;
    change(&sink.path, &staged);
    let before = files(&sink.path, true);
    let error = sink.commit(&committables).unwrap_err().to_string();
    assert_eq!(files(&sink.path, true), before, "nothing half-committed");
    error
}

#[test]
fn what_cannot_be_committed_is_told() {
    let gone = refused(&|folder, staged| fs::remove_file(folder.join(staged)).unwrap());
    assert!(gone.contains(".part-00001-") && gone.contains("is gone"), "{gone}");
    let other = refused(&|folder, _| fs::write(folder.join("part-00001-000001.txt"), "x\n").unwrap());
    assert!(other.contains("part-00001-000001.txt is there already, with other rows"), "{other}");
    let longer = refused(&|folder, staged| fs::write(folder.join(staged), "bb\n").unwrap());
    assert!(longer.contains("has 3 bytes in place of 2"), "{longer}");
    let changed = refused(&|folder, staged| {
        fs::remove_file(folder.join(staged)).unwrap();
        fs::write(folder.join("part-00001-000001.txt"), "xyz\n").unwrap();
    });
    assert!(changed.contains("part-00001-000001.txt has 4 bytes in place of 2"), "{changed}");
}

#[test]
fn a_file_under_both_names_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path());
    sink.prepare(false).unwrap();
    let committables = write(&sink, 1, &[&["a"]]);
    let staged = files(&sink.path, true).remove(0).0;
    fs::copy(sink.path.join(staged), sink.path.join("part-00000-000001.txt")).unwrap();
    sink.commit(&committables).unwrap();
    assert_eq!(files(&sink.path, true), [file("part-00000-000001.txt", "a\n")]);
}

#[test]
fn another_branch_of_the_job_is_noticed_before_the_checkpoint_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path());
    sink.prepare(false).unwrap();
    sink.commit(&write(&sink, 1, &[&["a"]])).unwrap();
    // From a savepoint before: the same epoch again.
    sink.prepare(true).unwrap();
    let mut part = subtask(&sink, 0);
    block_on(part.write(batch(&["b"]))).unwrap();
    let error = block_on(part.pre_commit(1)).unwrap_err().to_string();
    assert!(error.contains("part-00000-000001.txt is there already"), "{error}");
    assert_eq!(files(&sink.path, false), [file("part-00000-000001.txt", "a\n")]);
}

#[test]
fn committables_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "s").unwrap();
    let sink = sink(folder.path());
    sink.prepare(false).unwrap();
    for json in [
        "",
        "{}",
        r#"[{"part":"part-00000-000001.txt","staged":"../../secret","bytes":1}]"#,
        r#"[{"part":"../../x","staged":".part-00000-0.tmp","bytes":1}]"#,
        r#"[{"part":"part-00000-000001.txt","staged":".part-/../../../secret.tmp","bytes":1}]"#,
    ] {
        let error = sink.commit(&[Committable(json.into())]).unwrap_err().to_string();
        assert!(error.contains("a committable in the checkpoint is not one of a file sink"), "{error}");
    }
    fs::write(sink.path.join(".replaced.json"), r#"{"parts":["../../secret"]}"#).unwrap();
    let error = sink.commit(&[]).unwrap_err().to_string();
    assert!(error.contains(".replaced.json") && error.contains("is no part file"), "{error}");
    assert!(folder.path().join("secret").exists());
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("in"), "a file").unwrap();
    let sink = sink(folder.path());
    let error = sink.prepare(false).unwrap_err().to_string();
    assert!(error.contains("cannot make the folder") && error.contains("in/out"), "{error}");
    let mut part = subtask(&sink, 0);
    let error = block_on(part.write(batch(&["a"]))).unwrap_err().to_string();
    assert!(error.contains("cannot write"), "{error}");
    assert!(block_on(part.pre_commit(1)).is_err(), "rows that are lost are not forgotten");
}
