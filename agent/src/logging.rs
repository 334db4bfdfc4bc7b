//! Logging of the program: to standard error, for people or for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::settings::LogSettings;

/// Libraries that are louder than they are helpful: what matters of theirs is logged by us.
const QUIET: &str = "notify=error,async_nats=off";

/// Starts logging; to be called once, by a program.
pub fn start(settings: &LogSettings) {
    let filter = EnvFilter::new(format!("{QUIET},{}", settings.filter));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if settings.json {
        builder.json().init();
    } else {
        builder.init();
    }
}
