//! Writes the tables of the reference in `docs/job-file.md`.

use std::fmt::Write as _;

use super::{
    definition::{
        CHECKPOINT, ENGINE, EVENT_TIME, Field, GENERATED_TIME, INPUT, JOB, Kind, LIMITS, NEXMARK_TIME, OPERATOR,
        RESTART, SINK, SOURCE, STATE, Table, UNLIMITED,
    },
    units::{show_duration, show_size},
};

/// The tables, in Markdown.
pub fn markdown() -> String {
    let mut out = String::new();
    for table in [
        &JOB,
        &SOURCE,
        &EVENT_TIME,
        &GENERATED_TIME,
        &NEXMARK_TIME,
        &OPERATOR,
        &INPUT,
        &SINK,
        &CHECKPOINT,
        &RESTART,
        &STATE,
        &LIMITS,
        &ENGINE,
    ] {
        section(table, &mut out);
    }
    out
}

fn section(table: &Table, out: &mut String) {
    let quoted = |header: &str| match header.split_once("] ") {
        Some((header, rest)) => format!("`{header}]` {rest}"),
        None => format!("`{header}`"),
    };
    let header = match table.header {
        header if header.contains('[') || header == "input" => {
            header.split(", ").map(quoted).collect::<Vec<_>>().join(", ")
        }
        _ => "The file itself".to_string(),
    };
    let _ = writeln!(out, "### {header}\n\n{}\n", table.doc);
    fields(table.fields, out);
    for variant in table.variants.iter().flat_map(|variants| variants.variants) {
        let tag = table.variants.as_ref().map_or("", |variants| variants.tag);
        let _ = writeln!(out, "#### {header} with `{tag} = \"{}\"`\n\n{}\n", variant.name, variant.doc);
        if !variant.fields.is_empty() {
            fields(variant.fields, out);
        }
    }
}

fn fields(fields: &[Field], out: &mut String) {
    out.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
    for field in fields {
        let default = match (field.required, field.default) {
            (true, _) => "required".to_string(),
            (false, Some(default)) => format!("`{}`", toml(field.kind, default)),
            (false, None) => String::new(),
        };
        let formats: Vec<_> = field.formats.iter().map(|format| format!("`{format}`")).collect();
        let only = if formats.is_empty() { String::new() } else { format!(" Format {} only.", formats.join(" and ")) };
        let example = if field.example.is_empty() { String::new() } else { format!(" Example: `{}`.", field.example) };
        let text = format!("{}{only}{}{example}", field.doc, words(field.kind));
        let _ =
            writeln!(out, "| `{}` | {} | {default} | {} |", field.name, value(field.kind), text.replace('|', "\\|"));
    }
    out.push('\n');
}

/// A default as it would be written.
fn toml(kind: Kind, default: &str) -> String {
    match kind {
        Kind::Boolean | Kind::Integer(..) | Kind::Count(..) => default.to_string(),
        _ => format!("\"{}\"", default.escape_default()),
    }
}

fn value(kind: Kind) -> String {
    match kind {
        Kind::Name => "name".to_string(),
        Kind::Text => "string".to_string(),
        Kind::Character => "one character".to_string(),
        Kind::Boolean => "boolean".to_string(),
        Kind::Integer(min, i64::MAX) => format!("integer, at least {min}"),
        Kind::Integer(min, max) => format!("integer, {min} to {max}"),
        Kind::Count(min, max) => format!("integer, {min} to {max}, or `\"{UNLIMITED}\"`"),
        Kind::Size(min, max) => format!("size, {} to {}", show_size(min), show_size(max)),
        Kind::Duration(min, max) => format!("time span, {} to {}", show_duration(min), show_duration(max)),
        Kind::Choice(words) => words.iter().map(|word| format!("`\"{}\"`", word.word)).collect::<Vec<_>>().join(", "),
        Kind::Path => "path".to_string(),
        Kind::Paths => "path, or a list of paths".to_string(),
        Kind::Texts => "string, or a list of strings".to_string(),
        Kind::Json | Kind::Table(_) => "table".to_string(),
        Kind::Named(_) => "tables by id".to_string(),
        Kind::Inputs(_) => "string, table, or a list of those".to_string(),
    }
}

/// What the words of a choice mean, as a sentence.
fn words(kind: Kind) -> String {
    let Kind::Choice(words) = kind else { return String::new() };
    let meanings: Vec<_> = words.iter().map(|word| format!("`{}`: {}", word.word, word.doc)).collect();
    format!(" {}.", meanings.join("; "))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::job::{DescribeError, Job, Operator, Overrides};

    const BEGIN: &str = "<!-- generated from the definition of the job file: begin -->\n";
    const END: &str = "<!-- generated from the definition of the job file: end -->\n";

    /// With `UPDATE_REFERENCE=1` the generated part is written instead.
    #[test]
    fn the_reference_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/job-file.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once(BEGIN).expect("the page has a generated part");
        let (generated, after) = rest.split_once(END).expect("the generated part ends");
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(path, format!("{before}{BEGIN}{}{END}{after}", markdown())).unwrap();
            return;
        }
        assert!(generated == markdown(), "run this test again with UPDATE_REFERENCE=1, and read the difference");
    }

    /// What is wrong with the page's examples is only that their components and files are not here.
    #[test]
    fn the_examples_of_the_page_are_sound() {
        let page = include_str!("../../../../docs/job-file.md");
        let blocks = page.split("```toml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0));
        let jobs: Vec<&str> =
            blocks.filter(|block| block.contains("\nname = ") || block.starts_with("name = ")).collect();
        assert!(jobs.len() >= 2, "{jobs:?}");
        let mut describe = |operator: &Operator, _: &Path| {
            let message = format!("the component of {} is not expected here", operator.place.id);
            Err(DescribeError { message, hint: None, config: false })
        };
        for job in jobs {
            let job = Job::parse(Path::new("nowhere/job.toml"), job, &Overrides::default()).unwrap();
            let Err(problems) = job.resolve(&mut describe) else { continue };
            for problem in problems {
                let message = &problem.message;
                assert!(
                    message.starts_with("there is no component") || message.starts_with("no file matches"),
                    "{problem}"
                );
            }
        }
    }
}
