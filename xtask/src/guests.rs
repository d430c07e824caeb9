//! Builds the operators of the workspace to components: every package that has a `cdylib`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::tool::{GUEST_TARGET, cargo, install_guest_target, metadata, root, run, say, target_folder};

/// One operator.
struct Guest {
    package: String,
    /// What cargo calls the file it makes.
    artifact: String,
    folder: PathBuf,
}

/// Builds every operator and puts its component beside its source, as `wasmill build` does. Returns the components.
pub(crate) fn build() -> Result<Vec<PathBuf>> {
    install_guest_target()?;
    let guests = find()?;
    let names: Vec<&str> = guests.iter().map(|guest| guest.package.as_str()).collect();
    say(&format!("Building the operators: {}", names.join(", ")));
    let mut build = cargo();
    build.args(["build", "--profile", "guest", "--lib", "--target", GUEST_TARGET]);
    run(build.args(names.iter().flat_map(|name| ["--package", name])))?;
    let built = target_folder()?.join(GUEST_TARGET).join("guest");
    guests.iter().map(|guest| place(guest, &built)).collect()
}

fn find() -> Result<Vec<Guest>> {
    let metadata = metadata()?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    Ok(packages.iter().filter_map(guest).collect())
}

fn guest(package: &Value) -> Option<Guest> {
    let is_cdylib = |target: &&Value| target["crate_types"].as_array().is_some_and(|t| t.iter().any(|t| t == "cdylib"));
    let target = package["targets"].as_array()?.iter().find(is_cdylib)?;
    Some(Guest {
        package: package["name"].as_str()?.to_string(),
        artifact: format!("{}.wasm", target["name"].as_str()?),
        folder: Path::new(package["manifest_path"].as_str()?).parent()?.to_path_buf(),
    })
}

/// Copies a component beside its source, unless it is there already.
fn place(guest: &Guest, built: &Path) -> Result<PathBuf> {
    let from = built.join(&guest.artifact);
    let to = guest.folder.join(format!("{}.wasm", guest.package));
    let bytes = std::fs::read(&from).with_context(|| format!("{} was not built", from.display()))?;
    if std::fs::read(&to).ok().as_ref() != Some(&bytes) {
        let aside = to.with_extension("wasm.tmp");
        std::fs::write(&aside, &bytes).with_context(|| format!("could not write {}", aside.display()))?;
        std::fs::rename(&aside, &to).with_context(|| format!("could not write {}", to.display()))?;
    }
    eprintln!("    {} ({} KB)", to.strip_prefix(root()).unwrap_or(&to).display(), bytes.len() / 1000);
    Ok(to)
}
