//! The TOML file's settings, under those of flags and variables.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::budget::BudgetTable;
use super::{BadSetting, Settings, value};
use crate::budgets::Budget;

/// Keys are the flags' names with `_`; an unknown key is refused, as it would be a typing error.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileSettings {
    nats_url: Option<String>,
    nats_user: Option<String>,
    nats_password_file: Option<String>,
    database_url: Option<String>,
    database_password_file: Option<String>,
    listen: Option<String>,
    allowed_hosts: Option<String>,
    host: Option<String>,
    ingest_token_file: Option<String>,
    retention: Option<String>,
    build_log_lines: Option<String>,
    build_log_bytes: Option<String>,
    log: Option<String>,
    log_format: Option<String>,
    #[serde(default)]
    budget: Vec<BudgetTable>,
}

impl FileSettings {
    pub(super) fn read(path: &Path) -> Result<Self, BadSetting> {
        read_file(path)
    }

    /// The budgets, which only the file can set.
    pub(super) fn budgets(&self) -> Result<Vec<Budget>, BadSetting> {
        value::budgets(&self.budget)
    }

    /// What flags and variables say; where they say nothing, the file.
    pub(super) fn under(self, over: Settings) -> Settings {
        Settings {
            config: over.config,
            nats_url: over.nats_url.or(self.nats_url),
            nats_user: over.nats_user.or(self.nats_user),
            nats_password_file: over.nats_password_file.or(self.nats_password_file),
            database_url: over.database_url.or(self.database_url),
            database_password_file: over.database_password_file.or(self.database_password_file),
            listen: over.listen.or(self.listen),
            allowed_hosts: over.allowed_hosts.or(self.allowed_hosts),
            host: over.host.or(self.host),
            ingest_token_file: over.ingest_token_file.or(self.ingest_token_file),
            retention: over.retention.or(self.retention),
            build_log_lines: over.build_log_lines.or(self.build_log_lines),
            build_log_bytes: over.build_log_bytes.or(self.build_log_bytes),
            log: over.log.or(self.log),
            log_format: over.log_format.or(self.log_format),
        }
    }
}

/// A TOML file of settings, of this program or of a launcher.
///
/// # Errors
/// When it cannot be read or holds other keys. The line at fault is not repeated: it may hold a password.
pub fn read_file<T: DeserializeOwned>(path: &Path) -> Result<T, BadSetting> {
    let bad = |problem: String| {
        let expected = "a TOML file with settings as keys, such as listen = \"127.0.0.1:8080\"";
        BadSetting::new(
            "PHASELINE_CONFIG",
            format!("{}: {problem}", path.display()),
            expected,
        )
    };
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    toml::from_str(&text).map_err(|error| {
        bad(protocol::text::at_line(
            &text,
            error.span(),
            error.message(),
        ))
    })
}
