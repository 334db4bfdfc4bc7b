//! Settings: a flag beats a variable beats a key of the TOML file named by
//! `--config`. Everything is checked here, before anything connects; a bad
//! value is one sentence and exit code 64.

mod budget;
mod check;
mod merge;
pub mod value;

use std::fmt;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use protocol::page::PrivateServer;
use tokio::sync::watch;

use crate::budgets::Budget;
use crate::nats::NatsTarget;
use crate::store::{DatabaseTarget, LogLimits};
pub use budget::BudgetTable;
use merge::FileSettings;
pub use merge::read_file;

/// Exit code of a bad setting (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;

const DEFAULT_NATS_URL: &str = "nats://127.0.0.1:4222";

/// What [`crate::run`] needs to know.
#[derive(Clone)]
pub struct Config {
    /// The broker.
    pub nats: NatsTarget,
    /// The database.
    pub database: DatabaseTarget,
    /// Age at which events are deleted; builds stay.
    pub retention: Duration,
    /// What is kept of one build's log.
    pub log_limits: LogLimits,
    /// Names under which browsers may ask for us beside `localhost` and
    /// addresses. Empty: checked only while listening on a loopback address.
    pub allowed_hosts: Vec<String>,
    /// Host of the producers on this machine that send instead of writing files.
    pub host: String,
    /// Bearer token of producers' calls; none: they are only taken from this machine.
    pub ingest_token: Option<String>,
    /// What runners' programs print is kept as log lines.
    pub runner_logs: bool,
    /// What projects are meant to spend; more raises an alert.
    pub budgets: Vec<Budget>,
    /// The servers that a launcher runs for us, for the pages.
    pub servers: Vec<watch::Receiver<PrivateServer>>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("nats", &self.nats)
            .field("database", &self.database)
            .field("retention", &self.retention)
            .field("log_limits", &self.log_limits)
            .field("allowed_hosts", &self.allowed_hosts)
            .field("host", &self.host)
            .field("ingest_token", &self.ingest_token.as_ref().map(|_| "***"))
            .field("runner_logs", &self.runner_logs)
            .field("budgets", &self.budgets)
            .field("servers", &self.servers)
            .finish()
    }
}

impl Config {
    /// Everything else at its default.
    #[must_use]
    pub fn new(nats: NatsTarget, database: DatabaseTarget) -> Self {
        Self {
            nats,
            database,
            retention: Duration::from_secs(value::DEFAULT_RETENTION_DAYS * 86_400),
            log_limits: LogLimits::default(),
            allowed_hosts: Vec::new(),
            host: value::machine_name(),
            ingest_token: None,
            runner_logs: true,
            budgets: Vec::new(),
            servers: Vec::new(),
        }
    }
}

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "phaseline-aggregator",
    version,
    about = "Records build events from NATS in Postgres and serves the dashboard, the API and the live stream.",
    after_help = "Each setting is a flag, the variable beside it, or a key of the --config file \
                  (the flag's name with _ for -): a flag beats a variable beats the file. \
                  A bad value ends the program with exit code 64 before it connects to anything."
)]
pub struct Cli {
    /// What to do; without it: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

/// What to do besides serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Bring the database to this program's version, then exit.
    Migrate,
    /// Fold all stored events anew, as after an upgrade that reads them better; no aggregator may be running.
    Rebuild,
    /// Ask the aggregator on the listen address for /healthz: exit code 0 when it answers, 1 when not.
    Healthcheck,
}

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// TOML file with settings
    #[arg(long, global = true, env = "PHASELINE_CONFIG", value_name = "FILE")]
    config: Option<String>,
    /// NATS server, e.g. nats://nats.example:4222 [default: nats://127.0.0.1:4222]
    #[arg(
        long,
        global = true,
        env = "PHASELINE_NATS_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    nats_url: Option<String>,
    /// NATS user
    #[arg(long, global = true, env = "PHASELINE_NATS_USER", value_name = "NAME")]
    nats_user: Option<String>,
    /// File with the NATS user's password
    #[arg(
        long,
        global = true,
        env = "PHASELINE_NATS_PASSWORD_FILE",
        value_name = "FILE"
    )]
    nats_password_file: Option<String>,
    /// Postgres: postgres://user@host/database, or "host=/socket/dir user=name dbname=name" [required to serve and migrate]
    #[arg(
        long,
        global = true,
        env = "PHASELINE_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// File with the Postgres user's password
    #[arg(
        long,
        global = true,
        env = "PHASELINE_DATABASE_PASSWORD_FILE",
        value_name = "FILE"
    )]
    database_password_file: Option<String>,
    /// Address and port to serve on [default: 127.0.0.1:8080]
    #[arg(long, global = true, env = "PHASELINE_LISTEN", value_name = "ADDRESS")]
    listen: Option<String>,
    /// Names under which browsers reach this server, comma-separated; localhost and plain addresses always work
    #[arg(
        long,
        global = true,
        env = "PHASELINE_ALLOWED_HOSTS",
        value_name = "NAMES"
    )]
    allowed_hosts: Option<String>,
    /// Host of the producers on this machine that send instead of writing files [default: its name]
    #[arg(long, global = true, env = "PHASELINE_HOST", value_name = "NAME")]
    host: Option<String>,
    /// File with the bearer token of producers that send; without it only those on this machine may
    #[arg(
        long,
        global = true,
        env = "PHASELINE_INGEST_TOKEN_FILE",
        value_name = "FILE"
    )]
    ingest_token_file: Option<String>,
    /// Age at which events are deleted, e.g. 90d or 36h; builds stay [default: 90d]
    #[arg(long, global = true, env = "PHASELINE_RETENTION", value_name = "AGE")]
    retention: Option<String>,
    /// Most lines that are kept of one build's log [default: 10000]
    #[arg(
        long,
        global = true,
        env = "PHASELINE_BUILD_LOG_LINES",
        value_name = "N"
    )]
    build_log_lines: Option<String>,
    /// Most bytes that are kept of one build's log [default: 4MiB]
    #[arg(
        long,
        global = true,
        env = "PHASELINE_BUILD_LOG_BYTES",
        value_name = "SIZE"
    )]
    build_log_bytes: Option<String>,
    /// What is logged, e.g. info or warn,aggregator=debug [default: info]
    #[arg(long, global = true, env = "PHASELINE_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// text or json [default: text]
    #[arg(
        long,
        global = true,
        env = "PHASELINE_LOG_FORMAT",
        value_name = "FORMAT"
    )]
    log_format: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// All settings, checked.
#[derive(Debug)]
pub struct Resolved {
    /// For `run`; none when no database was named, which only `healthcheck` accepts.
    pub config: Option<Config>,
    /// Where to serve.
    pub listen: SocketAddr,
    /// A `tracing` filter.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// A setting that cannot be used; one sentence for people.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}; expected {expected}")]
pub struct BadSetting {
    setting: &'static str,
    problem: String,
    expected: String,
}

impl Resolved {
    /// Log lines go to stderr from here on, as these settings say.
    pub fn start_logging(&self) {
        let builder = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(&self.log))
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Json => builder.json().init(),
            LogFormat::Text => builder.init(),
        }
    }
}

impl BadSetting {
    /// A setting, what is wrong with it, and what would be right.
    pub fn new(
        setting: &'static str,
        problem: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            setting,
            problem: problem.into(),
            expected: expected.into(),
        }
    }

    /// One whose value is shown, because it is no secret.
    #[must_use]
    pub fn value(setting: &'static str, value: &str, expected: &str) -> Self {
        Self::new(setting, format!("{value:?} cannot be used"), expected)
    }
}

impl Cli {
    /// Merges and checks all settings.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn resolve(self) -> Result<Resolved, BadSetting> {
        let needs_database = self.command != Some(Command::Healthcheck);
        let settings = self.settings.without_blanks();
        let file = match &settings.config {
            Some(path) => FileSettings::read(Path::new(path))?,
            None => FileSettings::default(),
        };
        let budgets = file.budgets()?;
        let settings = file.under(settings);
        let mut resolved = settings.check(needs_database)?;
        if let Some(config) = &mut resolved.config {
            config.budgets = budgets;
        }
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests;
