//! Holds what is wrong with a job, where and what to do; and shows it as compilers do.

use std::fmt::{self, Write as _};

use super::tree::At;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The job cannot run.
    Error,
    /// The job can run, but perhaps not as meant.
    Warning,
}

/// Something that is wrong with a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: one line.
    pub message: String,
    /// What to do: one line.
    pub hint: Option<String>,
    /// Where.
    pub position: Option<Position>,
}

/// Where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// In a line of the job file.
    File {
        /// The file as the user named it.
        file: String,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// The line.
        snippet: Snippet,
    },
    /// A file as a whole.
    Path(String),
    /// An option of the command line.
    Option(String),
}

/// A line, or what matters of a long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// What is shown.
    pub text: String,
    /// How many characters stand before what is marked.
    pub before: usize,
    /// How many characters are marked, at least 1.
    pub marked: usize,
}

impl Problem {
    /// An error without hint and position.
    pub fn error(message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Error, message: message.into(), hint: None, position: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(hint.into()), ..self }
    }

    /// The same with a position.
    #[must_use]
    pub fn at(self, position: Position) -> Problem {
        Problem { position: Some(position), ..self }
    }

    /// Whether the job cannot run.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The problem as several lines, without a line end at the last; with ANSI colours if asked.
    ///
    /// ```
    /// use wasmill::job::Problem;
    /// let problem = Problem::error("there is no such job file").hint("name another");
    /// assert_eq!(problem.render(false), "error: there is no such job file\n  = help: name another");
    /// ```
    pub fn render(&self, color: bool) -> String {
        let paint = |attribute: &str, text: &str| match color {
            true => format!("\x1b[{attribute}m{text}\x1b[0m"),
            false => text.to_string(),
        };
        let (word, tint) = match self.severity {
            Severity::Error => ("error", "1;31"),
            Severity::Warning => ("warning", "1;33"),
        };
        let blue = |text: &str| paint("1;34", text);
        let mut out = format!("{}{}", paint(tint, word), paint("1", &format!(": {}", visible(&self.message))));
        let mut margin = " ".to_string();
        match &self.position {
            Some(Position::File { file, line, column, snippet }) => {
                let number = line.to_string();
                margin = " ".repeat(number.len());
                let (text, before, marked) = snippet.shown();
                let _ = write!(out, "\n{margin}{} {}:{line}:{column}", blue("-->"), visible(file));
                let _ = write!(out, "\n{margin} {}", blue("|"));
                let _ = write!(out, "\n{} {text}", blue(&format!("{number} |")));
                let _ =
                    write!(out, "\n{margin} {} {}{}", blue("|"), " ".repeat(before), paint(tint, &"^".repeat(marked)));
            }
            Some(Position::Path(file) | Position::Option(file)) => {
                let _ = write!(out, "\n{margin}{} {}", blue("-->"), visible(file));
            }
            None => {}
        }
        if let Some(hint) = &self.hint {
            let _ = write!(out, "\n{margin} {} {}", blue("="), paint("1", "help"));
            let _ = write!(out, ": {}", visible(hint));
        }
        out
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// All of `problems`, an empty line between two.
pub fn render(problems: &[Problem], color: bool) -> String {
    problems.iter().map(|problem| problem.render(color)).collect::<Vec<_>>().join("\n\n")
}

/// How many there are: `2 errors and 1 warning`; `None` when there are none.
pub fn tally(problems: &[Problem]) -> Option<String> {
    let count = |severity, word: &str| match problems.iter().filter(|problem| problem.severity == severity).count() {
        0 => None,
        1 => Some(format!("1 {word}")),
        n => Some(format!("{n} {word}s")),
    };
    match (count(Severity::Error, "error"), count(Severity::Warning, "warning")) {
        (Some(errors), Some(warnings)) => Some(format!("{errors} and {warnings}")),
        (errors, warnings) => errors.or(warnings),
    }
}

impl Snippet {
    /// The line with tabs as four spaces and control characters shown; how many columns stand before the mark, and how
    /// many it is wide.
    fn shown(&self) -> (String, usize, usize) {
        let (mut text, mut before, mut marked) = (String::new(), 0, 0);
        for (i, c) in self.text.chars().enumerate() {
            let shown = match c {
                '\t' => "    ".to_string(),
                c if c.is_control() => c.escape_default().to_string(),
                c => c.to_string(),
            };
            let width = shown.chars().count();
            match i {
                i if i < self.before => before += width,
                i if i < self.before + self.marked => marked += width,
                _ => {}
            }
            text.push_str(&shown);
        }
        (text.trim_end().to_string(), before, marked.max(1))
    }
}

/// Text whose control characters are shown, not obeyed; line ends become spaces.
fn visible(text: &str) -> String {
    let show = |c: char| match c {
        '\n' => " ".to_string(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(show).collect()
}

/// A problem before its line is looked up.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) at: At,
}

/// Collects what is found.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings(Vec<Finding>);

/// More problems than this are counted, not told.
const TOLD: usize = 100;

impl Findings {
    pub(super) fn error(&mut self, at: &At, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Error, at, message.into(), hint.into());
    }

    pub(super) fn warning(&mut self, at: &At, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Warning, at, message.into(), hint.into());
    }

    fn push(&mut self, severity: Severity, at: &At, message: String, hint: String) {
        let hint = Some(hint).filter(|hint| !hint.is_empty());
        self.0.push(Finding { severity, message, hint, at: at.clone() });
    }

    pub(super) fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The problems in the order of their positions: options, the file as a whole, then line by line.
    pub(super) fn problems(mut self, text: &super::text::Text, options: &[String]) -> Vec<Problem> {
        self.0.sort_by_key(|finding| match &finding.at {
            At::Option(i) => (0, *i),
            At::Whole => (1, 0),
            At::Text(range) => (2, range.start),
        });
        // Errors are not lost behind warnings.
        if self.0.len() > TOLD {
            self.0.sort_by_key(|finding| finding.severity);
        }
        let untold = self.0.split_off(self.0.len().min(TOLD));
        let mut problems: Vec<Problem> = self.0.into_iter().map(|finding| text.problem(finding, options)).collect();
        if !untold.is_empty() {
            let severity = untold.iter().map(|finding| finding.severity).min().unwrap_or(Severity::Error);
            let message = format!("{} more problems are not shown", untold.len());
            problems.push(Problem { severity, message, hint: None, position: None });
        }
        problems
    }
}
