//! Asks every operator for its description, and says at which line what stands in the way.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use wasmill_core::Description;

use super::{
    nodes::Operator,
    problem::Findings,
    read::Job,
    suggest::{nearest, quote},
};

/// Why an operator did not describe itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Whether the operator's `config` is at fault, not its component.
    pub config: bool,
}

/// Makes the description of an operator under its configuration and limits: whoever checks a job loads its components.
/// Asked only for operators whose component's file exists. A closure will do.
pub trait Describe {
    /// The description of `operator`, whose component is in the file `component`.
    ///
    /// # Errors
    /// When the file is no operator, or the operator refuses its configuration.
    fn describe(&mut self, operator: &Operator, component: &Path) -> Result<Description, DescribeError>;
}

impl<F: FnMut(&Operator, &Path) -> Result<Description, DescribeError>> Describe for F {
    fn describe(&mut self, operator: &Operator, component: &Path) -> Result<Description, DescribeError> {
        self(operator, component)
    }
}

impl Job {
    /// The files of all components that exist, each once.
    pub fn components(&self) -> BTreeSet<PathBuf> {
        let named = self.operators.iter().filter_map(|operator| operator.component.as_ref());
        named.filter(|path| path.is_file()).cloned().collect()
    }

    /// The descriptions of all operators that have one, by index.
    pub(super) fn describe(&self, describe: &mut dyn Describe, findings: &mut Findings) -> HashMap<usize, Description> {
        let mut descriptions = HashMap::new();
        for (i, operator) in self.operators.iter().enumerate() {
            let Some(component) = &operator.component else { continue };
            let at = operator.section.at("component");
            if !component.is_file() {
                let (message, hint) = missing(component);
                findings.error(at, message, hint);
                continue;
            }
            match describe.describe(operator, component) {
                Ok(description) => {
                    for problem in description.problems() {
                        let id = quote(&operator.place.id);
                        findings.error(at, format!("the component of {id} cannot run: {problem}"), "");
                    }
                    descriptions.insert(i, description);
                }
                Err(error) => {
                    let at = match error.config && operator.section.get("config").is_some() {
                        true => operator.section.at("config"),
                        false => at,
                    };
                    findings.error(at, error.message, error.hint.unwrap_or_default());
                }
            }
        }
        descriptions
    }
}

/// What is wrong where a component's file should be, and what to do.
fn missing(component: &Path) -> (String, String) {
    let shown = quote(&component.display().to_string());
    if component.is_dir() {
        return (format!("the component {shown} is a folder"), "name the `.wasm` file in it".to_string());
    }
    let folder = match component.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let beside = beside(folder);
    let file = component.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let hint = match nearest(&file, beside.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean {}?", quote(&folder.join(meant).display().to_string())),
        None if folder.join("Cargo.toml").is_file() => {
            format!("build it: `wasmill build {}`", folder.display())
        }
        None => "build it with `wasmill build`, or correct the path; it is relative to the job file".to_string(),
    };
    (format!("there is no component {shown}"), hint)
}

/// Names of the `.wasm` files in a folder.
fn beside(folder: &Path) -> Vec<String> {
    const LOOKED_AT: usize = 1_000;
    let files = fs::read_dir(folder).into_iter().flatten().flatten().take(LOOKED_AT);
    let mut names: Vec<String> = files.filter_map(|file| file.file_name().into_string().ok()).collect();
    names.retain(|name| name.ends_with(".wasm"));
    names.sort();
    names
}
