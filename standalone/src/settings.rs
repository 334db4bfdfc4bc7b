//! Settings of `phaseline up`: a flag beats a variable beats a key of the TOML
//! file named by `--config`. Everything is checked here, before anything
//! starts; a bad value is one sentence and exit code 64.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use aggregator::config::{read_file, value};
use clap::Args;
use serde::Deserialize;

use crate::log::Log;

mod check;
mod data;

pub use aggregator::config::{BadSetting, EXIT_USAGE};
pub(crate) use check::state_dir;
pub use data::DataArgs;

/// Checked settings of `phaseline up`.
#[derive(Debug, Clone)]
pub struct UpConfig {
    /// Where the dashboard and the API are served.
    pub listen: SocketAddr,
    /// Names under which browsers may ask for it.
    pub allowed_hosts: Vec<String>,
    /// Roots that are watched, absolute.
    pub watch: Vec<PathBuf>,
    /// Everything that is kept, absolute.
    pub state_dir: PathBuf,
    /// Name of this machine.
    pub host: String,
    /// Limit of the agent's outbox, bytes.
    pub outbox_max: u64,
    /// Directories that are not walked.
    pub prune: agent::Prune,
    /// Directories deeper below a root are not walked.
    pub max_depth: usize,
    /// Producers that the file names.
    pub producers: agent::Custom,
    /// What texts of producers may leave the agent.
    pub texts: agent::Texts,
    /// Logs whose lines are shown, beside those that are known.
    pub log_files: Vec<agent::LogPattern>,
    /// Transcripts that are followed for their figures.
    pub transcripts: Vec<String>,
    /// What is kept of one build's log.
    pub log_limits: aggregator::LogLimits,
    /// Age at which events are deleted.
    pub retention: Duration,
    /// What projects are meant to spend.
    pub budgets: Vec<aggregator::budgets::Budget>,
    /// The nats-server binary, if not to be searched.
    pub nats_server: Option<PathBuf>,
    /// Directory of the Postgres binaries, if not to be searched.
    pub postgres_bin: Option<PathBuf>,
}

/// Flags, variables and file keys of `phaseline up`, as written.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// TOML file with settings; keys are the flags' names with _ for -
    #[arg(long, env = "PHASELINE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Address and port of the dashboard [default: 127.0.0.1:8080]
    #[arg(long, env = "PHASELINE_LISTEN", value_name = "ADDRESS")]
    listen: Option<String>,
    /// Names under which browsers reach the dashboard, comma-separated; localhost and plain addresses always work
    #[arg(long, env = "PHASELINE_ALLOWED_HOSTS", value_name = "NAMES")]
    allowed_hosts: Option<String>,
    /// Directory to watch; repeat it, or separate several by ':' [default: the current directory]
    #[arg(
        long,
        env = "PHASELINE_WATCH",
        value_name = "DIR",
        value_delimiter = ':'
    )]
    #[serde(default)]
    watch: Vec<PathBuf>,
    /// Where data is kept [default: $XDG_STATE_HOME/phaseline, ~/.local/state/phaseline, as root /var/lib/phaseline]
    #[arg(long, env = "PHASELINE_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Name of this machine [default: its host name]
    #[arg(long, env = "PHASELINE_HOST", value_name = "NAME")]
    host: Option<String>,
    /// Most bytes that wait in the agent's outbox, e.g. 512MiB [default: 512MiB]
    #[arg(long, env = "PHASELINE_OUTBOX_MAX", value_name = "SIZE")]
    outbox_max: Option<String>,
    /// Names of directories that are not walked, separated by commas; replaces the built-in list
    #[arg(long, env = "PHASELINE_PRUNE", value_name = "NAMES")]
    prune: Option<String>,
    /// Directories deeper below a watched one are not walked [default: 32]
    #[arg(long, env = "PHASELINE_MAX_DEPTH", value_name = "N")]
    max_depth: Option<String>,
    /// What texts of producers are shown, secrets masked: none, logs, or all (tools' inputs and outputs too) [default: logs]
    #[arg(long, env = "PHASELINE_TEXTS", value_name = "WHAT")]
    texts: Option<String>,
    /// Logs named in the file.
    #[arg(skip)]
    #[serde(default)]
    log_file: Vec<agent::LogPattern>,
    /// Transcripts named in the file.
    #[arg(skip)]
    #[serde(default)]
    transcripts: Vec<String>,
    /// Most lines that are kept of one build's log [default: 10000]
    #[arg(long, env = "PHASELINE_BUILD_LOG_LINES", value_name = "N")]
    build_log_lines: Option<String>,
    /// Most bytes that are kept of one build's log [default: 4MiB]
    #[arg(long, env = "PHASELINE_BUILD_LOG_BYTES", value_name = "SIZE")]
    build_log_bytes: Option<String>,
    /// Age at which events are deleted, e.g. 90d or 36h; builds stay [default: 90d]
    #[arg(long, env = "PHASELINE_RETENTION", value_name = "AGE")]
    retention: Option<String>,
    /// The nats-server to run [default: found on PATH or in .tools/bin]
    #[arg(long, env = "PHASELINE_NATS_SERVER", value_name = "FILE")]
    nats_server: Option<PathBuf>,
    /// Directory with the Postgres server binaries [default: found]
    #[arg(long, env = "PHASELINE_POSTGRES_BIN", value_name = "DIR")]
    postgres_bin: Option<PathBuf>,
    /// `[[budget]]` tables of the file.
    #[arg(skip)]
    #[serde(default)]
    budget: Vec<aggregator::config::BudgetTable>,
    /// What is logged, e.g. info or warn,aggregator=debug [default: info]
    #[arg(long, env = "PHASELINE_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// text or json [default: text]
    #[arg(long, env = "PHASELINE_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<String>,
    /// `[[producer]]` tables; only the file has them.
    #[arg(skip)]
    #[serde(default)]
    producer: Vec<toml::Table>,
}

impl Settings {
    /// Merges the file and checks everything.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn resolve(self) -> Result<(UpConfig, Log), BadSetting> {
        let file = match &self.config {
            Some(path) if !path.as_os_str().is_empty() => read_file(path)?,
            _ => Self::default(),
        };
        self.over(file).check()
    }

    /// What flags and variables say; where they say nothing, the file. An empty
    /// variable says nothing, as compose files and CI write it.
    fn over(self, file: Self) -> Self {
        fn first<T: AsRef<OsStr>>(over: Option<T>, under: Option<T>) -> Option<T> {
            over.filter(|value| !value.as_ref().is_empty()).or(under)
        }
        let mut watch = self.watch;
        watch.retain(|dir| !dir.as_os_str().is_empty());
        Self {
            config: self.config,
            listen: first(self.listen, file.listen),
            allowed_hosts: first(self.allowed_hosts, file.allowed_hosts),
            watch: if watch.is_empty() { file.watch } else { watch },
            state_dir: first(self.state_dir, file.state_dir),
            host: first(self.host, file.host),
            outbox_max: first(self.outbox_max, file.outbox_max),
            prune: first(self.prune, file.prune),
            max_depth: first(self.max_depth, file.max_depth),
            texts: first(self.texts, file.texts),
            log_file: file.log_file,
            transcripts: file.transcripts,
            build_log_lines: first(self.build_log_lines, file.build_log_lines),
            build_log_bytes: first(self.build_log_bytes, file.build_log_bytes),
            retention: first(self.retention, file.retention),
            budget: file.budget,
            nats_server: first(self.nats_server, file.nats_server),
            postgres_bin: first(self.postgres_bin, file.postgres_bin),
            log: first(self.log, file.log),
            log_format: first(self.log_format, file.log_format),
            producer: file.producer,
        }
    }

    fn check(self) -> Result<(UpConfig, Log), BadSetting> {
        let log = Log::check(self.log, self.log_format.as_deref())?;
        let watch = if self.watch.is_empty() {
            vec![PathBuf::from(".")]
        } else {
            self.watch
        };
        let prune = check::prune(self.prune)?;
        let config = UpConfig {
            listen: value::listen(self.listen.as_deref())?,
            allowed_hosts: value::allowed_hosts(self.allowed_hosts.as_deref())?,
            watch: watch
                .iter()
                .map(|dir| check::absolute("PHASELINE_WATCH", dir))
                .collect::<Result<_, _>>()?,
            state_dir: check::usable_state_dir(self.state_dir)?,
            host: value::host(self.host)?,
            outbox_max: check::outbox_max(self.outbox_max)?,
            max_depth: check::max_depth(self.max_depth)?,
            producers: check::producers(&self.producer, &prune)?,
            prune,
            texts: check::texts(self.texts)?,
            log_files: self.log_file,
            transcripts: self.transcripts,
            log_limits: value::log_limits(
                self.build_log_lines.as_deref(),
                self.build_log_bytes.as_deref(),
            )?,
            retention: value::retention(self.retention.as_deref())?,
            budgets: value::budgets(&self.budget)?,
            nats_server: check::nats_server(self.nats_server)?,
            postgres_bin: check::postgres_bin(self.postgres_bin)?,
        };
        Ok((config, log))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(settings: Settings) -> String {
        settings.check().unwrap_err().to_string()
    }

    #[test]
    fn everything_has_a_default() {
        let settings = Settings {
            state_dir: Some("/s".into()),
            ..Settings::default()
        };
        let (config, _) = settings.check().unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.watch, [std::env::current_dir().unwrap()]);
        assert_eq!(config.outbox_max, 512 * 1024 * 1024);
        assert_eq!(config.retention, Duration::from_secs(90 * 86_400));
        assert!(!config.host.is_empty());
    }

    #[test]
    fn a_bad_value_is_named_with_its_setting_and_what_was_expected() {
        let listen = Settings {
            listen: Some("8080".to_owned()),
            ..Settings::default()
        };
        assert_eq!(
            refused(listen),
            "PHASELINE_LISTEN: \"8080\" cannot be used; expected an address and port such as 127.0.0.1:8080 or [::]:8080"
        );
        let outbox = Settings {
            outbox_max: Some("1KiB".to_owned()),
            ..Settings::default()
        };
        assert!(refused(outbox).starts_with("PHASELINE_OUTBOX_MAX: \"1KiB\""));
        let host = Settings {
            host: Some(" ".to_owned()),
            ..Settings::default()
        };
        assert!(refused(host).starts_with("PHASELINE_HOST: "));
        let hosts = Settings {
            allowed_hosts: Some("a.example,b:80".to_owned()),
            ..Settings::default()
        };
        assert!(refused(hosts).starts_with("PHASELINE_ALLOWED_HOSTS: \"b:80\""));
        let depth = Settings {
            max_depth: Some("0".to_owned()),
            ..Settings::default()
        };
        assert!(refused(depth).starts_with("PHASELINE_MAX_DEPTH: \"0\""));
        let prune = Settings {
            prune: Some("a,../b".to_owned()),
            ..Settings::default()
        };
        assert!(refused(prune).starts_with("PHASELINE_PRUNE: \"../b\""));
        let format = Settings {
            log_format: Some("xml".to_owned()),
            ..Settings::default()
        };
        assert!(refused(format).starts_with("PHASELINE_LOG_FORMAT: "));
    }

    #[test]
    fn a_flag_beats_the_file_and_an_unknown_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("phaseline.toml");
        std::fs::write(
            &path,
            "listen = \"127.0.0.1:1\"\nwatch = [\"/a\", \"/b\"]\n",
        )
        .unwrap();
        let flags = Settings {
            listen: Some("127.0.0.1:2".to_owned()),
            config: Some(path.clone()),
            state_dir: Some("/s".into()),
            ..Settings::default()
        };
        let (config, _) = flags.clone().resolve().unwrap();
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.watch, [PathBuf::from("/a"), PathBuf::from("/b")]);
        let empty = Settings {
            listen: Some(String::new()),
            watch: vec![PathBuf::new()],
            ..flags.clone()
        };
        let (config, _) = empty.resolve().unwrap();
        assert_eq!(config.listen.port(), 1);
        assert_eq!(config.watch.len(), 2);
        std::fs::write(&path, "lisen = \"127.0.0.1:1\"\n").unwrap();
        let error = flags.resolve().unwrap_err().to_string();
        assert!(error.contains("unknown field `lisen`"), "{error}");
    }
}
