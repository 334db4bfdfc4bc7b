//! Which texts of producers may leave the host, and the logs that are named.
//! Logs do unless told otherwise: they are written to be read by people, are what
//! one looks for when a build fails, and are masked. What tools are given and give
//! are whole files and command lines of somebody's repository: it must be asked for.

use super::BadSetting;
use crate::producer::Pattern;

/// What texts of producers may leave the host, secrets masked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Texts {
    /// None: figures only.
    None,
    /// Lines of logs, which are written to be read by people.
    #[default]
    Logs,
    /// Inputs and outputs of tools too.
    All,
}

impl Texts {
    /// What is expected of the setting.
    pub const WORDS: &str = "none, logs or all";

    /// Reads `none`, `logs` or `all`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self::None),
            "logs" => Some(Self::Logs),
            "all" => Some(Self::All),
            _ => None,
        }
    }
}

/// Logs named in the configuration: a table `[[log_file]]` of the TOML file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPattern {
    /// Where they are, relative to their project's directory: `logs/*.log`, `agents/{id}/run.log`.
    pub pattern: String,
    /// Whose builds they belong to; without it whichever is the newest in the project. Required with `{id}`.
    pub producer: Option<String>,
}

impl LogPattern {
    pub(crate) fn check(&self) -> Result<(), BadSetting> {
        let bad = |expected: &str| BadSetting::new("log_file.pattern", &self.pattern, expected);
        let pattern = Pattern::parse(&self.pattern).map_err(|error| {
            bad(&format!(
                "a path relative to a project such as logs/*.log: {error}"
            ))
        })?;
        if pattern.has_id() && self.producer.is_none() {
            return Err(bad("a producer beside a pattern with {id}"));
        }
        match &self.producer {
            Some(name) if !protocol::host::is_name(name) => Err(BadSetting::new(
                "log_file.producer",
                name,
                protocol::host::NAME_EXPECTED,
            )),
            _ => Ok(()),
        }
    }
}
