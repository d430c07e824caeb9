//! Runs cargo and rustup, and tells what is being done.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// What the operators are built for.
pub(crate) const GUEST_TARGET: &str = "wasm32-wasip2";

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Cargo, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Says what comes next.
pub(crate) fn say(what: &str) {
    eprintln!("\n==> {what}");
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("could not start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{} {} failed: {status}", command.get_program().display(), arguments(command));
    }
    Ok(())
}

fn arguments(command: &Command) -> String {
    command.get_args().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Makes sure that the compiler can build for [`GUEST_TARGET`], and installs what is missing by rustup.
pub(crate) fn install_guest_target() -> Result<()> {
    let libraries = Command::new("rustc").args(["--print", "target-libdir", "--target", GUEST_TARGET]).output();
    if let Ok(output) = &libraries
        && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    {
        return Ok(());
    }
    say(&format!("Installing the Rust target {GUEST_TARGET}, which the operators are built for"));
    run(Command::new("rustup").args(["target", "add", GUEST_TARGET]).stdin(Stdio::null())).with_context(|| {
        format!(
            "the Rust target {GUEST_TARGET} is missing and could not be installed. With rustup: `rustup target add \
             {GUEST_TARGET}` (is there a network?). A Rust from elsewhere needs its standard library for {GUEST_TARGET} \
             from the same place"
        )
    })
}

/// Builds a binary of the workspace and returns where it is.
///
/// Cargo compiles a dependency once for each set of features that a selection of packages asks of it. So that wasmtime is
/// compiled once and not once a task, everything is selected as `cargo test --workspace` does: all packages, with what
/// their tests ask for, which naming one test target brings in.
pub(crate) fn build_binary(name: &str) -> Result<PathBuf> {
    say(&format!("Building {name} (the first time this compiles wasmtime: some minutes)"));
    run(cargo().args(["build", "--release", "--workspace", "--bin", name, "--test", "hostile"]))?;
    Ok(target_folder()?.join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let metadata = metadata()?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(PathBuf::from(folder))
}

/// What cargo knows of the workspace.
pub(crate) fn metadata() -> Result<serde_json::Value> {
    let output =
        cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output().context("could not start cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
