//! Makes a working operator project from a template.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;

use crate::{
    exit::{Exit, Failure, Outcome},
    talk::Talk,
    template::Template,
};

/// Make a working operator project from a template
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wasmill new upper                      an operator that looks at each record alone
  wasmill new count --template keyed     an operator with keyed state
  wasmill new ops/count --sdk ~/wasmill/guest-sdk/rust

The guest SDK `wasmill-sdk` is a folder on this machine: --sdk, else $WASMILL_SDK, else in the source
tree that this binary was built from.")]
pub struct New {
    /// Folder to make; its last part names the project
    pub name: PathBuf,
    /// What the operator starts from
    #[arg(long, value_name = "TEMPLATE", value_enum, default_value_t)]
    pub template: Template,
    /// Folder of the Rust guest SDK
    #[arg(long, value_name = "PATH")]
    pub sdk: Option<PathBuf>,
}

impl New {
    pub(crate) fn run(self, talk: &Talk) -> Outcome {
        let name = project_name(&self.name)?;
        let sdk = sdk(self.sdk.as_deref(), env::var_os("WASMILL_SDK").map(PathBuf::from).as_deref(), SOURCE_TREE)?;
        let made = make_empty(&self.name)?;
        for (path, content) in self.template.files(name, &sdk) {
            if let Err(error) = write(&self.name.join(path), &content) {
                if made {
                    // What was made is of no use without the rest.
                    let _ = fs::remove_dir_all(&self.name);
                }
                return Err(error.into());
            }
        }
        talk.done("Made", format_args!("{} ({} template)", self.name.display(), self.template.name()));
        talk.say(format_args!("\nNext:\n{}", next_steps(&self.name)));
        Ok(Exit::Done)
    }
}

/// Where the SDK is when the binary runs on the machine that it was built on.
const SOURCE_TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest-sdk/rust");

/// The name of the project in the folder `path`.
fn project_name(path: &Path) -> Result<&str, Failure> {
    let refuse = |why: &str| {
        let text = format!("`{}` does not name a project: {why}", path.display());
        Failure::usage(text)
            .hint("use lower-case letters, digits, `-` and `_`, a letter first, for example `my-operator`")
    };
    let name = path.file_name().ok_or_else(|| refuse("it has no last part"))?;
    let name = name.to_str().ok_or_else(|| refuse("its last part is not Unicode"))?;
    let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(sound) || name.len() > 64 {
        return Err(refuse("its last part is not a crate's name"));
    }
    if RESERVED.contains(&name) {
        return Err(refuse("the name is taken by Rust or by the SDK"));
    }
    Ok(name)
}

/// Crate names that cargo refuses or that would shadow what the template uses.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "alloc", "as", "async", "await", "break", "build", "const", "continue", "core", "crate", "deps", "dyn", "else", "enum",
    "examples", "extern", "false", "fn", "for", "gen", "if", "impl", "in", "incremental", "let", "loop", "match", "mod",
    "move", "mut", "pub", "proc-macro", "proc_macro", "ref", "return", "self", "static", "std", "struct", "super", "test",
    "trait", "true", "try", "type", "unsafe", "use", "wasmill-sdk", "wasmill_sdk", "where", "while",
];

/// The SDK's folder, absolute: as asked for, else as the environment says, else in the source tree.
fn sdk(asked: Option<&Path>, environment: Option<&Path>, source_tree: &str) -> Result<PathBuf, Failure> {
    let (path, origin) = match (asked, environment) {
        (Some(path), _) => (path, "--sdk"),
        (None, Some(path)) if !path.as_os_str().is_empty() => (path, "WASMILL_SDK"),
        _ => (Path::new(source_tree), ""),
    };
    if is_sdk(path) {
        return fs::canonicalize(path).map_err(|error| Failure::message(format_args!("{}: {error}", path.display())));
    }
    const HINT: &str = "give the folder `guest-sdk/rust` of a Wasmill source tree with --sdk PATH or in WASMILL_SDK";
    Err(match origin {
        "" => Failure::message("the guest SDK `wasmill-sdk` was not found on this machine").hint(HINT),
        origin => Failure::usage(format_args!(
            "{origin} is `{}`, where there is no Cargo.toml of the package `wasmill-sdk`",
            path.display()
        ))
        .hint(HINT),
    })
}

fn is_sdk(path: &Path) -> bool {
    let Ok(manifest) = fs::read_to_string(path.join("Cargo.toml")) else { return false };
    let Ok(manifest) = manifest.parse::<toml_edit::DocumentMut>() else { return false };
    manifest.get("package").and_then(|package| package.get("name")).and_then(|name| name.as_str())
        == Some("wasmill-sdk")
}

/// Makes `path` unless it is an empty folder already; true if it did.
fn make_empty(path: &Path) -> Result<bool, Failure> {
    match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(false),
        Ok(false) => Err(Failure::usage(format_args!("the folder `{}` exists and is not empty", path.display()))
            .hint("choose another name, or remove the folder")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path).with_context(|| format!("cannot make the folder `{}`", path.display()))?;
            Ok(true)
        }
        Err(error) => Err(Failure::usage(format_args!("cannot make a project in `{}`: {error}", path.display()))),
    }
}

fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    }
    fs::write(path, content).with_context(|| format!("cannot write `{}`", path.display()))
}

fn next_steps(path: &Path) -> String {
    format!(
        "  cd {}\n  cargo test               # the operator natively\n  wasmill build\n  wasmill run job.toml",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cargo_would_refuse_are_refused() {
        assert_eq!(project_name(Path::new("ops/word-count")).unwrap(), "word-count");
        for bad in ["", "..", "Upper", "9a", "a b", "a.b", "fn", "wasmill-sdk", "ä", &"a".repeat(65)] {
            assert_eq!(project_name(Path::new(bad)).unwrap_err().exit, Exit::Usage, "{bad}");
        }
    }

    #[test]
    fn the_sdk_is_looked_for_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
        fs::create_dir(&good).unwrap();
        fs::write(good.join("Cargo.toml"), "[package]\nname = \"wasmill-sdk\"\n").unwrap();
        let good_text = good.to_str().unwrap();
        let found = fs::canonicalize(&good).unwrap();
        assert_eq!(sdk(Some(&good), Some(&bad), "").unwrap(), found);
        assert_eq!(sdk(None, Some(&good), "").unwrap(), found);
        assert_eq!(sdk(None, None, good_text).unwrap(), found);
        // What was asked for is not passed over in silence.
        let refused = sdk(Some(&bad), Some(&good), good_text).unwrap_err();
        assert!(refused.error.to_string().starts_with("--sdk is `"), "{}", refused.error);
        assert!(sdk(None, None, "/nowhere").unwrap_err().hint.unwrap().contains("--sdk PATH"));
    }

    #[test]
    fn a_folder_with_anything_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!make_empty(folder.path()).unwrap());
        assert!(make_empty(&folder.path().join("new/er")).unwrap());
        assert!(make_empty(folder.path()).unwrap_err().error.to_string().contains("is not empty"));
        fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(make_empty(&folder.path().join("file")).unwrap_err().exit, Exit::Usage);
    }
}
