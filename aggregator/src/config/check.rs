//! Whether each setting can be used, before anything connects.

use std::net::SocketAddr;
use std::time::Duration;

use super::{
    BadSetting, Config, DEFAULT_LISTEN, DEFAULT_LOG, DEFAULT_NATS_URL, DEFAULT_RETENTION_DAYS,
    LogFormat, MIN_RETENTION, Resolved, Settings, duration,
};
use crate::nats::NatsTarget;
use crate::store::{BadDatabaseUrl, DatabaseTarget, LogLimits};

impl Settings {
    /// An empty variable, as compose files make them, is the same as none.
    pub(super) fn without_blanks(mut self) -> Self {
        for setting in [
            &mut self.config,
            &mut self.nats_url,
            &mut self.nats_user,
            &mut self.nats_password_file,
            &mut self.database_url,
            &mut self.database_password_file,
            &mut self.listen,
            &mut self.allowed_hosts,
            &mut self.host,
            &mut self.ingest_token_file,
            &mut self.retention,
            &mut self.build_log_lines,
            &mut self.build_log_bytes,
            &mut self.log,
            &mut self.log_format,
        ] {
            setting.take_if(|text| text.trim().is_empty());
        }
        self
    }

    pub(super) fn check(self, needs_database: bool) -> Result<Resolved, BadSetting> {
        let listen = check_listen(self.listen.as_deref().unwrap_or(DEFAULT_LISTEN))?;
        let log = check_log(self.log.unwrap_or_else(|| DEFAULT_LOG.to_owned()))?;
        let log_format = check_log_format(self.log_format.as_deref())?;
        let retention = check_retention(self.retention.as_deref())?;
        let log_limits = check_log_limits(
            self.build_log_lines.as_deref(),
            self.build_log_bytes.as_deref(),
        )?;
        let nats = NatsTarget {
            url: self.nats_url.unwrap_or_else(|| DEFAULT_NATS_URL.to_owned()),
            password: read_secret(
                "PHASELINE_NATS_PASSWORD_FILE",
                self.nats_password_file.as_deref(),
            )?,
            user: self.nats_user,
        };
        check_nats(&nats)?;
        if nats.password.is_some() && nats.user.is_none() {
            return Err(BadSetting {
                setting: "PHASELINE_NATS_USER",
                problem: "missing beside PHASELINE_NATS_PASSWORD_FILE".to_owned(),
                expected: "the user whose password it is".to_owned(),
            });
        }
        let allowed_hosts = check_allowed_hosts(self.allowed_hosts.as_deref().unwrap_or(""))?;
        let password = read_secret(
            "PHASELINE_DATABASE_PASSWORD_FILE",
            self.database_password_file.as_deref(),
        )?;
        let host = check_host(self.host)?;
        let ingest_token = read_secret(
            "PHASELINE_INGEST_TOKEN_FILE",
            self.ingest_token_file.as_deref(),
        )?;
        let config = match self.database_url {
            Some(url) => {
                let database = DatabaseTarget { url, password };
                check_database(&database)?;
                Some(Config {
                    servers: Vec::new(),
                    nats,
                    database,
                    retention,
                    log_limits,
                    allowed_hosts,
                    host,
                    ingest_token,
                    runner_logs: true,
                    budgets: Vec::new(),
                })
            }
            None if needs_database => {
                return Err(BadSetting {
                    setting: "PHASELINE_DATABASE_URL",
                    problem: "not set".to_owned(),
                    expected: "where Postgres is, such as postgres://phaseline@localhost/phaseline"
                        .to_owned(),
                });
            }
            None => None,
        };
        Ok(Resolved {
            config,
            listen,
            log,
            log_format,
        })
    }
}

/// What the machine calls itself.
pub(super) fn machine_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn check_host(host: Option<String>) -> Result<String, BadSetting> {
    let name = host.unwrap_or_else(machine_name);
    if protocol::host::is_name(&name) {
        return Ok(name);
    }
    let expected = protocol::host::NAME_EXPECTED;
    Err(BadSetting::value("PHASELINE_HOST", &name, expected))
}

fn check_retention(text: Option<&str>) -> Result<Duration, BadSetting> {
    let Some(text) = text else {
        return Ok(Duration::from_secs(DEFAULT_RETENTION_DAYS * 86_400));
    };
    let age = duration::parse(text).filter(|age| *age >= MIN_RETENTION);
    age.ok_or_else(|| {
        BadSetting::value(
            "PHASELINE_RETENTION",
            text,
            "an age of at least 1h such as 90d, 36h or 4w",
        )
    })
}

fn check_log_limits(lines: Option<&str>, bytes: Option<&str>) -> Result<LogLimits, BadSetting> {
    let mut limits = LogLimits::default();
    if let Some(text) = lines {
        limits.lines = LogLimits::read_lines(text).ok_or_else(|| {
            BadSetting::value("PHASELINE_BUILD_LOG_LINES", text, LogLimits::LINES_EXPECTED)
        })?;
    }
    if let Some(text) = bytes {
        limits.bytes = LogLimits::read_bytes(text).ok_or_else(|| {
            BadSetting::value("PHASELINE_BUILD_LOG_BYTES", text, LogLimits::BYTES_EXPECTED)
        })?;
    }
    Ok(limits)
}

fn check_log_format(text: Option<&str>) -> Result<LogFormat, BadSetting> {
    match text {
        None | Some("text") => Ok(LogFormat::Text),
        Some("json") => Ok(LogFormat::Json),
        Some(other) => Err(BadSetting::value(
            "PHASELINE_LOG_FORMAT",
            other,
            "text or json",
        )),
    }
}

fn check_listen(text: &str) -> Result<SocketAddr, BadSetting> {
    text.parse().map_err(|_| {
        BadSetting::value(
            "PHASELINE_LISTEN",
            text,
            "an address and port such as 127.0.0.1:8080 or [::]:8080",
        )
    })
}

fn check_log(text: String) -> Result<String, BadSetting> {
    match tracing_subscriber::EnvFilter::try_new(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(BadSetting::value(
            "PHASELINE_LOG",
            &text,
            "a filter such as info or warn,aggregator=debug",
        )),
    }
}

/// A URL may hold a password, so it is not repeated.
fn check_nats(nats: &NatsTarget) -> Result<(), BadSetting> {
    nats.check().map_err(|expected| BadSetting {
        setting: "PHASELINE_NATS_URL",
        problem: "not an address of a NATS server".to_owned(),
        expected: expected.to_string(),
    })
}

/// A URL may hold a password, so it is not repeated.
fn check_database(database: &DatabaseTarget) -> Result<(), BadSetting> {
    database.check().map_err(|expected| BadSetting {
        setting: "PHASELINE_DATABASE_URL",
        problem: match expected {
            BadDatabaseUrl::Syntax => "not an address of a Postgres database".to_owned(),
            BadDatabaseUrl::Tls => "cannot be used".to_owned(),
        },
        expected: expected.to_string(),
    })
}

fn check_allowed_hosts(text: &str) -> Result<Vec<String>, BadSetting> {
    let name = |part: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        (!part.is_empty() && part.chars().all(plain)).then(|| part.to_ascii_lowercase())
    };
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            name(part).ok_or_else(|| {
                BadSetting::value(
                    "PHASELINE_ALLOWED_HOSTS",
                    part,
                    "host names without port such as builds.example.org",
                )
            })
        })
        .collect()
}

/// A password from its file; one newline at the end is the editor's, not the password's.
fn read_secret(setting: &'static str, path: Option<&str>) -> Result<Option<String>, BadSetting> {
    let Some(path) = path else { return Ok(None) };
    let bad = |problem: String| BadSetting {
        setting,
        problem,
        expected: "a readable file with the password".to_owned(),
    };
    let text = std::fs::read_to_string(path).map_err(|error| bad(format!("{path}: {error}")))?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() {
        return Err(bad(format!("{path} is empty")));
    }
    Ok(Some(secret.to_owned()))
}
