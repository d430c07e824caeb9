//! Files become components, or an error that says what they are and what to do.

mod common;

use std::fs;

use common::{Bench, Source};
use wasmill_host::{HostError, Limits, RuntimeOptions};

fn message(bench: &Bench, bytes: &[u8]) -> String {
    match bench.runtime.load(&bench.file(bytes)) {
        Err(error) => error.to_string(),
        Ok(component) => component.check().unwrap_err().to_string(),
    }
}

#[test]
fn what_is_no_component_is_refused_by_what_it_is() {
    let bench = Bench::new();
    let cases: [(&[u8], &str); 6] = [
        (b"", "it is empty"),
        (b"\0as", "does not begin as WebAssembly does"),
        (b"\0asm\x0d", "cut short"),
        (b"\x7fELF", "does not begin as WebAssembly does"),
        (b" (module)", "it is text"),
        (b"\0asm\x0d\0\x01\0\xff\xff", "cannot compile the component"),
    ];
    for (bytes, expected) in cases {
        let text = message(&bench, bytes);
        assert!(text.contains(expected) && text.contains("guest.wasm"), "{text}");
    }
    let core = message(&bench, &Source::default().module());
    assert!(core.contains("is a core module") && core.contains("wasm32-wasip2"), "{core}");
    let missing = bench.runtime.load(&bench.folder.path().join("none.wasm")).err().unwrap().to_string();
    assert!(missing.contains("cannot read") && missing.contains("none.wasm"), "{missing}");
}

#[test]
fn a_component_that_is_no_operator_is_refused_by_what_it_exports() {
    let bench = Bench::new();
    let exporting = |name: &str| {
        let wat = format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#);
        message(&bench, &wat::parse_str(wat).unwrap())
    };
    let other = exporting("wasmill:operator/guest@0.2.0");
    assert!(other.contains("implements `wasmill:operator/guest@0.2.0`") && other.contains("guest@0.1.0"), "{other}");
    let none = exporting("wasi:cli/run@0.2.6");
    assert!(none.contains("is not an operator") && none.contains("wasi:cli/run@0.2.6"), "{none}");
    // The right name, without what it should hold.
    let hollow = exporting("wasmill:operator/guest@0.1.0");
    assert!(hollow.contains("does not fit the contract"), "{hollow}");
}

#[test]
fn imports_that_are_not_given_are_refused_by_name() {
    let bench = Bench::new();
    let source = Source {
        imports: r#"(import "wasi:http/handler@0.2.6" "ask" (func))"#.to_string(),
        packages: "package wasi:http@0.2.6 { interface handler { ask: func(); } }".to_string(),
        world: "import wasi:http/handler@0.2.6;".to_string(),
        ..Source::default()
    };
    let component = bench.load(&source);
    assert_eq!(component.refused_imports(), ["wasi:http/handler@0.2.6"]);
    assert!(component.imports().contains(&"wasi:http/handler@0.2.6".to_string()));
    assert!(component.exports().contains(&"wasmill:operator/guest@0.1.0".to_string()));
    assert!(!component.has_migration());
    let error = component.describe("{}", &Limits::default()).unwrap_err();
    assert!(matches!(&error, HostError::RefusedImports { imports, .. } if imports.len() == 1), "{error}");
}

#[test]
fn a_configuration_that_the_operator_refuses_is_told_in_its_words() {
    let bench = Bench::new();
    // `err` of the string at 256.
    let refusing = "(i32.store (i32.const 512) (i32.const 1)) (i32.store (i32.const 516) (i32.const 256))
        (i32.store (i32.const 520) (i32.const 4)) (i32.const 512)";
    let component = bench.load(&Source { describe: refusing.to_string(), ..Source::default() });
    let error = component.describe("{}", &Limits::default()).unwrap_err();
    assert!(matches!(&error, HostError::Configuration { message, .. } if message == "boom"), "{error}");
}

#[test]
fn names_that_a_job_file_cannot_say_are_refused() {
    let bench = Bench::new();
    // The input's name, "in", is at 1024 + 224 + 7.
    let renaming = "(i32.store8 (i32.const 1255) (i32.const 73)) (i32.const 1024)";
    let component = bench.load(&Source { describe: renaming.to_string(), ..Source::default() });
    let error = component.describe("{}", &Limits::default()).unwrap_err();
    assert!(matches!(&error, HostError::Description { problem, .. } if problem.contains("\"In\"")), "{error}");
}

#[test]
fn compiled_code_is_kept_and_a_damaged_file_is_made_again() {
    let folder = tempfile::TempDir::new().unwrap();
    let cache = folder.path().join("deep/cache");
    let bench = || {
        let options = RuntimeOptions { cache_directory: Some(cache.clone()), max_instances: 4, ..Default::default() };
        Bench::with(options)
    };
    let files = || fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let source = Source::identity();
    assert!(!bench().load(&source).compiled_from_cache());
    let kept = files();
    assert_eq!(kept.len(), 1);
    let whole = fs::read(&kept[0]).unwrap();
    let works = |from_cache: bool| {
        let bench = bench();
        let component = bench.load(&source);
        assert_eq!(component.compiled_from_cache(), from_cache);
        assert_eq!(component.describe("{}", &Limits::default()).unwrap().name, "test");
        drop(component);
        assert_eq!(bench.start(&source, Limits::default()).process(common::batch()).unwrap().len(), 1);
    };
    works(true);
    // Cut short, one bit flipped in the middle, emptied, sound but not wasmtime's: never used, replaced by a whole one.
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&whole[..whole.len() - 1], &whole[..whole.len() / 2], &flipped, b"", b"what is this, then?"] {
        fs::write(&kept[0], damaged).unwrap();
        works(false);
        assert_eq!((files(), fs::read(&kept[0]).unwrap().len()), (kept.clone(), whole.len()));
        works(true);
    }
    // Another component has another file.
    bench().load(&Source { text: "other".to_string(), ..Source::default() });
    assert_eq!(files().len(), 2);
}

#[test]
fn a_cache_that_cannot_be_written_is_no_failure() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let options = RuntimeOptions { cache_directory: Some(file), max_instances: 4, ..Default::default() };
    let component = Bench::with(options).load(&Source::identity());
    assert!(!component.compiled_from_cache());
    assert!(component.check().is_ok());
}
