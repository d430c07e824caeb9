//! Writes for people on standard error, and data on standard output.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use clap::ValueEnum;
use indicatif::MultiProgress;

use crate::exit::{Failure, StdoutClosed};

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether standard error is coloured.
    pub fn on_stderr(self) -> bool {
        match self {
            Color::Auto => {
                io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
            Color::Always => true,
            Color::Never => false,
        }
    }
}

/// How the command talks on standard error. All of it, the log's lines too, goes around the progress that is being
/// drawn. Cheap to clone; clones share the screen.
#[derive(Debug, Clone)]
pub struct Talk {
    /// What progress is drawn on.
    pub screen: MultiProgress,
    /// Whether to use colours.
    pub color: bool,
    /// Errors only.
    pub quiet: bool,
}

impl Talk {
    /// Talk with colours or not, errors only or all.
    pub fn new(color: bool, quiet: bool) -> Talk {
        Talk { screen: MultiProgress::new(), color, quiet }
    }

    /// Whether standard error is a terminal that a person looks at.
    pub fn is_live(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Says something that is good to know.
    pub fn say(&self, line: impl Display) {
        if !self.quiet {
            self.write(&line.to_string());
        }
    }

    /// Says what was done, with the verb set off.
    pub fn done(&self, verb: &str, what: impl Display) {
        self.say(format_args!("{} {what}", self.paint("1;32", verb)));
    }

    /// Warns.
    pub fn warn(&self, line: impl Display) {
        if !self.quiet {
            self.write(&format!("{} {line}", self.paint("1;33", "warning:")));
        }
    }

    /// Tells why the command failed: the error, its causes, the hint.
    pub fn failure(&self, failure: &Failure) {
        let mut text = format!("{} {}", self.paint("1;31", "error:"), failure.error);
        let mut said = failure.error.to_string();
        for cause in failure.error.chain().skip(1).map(ToString::to_string) {
            // Many errors say their cause themselves.
            if !said.contains(&cause) {
                text.push_str(&format!("\n  {} {cause}", self.paint("1", "because:")));
                said = cause;
            }
        }
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("\n  {} {hint}", self.paint("1;36", "hint:")));
        }
        self.write(&text);
    }

    /// Writes lines as they are.
    pub fn write(&self, text: &str) {
        self.screen.suspend(|| {
            // Nobody is left to be told when standard error is closed.
            let _ = writeln!(io::stderr().lock(), "{text}");
        });
    }

    /// `text` with an ANSI attribute, if there are colours.
    pub fn paint(&self, attribute: &str, text: &str) -> String {
        if self.color { format!("\x1b[{attribute}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// Writes data to standard output and ends the last line.
///
/// # Errors
/// [`StdoutClosed`] when nobody reads any more; other failures as they are.
pub fn print(data: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let newline: &[u8] = if data.ends_with('\n') || data.is_empty() { b"" } else { b"\n" };
    let written =
        stdout.write_all(data.as_bytes()).and_then(|()| stdout.write_all(newline)).and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(crate::Exit::Done, StdoutClosed),
        _ => Failure::message(format_args!("cannot write to standard output: {error}")),
    })
}
