//! `new` makes a project that builds, is tested and runs, by its own README's commands.

use std::{path::Path, process::Command};

use wasmill_tests::{root, wasmill};

/// Runs a command that must succeed, building in a folder of its own that later runs reuse.
fn succeed(command: &mut Command, folder: &Path) -> String {
    command.current_dir(folder).env("CARGO_TARGET_DIR", root().join("target/new-projects"));
    let ended = wasmill_tests::run(command);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    ended.stdout
}

fn works(template: &str) {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("my-{template}");
    succeed(wasmill().args(["new", &name, "--template", template]), folder.path());
    let project = folder.path().join(&name);
    succeed(wasmill().arg("build"), &project);
    assert!(project.join(format!("{name}.wasm")).is_file());
    succeed(Command::new("cargo").args(["test", "--release"]), &project);
    succeed(wasmill().args(["check", "job.toml"]), &project);
    succeed(wasmill().args(["run", "job.toml"]), &project);
    let again = wasmill_tests::run(wasmill().args(["new", &name]).current_dir(folder.path()));
    assert_ne!(again.code, 0, "an existing project is not written over");
}

#[test]
fn a_stateless_operator() {
    works("stateless");
}

#[test]
fn a_keyed_operator() {
    works("keyed");
}
