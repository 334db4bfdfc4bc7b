//! Settings: a flag beats a variable beats the file named by `--config`. An
//! empty variable counts as not set, as compose files write it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use serde::Deserialize;

use crate::config::{
    BadSetting, Config, LogPattern, MAX_DEPTH, NatsTarget, OUTBOX_MAX, Prune, Texts,
};
use crate::nats::password_from;

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
    #[arg(long, value_name = "FILE", env = "PHASELINE_CONFIG")]
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
    #[arg(long, value_name = "NAME", env = "PHASELINE_HOST")]
    host: Option<String>,
    /// Directories to watch, separated by `:` [default: the current directory]
    #[arg(long, value_name = "DIRS", env = "PHASELINE_WATCH")]
    watch: Option<OsString>,
    /// Directory of the outbox; one agent at a time [default: $XDG_STATE_HOME/phaseline]
    #[arg(long, value_name = "DIR", env = "PHASELINE_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Largest outbox, e.g. 512MiB; above it only the newest state of each file is kept [default: 512MiB]
    #[arg(long, value_name = "SIZE", env = "PHASELINE_OUTBOX_MAX")]
    outbox_max: Option<String>,
    /// Names of directories that are not walked, separated by commas; replaces the built-in list.
    /// `project:NAME` leaves NAME out inside projects only
    #[arg(long, value_name = "NAMES", env = "PHASELINE_PRUNE")]
    prune: Option<String>,
    /// Directories deeper below a watched one are not walked [default: 32]
    #[arg(long, value_name = "N", env = "PHASELINE_MAX_DEPTH")]
    max_depth: Option<String>,
    /// What texts of producers may leave this host, secrets masked: `none`, `logs` (lines of logs), or `all`
    /// (inputs and outputs of tools too) [default: logs]
    #[arg(long, value_name = "WHAT", env = "PHASELINE_TEXTS")]
    texts: Option<String>,
    /// What is logged: `error`, `warn`, `info`, `debug`, or `tracing`'s filter syntax [default: info]
    #[arg(long, value_name = "FILTER", env = "PHASELINE_LOG")]
    log: Option<String>,
    /// `text` for people or `json` for machines [default: text]
    #[arg(long, value_name = "FORMAT", env = "PHASELINE_LOG_FORMAT")]
    log_format: Option<String>,
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

/// Reads the settings from these arguments, the environment and the file.
///
/// # Errors
/// See [`NoSettings`].
pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<(Config, LogSettings), NoSettings> {
    let args = Args::command()
        .try_get_matches_from(args)
        .and_then(|matches| Args::from_arg_matches(&matches))
        .map_err(|error| match error.kind() {
            clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion => {
                NoSettings::Asked(error.to_string())
            }
            _ => NoSettings::Bad(first_sentence(&error)),
        })?;
    let file = match set(args.config.clone()) {
        Some(path) => read_file(&path)?,
        None => File::default(),
    };
    let log = log_settings(&args, &file)?;
    Ok((config(args, file)?.checked()?, log))
}

fn first_sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or("");
    let first = first.strip_prefix("error: ").unwrap_or(first);
    format!("{first}; see --help")
}

fn read_file(path: &Path) -> Result<File, BadSetting> {
    let bad = |expected: String| BadSetting {
        setting: "PHASELINE_CONFIG".into(),
        value: format!("{path:?}"),
        expected,
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| bad(format!("a TOML file that can be read: {error}")))?;
    toml::from_str(&text).map_err(|error| {
        let message = error.message().replace('\n', " ");
        bad(format!("a TOML file with this program's keys: {message}"))
    })
}

fn config(args: Args, file: File) -> Result<Config, BadSetting> {
    let host = match set_text(args.host).or(set_text(file.host)) {
        Some(host) => host,
        None => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
    };
    let password = match set(args.nats_password_file).or(set(file.nats_password_file)) {
        Some(path) => Some(password_from(&path).map_err(|error| BadSetting {
            setting: "PHASELINE_NATS_PASSWORD_FILE".into(),
            value: format!("{path:?}"),
            expected: format!("a file that can be read: {error}"),
        })?),
        None => None,
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
    let mut config = Config::new(&host, watch(args.watch, file.watch), nats, state_dir);
    let outbox_max = set_text(args.outbox_max).or(file.outbox_max.map(Number::text));
    config.outbox_max = match outbox_max {
        Some(text) => size(&text).ok_or_else(|| {
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
    let prune = set_text(args.prune).or(file.prune.map(|names| names.join(",")));
    if let Some(list) = prune {
        config.prune = Prune::parse(&list).map_err(|entry| {
            BadSetting::new(
                "PHASELINE_PRUNE",
                entry,
                "names of directories such as node_modules, go/pkg or project:target, no patterns and no whole paths",
            )
        })?;
    }
    if let Some(text) = set_text(args.texts).or(set_text(file.texts)) {
        config.texts = Texts::parse(&text)
            .ok_or_else(|| BadSetting::new("PHASELINE_TEXTS", &text, Texts::WORDS))?;
    }
    config.logs = file.log_file;
    config.transcripts = file.transcripts;
    Ok(config)
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

fn watch(flag: Option<OsString>, file: Option<OneOrMany>) -> Vec<PathBuf> {
    let split = |list: &std::ffi::OsStr| -> Vec<PathBuf> {
        std::env::split_paths(list)
            .filter(|path| !path.as_os_str().is_empty())
            .map(expand)
            .collect()
    };
    match (flag.filter(|list| !list.is_empty()), file) {
        (Some(list), _) => split(&list),
        (None, Some(OneOrMany::One(list))) => split(list.as_ref()),
        (None, Some(OneOrMany::Many(paths))) => {
            paths.into_iter().map(|path| expand(path.into())).collect()
        }
        (None, None) => vec![PathBuf::from(".")],
    }
}

/// `~` and `~/x` mean the home directory, which no shell expands in a file.
fn expand(path: PathBuf) -> PathBuf {
    match (path.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

/// The user's home directory.
pub(crate) fn home() -> Option<PathBuf> {
    std::env::var_os("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute())
}

fn default_state_dir(
    variable: &dyn Fn(&str) -> Option<OsString>,
    is_root: bool,
) -> Result<PathBuf, BadSetting> {
    let absolute = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    match (absolute("XDG_STATE_HOME"), absolute("HOME")) {
        (Some(state), _) => Ok(state.join("phaseline")),
        (None, _) if is_root => Ok(PathBuf::from("/var/lib/phaseline")),
        (None, Some(home)) => Ok(home.join(".local/state/phaseline")),
        (None, None) => Err(BadSetting {
            setting: "PHASELINE_STATE_DIR".into(),
            value: "not set".into(),
            expected: "a directory, because HOME is not set either".into(),
        }),
    }
}

/// Bytes, with a unit or without: `1048576`, `512MiB`, `1 GiB`.
fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

fn set_text(value: Option<String>) -> Option<String> {
    value.filter(|text| !text.is_empty())
}

fn set(value: Option<PathBuf>) -> Option<PathBuf> {
    value.filter(|path| !path.as_os_str().is_empty())
}

impl OneOrMany {
    fn join(self, separator: &str) -> String {
        match self {
            Self::One(text) => text,
            Self::Many(texts) => texts.join(separator),
        }
    }
}

impl Number {
    fn text(self) -> String {
        match self {
            Self::Plain(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

#[cfg(test)]
mod tests;
