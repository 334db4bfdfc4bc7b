//! The command line of `phaseline`.

use std::io::Write as _;

use agent::settings::{CheckArgs, NoSettings, command_line};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::demo::DemoArgs;
use crate::settings::{DataArgs, EXIT_USAGE, Settings};

/// What was typed.
#[derive(Debug, Parser)]
#[command(
    name = "phaseline",
    version,
    about = "Phaseline on one machine: watches builds and shows them live in the browser.",
    after_help = "Each setting is a flag, the variable beside it, or for `up` a key of the --config file \
                  (the flag's name with _ for -): a flag beats a variable beats the file. \
                  A bad value ends the program with exit code 64 before it starts anything."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything: a private nats-server and Postgres, the aggregator and an agent; Ctrl-C stops all of it.
    Up(Box<Settings>),
    /// Play three fake builds into a running system.
    Demo(DemoArgs),
    /// Say what a producer's file becomes: whose it is, its build, its fields and its state. Starts
    /// nothing. Code 0: fine, 1: with warnings, 64: it cannot be said.
    Check(CheckArgs),
    /// Fold all stored events anew, as after an upgrade that reads them better; `phaseline up` must not be running.
    Rebuild(DataArgs),
}

impl Cli {
    /// Reads the command line and the variables; help, the version and errors are printed.
    ///
    /// # Errors
    /// The exit code when there is nothing to run: 0 after help, 64 for a bad command line.
    pub fn read() -> Result<Self, u8> {
        // Nothing is left to do when the terminal is gone.
        if std::env::args_os().len() < 2 {
            let _ = write!(std::io::stderr(), "{}", Self::command().render_help());
            return Err(EXIT_USAGE);
        }
        let read = command_line::matches(Self::command(), std::env::args_os()).and_then(|typed| {
            Self::from_arg_matches(&typed).map_err(|error| command_line::refusal(&error))
        });
        read.map_err(|none| match none {
            NoSettings::Asked(text) => {
                let _ = write!(std::io::stdout(), "{text}");
                0
            }
            NoSettings::Bad(sentence) => {
                let _ = writeln!(std::io::stderr(), "phaseline: {sentence}");
                EXIT_USAGE
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
