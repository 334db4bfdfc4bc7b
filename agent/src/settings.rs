//! Settings: a flag beats a variable beats the file named by `--config`. An
//! empty variable counts as not set, as compose files write it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::{
    BadSetting, Config, Custom, INGEST, INGEST_EXPECTED, LogPattern, MAX_DEPTH, NatsTarget,
    OUTBOX_MAX,
};
use crate::ingest::Taking;
use crate::nats::password_from;
use values::{default_state_dir, expand, host, prune, set, set_text, texts, watch};

mod check;
pub mod command_line;
mod values;

pub use check::{CheckArgs, Checking};
pub(crate) use values::home;

/// Where NATS is unless told.
const NATS_URL: &str = "nats://127.0.0.1:4222";

/// Watches the state files of builders on this host and publishes every change
/// to NATS. It only reads those files, and needs no other program.
#[derive(Debug, Parser)]
#[command(name = "phaseline-agent", version, max_term_width = 100)]
#[command(
    after_help = "Each setting is a flag, an environment variable and a key of the TOML file \
    (`nats_url`). A bad value ends the program with code 64 before it connects to anything."
)]
struct Args {
    /// TOML file with settings
    #[arg(long, value_name = "FILE", env = "PHASELINE_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Address of the NATS server; several separated by commas [default: nats://127.0.0.1:4222]
    #[arg(
        long,
        value_name = "URL",
        env = "PHASELINE_NATS_URL",
        hide_env_values = true
    )]
    nats_url: Option<String>,
    /// User at NATS
    #[arg(long, value_name = "NAME", env = "PHASELINE_NATS_USER")]
    nats_user: Option<String>,
    /// File that holds the user's password
    #[arg(long, value_name = "FILE", env = "PHASELINE_NATS_PASSWORD_FILE")]
    nats_password_file: Option<PathBuf>,
    /// Name of this host, 1 to 64 bytes [default: the machine's host name]
    #[arg(long, value_name = "NAME", env = "PHASELINE_HOST", global = true)]
    host: Option<String>,
    /// Directories to watch, separated by `:` [default: the current directory]
    #[arg(long, value_name = "DIRS", env = "PHASELINE_WATCH", global = true)]
    watch: Option<OsString>,
    /// Loopback addresses on which calls of producers that send are taken, separated by commas [default: none]
    #[arg(long, value_name = "ADDRESSES", env = "PHASELINE_INGEST")]
    ingest: Option<String>,
    /// File that holds the bearer token which those callers must have [default: none is asked for]
    #[arg(long, value_name = "FILE", env = "PHASELINE_INGEST_TOKEN_FILE")]
    ingest_token_file: Option<PathBuf>,
    /// Directory of the outbox; one agent at a time [default: $XDG_STATE_HOME/phaseline,
    /// ~/.local/state/phaseline, as root /var/lib/phaseline]
    #[arg(long, value_name = "DIR", env = "PHASELINE_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Largest outbox, e.g. 512MiB; above it only the newest state of each file is kept [default: 512MiB]
    #[arg(long, value_name = "SIZE", env = "PHASELINE_OUTBOX_MAX")]
    outbox_max: Option<String>,
    /// Names of directories that are not walked, separated by commas; replaces the built-in list.
    /// `project:NAME` leaves NAME out inside projects only
    #[arg(long, value_name = "NAMES", env = "PHASELINE_PRUNE", global = true)]
    prune: Option<String>,
    /// Directories deeper below a watched one are not walked [default: 32]
    #[arg(long, value_name = "N", env = "PHASELINE_MAX_DEPTH")]
    max_depth: Option<String>,
    /// What texts of producers may leave this host, secrets masked: `none`, `logs` (lines of logs), or `all`
    /// (inputs and outputs of tools too) [default: logs]
    #[arg(long, value_name = "WHAT", env = "PHASELINE_TEXTS", global = true)]
    texts: Option<String>,
    /// What is logged: `error`, `warn`, `info`, `debug`, or `tracing`'s filter syntax [default: info]
    #[arg(long, value_name = "FILTER", env = "PHASELINE_LOG")]
    log: Option<String>,
    /// `text` for people or `json` for machines [default: text]
    #[arg(long, value_name = "FORMAT", env = "PHASELINE_LOG_FORMAT")]
    log_format: Option<String>,
    #[command(subcommand)]
    command: Option<Sub>,
}

/// What to do instead of watching.
#[derive(Debug, Clone, Subcommand)]
enum Sub {
    /// Says what a producer's file becomes: whose it is, its build, its fields and its state. Starts
    /// nothing. Code 0: fine, 1: with warnings, 64: it cannot be said
    Check {
        /// The producer's file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// JSON for machines
        #[arg(long)]
        json: bool,
    },
}

/// What the program was started for.
#[derive(Debug)]
pub enum Command {
    /// To watch.
    Watch(Box<Config>, LogSettings),
    /// To say what a file becomes.
    Check(Box<Checking>),
}

/// The file's keys.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    nats_url: Option<String>,
    nats_user: Option<String>,
    nats_password_file: Option<PathBuf>,
    host: Option<String>,
    watch: Option<OneOrMany>,
    ingest: Option<OneOrMany>,
    ingest_token_file: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    outbox_max: Option<Number>,
    prune: Option<OneOrMany>,
    max_depth: Option<Number>,
    texts: Option<String>,
    #[serde(default)]
    log_file: Vec<LogPattern>,
    #[serde(default)]
    transcripts: Vec<String>,
    log: Option<String>,
    log_format: Option<String>,
    #[serde(default)]
    producer: Vec<toml::Table>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(u64),
    Text(String),
}

/// How to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// In `tracing`'s filter syntax.
    pub filter: String,
    /// One JSON object a line.
    pub json: bool,
}

/// Why there are no settings.
#[derive(Debug)]
pub enum NoSettings {
    /// Help or version was asked for: the text for standard output.
    Asked(String),
    /// One sentence for standard error.
    Bad(String),
}

impl From<BadSetting> for NoSettings {
    fn from(bad: BadSetting) -> Self {
        Self::Bad(bad.to_string())
    }
}

/// Reads what to do from these arguments, the environment and the file.
///
/// # Errors
/// See [`NoSettings`].
pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Command, NoSettings> {
    let matches = command_line::matches(Args::command(), args)?;
    let mut args =
        Args::from_arg_matches(&matches).map_err(|error| command_line::refusal(&error))?;
    if let Some(Sub::Check { file, json }) = args.command.take() {
        let checking = CheckArgs {
            file,
            json,
            config: args.config,
            host: args.host,
            watch: args.watch,
            prune: args.prune,
            texts: args.texts,
        };
        return Ok(Command::Check(Box::new(checking.read()?)));
    }
    let settings: File = read_file(args.config.as_deref())?;
    let log = log_settings(&args, &settings)?;
    let config = config(args, settings)?.checked()?;
    Ok(Command::Watch(Box::new(config), log))
}

/// The file's keys; none is set where there is no file.
fn read_file<T: Default + DeserializeOwned>(path: Option<&Path>) -> Result<T, BadSetting> {
    let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
        return Ok(T::default());
    };
    let bad = |expected: String| BadSetting {
        setting: "PHASELINE_CONFIG".into(),
        value: format!("{path:?}"),
        expected,
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| bad(format!("a TOML file that can be read: {error}")))?;
    toml::from_str(&text).map_err(|error| {
        let message = protocol::text::at_line(&text, error.span(), error.message());
        bad(format!("a TOML file with this program's keys: {message}"))
    })
}

fn config(args: Args, file: File) -> Result<Config, BadSetting> {
    let host = host(args.host, file.host);
    let password_file = set(args.nats_password_file).or(set(file.nats_password_file));
    let password = secret("PHASELINE_NATS_PASSWORD_FILE", password_file)?;
    let token_file = set(args.ingest_token_file).or(set(file.ingest_token_file));
    let taking = Taking {
        addresses: addresses(set_text(args.ingest).or(file.ingest.map(|list| list.join(","))))?,
        token: secret("PHASELINE_INGEST_TOKEN_FILE", token_file)?,
    };
    let nats = NatsTarget {
        url: set_text(args.nats_url)
            .or(set_text(file.nats_url))
            .unwrap_or_else(|| NATS_URL.to_owned()),
        user: set_text(args.nats_user).or(set_text(file.nats_user)),
        password,
    };
    let state_dir = match set(args.state_dir).or(set(file.state_dir)) {
        Some(dir) => expand(dir),
        None => default_state_dir(
            &|name| std::env::var_os(name),
            rustix::process::geteuid().is_root(),
        )?,
    };
    let producers = Custom::read(&file.producer)?;
    let mut config = Config::new(&host, watch(args.watch, file.watch), nats, state_dir);
    config.producers = producers;
    config.taking = taking;
    let outbox_max = set_text(args.outbox_max).or(file.outbox_max.map(Number::text));
    config.outbox_max = match outbox_max {
        Some(text) => protocol::units::bytes(&text).ok_or_else(|| {
            BadSetting::new("PHASELINE_OUTBOX_MAX", &text, "a size such as 512MiB")
        })?,
        None => OUTBOX_MAX,
    };
    let max_depth = set_text(args.max_depth).or(file.max_depth.map(Number::text));
    config.max_depth = match max_depth {
        Some(text) => text
            .parse()
            .map_err(|_| BadSetting::new("PHASELINE_MAX_DEPTH", &text, "1 to 512"))?,
        None => MAX_DEPTH,
    };
    config.prune = prune(args.prune, file.prune)?;
    config.texts = texts(args.texts, file.texts)?;
    config.logs = file.log_file;
    config.transcripts = file.transcripts;
    Ok(config)
}

/// What stands in a file that nobody else should read.
fn secret(setting: &str, path: Option<PathBuf>) -> Result<Option<String>, BadSetting> {
    let Some(path) = path else { return Ok(None) };
    let read = password_from(&path).map_err(|error| BadSetting {
        setting: setting.into(),
        value: format!("{path:?}"),
        expected: format!("a file that can be read: {error}"),
    })?;
    if read.is_empty() {
        let expected = "a file that is not empty";
        return Err(BadSetting::new(setting, path, expected));
    }
    Ok(Some(read))
}

fn addresses(list: Option<String>) -> Result<Vec<SocketAddr>, BadSetting> {
    list.unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.parse()
                .map_err(|_| BadSetting::new(INGEST, part, INGEST_EXPECTED))
        })
        .collect()
}

fn log_settings(args: &Args, file: &File) -> Result<LogSettings, BadSetting> {
    let filter = set_text(args.log.clone()).or(set_text(file.log.clone()));
    let format = set_text(args.log_format.clone()).or(set_text(file.log_format.clone()));
    let json = match format.as_deref() {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => {
            return Err(BadSetting::new(
                "PHASELINE_LOG_FORMAT",
                other,
                "text or json",
            ));
        }
    };
    let filter = filter.unwrap_or_else(|| "info".to_owned());
    if tracing_subscriber::EnvFilter::builder()
        .parse(&filter)
        .is_err()
    {
        return Err(BadSetting::new(
            "PHASELINE_LOG",
            filter,
            "a level such as info, or a filter such as agent=debug,info",
        ));
    }
    Ok(LogSettings { filter, json })
}

#[cfg(test)]
mod tests;
