//! The TOML file's settings, under those of flags and variables.

use std::path::Path;

use serde::Deserialize;

use super::budget::{BudgetTable, EXPECTED_BUDGET, check_budgets};
use super::{BadSetting, Settings};
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
        let bad = |problem: String| BadSetting {
            setting: "PHASELINE_CONFIG",
            problem: format!("{}: {problem}", path.display()),
            expected: "a TOML file with settings as keys, such as listen = \"127.0.0.1:8080\""
                .to_owned(),
        };
        let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        // `message` leaves out the quoted line, which may hold a password.
        toml::from_str(&text).map_err(|error| bad(error.message().to_owned()))
    }

    /// The budgets, which only the file can set.
    pub(super) fn budgets(&self) -> Result<Vec<Budget>, BadSetting> {
        check_budgets(&self.budget).map_err(|problem| BadSetting {
            setting: "PHASELINE_CONFIG",
            problem,
            expected: EXPECTED_BUDGET.to_owned(),
        })
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
