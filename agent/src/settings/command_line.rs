//! How a command line is read, also by a launcher: a variable that is empty is
//! not set, a flag that is empty is a mistake, and what cannot be used is one sentence.

use std::ffi::{OsStr, OsString};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::NoSettings;

/// What was typed and what variables say.
///
/// # Errors
/// Help or the version for who asks for it, else the first thing that cannot be used.
pub fn matches(
    command: Command,
    args: impl IntoIterator<Item = OsString>,
) -> Result<ArgMatches, NoSettings> {
    let mut command = without_empty_variables(command);
    let matches = command
        .try_get_matches_from_mut(args)
        .map_err(|error| refusal(&error))?;
    match empty_flag(&command, &matches) {
        Some(flag) => Err(NoSettings::Bad(format!(
            "a value is required for '{flag}' but none was supplied; see --help"
        ))),
        None => Ok(matches),
    }
}

/// What clap says, in one sentence.
pub fn refusal(error: &clap::Error) -> NoSettings {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => NoSettings::Asked(text),
        _ => {
            // The first paragraph: what is missing or possible stands on lines of its own.
            let lines = text.lines().map(str::trim);
            let first: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
            let first = first.join(" ");
            let first = first.strip_prefix("error: ").unwrap_or(&first);
            NoSettings::Bad(format!("{first}; see --help"))
        }
    }
}

/// Paths that are empty would be refused, whoever set them; compose files and CI set variables to nothing.
fn without_empty_variables(command: Command) -> Command {
    let is_empty = |arg: &Arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    let forget = |arg: Arg| match is_empty(&arg) {
        true => arg.env(None::<&'static str>),
        false => arg,
    };
    command
        .mut_args(forget)
        .mut_subcommands(without_empty_variables)
}

/// The first flag that was given nothing, of this command or of the one below it.
fn empty_flag(command: &Command, matches: &ArgMatches) -> Option<String> {
    let is_empty = |arg: &&Arg| {
        let id = arg.get_id().as_str();
        arg.get_action().takes_values()
            && matches.ids().any(|known| known.as_str() == id)
            && matches.value_source(id) == Some(ValueSource::CommandLine)
            && matches
                .get_raw(id)
                .is_some_and(|mut values| values.all(OsStr::is_empty))
    };
    let own = command.get_arguments().find(is_empty);
    own.map(ToString::to_string).or_else(|| {
        let (name, below) = matches.subcommand()?;
        empty_flag(command.find_subcommand(name)?, below)
    })
}
