//! Holds the command line: global options and the list of commands. One definition makes parsing, help and completions.

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::{
    commands::{Build, Check, Completions, Inspect, New, Plan, Run, Savepoint, Schema, State, Stop, Test},
    exit::Outcome,
    talk::{Color, Talk},
};

/// Stream processing whose operators are WebAssembly components.
///
/// Write an operator in any language that compiles to a component, name it in a job file, and run the job: the operators
/// run in parallel, sandboxed, with event time and keyed state.
#[derive(Debug, Parser)]
#[command(name = "wasmill", version, max_term_width = 100, after_help = AFTER_HELP, after_long_help = AFTER_LONG_HELP)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  wasmill new my-operator              make an operator project
  wasmill build my-operator            build it to my-operator/my-operator.wasm
  wasmill check my-operator/job.toml   find everything that is wrong with a job
  wasmill run my-operator/job.toml     run it
  wasmill test my-operator/job.toml    prove that its result survives crashes

`wasmill --help` lists exit codes and environment variables, `wasmill help COMMAND` teaches a command.";

/// Keep the table equal to `Exit::HELP`; a test compares them.
const AFTER_LONG_HELP: &str = "\
Examples:
  wasmill new my-operator              make an operator project
  wasmill build my-operator            build it to my-operator/my-operator.wasm
  wasmill inspect my-operator/my-operator.wasm
  wasmill check my-operator/job.toml   find everything that is wrong with a job
  wasmill plan my-operator/job.toml    show its logical and its parallel graph
  wasmill run my-operator/job.toml     run it
  wasmill run job.toml --state-dir s   run it, or go on where the last run ended
  wasmill stop job.toml --state-dir s  end it so that it can go on
  wasmill test my-operator/job.toml    prove that its result survives crashes

Results and descriptions go to standard output, all talk to standard error.

Exit codes:
    0  all went well
    1  the job failed while it ran, or the command could not do its work
    2  the command line cannot be understood
    3  the job file or a component is not valid; nothing ran
  130  ended by Ctrl-C or SIGTERM

Environment:
  WASMILL_CACHE  folder of compiled components
                 (default: $XDG_CACHE_HOME/wasmill, else ~/.cache/wasmill)
  WASMILL_LOG    what is logged, as `level` or `target=level,...` (default: warn)
  WASMILL_SDK    folder of the Rust guest SDK, for `wasmill new`
  NO_COLOR       no colours, unless `--color always`";

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Log more: info, with -vv debug, with -vvv trace
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet", help_heading = HEADING)]
    pub verbose: u8,
    /// Say nothing but errors: no progress, no summary, no warnings
    #[arg(short, long, global = true, help_heading = HEADING)]
    pub quiet: bool,
    /// When to colour standard error
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t, hide_possible_values = true)]
    #[arg(help_heading = HEADING, help = "When to colour standard error: auto, always or never")]
    pub color: Color,
}

const HEADING: &str = "Global options";

/// The commands, one file each in [`crate::commands`].
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "documentation here would replace the help that stands at each command")]
pub enum Command {
    New(New),
    Build(Build),
    Inspect(Inspect),
    Check(Check),
    Plan(Plan),
    Run(Run),
    Savepoint(Savepoint),
    Stop(Stop),
    Test(Test),
    State(State),
    Schema(Schema),
    Completions(Completions),
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed, with the exit code.
    pub fn run(self, talk: &Talk) -> Outcome {
        match self {
            Command::New(command) => command.run(talk),
            Command::Build(command) => command.run(talk),
            Command::Inspect(command) => command.run(),
            Command::Check(command) => command.run(talk),
            Command::Plan(command) => command.run(talk),
            Command::Run(command) => command.run(talk),
            Command::Savepoint(command) => command.run(talk),
            Command::Stop(command) => command.run(talk),
            Command::Test(command) => command.run(talk),
            Command::State(command) => command.run(talk),
            Command::Schema(command) => command.run(),
            Command::Completions(command) => command.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::exit::Exit;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn long_help_lists_the_exit_codes() {
        assert!(AFTER_LONG_HELP.contains(Exit::HELP));
    }

    #[test]
    fn quiet_and_verbose_exclude_each_other() {
        let error = Cli::try_parse_from(["wasmill", "schema", "-q", "-v"]).unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict);
    }
}
