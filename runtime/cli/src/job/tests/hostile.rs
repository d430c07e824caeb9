//! Job files that were not meant well, or are none.

use std::{fs::File, time::Instant};

use super::*;

fn refusal(content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.toml");
    fs::write(&path, content).unwrap();
    refusal_at(&path, folder.path())
}

fn refusal_at(path: &Path, folder: &Path) -> String {
    let problems = Job::read(path, &Overrides::default()).expect_err("it was accepted");
    super::super::render(&problems, false).replace(&folder.display().to_string(), ".")
}

#[test]
fn what_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        refusal_at(&folder.path().join("job.toml"), folder.path()),
        "error: there is no such job file\n --> ./job.toml\n  = help: `wasmill new NAME` makes a project with one"
    );
    assert_eq!(
        refusal_at(folder.path(), folder.path()),
        "error: the job file is a folder\n --> .\n  = help: name the job file in it"
    );
    fs::write(folder.path().join("job.toml"), "").unwrap();
    assert_eq!(
        refusal_at(folder.path(), folder.path()),
        "error: the job file is a folder\n --> .\n  = help: name the job file: `./job.toml`"
    );
}

#[test]
fn what_is_no_text() {
    assert_eq!(
        refusal(b"name = \"a\"\n# \xff\n"),
        "error: the job file is not text: line 2 is not UTF-8\n --> ./job.toml\n  = help: save it as UTF-8, or name the job \
         file, not its data"
    );
    assert!(refusal(b"\x7fELF\x02\x01\x01\0\0\0").starts_with("error: this is not TOML: "));
    assert!(refusal(b"\0asm\x0d\0\x01\0").starts_with("error: this is not TOML: "));
}

/// 100 MB are not read to say that they are too many.
#[test]
fn what_is_too_large() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.toml");
    File::create(&path).unwrap().set_len(100_000_000).unwrap();
    assert_eq!(
        refusal_at(&path, folder.path()),
        "error: the file is larger than 1MiB, which no job file is\n --> ./job.toml\n  = help: name the job file, not its data"
    );
}

#[test]
fn deep_nesting_ends_in_an_error() {
    let deep = 200_000;
    for text in [
        format!("a = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("a = {}", "{a = ".repeat(deep)),
        format!("{}a = 1", "a.".repeat(deep)),
        format!("[{}a]", "a.".repeat(deep)),
    ] {
        let since = Instant::now();
        assert!(refusal(text.as_bytes()).starts_with("error: this is not TOML: "));
        assert!(since.elapsed().as_secs() < 20, "{:?}", since.elapsed());
    }
    let option = Overrides { set: vec![format!("engine={}", "[".repeat(deep))], parallelism: None };
    let job = Job::parse(Path::new("job.toml"), "name = \"a\"", &option).unwrap();
    assert!(job.findings.has_errors());
    let option = Overrides { set: vec![format!("{}a=1", "a.".repeat(deep))], parallelism: None };
    let job = Job::parse(Path::new("job.toml"), "name = \"a\"", &option).unwrap();
    assert!(job.findings.has_errors());
}

#[test]
fn control_characters_are_shown_not_obeyed() {
    let shown = problems("name = \"a\\u001b[31m\"\n\"\\u0007\" = 1\n", &[]);
    assert!(!shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
    assert!(shown.contains("unknown key `\\u{7}`"), "{shown}");
    let shown = refusal(b"name = \"a\x1b[31m\"\n");
    assert!(!shown.contains('\u{1b}') && shown.contains("\\u{1b}"), "{shown:?}");
}

#[test]
fn many_problems_are_counted_and_long_lines_cut() {
    let text: String = (0..50_000).map(|i| format!("k{i} = 1\n")).collect();
    let since = Instant::now();
    let shown = messages(&text, &[]);
    assert_eq!(shown.len(), 101);
    assert_eq!(shown[100], "49902 more problems are not shown");
    let line = format!(
        "name = \"a\"\nsource = {{ {} }}\n",
        (0..60_000).map(|i| format!("k{i} = 1")).collect::<Vec<_>>().join(", ")
    );
    let shown = problems(&line, &[]);
    assert!(shown.lines().all(|line| line.chars().count() < 200));
    let long_name = format!("{} = 1\n", "ä".repeat(100_000).escape_unicode().to_string().replace(['\\', '{', '}'], ""));
    assert!(problems(&long_name, &[]).lines().all(|line| line.chars().count() < 200));
    assert!(since.elapsed().as_secs() < 20, "{:?}", since.elapsed());
}

#[test]
fn too_many_nodes_are_refused() {
    let text: String = (0..2_000).map(|i| format!("[sink.s{i}]\nconnector = \"discard\"\ninput = \"x\"\n")).collect();
    let text = format!("name = \"a\"\n[source.x]\nconnector = \"generator\"\n{text}");
    assert_eq!(messages(&text, &[]), ["the job has 2001 nodes; at most 1000 are possible"]);
    let inputs = vec!["\"x\""; 20_000].join(",");
    let text = format!(
        "name = \"a\"\n[source.x]\nconnector = \"generator\"\n[sink.y]\nconnector = \"discard\"\ninput = [{inputs}]\n"
    );
    assert_eq!(messages(&text, &[]), ["the job has 20000 edges; at most 10000 are possible"]);
}

/// Whatever the bytes, reading ends, and without a panic.
#[test]
fn damaged_job_files_never_panic() {
    let sound = r#"name = "a"
[limits]
memory = "1MiB"
[source.x]
connector = "stdin"
format = "json"
[source.x.event-time]
field = "/t"
[operator.o]
component = "o.wasm"
input = [{ from = "x", as = "in", exchange = "hash" }]
[[sink]]
"#;
    for end in 0..sound.len() {
        let _ = messages(&sound[..end], &[("o", description(&[("in", "bytes")], &[("out", "bytes")]))]);
        for put in ["\"", "[", "]", "=", ".", "\u{fffd}", "\n", "{"] {
            let damaged = format!("{}{put}{}", &sound[..end], &sound[end..]);
            let _ = messages(&damaged, &[]);
        }
    }
}
