//! The log: one line per event on standard error.

use std::io::IsTerminal as _;

use aggregator::config::{BadSetting, LogFormat, value};

/// Libraries that tell at `info` what only a developer asks for. The setting comes after it and so beats it.
const QUIET: &str = "notify=error,async_nats=warn";

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct Log {
    filter: String,
    format: LogFormat,
}

impl Log {
    /// Checks the two settings.
    ///
    /// # Errors
    /// The one that cannot be used.
    pub(crate) fn check(filter: Option<String>, format: Option<&str>) -> Result<Self, BadSetting> {
        Ok(Self {
            filter: value::log(filter)?,
            format: value::log_format(format)?,
        })
    }

    /// Starts logging for the whole program; to be called once.
    pub fn start(&self) {
        let filter = tracing_subscriber::EnvFilter::new(format!("{QUIET},{}", self.filter));
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            // Colours are for people; in a file they are noise.
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        match self.format {
            LogFormat::Text => log.init(),
            LogFormat::Json => log.json().init(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_and_format_have_defaults_and_are_checked() {
        let log = Log::check(None, None).unwrap();
        assert_eq!((log.filter.as_str(), log.format), ("info", LogFormat::Text));
        let json = Log::check(None, Some("json")).unwrap();
        assert_eq!(json.format, LogFormat::Json);
        let error = Log::check(Some("info,=,".to_owned()), None).unwrap_err();
        assert!(error.to_string().starts_with("PHASELINE_LOG: "), "{error}");
    }
}
