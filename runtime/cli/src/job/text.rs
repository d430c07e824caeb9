//! Reads a job file, within bounds, and knows where its lines are.

use std::{
    fs::File,
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    problem::{Finding, Position, Problem, Snippet},
    suggest::quote,
};

/// The largest job file, bytes.
pub(super) const LARGEST: u64 = 1 << 20;

/// Of a long line, a snippet shows at most this many characters.
const SNIPPET: usize = 120;

/// The text of a job file.
#[derive(Debug, Clone)]
pub(super) struct Text {
    /// As the user named it.
    pub(super) path: PathBuf,
    text: String,
    /// Offset of the first byte of each line.
    lines: Vec<usize>,
}

impl Text {
    /// Reads the file at `path`.
    pub(super) fn read(path: &Path) -> Result<Text, Box<Problem>> {
        let refused = |message: String, hint: &str| {
            let problem = Problem::error(message).hint(hint);
            Err(Box::new(problem.at(Position::Path(path.display().to_string()))))
        };
        let is_folder = || path.is_dir();
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
        match read {
            Err(_) if is_folder() => {
                let job = path.join("job.toml");
                let hint = match job.is_file() {
                    true => format!("name the job file: {}", quote(&job.display().to_string())),
                    false => "name the job file in it".to_string(),
                };
                return refused("the job file is a folder".to_string(), &hint);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return refused("there is no such job file".to_string(), "`wasmill new NAME` makes a project with one");
            }
            Err(error) => return refused(format!("cannot read the job file: {error}"), "make it readable"),
            Ok(_) => {}
        }
        if bytes.len() as u64 > LARGEST {
            return refused(
                format!("the file is larger than {}, which no job file is", super::units::show_size(LARGEST)),
                "name the job file, not its data",
            );
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Text::new(path.to_path_buf(), text)),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
                refused(
                    format!("the job file is not text: line {line} is not UTF-8"),
                    "save it as UTF-8, or name the job file, not its data",
                )
            }
        }
    }

    /// Text that was read from `path`. A byte order mark is not part of it: it would be counted as a column.
    pub(super) fn new(path: PathBuf, text: String) -> Text {
        let text = text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_string);
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        Text { path, text, lines }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Line and column, and the line itself with what is meant marked.
    pub(super) fn position(&self, range: &Range<usize>) -> Position {
        let start = self.boundary(range.start);
        let line = self.lines.partition_point(|&first| first <= start) - 1;
        let first = self.lines[line];
        let next = self.lines.get(line + 1).map_or(self.text.len(), |&next| next - 1);
        let content = self.text[first..next].trim_end_matches('\r');
        let before = self.text[first..start].chars().count();
        let end = self.boundary(range.end).clamp(start, (first + content.len()).max(start));
        let marked = self.text[start..end].chars().count().max(1);
        // A window into a long line, so that what is meant is in it.
        let skipped = if before + marked.min(SNIPPET) > SNIPPET { before.saturating_sub(SNIPPET / 2) } else { 0 };
        let text: String = content.chars().skip(skipped).take(SNIPPET).collect();
        let snippet = Snippet {
            text,
            before: before - skipped,
            marked: marked.min(SNIPPET - (before - skipped).min(SNIPPET - 1)),
        };
        let file = self.path.display().to_string();
        Position::File { file, line: line + 1, column: before + 1, snippet }
    }

    fn boundary(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        (0..=offset).rev().find(|&offset| self.text.is_char_boundary(offset)).unwrap_or(0)
    }

    /// A problem of what [`Finding`] found, with its position.
    pub(super) fn problem(&self, finding: Finding, options: &[String]) -> Problem {
        let position = match &finding.at {
            super::tree::At::Text(range) => self.position(range),
            super::tree::At::Option(i) => Position::Option(options.get(*i).cloned().unwrap_or_default()),
            super::tree::At::Whole => Position::Path(self.path.display().to_string()),
        };
        Problem { severity: finding.severity, message: finding.message, hint: finding.hint, position: Some(position) }
    }
}
