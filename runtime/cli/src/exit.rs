//! Decides the exit code of the command, and holds why it failed.

use std::{fmt, process::ExitCode};

/// How the command ended; scripts rely on these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Done = 0,
    /// The job failed while it ran, or the command could not do its work.
    Failed = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// The job file or a component is not valid; nothing ran.
    Invalid = 3,
    /// Ended by Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl Exit {
    /// The table that help and documentation show.
    pub const HELP: &str = "\
Exit codes:
    0  all went well
    1  the job failed while it ran, or the command could not do its work
    2  the command line cannot be understood
    3  the job file or a component is not valid; nothing ran
  130  ended by Ctrl-C or SIGTERM";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// What a command returns.
pub type Outcome = Result<Exit, Failure>;

/// Why the command failed: what is said, what to do about it, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong, with its causes.
    pub error: anyhow::Error,
    /// What to do.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with exit code `exit`.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Failure {
        Failure { exit, error: error.into(), hint: None }
    }

    /// A failure to do the command's work.
    pub fn message(message: impl fmt::Display) -> Failure {
        Failure::new(Exit::Failed, anyhow::anyhow!("{message}"))
    }

    /// A command line that cannot be obeyed.
    pub fn usage(message: impl fmt::Display) -> Failure {
        Failure::new(Exit::Usage, anyhow::anyhow!("{message}"))
    }

    /// The same failure with a hint.
    #[must_use]
    pub fn hint(self, hint: impl fmt::Display) -> Failure {
        Failure { hint: Some(hint.to_string()), ..self }
    }

    /// Whether all that failed is that nobody reads standard output any more.
    pub fn is_closed_pipe(&self) -> bool {
        self.error.is::<StdoutClosed>()
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::new(Exit::Failed, error)
    }
}

/// Whoever read standard output has gone away, as `head` does. Not an error worth a word.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub struct StdoutClosed;
