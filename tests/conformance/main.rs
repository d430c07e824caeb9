//! What the architecture promises and the compiler cannot say: which crate may know which.

use std::collections::BTreeSet;

use wasmill_tests::root;

/// The dependencies (not those of tests) that a crate's manifest names.
fn dependencies(folder: &str) -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]").nth(1).expect("the crate has dependencies");
    let section = section.split("\n[").next().unwrap_or_default();
    let name = |line: &str| Some(line.split(['.', '=', ' ']).next()?.to_string()).filter(|name| !name.is_empty());
    section.lines().filter(|line| !line.starts_with('#')).filter_map(name).collect()
}

fn wasmill(folder: &str) -> BTreeSet<String> {
    dependencies(folder).into_iter().filter(|name| name.starts_with("wasmill")).collect()
}

#[test]
fn arrows_go_one_way() {
    assert_eq!(wasmill("runtime/core"), BTreeSet::new());
    for sibling in ["runtime/host", "runtime/state", "runtime/engine", "runtime/connectors"] {
        assert_eq!(wasmill(sibling), BTreeSet::from(["wasmill-core".to_string()]), "{sibling}");
    }
}

#[test]
fn an_sdk_depends_on_the_contract_only() {
    assert_eq!(wasmill("guest-sdk/rust"), BTreeSet::from(["wasmill-sdk-macros".to_string()]));
}

/// `core` does no I/O; `core` and `host` name no executor.
#[test]
fn core_and_host_are_free_of_executors() {
    let core = dependencies("runtime/core");
    assert_eq!(core, BTreeSet::from(["thiserror".to_string(), "xxhash-rust".to_string()]));
    for executor in ["tokio", "tokio-util", "async-std", "smol"] {
        assert!(!dependencies("runtime/host").contains(executor), "{executor}");
    }
    for folder in ["runtime/core/src", "runtime/host/src"] {
        for file in sources(&root().join(folder)) {
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            assert!(!code.clone().any(|line| line.contains("tokio::")), "{}", file.display());
        }
    }
}

fn sources(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
