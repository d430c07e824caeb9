//! Holds the projects that `wasmill new` makes, embedded in the binary.

use std::path::Path;

use clap::ValueEnum;

/// What a new operator starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Template {
    /// Looks at each record alone.
    #[default]
    Stateless,
    /// Keeps state by key.
    Keyed,
}

/// Placeholders of the embedded files: the project's name, and the SDK's folder as a TOML string.
const NAME: &str = "{{name}}";
const SDK: &str = "{{sdk}}";

macro_rules! template {
    ($folder:literal, $($path:literal),*) => {
        &[$(($path, include_str!(concat!("../templates/", $folder, "/", $path, ".in")))),*]
    };
}

impl Template {
    /// The name that the command line uses.
    pub fn name(self) -> &'static str {
        match self {
            Template::Stateless => "stateless",
            Template::Keyed => "keyed",
        }
    }

    /// The files of a project `name` that uses the SDK in `sdk`: path below the project's folder, and content.
    pub fn files(self, name: &str, sdk: &Path) -> Vec<(&'static str, String)> {
        let own: &[(&str, &str)] = match self {
            Template::Stateless => template!("stateless", "README.md", "src/lib.rs", "job.toml", "input.txt"),
            Template::Keyed => template!("keyed", "README.md", "src/lib.rs", "job.toml", "input.jsonl"),
        };
        let shared: &[(&str, &str)] = &[
            ("Cargo.toml", include_str!("../templates/Cargo.toml.in")),
            (".gitignore", include_str!("../templates/gitignore.in")),
        ];
        let sdk = toml_edit::Value::from(sdk.to_string_lossy().into_owned()).to_string();
        let fill = |content: &str| content.replace(NAME, name).replace(SDK, sdk.trim());
        shared.iter().chain(own).map(|(path, content)| (*path, fill(content))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left() {
        for template in Template::value_variants() {
            for (path, content) in template.files("word-count", Path::new("/a \"b\"/sdk")) {
                assert!(!content.contains("{{"), "{template:?} {path}");
            }
        }
    }

    #[test]
    fn the_manifest_names_the_project_and_the_sdk() {
        for template in Template::value_variants() {
            let files = template.files("word-count", Path::new("/a \"b\"/sdk"));
            let manifest = &files.iter().find(|(path, _)| *path == "Cargo.toml").unwrap().1;
            let manifest: toml_edit::DocumentMut = manifest.parse().unwrap();
            assert_eq!(manifest["package"]["name"].as_str(), Some("word-count"));
            assert_eq!(manifest["dependencies"]["wasmill-sdk"]["path"].as_str(), Some("/a \"b\"/sdk"));
            assert_eq!(manifest["lib"]["crate-type"].as_array().unwrap().get(0).unwrap().as_str(), Some("cdylib"));
        }
    }
}
