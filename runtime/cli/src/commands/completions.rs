//! Prints a completion script for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{
    args::Cli,
    exit::{Exit, Outcome},
    talk,
};

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wasmill completions bash > ~/.local/share/bash-completion/completions/wasmill
  wasmill completions zsh > ~/.zfunc/_wasmill
  wasmill completions fish > ~/.config/fish/completions/wasmill.fish")]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Outcome {
        talk::print(&script(self.shell))?;
        Ok(Exit::Done)
    }
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "wasmill", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_knows_every_command() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for command in Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
