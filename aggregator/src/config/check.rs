//! Whether each setting can be used, before anything connects.

use super::{BadSetting, Config, DEFAULT_NATS_URL, Resolved, Settings, value};
use crate::nats::NatsTarget;
use crate::store::{BadDatabaseUrl, DatabaseTarget};

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
        let listen = value::listen(self.listen.as_deref())?;
        let log = value::log(self.log)?;
        let log_format = value::log_format(self.log_format.as_deref())?;
        let retention = value::retention(self.retention.as_deref())?;
        let log_limits = value::log_limits(
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
            return Err(BadSetting::new(
                "PHASELINE_NATS_USER",
                "missing beside PHASELINE_NATS_PASSWORD_FILE",
                "the user whose password it is",
            ));
        }
        let allowed_hosts = value::allowed_hosts(self.allowed_hosts.as_deref())?;
        let password = read_secret(
            "PHASELINE_DATABASE_PASSWORD_FILE",
            self.database_password_file.as_deref(),
        )?;
        let host = value::host(self.host)?;
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
                return Err(BadSetting::new(
                    "PHASELINE_DATABASE_URL",
                    "not set",
                    "where Postgres is, such as postgres://phaseline@localhost/phaseline",
                ));
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

/// A URL may hold a password, so it is not repeated.
fn check_nats(nats: &NatsTarget) -> Result<(), BadSetting> {
    let problem = "not an address of a NATS server";
    nats.check()
        .map_err(|expected| BadSetting::new("PHASELINE_NATS_URL", problem, expected.to_string()))
}

/// A URL may hold a password, so it is not repeated.
fn check_database(database: &DatabaseTarget) -> Result<(), BadSetting> {
    database.check().map_err(|expected| {
        let problem = match expected {
            BadDatabaseUrl::Syntax => "not an address of a Postgres database",
            BadDatabaseUrl::Tls => "cannot be used",
        };
        BadSetting::new("PHASELINE_DATABASE_URL", problem, expected.to_string())
    })
}

/// A password from its file; one newline at the end is the editor's, not the password's.
fn read_secret(setting: &'static str, path: Option<&str>) -> Result<Option<String>, BadSetting> {
    let Some(path) = path else { return Ok(None) };
    let bad =
        |problem: String| BadSetting::new(setting, problem, "a readable file with the password");
    let text = std::fs::read_to_string(path).map_err(|error| bad(format!("{path}: {error}")))?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() {
        return Err(bad(format!("{path} is empty")));
    }
    Ok(Some(secret.to_owned()))
}
