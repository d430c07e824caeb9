//! What is refused before anything runs: files that are no operators, imports that are not granted, descriptions.

use std::path::PathBuf;

use crate::job::{RUNTIME, operator};

/// A file with this content.
fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("operator.wasm");
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

/// Why a component of this text cannot be an operator.
fn refusal(text: &str) -> String {
    let (_folder, path) = file(&wat::parse_str(text).unwrap());
    let loaded = RUNTIME.load(&path);
    let checked = loaded.and_then(|component| component.check());
    checked.expect_err("it was accepted").to_string()
}

#[test]
fn an_import_that_is_not_granted_is_refused_by_name() {
    let error = refusal(
        r#"(component
            (import "wasi:http/outgoing-handler@0.2.0" (instance))
            (import "acme:database/query@1.0.0" (instance))
            (instance $guest)
            (export "wasmill:operator/guest@0.1.0" (instance $guest)))"#,
    );
    assert!(error.contains("wasi:http/outgoing-handler@0.2.0, acme:database/query@1.0.0"), "{error}");
}

#[test]
fn a_component_that_is_no_operator_is_refused() {
    assert!(refusal("(component)").contains("is not an operator"));
    let newer = r#"(component (instance $guest) (export "wasmill:operator/guest@9.0.0" (instance $guest)))"#;
    assert!(refusal(newer).contains("wasmill:operator/guest@9.0.0"));
    let hollow = r#"(component (instance $guest) (export "wasmill:operator/guest@0.1.0" (instance $guest)))"#;
    assert!(refusal(hollow).contains("does not fit the contract"));
}

#[test]
fn a_file_that_is_no_component_is_refused() {
    let (_folder, path) = file(&wat::parse_str("(module)").unwrap());
    let module = RUNTIME.load(&path).err().unwrap().to_string();
    assert!(module.contains("core module") && module.contains("wasm32-wasip2"), "{module}");
    for garbage in [&b""[..], b"#!/bin/sh", b"\0asm", b"\0asm\x0d\0\x01\0\xff\xff\xff\xff\xff"] {
        let (_folder, path) = file(garbage);
        let error = RUNTIME.load(&path).map(drop).expect_err("garbage was accepted").to_string();
        assert!(error.contains("operator.wasm"), "{error}");
    }
}

#[test]
fn a_description_is_made_under_limits() {
    let error = |deed: &str| operator(deed).map(drop).expect_err("it was accepted").to_string();
    assert!(error("describe-spin").contains("limit `call-budget`"), "{}", error("describe-spin"));
    assert!(error("describe-emit").contains("describe"), "{}", error("describe-emit"));
    assert!(error("describe-refuse").contains("`do` is not to my taste"));
}

/// What makes no sense together is told from the description, before anything runs.
#[test]
fn what_nothing_may_change_is_told() {
    let described = operator("write-broadcast").unwrap();
    let problems = wasmill_core::OperatorFactory::description(&described).problems();
    assert_eq!(problems, ["it describes broadcast state, but all its inputs are keyed: nothing may change it"]);
    let supported = operator("nothing").unwrap();
    assert!(wasmill_core::OperatorFactory::description(&supported).problems().is_empty());
}
