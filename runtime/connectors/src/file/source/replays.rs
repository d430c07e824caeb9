//! Tests that rows before a position and those after it are all rows, none twice.

use std::{io::Write, path::Path, task::Poll};

use proptest::prelude::*;
use wasmill_core::{source::SplitState, time::SplitWatermarks};

use super::*;
use crate::replay::{self, Splits, assert_replays, run, subtask, values};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn stored(content: &[u8], extension: &str) -> Vec<u8> {
    match extension {
        // Two members, as `cat` of two compressed files gives.
        ".gz" => [gzip(&content[..content.len() / 2]), gzip(&content[content.len() / 2..])].concat(),
        ".zst" => zstd::encode_all(content, 1).unwrap(),
        _ => content.to_vec(),
    }
}

fn format(format: Format) -> RowFormat {
    RowFormat { format, ..RowFormat::default() }
}

/// Content of a format, and the rows that it is, worked out while it is made.
fn content(format: Format, lines: &[String], crlf: bool, newline: bool) -> (Vec<u8>, Vec<Vec<u8>>) {
    let end = if crlf { "\r\n" } else { "\n" };
    let mut content = if format == Format::Csv { format!("id,note{end}") } else { String::new() };
    let mut rows = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let (text, row) = match format {
            Format::Text => (line.clone(), line.clone()),
            Format::Json => (format!("{{\"a\": \"{line}\"}}"), format!("{{\"a\": \"{line}\"}}")),
            // A field with line ends in it, and a byte order mark that is content.
            Format::Csv if i % 3 == 1 => {
                (format!("\u{feff}{i},\"{line}{end}\"\"\""), row(&format!("\u{feff}{i}"), &format!("{line}{end}\"")))
            }
            Format::Csv => (format!("{i},{line}"), row(&i.to_string(), line)),
        };
        content += &text;
        // Without a newline, a last line that is empty would be none.
        if newline || i + 1 < lines.len() || text.is_empty() {
            content += end;
        }
        rows.push(row.into_bytes());
    }
    (content.into_bytes(), rows)
}

fn row(id: &str, note: &str) -> String {
    serde_json::json!({ "id": id, "note": note }).to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_cut_point_replays(
        first in proptest::collection::vec("[a-z]{0,9}", 0..14),
        second in proptest::collection::vec("[a-z]{0,9}", 0..9),
        (kind, compressed) in (0..3usize, 0..3usize),
        (crlf, newline) in (any::<bool>(), any::<bool>()),
        (split, limit, parallelism) in (1u64..60, 1usize..6, 1u32..4),
    ) {
        let kind = [Format::Text, Format::Json, Format::Csv][kind];
        let extension = ["", ".gz", ".zst"][compressed];
        let folder = tempfile::tempdir().unwrap();
        let mut expected = Vec::new();
        for (name, lines) in [("a", &first), ("b", &second)] {
            let (bytes, rows) = content(kind, lines, crlf, newline);
            std::fs::write(folder.path().join(format!("{name}.x{extension}")), stored(&bytes, extension)).unwrap();
            expected.extend(rows);
        }
        let pattern = folder.path().join("*.x*");
        let source = FileSource::new(&[pattern], format(kind), split).unwrap().relative_to(folder.path()).unwrap();
        prop_assert_eq!(
            { let mut rows = replay::whole(&source, 1).unwrap(); rows.sort(); rows },
            { let mut rows = expected.clone(); rows.sort(); rows }
        );
        assert_replays(&source, limit, &expected, parallelism);
    }

    /// Whatever a manifest says, it is an error or rows, and never a panic.
    #[test]
    fn any_position_is_taken_or_refused(
        offset: u64, start in 0..99u64, end in proptest::option::of(any::<u64>()), line in proptest::option::of(any::<u64>()),
        length in 0..50u64, csv: bool, small in 0..60u64, is_small: bool
    ) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), b"a,b\n1,2\n3,4\n5,6\n7,8\n9,10\n11,12\n").unwrap();
        let kind = if csv { Format::Csv } else { Format::Text };
        let source =
            FileSource::new(&[folder.path().join("a")], format(kind), 9).unwrap().relative_to(folder.path()).unwrap();
        let taken = run(&source, 1, None, (1, &|_| 0), &values).unwrap();
        let mut position: serde_json::Value = serde_json::from_slice(&taken.splits[0].position).unwrap();
        let offset = if is_small { small } else { offset };
        for (field, value) in [("offset", Some(offset)), ("start", Some(start)), ("end", end), ("line", line)] {
            position[field] = value.into();
        }
        if length < 40 { position["length"] = length.into(); }
        let (position, watermarks) = (serde_json::to_vec(&position).unwrap(), SplitWatermarks::default());
        let splits: Splits = [SplitState { id: "a@0-".into(), position, watermarks }].into();
        let _ = run(&source, 1, Some(&splits), (3, &|_| usize::MAX), &values);
    }
}

/// A text file of the lines `line 0`, `line 1` and so on, cut after `rows` of them.
fn cut(folder: &Path, name: &str, lines: usize, rows: usize) -> (FileSource, Splits) {
    let content: String = (0..lines).map(|i| format!("line {i}\n")).collect();
    std::fs::write(folder.join(name), stored(content.as_bytes(), &name[1..])).unwrap();
    let source = FileSource::new(&[folder.join("*")], RowFormat::default(), 1 << 20).unwrap();
    let source = source.relative_to(folder).unwrap();
    let run = run(&source, 1, None, (1, &|_| rows), &values).unwrap();
    (source, run.splits)
}

#[test]
fn ids_and_positions_are_what_is_documented() {
    let folder = tempfile::tempdir().unwrap();
    let (_, splits) = cut(folder.path(), "a", 3, 1);
    // CRC-32 of `line 0\nline 1\nline 2\n` by Python's zlib.crc32.
    let expected = r#"{"file":"a","start":0,"offset":7,"line":1,"records":"lines","length":21,"head":"HEAD"}"#;
    assert_eq!(std::str::from_utf8(&splits[0].position).unwrap(), expected.replace("HEAD", "d26c5f52"));
    assert_eq!(splits[0].id, "a@0-");
    let ranged = FileSource::new(&[folder.path().join("a")], RowFormat::default(), 8).unwrap();
    let path = folder.path().display();
    let ids = run(&ranged, 1, None, (1, &|_| 0), &values).unwrap().splits;
    let ids: Vec<&str> = ids.iter().map(|split| split.id.as_str()).collect();
    assert_eq!(ids, [format!("{path}/a@0-8"), format!("{path}/a@8-16"), format!("{path}/a@16-21")]);
}

#[test]
fn a_file_that_changed_is_named() {
    let change = |name: &str, change: &dyn Fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        let (source, splits) = cut(folder.path(), name, 400, 2);
        change(&folder.path().join(name));
        // Found when the subtask is made, not when the split's turn comes.
        let error = subtask(&source, (0, 1), Some(splits.clone())).err().map(|error| error.to_string());
        (error, run(&source, 1, Some(&splits), (100, &|_| usize::MAX), &values).map(|run| run.rows.len()))
    };
    for name in ["a", "a.gz", "a.zst"] {
        let refused = |why: &str, by: &dyn Fn(&Path)| {
            let error = change(name, by).0.unwrap();
            assert!(error.contains(why) && error.contains(name), "{error}");
        };
        refused("No such file", &|path| std::fs::remove_file(path).unwrap());
        refused("cannot read", &|path| {
            std::fs::remove_file(path).unwrap();
            std::fs::create_dir(path).unwrap();
        });
        refused("was truncated: it has 10 bytes, and had", &|path| {
            std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(10).unwrap();
        });
        refused("was replaced", &|path| {
            let other: String = (0..9_000).map(|i| format!("other {i}\n")).collect();
            std::fs::write(path, stored(other.as_bytes(), &name[1..])).unwrap();
        });
        assert_eq!(change(name, &|_| ()).1.unwrap(), 398);
        // A copy, as on another machine.
        let copied = change(name, &|path| {
            let bytes = std::fs::read(path).unwrap();
            std::fs::remove_file(path).unwrap();
            std::fs::write(path, bytes).unwrap();
        });
        assert_eq!(copied.1.unwrap(), 398);
        let grown = change(name, &|path| {
            let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(&stored(b"more\nand more\n", &name[1..])).unwrap();
        });
        assert_eq!(grown.1.unwrap(), 400);
    }
}

#[test]
fn a_line_that_grew_after_it_was_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, b"one\ntw").unwrap();
    let source = FileSource::new(std::slice::from_ref(&path), RowFormat::default(), 100).unwrap();
    let first = run(&source, 1, None, (2, &|_| 1), &values).unwrap();
    assert_eq!((first.rows, first.ended), (vec![b"one".to_vec(), b"tw".to_vec()], false));
    std::fs::write(&path, b"one\ntwo\nthree\n").unwrap();
    let error = subtask(&source, (0, 1), Some(first.splits)).err().unwrap().to_string();
    assert!(error.contains("no line ends any more at byte 6"), "{error}");
}

#[test]
fn what_ended_is_not_read_again_and_what_came_since_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        std::fs::write(folder.path().join(name), format!("{name}\n")).unwrap();
    }
    let made = || FileSource::new(&[folder.path().join("*")], RowFormat::default(), 100).unwrap();
    // Rows of a, its end.
    let first = run(&made(), 1, None, (9, &|_| 2), &values).unwrap();
    std::fs::write(folder.path().join("c"), "c\n").unwrap();
    std::fs::remove_file(folder.path().join("a")).unwrap();
    assert_eq!(run(&made(), 3, Some(&first.splits), (9, &|_| 9), &values).unwrap().rows, [b"b"]);
    let none = run(&made(), 2, Some(&Splits::from([])), (9, &|_| 9), &values).unwrap();
    assert!(none.rows.is_empty() && none.ended);
}

#[test]
fn what_is_left_is_dealt_by_size() {
    let folder = tempfile::tempdir().unwrap();
    // 1000 bytes of which 900 are read; two of 300 bytes; 150 bytes.
    for (name, lines) in [("a", 100), ("b", 30), ("c", 30), ("d", 15)] {
        std::fs::write(folder.path().join(name), "123456789\n".repeat(lines)).unwrap();
    }
    let source = FileSource::new(&[folder.path().join("*")], RowFormat::default(), 1 << 20).unwrap();
    let source = source.relative_to(folder.path()).unwrap();
    let first = run(&source, 1, None, (90, &|_| 1), &values).unwrap();
    let dealt = |parallelism| {
        let splits = |s| subtask(&source, (s, parallelism), Some(first.splits.clone())).unwrap().splits();
        (0..parallelism).map(splits).collect::<Vec<_>>()
    };
    assert_eq!(dealt(2), [vec!["b@0-", "d@0-"], vec!["a@0-", "c@0-"]]);
    assert_eq!(dealt(3), [vec!["b@0-"], vec!["c@0-"], vec!["a@0-", "d@0-"]]);
    assert_eq!(dealt(5), [vec!["b@0-"], vec!["c@0-"], vec!["d@0-"], vec!["a@0-"], vec![]]);
}

#[test]
fn lines_are_numbered_on() {
    let folder = tempfile::tempdir().unwrap();
    let error = |name: &str, kind, content: &str, split, rows| {
        let path = folder.path().join(name);
        std::fs::write(&path, stored(content.as_bytes(), &name[1..])).unwrap();
        let source = FileSource::new(&[path], format(kind), split).unwrap();
        let first = run(&source, 1, None, (rows, &|_| 1), &values).unwrap();
        let after = run(&source, 1, Some(&first.splits), (1, &|_| usize::MAX), &values);
        after.err().unwrap().to_string()
    };
    let json = "1\n2\n3\n4\nno\n";
    for name in ["a", "a.gz", "a.zst"] {
        let error = error(name, Format::Json, json, 100, 3);
        assert!(error.contains(&format!("{name}, line 5: ")), "{error}");
    }
    // In a range whose lines before were not counted the byte is told.
    let ranged = error("b", Format::Json, json, 7, 3);
    assert!(ranged.contains("b, the line at byte 8: "), "{ranged}");
    for name in ["c", "c.zst"] {
        // The second record has two lines; the fourth, in line 5, too many fields.
        let error = error(name, Format::Csv, "a,b\n1,\"x\ny\"\n2,z\n3,4,5\n", 100, 2);
        assert!(
            error.contains(&format!("{name}, line 5: the record has 3 fields, but the file has 2 columns")),
            "{error}"
        );
    }
}

#[test]
fn columns_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    for (header, name, expected) in
        [(true, "a.gz", &[r#"{"x":"3","y":"4"}"#][..]), (false, "b", &[r#"{"1":"1","2":"2"}"#, r#"{"1":"3","2":"4"}"#])]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, stored(b"x,y\n1,2\n3,4\n", &name[1..])).unwrap();
        let csv = RowFormat { header, ..format(Format::Csv) };
        let source = FileSource::new(std::slice::from_ref(&path), csv, 3).unwrap();
        let first = run(&source, 1, None, (1, &|_| 1), &values).unwrap();
        let after = run(&source, 1, Some(&first.splits), (1, &|_| usize::MAX), &values).unwrap();
        assert_eq!(after.rows, expected.iter().map(|row| row.as_bytes()).collect::<Vec<_>>());
        let lines = FileSource::new(&[path], RowFormat::default(), 3).unwrap();
        let error = subtask(&lines, (0, 1), Some(first.splits)).err().unwrap().to_string();
        assert!(error.contains("keep the source's `format`"), "{error}");
    }
}

#[test]
fn what_is_being_read_is_not_lost_when_waiting_stops() {
    let folder = tempfile::tempdir().unwrap();
    let (source, _) = cut(folder.path(), "a", 40, 0);
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let mut source = subtask(&source, (0, 1), None).unwrap();
    let mut rows = Vec::new();
    runtime.block_on(async {
        loop {
            // The only thread that could read is held up, so whoever waits for rows gives up.
            let (go, held) = std::sync::mpsc::channel::<()>();
            spawn_blocking(move || held.recv());
            let before = source.position(0).unwrap();
            let mut next = source.next(replay::limit(7));
            assert!(std::future::poll_fn(|context| Poll::Ready(next.as_mut().poll(context).is_pending())).await);
            drop(next);
            drop(go);
            assert_eq!(source.position(0).unwrap(), before);
            match source.next(replay::limit(7)).await.unwrap() {
                SourceEvent::Rows { batch, .. } => rows.extend(values(&batch)),
                _ => break,
            }
        }
    });
    assert_eq!(rows.len(), 40);
    assert_eq!(rows, (0..40).map(|i| format!("line {i}").into_bytes()).collect::<Vec<_>>());
}
