//! The log: one line per event on standard error.

use crate::settings::BadSetting;

/// Libraries that tell at `info` what only a developer asks for. The setting comes after it and so beats it.
const QUIET: &str = "notify=error,async_nats=warn";
const DEFAULT_FILTER: &str = "info";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct Log {
    filter: String,
    format: Format,
}

impl Log {
    /// Checks the two settings.
    ///
    /// # Errors
    /// The one that cannot be used.
    pub(crate) fn check(filter: Option<String>, format: Option<&str>) -> Result<Self, BadSetting> {
        let filter = filter.unwrap_or_else(|| DEFAULT_FILTER.to_owned());
        if tracing_subscriber::EnvFilter::try_new(&filter).is_err() {
            let expected = "a filter such as info or warn,aggregator=debug";
            return Err(BadSetting::value("PHASELINE_LOG", &filter, expected));
        }
        let format = match format {
            None | Some("text") => Format::Text,
            Some("json") => Format::Json,
            Some(other) => {
                let expected = "text or json";
                return Err(BadSetting::value("PHASELINE_LOG_FORMAT", other, expected));
            }
        };
        Ok(Self { filter, format })
    }

    /// Starts logging for the whole program; to be called once.
    pub fn start(&self) {
        let filter = tracing_subscriber::EnvFilter::new(format!("{QUIET},{}", self.filter));
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr);
        match self.format {
            Format::Text => log.init(),
            Format::Json => log.json().init(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_and_format_have_defaults_and_are_checked() {
        let log = Log::check(None, None).unwrap();
        assert_eq!((log.filter.as_str(), log.format), ("info", Format::Text));
        let json = Log::check(None, Some("json")).unwrap();
        assert_eq!(json.format, Format::Json);
        let error = Log::check(Some("info,=,".to_owned()), None).unwrap_err();
        assert!(error.to_string().starts_with("PHASELINE_LOG: "), "{error}");
    }
}
