//! Job files and what is said of them, word for word.

mod connectors;
mod dead_letters;
mod file;
mod flow;
mod hostile;
mod overrides;
mod recovery;
mod watermarks;

use std::{fs, path::Path};

use wasmill_core::{
    Codec, Description,
    description::{Columns, InputDescription, OutputDescription},
};

use super::{DescribeError, Job, Operator, Overrides, Problem, Resolved};

/// An operator with these inputs (`name`, or `name!` for a keyed one, and its value codec) and outputs.
fn description(inputs: &[(&str, &str)], outputs: &[(&str, &str)]) -> Description {
    let input = |(name, value): &(&str, &str)| InputDescription {
        name: name.trim_end_matches('!').to_string(),
        keyed: name.ends_with('!'),
        columns: Columns::ALL,
        key: Codec::named("text"),
        value: Codec::named(value),
    };
    let output = |(name, value): &(&str, &str)| OutputDescription {
        name: name.to_string(),
        key: Codec::named("text"),
        value: Codec::named(value),
    };
    Description {
        name: "test".to_string(),
        version: "1".to_string(),
        inputs: inputs.iter().map(input).collect(),
        outputs: outputs.iter().map(output).collect(),
        states: vec![],
        timers: vec![],
    }
}

/// Resolves a job file in a folder that has the components that are described; each is called by the operator's id.
fn resolve(text: &str, described: &[(&str, Description)], overrides: &Overrides) -> Result<Resolved, Vec<Problem>> {
    let folder = tempfile::tempdir().unwrap();
    for (id, _) in described {
        fs::write(folder.path().join(format!("{id}.wasm")), "").unwrap();
    }
    let mut describe = |operator: &Operator, _: &Path| {
        let found = described.iter().find(|(id, _)| *id == operator.place.id);
        found.map(|(_, description)| description.clone()).ok_or_else(|| DescribeError {
            message: "it is no operator".to_string(),
            hint: None,
            config: false,
        })
    };
    let shorten = |problem: Problem| {
        let short = |text: &str| text.replace(&format!("{}/", folder.path().display()), "");
        let position = problem.position.map(|position| match position {
            super::Position::File { file, line, column, snippet } => {
                super::Position::File { file: short(&file), line, column, snippet }
            }
            super::Position::Path(file) => super::Position::Path(short(&file)),
            option => option,
        });
        Problem { message: short(&problem.message), hint: problem.hint.as_deref().map(short), position, ..problem }
    };
    let shorten = |problems: Vec<Problem>| problems.into_iter().map(shorten).collect::<Vec<_>>();
    let job = Job::parse(&folder.path().join("job.toml"), text, overrides).map_err(shorten)?;
    let resolved = job.resolve(&mut describe).map_err(shorten)?;
    let warnings = resolved.warnings.clone();
    Ok(Resolved { warnings: shorten(warnings), ..resolved })
}

/// The problems of a job file as they are shown.
fn problems(text: &str, described: &[(&str, Description)]) -> String {
    match resolve(text, described, &Overrides::default()) {
        Ok(resolved) => super::render(&resolved.warnings, false),
        Err(problems) => super::render(&problems, false),
    }
}

/// The messages of all problems.
fn messages(text: &str, described: &[(&str, Description)]) -> Vec<String> {
    match resolve(text, described, &Overrides::default()) {
        Ok(resolved) => resolved.warnings.into_iter().map(|problem| problem.message).collect(),
        Err(problems) => problems.into_iter().map(|problem| problem.message).collect(),
    }
}
