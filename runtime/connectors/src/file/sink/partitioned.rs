//! Tests which partition a row is in, what is written there, and that no value leads out of the folder.

use std::{collections::BTreeMap, fs, io::Read, path::Path};

use proptest::prelude::*;
use wasmill_core::{BatchBuilder, Codec, JobName, Row, batch::NO_TIME};

use super::{
    tests::{batch, block_on, end, file, files, subtask, write},
    *,
};
use crate::file::epoch::MOST_PARTITIONS;

fn sink(folder: &Path, fields: &[&str]) -> FileSink {
    FileSink {
        path: folder.join("out"),
        partition_by: fields.iter().map(ToString::to_string).collect(),
        ..FileSink::default()
    }
}

/// What is there once rows are committed that one subtask wrote.
fn written(fields: &[&str], rows: &[&str]) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path(), fields);
    sink.prepare(false).unwrap();
    let committables = write(&sink, 1, &[rows]);
    assert!(files(&sink.path, false).is_empty(), "no folder is there before rows are committed");
    sink.commit(&committables).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is beside the folder");
    files(&sink.path, true)
}

/// Why a row is refused.
fn refused(fields: &[&str], row: &str) -> ConnectorError {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path(), fields);
    sink.prepare(false).unwrap();
    let mut part = subtask(&sink, 0);
    let error = block_on(part.write(batch(&[row]))).unwrap_err();
    assert!(block_on(part.pre_commit(1)).is_err(), "what was refused is not forgotten");
    error
}

#[test]
fn rows_are_in_the_folder_of_their_partition_without_its_members() {
    let rows = [
        r#"{"n":1,"dt":"2015-07-15","hm":"00:03"}"#,
        r#"{"hm":"00:04","n":2,"dt":"2015-07-15"}"#,
        r#" { "n" : 3.10 , "hm":"00:03","x":{"dt":"kept"}, "dt":"2015-07-15" } "#,
        r#"{"dt":"2015-07-16","hm":"00:03"}"#,
    ];
    let expected = [
        file("dt=2015-07-15/hm=00%3A03/part-00000-000001.txt", "{\"n\":1}\n{\"n\":3.10,\"x\":{\"dt\":\"kept\"}}\n"),
        file("dt=2015-07-15/hm=00%3A04/part-00000-000001.txt", "{\"n\":2}\n"),
        file("dt=2015-07-16/hm=00%3A03/part-00000-000001.txt", "{}\n"),
    ];
    assert_eq!(written(&["dt", "hm"], &rows), expected);
}

/// Worked by hand.
#[test]
fn values_are_names_of_folders() {
    let long = "x".repeat(253);
    for (value, folder) in [
        (r#""""#, "p=__HIVE_DEFAULT_PARTITION__"),
        ("null", "p=__HIVE_DEFAULT_PARTITION__"),
        ("-12", "p=-12"),
        ("1.50e+3", "p=1.50e+3"),
        ("18446744073709551616", "p=18446744073709551616"),
        ("true", "p=true"),
        (r#""..""#, "p=%2E."),
        (r#""../../x""#, "p=%2E.%2F..%2Fx"),
        (r#""/etc/passwd""#, "p=%2Fetc%2Fpasswd"),
        (r#""a\\b\u0000\n\u007f""#, "p=a%5Cb%00%0A%7F"),
        (r#""%2F""#, "p=%252F"),
        (r#""K\u00e4se 1""#, "p=K\u{e4}se 1"),
        (r#""A""#, "p=A"),
        (r#""a""#, "p=a"),
        (&format!("{long:?}"), &format!("p={long}")),
    ] {
        let expected = [file(&format!("{folder}/part-00000-000001.txt"), "{\"n\":1}\n")];
        assert_eq!(written(&["p"], &[&format!(r#"{{"p":{value},"n":1}}"#)]), expected, "{value}");
    }
    assert_eq!(written(&["p"], &[r#"{"n":1}"#])[0].0, "p=__HIVE_DEFAULT_PARTITION__/part-00000-000001.txt");
    // Of two the last one, as JSON is read elsewhere.
    assert_eq!(written(&["p"], &[r#"{"p":"x","p":null}"#])[0].0, "p=__HIVE_DEFAULT_PARTITION__/part-00000-000001.txt");
    let fields = written(&["..", "a/b"], &[r#"{"..":"x","a\/b":".","\u0061/c":1}"#]);
    assert_eq!(fields, [file("%2E.=x/a%2Fb=%2E/part-00000-000001.txt", "{\"a/c\":1}\n")]);
}

#[test]
fn rows_without_a_partition_are_refused() {
    let long = format!(r#"{{"p":{:?}}}"#, "x".repeat(254));
    for (row, why) in [
        ("", "EOF while parsing"),
        ("[1]", "expected an object"),
        ("plain", "expected value"),
        (r#"{"p":1} {}"#, "trailing characters"),
        (r#"{"p":[1]}"#, "`p` is an array or an object"),
        (r#"{"p":{"a":1}}"#, "`p` is an array or an object"),
        (r#"{"p":"\ud800"}"#, "unexpected end of hex escape"),
        (r#"{"p":"a"#, "EOF while parsing"),
        (&long, "makes the name of a folder of 256 bytes, more than 255"),
    ] {
        let error = refused(&["p"], row);
        assert!(error.is_lasting() && error.to_string().contains(why), "{row}: {error}");
        assert!(error.to_string().contains("a row cannot be put into a partition"), "{error}");
        assert!(error.to_string().len() < 400 && !error.to_string().contains('\n'), "{error}");
    }
}

/// A tombstone has no members, and bytes that nobody can read are no JSON.
#[test]
fn only_json_is_partitioned() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path(), &["p"]);
    sink.prepare(false).unwrap();
    let mut builder = BatchBuilder::default();
    builder.push(Row { timestamp: NO_TIME, key: None, value: None, headers: &[] });
    let error = block_on(subtask(&sink, 0).write(builder.take())).unwrap_err().to_string();
    assert!(error.contains("it has no value"), "{error}");
    let create = |sink: &FileSink, codec: &str| {
        let place = JobName::local("test").place("out", 0);
        let context = SinkContext { place, parallelism: 1, key: Codec::named("bytes"), value: Codec::named(codec) };
        sink.create(context).map(|_| ()).map_err(|error| error.to_string())
    };
    assert!(create(&sink, "json").is_ok());
    assert!(create(&sink, "postcard").unwrap_err().contains("which are `postcard`"));
    for (fields, why) in [
        (vec!["a", "b", "a"], "`a` is there twice"),
        (vec!["a", ""], "a field has no name"),
        (vec!["1", "2", "3", "4", "5", "6", "7", "8", "9"], "more than 8 fields"),
        (vec![&"\u{1}".repeat(43)], "more than 128 bytes"),
    ] {
        let sink = super::partitioned::sink(folder.path(), &fields);
        assert!(create(&sink, "json").unwrap_err().contains(why), "{why}");
    }
}

#[test]
fn with_the_format_json_members_are_those_of_the_value() {
    let folder = tempfile::tempdir().unwrap();
    let sink = FileSink { format: LineFormat::Json, ..sink(folder.path(), &["p"]) };
    sink.prepare(false).unwrap();
    let place = JobName::local("test").place("out", 0);
    let context = SinkContext { place, parallelism: 1, key: Codec::named("text"), value: Codec::named("json") };
    let mut part = sink.create(context).unwrap();
    let mut builder = BatchBuilder::default();
    builder.push(Row { timestamp: 5, key: None, value: Some(b"{\"p\":1,\n\"x\":[1,\n2]}"), headers: &[] });
    block_on(part.write(builder.take())).unwrap();
    sink.commit(&[block_on(part.pre_commit(1)).unwrap().unwrap()]).unwrap();
    let expected = file("p=1/part-00000-000001.jsonl", "{\"timestamp\":5,\"value\":{\"x\":[1, 2]}}\n");
    assert_eq!(files(&sink.path, true), [expected]);
}

/// A hundred partitions in turn, thrice: each has one file, with all of its rows in order, however files are compressed.
#[test]
fn there_can_be_more_partitions_than_open_files() {
    for (compression, extension) in
        [(Compression::None, "txt"), (Compression::Gzip, "txt.gz"), (Compression::Zstd, "txt.zst")]
    {
        let folder = tempfile::tempdir().unwrap();
        let sink = FileSink { compression, ..sink(folder.path(), &["p"]) };
        sink.prepare(false).unwrap();
        let mut part = subtask(&sink, 0);
        for epoch in 1..=2 {
            let row = |n: usize, p: usize| format!(r#"{{"p":{p},"n":{n}}}"#);
            for n in 0..3 {
                for some in [0..30, 30..100] {
                    let rows: Vec<String> = some.map(|p| row(n, p)).collect();
                    block_on(part.write(batch(&rows.iter().map(String::as_str).collect::<Vec<_>>()))).unwrap();
                    assert!(descriptors(&sink.path) <= 64, "{} files are open", descriptors(&sink.path));
                }
            }
            sink.commit(&[block_on(part.pre_commit(epoch)).unwrap().unwrap()]).unwrap();
        }
        for p in 0..100 {
            for epoch in 1..=2 {
                let bytes = fs::read(sink.path.join(format!("p={p}/part-00000-00000{epoch}.{extension}"))).unwrap();
                let mut text = String::new();
                match compression {
                    Compression::None => text = String::from_utf8(bytes).unwrap(),
                    Compression::Gzip => {
                        flate2::read::MultiGzDecoder::new(&*bytes).read_to_string(&mut text).map(|_| ()).unwrap()
                    }
                    Compression::Zstd => zstd::stream::read::Decoder::new(&*bytes)
                        .unwrap()
                        .read_to_string(&mut text)
                        .map(|_| ())
                        .unwrap(),
                }
                assert_eq!(text, "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n");
            }
        }
        assert_eq!(fs::read_dir(&sink.path).unwrap().count(), 100, "nothing but partitions is left");
    }
}

/// How many files in a folder this process has open; none where the system does not tell.
fn descriptors(folder: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok()).filter(|path| path.starts_with(folder)).count()
}

#[test]
fn too_many_partitions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = crate::file::epoch::Place {
        folder: folder.path().to_path_buf(),
        subtask: 0,
        token: 0,
        compression: Compression::None,
        buffer: 0,
    };
    let mut epoch = Epoch::full();
    assert!(epoch.write(&place, "p=0", b"x").is_ok(), "{MOST_PARTITIONS} are not too many");
    let error = epoch.write(&place, "p=1", b"x").unwrap_err();
    assert!(error.is_lasting() && error.to_string().contains("more than 65536 partitions"), "{error}");
}

#[test]
fn subtasks_and_checkpoints_have_files_of_their_own_in_a_partition() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path(), &["p"]);
    sink.prepare(false).unwrap();
    let committables = write(&sink, 1, &[&[r#"{"p":1,"n":1}"#, r#"{"p":2,"n":2}"#], &[r#"{"p":1,"n":3}"#]]);
    let later = write(&sink, 2, &[&[r#"{"p":1,"n":4}"#]]);
    write(&sink, 3, &[&[r#"{"p":9}"#]]);
    sink.commit(&committables).unwrap();
    sink.commit(&[committables, later].concat()).unwrap();
    sink.discard().unwrap();
    let expected = [
        file("p=1/part-00000-000001.txt", "{\"n\":1}\n"),
        file("p=1/part-00000-000002.txt", "{\"n\":4}\n"),
        file("p=1/part-00001-000001.txt", "{\"n\":3}\n"),
        file("p=2/part-00000-000001.txt", "{\"n\":2}\n"),
    ];
    assert_eq!(files(&sink.path, true), expected);
    let refused = sink.prepare(false).unwrap_err().to_string();
    assert!(refused.contains("holds an earlier result (p=1/part-00000-000001.txt)"), "{refused}");
    // From an earlier savepoint: another branch of the job.
    let mut part = subtask(&sink, 0);
    block_on(part.write(batch(&[r#"{"p":3}"#, r#"{"p":2,"n":2}"#]))).unwrap();
    let error = block_on(part.pre_commit(1)).unwrap_err();
    assert!(error.is_lasting() && error.to_string().contains("p=2/part-00000-000001.txt is there already"), "{error}");
}

#[test]
fn overwriting_removes_partitions_that_hold_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let partitioned = FileSink { overwrite: true, ..sink(folder.path(), &["a", "b"]) };
    let out = &partitioned.path;
    partitioned.prepare(false).unwrap();
    let rows: Vec<String> = (1..=4).map(|b| format!(r#"{{"a":{},"b":{b}}}"#, b / 3)).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    partitioned.commit(&write(&partitioned, 1, &[&rows])).unwrap();
    // What others put there stays, and so do folders that are not called as partitions, and what links lead to.
    let elsewhere = folder.path().join("elsewhere");
    for kept in ["a=0/b=1/notes.txt", "a=0/kept/part-00000-000001.txt", "mine/part-00000-000001.txt", "c=7/readme"] {
        fs::create_dir_all(out.join(kept).parent().unwrap()).unwrap();
        fs::write(out.join(kept), "mine").unwrap();
    }
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("part-00000-000001.txt"), "mine").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&elsewhere, out.join("a=9")).unwrap();
    let kept = [
        file("a=0/b=1/notes.txt", "mine"),
        file("a=0/kept/part-00000-000001.txt", "mine"),
        file("c=7/readme", "mine"),
        file("mine/part-00000-000001.txt", "mine"),
    ];
    let linked = cfg!(unix).then(|| file("a=9/part-00000-000001.txt", "mine"));
    let with = |new: &[(String, String)]| {
        let mut all: Vec<_> = kept.iter().chain(&linked).chain(new).cloned().collect();
        all.sort();
        all
    };
    let before = files(out, false);
    partitioned.prepare(false).unwrap();
    let new = write(&partitioned, 1, &[&[r#"{"a":1,"b":4,"n":1}"#]]);
    assert_eq!(files(out, false), before, "the earlier result stays until the new one is committed");
    partitioned.commit(&new).unwrap();
    assert_eq!(files(out, true), with(&[file("a=1/b=4/part-00000-000001.txt", "{\"n\":1}\n")]));
    // The other way round: a result without partitions replaces one with them, and one with them it.
    let plain = FileSink { partition_by: vec![], ..partitioned.clone() };
    plain.prepare(false).unwrap();
    plain.commit(&write(&plain, 1, &[&["plain"]])).unwrap();
    assert_eq!(files(out, true), with(&[file("part-00000-000001.txt", "plain\n")]));
    partitioned.prepare(false).unwrap();
    partitioned.commit(&[]).unwrap();
    assert_eq!(files(out, true), with(&[]));
    // What could not be told from the result is refused.
    fs::write(out.join("a=0/part-time.txt"), "mine").unwrap();
    let refused = partitioned.prepare(false).unwrap_err().to_string();
    assert!(refused.contains("holds a=0/part-time.txt, which no file sink wrote"), "{refused}");
}

#[test]
fn what_is_in_the_way_of_a_partition_is_told_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path(), &["p"]);
    sink.prepare(false).unwrap();
    let mut part = subtask(&sink, 0);
    let committable = end(&mut *part, 1, &[r#"{"p":1}"#]).unwrap();
    fs::write(sink.path.join("p=1"), "mine").unwrap();
    let before = files(&sink.path, true);
    let error = sink.commit(std::slice::from_ref(&committable)).unwrap_err().to_string();
    assert!(error.contains("p=1"), "{error}");
    assert_eq!(files(&sink.path, true), before);
    fs::remove_file(sink.path.join("p=1")).unwrap();
    // A link is no folder: it leads elsewhere.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.path(), sink.path.join("p=1")).unwrap();
        let error = sink.commit(std::slice::from_ref(&committable)).unwrap_err().to_string();
        assert!(error.contains("`p=1` is there and is no folder"), "{error}");
        assert!(!folder.path().join("part-00000-000001.txt").exists());
        fs::remove_file(sink.path.join("p=1")).unwrap();
    }
    sink.commit(&[committable]).unwrap();
    assert_eq!(files(&sink.path, true), [file("p=1/part-00000-000001.txt", "{}\n")]);
}

#[test]
fn committables_that_lead_elsewhere_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path(), &["p"]);
    sink.prepare(false).unwrap();
    for part in [
        "../p=1/part-00000-000001.txt",
        "p=1/../part-00000-000001.txt",
        "/p=1/part-00000-000001.txt",
        "p=1/x",
        "p/part-00000-000001.txt",
    ] {
        let json = serde_json::json!([{ "part": part, "staged": ".part-00000-0.tmp", "bytes": 1 }]);
        let error = sink.commit(&[Committable(json.to_string().into_bytes())]).unwrap_err().to_string();
        assert!(error.contains("is not one of a file sink"), "{error}");
        fs::write(sink.path.join(".replaced.json"), serde_json::json!({ "parts": [part] }).to_string()).unwrap();
        let error = sink.commit(&[]).unwrap_err().to_string();
        assert!(error.contains("is no part file"), "{error}");
        fs::remove_file(sink.path.join(".replaced.json")).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Rows of any values against `serde_json`: each is in the partition whose name, read as others read it, is its value.
    #[test]
    fn any_row_is_found_again(rows in prop::collection::vec((any::<Option<String>>(), any::<String>(), any::<i64>()), 1..20)) {
        let fits = |value: &String| value.chars().count() < 20;
        let rows = rows.into_iter().filter(|row| row.0.as_ref().is_none_or(fits));
        let rows: Vec<_> = rows.map(|(p, name, n)| serde_json::json!({ "p": p, format!("x{name}"): n })).collect();
        let texts: Vec<String> = rows.iter().map(ToString::to_string).collect();
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for mut row in rows {
            let value = row["p"].as_str().filter(|value| !value.is_empty()).unwrap_or("__HIVE_DEFAULT_PARTITION__").to_string();
            row.as_object_mut().unwrap().remove("p");
            expected.entry(value).or_default().push(row.to_string());
        }
        let found = if texts.is_empty() { vec![] } else {
            written(&["p"], &texts.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let found: BTreeMap<String, Vec<String>> = found.into_iter().map(|(path, text)| {
            let (partition, _) = path.rsplit_once('/').unwrap();
            (unescaped(partition.strip_prefix("p=").unwrap()), text.lines().map(str::to_string).collect())
        }).collect();
        prop_assert_eq!(found, expected);
    }
}

/// Percent-decoding, as in a URL.
fn unescaped(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || (rest.next().unwrap() as char).to_digit(16).unwrap() as u8;
        bytes.push(if byte == b'%' { digit() * 16 + digit() } else { byte });
    }
    String::from_utf8(bytes).unwrap()
}
