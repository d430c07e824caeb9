//! What the tests of whole jobs share: where the command, the examples and the components are, and how to run them.
//!
//! `cargo xtask test` builds the command and the components first. A test that does not find them fails and says so.

pub mod flights;
pub mod pipeline;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// A file of the repository that `cargo xtask test` builds.
///
/// # Panics
/// If it was not built.
pub fn built(path: &str) -> PathBuf {
    let path = root().join(path);
    assert!(path.is_file(), "{} is missing: run `cargo xtask test`, which builds it", path.display());
    path
}

/// The `wasmill` command, with a cache of its own for the machine's tests, no colours and no terminal.
///
/// # Panics
/// If the binary was not built.
pub fn wasmill() -> Command {
    let binary = match std::env::var_os("WASMILL_BIN") {
        Some(binary) => PathBuf::from(binary),
        None => built("target/release/wasmill"),
    };
    let mut command = Command::new(binary);
    command.env_remove("WASMILL_LOG").env("NO_COLOR", "1").env("COLUMNS", "100");
    command.env("WASMILL_CACHE", std::env::temp_dir().join("wasmill-tests-cache"));
    command
}

/// How a command ended, as text.
#[derive(Debug)]
pub struct Ended {
    /// The exit code, -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started.
pub fn run(command: &mut Command) -> Ended {
    let Output { status, stdout, stderr } = command.output().expect("the command starts");
    Ended {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// All lines of the part files in `folder`, sorted.
///
/// # Panics
/// If the folder or a file cannot be read.
pub fn sorted_lines(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the result folder exists") {
        let path = entry.expect("the folder can be read").path();
        // What sinks keep for themselves is hidden.
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a part file can be read");
        lines.extend(text.lines().map(str::to_string));
    }
    lines.sort();
    lines
}
