//! Tests what rows files give.

use std::{io::Write, time::Duration};

use proptest::prelude::*;
use wasmill_core::JobName;

use super::*;

fn read(source: &FileSource, parallelism: u32) -> Result<Vec<Vec<u8>>, ConnectorError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut rows = Vec::new();
    for subtask in 0..parallelism {
        let place = JobName::local("test").place("files", subtask);
        let mut source = source.create(SourceContext { place, parallelism, restored: None })?;
        let limit = BatchLimit { rows: 7, bytes: 1 << 20, linger: Duration::from_millis(1) };
        loop {
            match runtime.block_on(source.next(limit))? {
                SourceEvent::Rows { batch, .. } => {
                    rows.extend(batch.iter().map(|row| row.value.unwrap_or_default().to_vec()));
                }
                SourceEvent::End => break,
                _ => {}
            }
        }
    }
    Ok(rows)
}

fn text(content: &[u8], name: &str, split_bytes: u64) -> Result<Vec<Vec<u8>>, ConnectorError> {
    with(content, name, RowFormat::default(), split_bytes)
}

fn with(content: &[u8], name: &str, format: RowFormat, split_bytes: u64) -> Result<Vec<Vec<u8>>, ConnectorError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    read(&FileSource::new(&[path], format, split_bytes)?, 1)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

proptest! {
    #[test]
    fn ranges_give_every_line_once(
        lines in proptest::collection::vec("[a-z]{0,9}", 0..60), split in 1u64..90, parallelism in 1u32..5, newline: bool
    ) {
        let mut content = lines.join("\n");
        let mut expected = lines.clone();
        if newline && !content.is_empty() { content.push('\n') } else if lines.last().is_some_and(String::is_empty) { expected.pop(); }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.txt");
        std::fs::write(&path, &content).unwrap();
        let source = FileSource::new(&[path], RowFormat::default(), split).unwrap();
        let mut rows: Vec<String> =
            read(&source, parallelism).unwrap().into_iter().map(|row| String::from_utf8(row).unwrap()).collect();
        let mut expected: Vec<String> = if content.is_empty() { vec![] } else { expected };
        rows.sort();
        expected.sort();
        prop_assert_eq!(rows, expected);
    }
}

#[test]
fn files_are_decompressed_by_extension() {
    let members = [gzip(b"one\ntw"), gzip(b"o\nthree")].concat();
    assert_eq!(text(&members, "a.txt.gz", 4).unwrap(), [&b"one"[..], b"two", b"three"]);
    let zstd = zstd::encode_all(&b"one\r\ntwo\n"[..], 1).unwrap();
    assert_eq!(text(&zstd, "a.txt.zst", 4).unwrap(), [&b"one"[..], b"two"]);
}

#[test]
fn a_truncated_file_is_an_error_that_names_it() {
    let whole = gzip(&b"a line\n".repeat(1_000));
    let error = text(&whole[..whole.len() / 2], "cut.txt.gz", 4).unwrap_err().to_string();
    assert!(error.contains("cut.txt.gz"), "{error}");
    let error = text(b"not zstd at all", "bad.zst", 4).unwrap_err().to_string();
    assert!(error.contains("bad.zst"), "{error}");
}

#[test]
fn json_lines_are_verified_and_named() {
    let json = |skip_errors| RowFormat { format: Format::Json, skip_errors, ..RowFormat::default() };
    let content = b"{\"a\":1}\n[2]\n{\"a\":\n4\n";
    let error = with(content, "a.jsonl", json(false), 1 << 20).unwrap_err().to_string();
    assert!(error.contains("a.jsonl, line 3"), "{error}");
    let rows = with(content, "a.jsonl", json(true), 1 << 20).unwrap();
    assert_eq!(rows, [&b"{\"a\":1}"[..], b"[2]", b"4"]);
}

#[test]
fn csv_records_become_objects() {
    let csv = RowFormat { format: Format::Csv, ..RowFormat::default() };
    let content = b"id,note\n1,\"two\nlines, \"\"quoted\"\"\"\n2,\n";
    let rows = with(content, "a.csv", csv.clone(), 3).unwrap();
    assert_eq!(rows, [&br#"{"id":"1","note":"two\nlines, \"quoted\""}"#[..], br#"{"id":"2","note":""}"#]);
    let error = with(b"id,note\n1,2\n1,2,3\n", "b.csv", csv.clone(), 3).unwrap_err().to_string();
    assert!(error.contains("b.csv, line 3"), "{error}");
    let headless = with(b"x;y\n", "c.csv", RowFormat { header: false, delimiter: b';', ..csv }, 3).unwrap();
    assert_eq!(headless, [br#"{"1":"x","2":"y"}"#]);
}

#[test]
fn a_quote_that_is_never_closed_is_an_error_and_not_endless_memory() {
    let csv = RowFormat { format: Format::Csv, max_line: 1_000, ..RowFormat::default() };
    let content = [&b"id,note\n1,\"open\n"[..], &b"x,y\n".repeat(1 << 18)].concat();
    let error = with(&content, "open.csv", csv, 3).unwrap_err().to_string();
    assert!(error.contains("open.csv") && error.contains("longer than 1000 bytes"), "{error}");
}

#[test]
fn keys_and_times_are_taken_from_their_fields() {
    use crate::event_time::{EventTime, TimeFormat};
    let time = EventTime { field: "/at".into(), format: TimeFormat::Seconds };
    let json =
        RowFormat { format: Format::Json, key: Some("/id".into()), event_time: Some(time), ..RowFormat::default() };
    let content = b"{\"id\":\"x\",\"at\":2}\n{\"id\":7,\"at\":null}\n{}\n";
    let mut rows = BatchBuilder::default();
    let limit = BatchLimit { rows: 100, bytes: 1 << 20, linger: Duration::ZERO };
    let mut reader = RowReader::new(json.clone(), "x".into(), Box::new(&content[..]));
    assert!(!reader.fill(&mut rows, limit).unwrap());
    let batch = rows.take();
    let seen: Vec<_> = batch.iter().map(|row| (row.timestamp, row.key)).collect();
    assert_eq!(seen, [(2_000, Some(&b"x"[..])), (i64::MIN, Some(b"7")), (i64::MIN, None)]);
    let mut bad = RowReader::new(json, "x".into(), Box::new(&b"{\"at\":\"noon\"}"[..]));
    assert!(bad.fill(&mut rows, limit).unwrap_err().to_string().contains("`noon` at `/at` is not a time"));
}

/// A batch ends behind each row that carries a watermark above all before, and nowhere else; by hand.
#[test]
fn a_batch_ends_behind_a_row_that_carries_a_new_watermark() {
    use crate::event_time::{EventTime, TimeFormat};
    let carried = |field: &str| Some(EventTime { field: field.into(), format: TimeFormat::Milliseconds });
    let json = RowFormat { format: Format::Json, watermark: carried("/wm"), ..RowFormat::default() };
    let lines = br#"{"v":1}
{"v":2,"wm":50}
{"v":3,"wm":null}
{"v":4,"wm":50}
{"v":5,"wm":20}
{"v":6,"wm":60}
{"v":7}
"#;
    let csv = RowFormat { format: Format::Csv, watermark: carried("wm"), ..RowFormat::default() };
    let records = b"v,wm\n1,\n2,50\n3,NA\n4,50\n5,20\n6,60\n7,\n";
    for (format, content) in [(json, &lines[..]), (csv, &records[..])] {
        let limit = BatchLimit { rows: 100, bytes: 1 << 20, linger: Duration::ZERO };
        let mut reader = RowReader::new(format, "x".into(), Box::new(content));
        let mut seen = Vec::new();
        loop {
            let mut rows = BatchBuilder::default();
            let more = reader.fill(&mut rows, limit).unwrap();
            seen.push((rows.rows(), reader.carried()));
            if !more {
                break;
            }
        }
        assert_eq!(seen, [(2, Some(50)), (4, Some(60)), (1, None)]);
    }
}

#[test]
fn a_pattern_without_a_match_is_named() {
    let error = FileSource::new(&["/nowhere/*.txt".into()], RowFormat::default(), 1).unwrap_err().to_string();
    assert_eq!(error, "no file matches /nowhere/*.txt");
}
