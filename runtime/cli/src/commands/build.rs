//! Builds the Rust operator project in a folder to a component.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::inspect;
use crate::{
    exit::{Exit, Failure, Outcome},
    format,
    talk::{self, Talk},
};

/// The target that makes components.
const TARGET: &str = "wasm32-wasip2";

/// Build the Rust operator project in a folder to a component
///
/// Runs cargo for wasm32-wasip2, puts the component beside the project's Cargo.toml as PACKAGE.wasm, and shows what it
/// says of itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wasmill build                  the project in this folder
  wasmill build my-operator      writes my-operator/my-operator.wasm
  wasmill build --debug          builds faster; runs about ten times slower")]
pub struct Build {
    /// Folder of the project
    #[arg(default_value = ".")]
    pub path: PathBuf,
    /// Build without optimisation
    #[arg(long)]
    pub debug: bool,
}

impl Build {
    pub(crate) fn run(self, talk: &Talk) -> Outcome {
        let package = package(&self.path)?;
        target_installed(&self.path)?;
        let artifact = cargo(&self.path, &package, self.debug, talk.quiet)?;
        let component = self.path.join(format!("{}.wasm", package.name));
        let size = replace(&artifact, &component)?;
        talk.done("Built", format_args!("{} ({})", component.display(), format::bytes(size)));
        let text = inspect::describe_built(&component, talk)?;
        talk::print(&text)?;
        Ok(Exit::Done)
    }
}

/// The package in a folder.
#[derive(Debug, PartialEq, Eq)]
struct Package {
    id: String,
    name: String,
}

/// Finds the package whose Cargo.toml is in `folder`, and that it makes a component.
fn package(folder: &Path) -> Result<Package, Failure> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(Failure::usage(format_args!("there is no Cargo.toml in `{}`", folder.display()))
            .hint("give the folder of an operator project, or make one with `wasmill new NAME`"));
    }
    let manifest = fs::canonicalize(&manifest).with_context(|| format!("cannot read `{}`", manifest.display()))?;
    let output = tool("CARGO", "cargo", folder)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| cannot_run("cargo", &error))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::message(format_args!("cargo cannot read `{}`:\n{}", manifest.display(), text.trim_end())));
    }
    let metadata =
        serde_json::from_slice(&output.stdout).context("`cargo metadata` printed something else than JSON")?;
    package_in(&metadata, &manifest)
}

fn package_in(metadata: &Value, manifest: &Path) -> Result<Package, Failure> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let here = |package: &&Value| package["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest);
    let makes_component = |package: &Value| package["targets"].as_array().is_some_and(|all| all.iter().any(is_cdylib));
    let Some(package) = packages.iter().find(here) else {
        let folders = packages.iter().filter(|package| makes_component(package)).filter_map(|package| {
            let folder = Path::new(package["manifest_path"].as_str()?).parent()?;
            Some(format!("\n    {}", folder.display()))
        });
        let hint = match folders.collect::<String>() {
            none if none.is_empty() => "none of its members makes a component".to_string(),
            folders => format!("build one of its members:{folders}"),
        };
        let text = format!("`{}` is a workspace and names no package of its own", manifest.display());
        return Err(Failure::usage(text).hint(hint));
    };
    let (Some(id), Some(name)) = (package["id"].as_str(), package["name"].as_str()) else {
        return Err(Failure::message("`cargo metadata` names a package without id or name"));
    };
    if !makes_component(package) {
        return Err(Failure::message(format_args!(
            "the package `{name}` does not make a component: it is no `cdylib`"
        ))
        .hint(format_args!("write this in `{}`:\n    [lib]\n    crate-type = [\"cdylib\"]", manifest.display())));
    }
    Ok(Package { id: id.to_string(), name: name.to_string() })
}

fn is_cdylib(target: &Value) -> bool {
    target["crate_types"].as_array().is_some_and(|types| types.iter().any(|kind| kind == "cdylib"))
}

/// Whether the toolchain of `folder` has the standard library of the target: cargo's own message for that is long and
/// ends in advice that does not say which toolchain.
fn target_installed(folder: &Path) -> Result<(), Failure> {
    let output = tool("RUSTC", "rustc", folder)
        .args(["--print", "target-libdir", "--target", TARGET])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| cannot_run("rustc", &error))?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && fs::read_dir(&libraries).is_ok_and(|mut entries| entries.next().is_some()) {
        return Ok(());
    }
    Err(Failure::message(format_args!("the Rust target {TARGET} is not installed"))
        .hint(format_args!("rustup target add {TARGET}")))
}

/// Runs cargo, whose talk goes to standard error as it comes, and returns the component that it made.
fn cargo(folder: &Path, package: &Package, debug: bool, quiet: bool) -> Result<PathBuf, Failure> {
    let mut command = tool("CARGO", "cargo", folder);
    command.args(["build", "--lib", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    if !debug {
        command.arg("--release");
    }
    if quiet {
        command.arg("--quiet");
    }
    let mut cargo =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| cannot_run("cargo", &error))?;
    let mut artifact = None;
    for line in BufReader::new(cargo.stdout.take().expect("standard output is piped")).lines() {
        let line = line.context("cannot read what cargo says")?;
        artifact = artifact_in(&line, &package.id).or(artifact);
    }
    let status = cargo.wait().context("cannot wait for cargo")?;
    if !status.success() {
        return Err(Failure::message(format_args!("cargo could not build `{}` ({status})", package.name)));
    }
    artifact.ok_or_else(|| Failure::message(format_args!("cargo built `{}`, but names no .wasm file", package.name)))
}

/// The component that a line of cargo's JSON says was made of the package.
fn artifact_in(line: &str, package: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" || message["package_id"] != package || !is_cdylib(&message["target"]) {
        return None;
    }
    let mut files = message["filenames"].as_array()?.iter().filter_map(Value::as_str).map(PathBuf::from);
    files.find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

/// A command of the toolchain, run in `folder` so that the folder's toolchain and configuration count.
fn tool(variable: &str, name: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os(variable).unwrap_or_else(|| name.into()));
    command.current_dir(folder);
    command
}

fn cannot_run(tool: &str, error: &std::io::Error) -> Failure {
    Failure::message(format_args!("cannot run `{tool}`: {error}"))
        .hint("install Rust from https://rustup.rs, or put it on the PATH")
}

/// Copies `from` over `to`, which is never seen half-written; returns the size in bytes.
fn replace(from: &Path, to: &Path) -> anyhow::Result<u64> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = || format!("cannot write `{}`", to.display());
    let mut aside =
        tempfile::Builder::new().prefix(".wasmill-").suffix(".wasm").tempfile_in(folder).with_context(failed)?;
    let mut source = fs::File::open(from).with_context(|| format!("cannot read `{}`", from.display()))?;
    let size = std::io::copy(&mut source, &mut aside).with_context(failed)?;
    // A temporary file is for its owner alone; a component is as any file that a compiler makes.
    let permissions = source.metadata().with_context(failed)?.permissions();
    aside.as_file().set_permissions(permissions).with_context(failed)?;
    aside.persist(to).map_err(|error| error.error).with_context(failed)?;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(crate_type: &str) -> Value {
        json!({ "packages": [{
            "id": "path+file:///a#my-op@0.1.0", "name": "my-op", "manifest_path": "/a/Cargo.toml",
            "targets": [{ "name": "my_op", "crate_types": [crate_type] }],
        }]})
    }

    #[test]
    fn a_package_is_found_by_its_manifest() {
        let package = package_in(&metadata("cdylib"), Path::new("/a/Cargo.toml")).unwrap();
        assert_eq!(package.name, "my-op");
        let workspace = |crate_type| package_in(&metadata(crate_type), Path::new("/Cargo.toml")).unwrap_err();
        assert_eq!(workspace("cdylib").hint.unwrap(), "build one of its members:\n    /a");
        assert_eq!(workspace("lib").hint.unwrap(), "none of its members makes a component");
    }

    #[test]
    fn what_is_no_cdylib_is_refused_with_what_to_write() {
        let failure = package_in(&metadata("lib"), Path::new("/a/Cargo.toml")).unwrap_err();
        assert!(failure.error.to_string().contains("no `cdylib`"));
        assert!(failure.hint.unwrap().contains("crate-type = [\"cdylib\""));
    }

    #[test]
    fn the_artifact_is_the_packages_own() {
        let line = |id: &str, kind: &str| {
            json!({ "reason": "compiler-artifact", "package_id": id, "target": { "crate_types": [kind] },
                "filenames": ["/t/libmy_op.rlib", "/t/my_op.wasm"] })
            .to_string()
        };
        assert_eq!(artifact_in(&line("me", "cdylib"), "me"), Some(PathBuf::from("/t/my_op.wasm")));
        assert_eq!(artifact_in(&line("other", "cdylib"), "me"), None);
        assert_eq!(artifact_in(&line("me", "proc-macro"), "me"), None);
        assert_eq!(artifact_in("not json", "me"), None);
    }

    #[test]
    fn a_component_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to.wasm"));
        fs::write(&to, "old").unwrap();
        assert!(replace(&from, &to).is_err());
        assert_eq!(fs::read_to_string(&to).unwrap(), "old");
        fs::write(&from, "new").unwrap();
        assert_eq!(replace(&from, &to).unwrap(), 3);
        assert_eq!(fs::read_to_string(&to).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
