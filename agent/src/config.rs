//! What an agent needs to know, checked. How it is read from flags, variables
//! and a file is in `settings`.

mod texts;

use std::fmt;
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use crate::ingest::Taking;
pub use crate::producer::Custom;
use crate::producer::{Pattern, Producers, Transcripts};
pub use crate::prune::Prune;
pub use texts::{LogPattern, Texts};

/// `PHASELINE_OUTBOX_MAX` unless told, bytes: a week of one busy build without a broker.
pub const OUTBOX_MAX: u64 = 512 * 1024 * 1024;
/// The smallest outbox that makes sense, bytes: some hundred usual events.
pub const OUTBOX_MIN: u64 = 1024 * 1024;
/// `PHASELINE_MAX_DEPTH` unless told, directories below a root. Real projects
/// lie within 12; the limit ends what bind mounts and runaway scripts nest.
pub const MAX_DEPTH: usize = 32;
/// Deepest that can be asked for: a path of 4,096 bytes has few more components.
pub const MAX_DEPTH_LIMIT: usize = 512;

/// Addresses on which calls are taken: four times as many as there are producers with a port of their own.
const MAX_ADDRESSES: usize = 16;
/// The setting that names them.
pub(crate) const INGEST: &str = "PHASELINE_INGEST";
pub(crate) const INGEST_EXPECTED: &str =
    "loopback addresses with a port, separated by commas, such as 127.0.0.1:8080,127.0.0.1:8002";

/// One agent's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The host's name: 1 to 64 bytes, no control characters.
    pub host: String,
    /// The watched roots; relative ones are taken from the current directory.
    pub watch: Vec<PathBuf>,
    /// Where events go.
    pub nats: NatsTarget,
    /// The agent's own directory, created if missing; one agent at a time.
    pub state_dir: PathBuf,
    /// Largest outbox, bytes.
    pub outbox_max: u64,
    /// Where calls of producers that send are taken.
    pub taking: Taking,
    /// Directories that are not walked.
    pub prune: Prune,
    /// Directories deeper below a root are not walked.
    pub max_depth: usize,
    /// Producers that the configuration names.
    pub producers: Custom,
    /// True while the broker is reached and answers no publish, for a launcher
    /// that can start it again. No setting.
    pub broker_silent: watch::Sender<bool>,
    /// What texts of producers may leave the host.
    pub texts: Texts,
    /// Logs whose lines are shipped, beside those that are known without being told.
    pub logs: Vec<LogPattern>,
    /// Transcripts of Claude Code that are followed for their figures, e.g. `~/.claude/projects/**/*.jsonl`.
    pub transcripts: Vec<String>,
}

/// A NATS server and how to log in.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsTarget {
    /// `nats://host:port` or `tls://host:port`; several separated by commas.
    pub url: String,
    /// User; none when the URL carries it or none is needed.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
}

impl fmt::Debug for NatsTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = self.password.as_ref().map(|_| "hidden");
        f.debug_struct("NatsTarget")
            .field("url", &without_login(&self.url))
            .field("user", &self.user)
            .field("password", &hidden)
            .finish()
    }
}

/// A URL without what stands before the `@`.
pub(crate) fn without_login(url: &str) -> String {
    let one = |url: &str| match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        _ => url.to_owned(),
    };
    url.split(',').map(one).collect::<Vec<_>>().join(",")
}

/// A setting with a value that cannot be used: one sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {value}, expected {expected}")]
pub struct BadSetting {
    /// Its name.
    pub setting: String,
    /// What it is set to, quoted where that helps; never a secret.
    pub value: String,
    /// What would be right.
    pub expected: String,
}

impl BadSetting {
    pub(crate) fn new(setting: &str, value: impl fmt::Debug, expected: &str) -> Self {
        Self {
            setting: setting.to_owned(),
            value: format!("{value:?}"),
            expected: expected.to_owned(),
        }
    }
}

impl Config {
    /// A configuration with the defaults for all that is not named.
    #[must_use]
    pub fn new(host: &str, watch: Vec<PathBuf>, nats: NatsTarget, state_dir: PathBuf) -> Self {
        Self {
            host: host.to_owned(),
            watch,
            nats,
            state_dir,
            outbox_max: OUTBOX_MAX,
            taking: Taking::default(),
            prune: Prune::default(),
            max_depth: MAX_DEPTH,
            producers: Custom::default(),
            broker_silent: watch::Sender::default(),
            texts: Texts::default(),
            logs: Vec::new(),
            transcripts: Vec::new(),
        }
    }

    /// Checks every value and makes paths absolute.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn checked(mut self) -> Result<Self, BadSetting> {
        if !protocol::host::is_name(&self.host) {
            return Err(BadSetting::new(
                "PHASELINE_HOST",
                &self.host,
                protocol::host::NAME_EXPECTED,
            ));
        }
        if self.watch.is_empty() {
            return Err(BadSetting::new(
                "PHASELINE_WATCH",
                "",
                "one directory or several separated by `:`",
            ));
        }
        for path in &mut self.watch {
            *path = absolute("PHASELINE_WATCH", path)?;
        }
        self.state_dir = absolute("PHASELINE_STATE_DIR", &self.state_dir)?;
        usable_directory(&self.state_dir).map_err(|expected| {
            BadSetting::new("PHASELINE_STATE_DIR", &self.state_dir, &expected)
        })?;
        check_url(&self.nats.url)?;
        if self.outbox_max < OUTBOX_MIN {
            return Err(BadSetting::new(
                "PHASELINE_OUTBOX_MAX",
                self.outbox_max,
                "at least 1 MiB",
            ));
        }
        check_taking(&self.taking)?;
        if !(1..=MAX_DEPTH_LIMIT).contains(&self.max_depth) {
            return Err(BadSetting::new(
                "PHASELINE_MAX_DEPTH",
                self.max_depth,
                "1 to 512",
            ));
        }
        self.producers.check_walked(&self.prune)?;
        for log in &self.logs {
            log.check()?;
        }
        watch_transcripts(&mut self.watch, &self.transcripts)?;
        Ok(self)
    }

    /// Whose files are looked for.
    pub(crate) fn all_producers(&self) -> Producers {
        all_producers(&self.producers, &self.transcripts, &self.logs, self.texts)
    }
}

/// Adds the directories of transcripts to those that are watched: only what is beneath a root is read.
///
/// # Errors
/// The first that is no place of transcripts.
pub(crate) fn watch_transcripts(
    watch: &mut Vec<PathBuf>,
    transcripts: &[String],
) -> Result<(), BadSetting> {
    for text in transcripts {
        let place = Transcripts::read(text)
            .map_err(|expected| BadSetting::new("transcripts", text, &expected))?;
        if let Some(root) = place.root
            && !watch.iter().any(|watched| root.starts_with(watched))
        {
            watch.push(root);
        }
    }
    Ok(())
}

/// Every producer that is known or configured; logs only where their lines may leave the host.
pub(crate) fn all_producers(
    custom: &Custom,
    transcripts: &[String],
    logs: &[LogPattern],
    texts: Texts,
) -> Producers {
    let places = transcripts
        .iter()
        .filter_map(|text| Transcripts::read(text).ok());
    let places: Vec<Pattern> = places.flat_map(|place| place.patterns).collect();
    let producers = Producers::with(custom).with_transcripts(&places);
    let read = |log: &LogPattern| {
        let producer = log.producer.clone().unwrap_or_default();
        Some((producer, Pattern::parse(&log.pattern).ok()?))
    };
    match texts {
        Texts::None => producers,
        Texts::Logs | Texts::All => {
            let logs: Vec<_> = logs.iter().filter_map(read).collect();
            producers.with_logs(&logs)
        }
    }
}

/// Makes a path absolute by names, `.` and `..` resolved; symbolic links stay.
pub(crate) fn absolute(setting: &str, path: &Path) -> Result<PathBuf, BadSetting> {
    let bad = || BadSetting::new(setting, path, "a path");
    let path = std::path::absolute(path).map_err(|_| bad())?;
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

/// Whether something can be kept in this directory, or it can be made. Looks
/// only, so that a refused start leaves nothing behind.
///
/// # Errors
/// What is in the way; completes "expected ...".
pub fn usable_directory(path: &Path) -> Result<(), String> {
    let there = |path: &&Path| std::fs::symlink_metadata(path).is_ok();
    let nearest = path.ancestors().find(there).unwrap_or(path);
    let shown = nearest.display();
    match std::fs::metadata(nearest) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(format!("a directory, and {shown} is none")),
        Err(error) => {
            return Err(format!(
                "a directory, and {shown} cannot be followed: {error}"
            ));
        }
    }
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(nearest, access)
        .map_err(|error| format!("a directory that can be written, and {shown} cannot: {error}"))
}

/// Whoever is on the machine may call, and nobody else.
fn check_taking(taking: &Taking) -> Result<(), BadSetting> {
    let addresses = &taking.addresses;
    let bad = addresses
        .iter()
        .find(|address| !address.ip().is_loopback() || address.port() == 0);
    let shown = || {
        let all = addresses.iter().map(ToString::to_string);
        all.collect::<Vec<_>>().join(",")
    };
    match bad {
        Some(bad) => Err(BadSetting::new(INGEST, bad.to_string(), INGEST_EXPECTED)),
        None if addresses.len() > MAX_ADDRESSES => {
            Err(BadSetting::new(INGEST, shown(), "at most 16 addresses"))
        }
        None => Ok(()),
    }
}

fn check_url(url: &str) -> Result<(), BadSetting> {
    let is_address = |one: &str| {
        one.parse::<async_nats::ServerAddr>()
            .is_ok_and(|address| matches!(address.scheme(), "nats" | "tls"))
    };
    if url.split(',').all(is_address) {
        return Ok(());
    }
    Err(BadSetting::new(
        "PHASELINE_NATS_URL",
        without_login(url),
        "an address such as nats://127.0.0.1:4222",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let nats = NatsTarget {
            url: "nats://127.0.0.1:4222".into(),
            user: None,
            password: None,
        };
        Config::new("h", vec![".".into()], nats, "state".into())
    }

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = config();
        change(&mut config);
        config.checked().unwrap_err().to_string()
    }

    #[test]
    fn paths_become_absolute() {
        let mut config = config();
        config.watch = vec!["/a/../b/./c".into()];
        let config = config.checked().unwrap();
        assert_eq!(config.watch, [PathBuf::from("/b/c")]);
        assert!(config.state_dir.is_absolute());
    }

    #[test]
    fn a_bad_value_is_named_with_what_was_expected() {
        let host = refused(|config| config.host = "a\nb".into());
        assert_eq!(
            host,
            "PHASELINE_HOST is \"a\\nb\", expected 1 to 64 bytes without control characters, not blank"
        );
        assert!(refused(|config| config.host = "x".repeat(65)).contains("64 bytes"));
        assert!(refused(|config| config.watch.clear()).starts_with("PHASELINE_WATCH"));
        assert!(refused(|config| config.outbox_max = 1).contains("1 MiB"));
        assert!(refused(|config| config.max_depth = 0).contains("1 to 512"));
        let url = refused(|config| config.nats.url = "http://u:secret@h".into());
        assert!(url.contains("nats://127.0.0.1:4222") && !url.contains("secret"));
    }

    #[test]
    fn a_state_directory_that_is_none_is_refused_and_nothing_is_made() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("/no/such/place", temp.path().join("link")).unwrap();
        for bad in ["file", "file/below/it", "link", "link/x"] {
            let said = refused(|config| config.state_dir = temp.path().join(bad));
            assert!(said.starts_with("PHASELINE_STATE_DIR is "), "{said}");
            assert!(said.contains("expected a directory, and"), "{said}");
        }
        let mut good = config();
        good.state_dir = temp.path().join("new/state");
        good.checked().unwrap();
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 2);
    }

    #[test]
    fn secrets_are_not_shown() {
        let target = NatsTarget {
            url: "nats://user:secret@host:4222,tls://other:1".into(),
            user: Some("agent".into()),
            password: Some("secret".into()),
        };
        let shown = format!("{target:?}");
        assert!(!shown.contains("secret"));
        assert!(shown.contains("nats://host:4222,tls://other:1"));
    }
}
