//! The command line of `phaseline`.

use clap::{Parser, Subcommand};

use crate::demo::DemoArgs;
use crate::settings::{EXIT_USAGE, Settings};

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
}

impl Cli {
    /// Reads the command line and the variables; help, the version and errors are printed.
    ///
    /// # Errors
    /// The exit code when there is nothing to run: 0 after help, 64 for a bad command line.
    pub fn read() -> Result<Self, u8> {
        Self::try_parse().map_err(|error| {
            // Nothing is left to do when the terminal is gone.
            let _ = error.print();
            if error.use_stderr() { EXIT_USAGE } else { 0 }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
