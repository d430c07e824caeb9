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
    use std::fs;

    use wasmill_core::{
        Codec, Description,
        description::{Columns, InputDescription, OutputDescription},
    };

    use super::*;
    use crate::job::{Job, Operator, Overrides, render};

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

    /// The component stands in as an empty file; its description is what the operator of the template says of itself.
    #[test]
    fn the_job_files_can_run() {
        for template in Template::value_variants() {
            let folder = tempfile::tempdir().unwrap();
            for (path, content) in template.files("words", Path::new("/sdk")) {
                let path = folder.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            fs::write(folder.path().join("words.wasm"), "").unwrap();
            let job = Job::read(&folder.path().join("job.toml"), &Overrides::default()).unwrap();
            let resolved = job.resolve(&mut |_: &Operator, _: &Path| Ok(description(*template)));
            let resolved = resolved.unwrap_or_else(|problems| panic!("{template:?}: {}", render(&problems, false)));
            assert!(resolved.warnings.is_empty(), "{template:?}: {}", render(&resolved.warnings, false));
        }
    }

    fn description(template: Template) -> Description {
        let (keyed, output) = (template == Template::Keyed, if template == Template::Keyed { "u64" } else { "text" });
        let columns = Columns { headers: false, values: !keyed, ..Columns::ALL };
        let (text, output) = (Codec::named("text"), Codec::named(output));
        Description {
            name: "words".to_string(),
            version: "0.1.0".to_string(),
            inputs: vec![InputDescription {
                name: "in".to_string(),
                keyed,
                columns,
                key: text.clone(),
                value: text.clone(),
            }],
            outputs: vec![OutputDescription { name: "out".to_string(), key: text, value: output }],
            states: vec![],
            timers: vec![],
        }
    }
}
