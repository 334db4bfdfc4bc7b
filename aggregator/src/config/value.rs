//! Each setting's text to its value, also for a launcher that has the same
//! settings. None is what nobody says, and becomes the default.

use std::net::SocketAddr;
use std::time::Duration;

use protocol::units;

use super::budget::{self, BudgetTable};
use super::{BadSetting, LogFormat};
use crate::budgets::Budget;
use crate::store::LogLimits;

/// Days of events that are kept unless told: a quarter.
pub(super) const DEFAULT_RETENTION_DAYS: u64 = 90;
/// Shortest retention: below an hour the fold's own look-back and the hourly deletion would meet.
const MIN_RETENTION: Duration = Duration::from_secs(3600);
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
const DEFAULT_LOG: &str = "info";

/// Where to serve.
///
/// # Errors
/// When it is no address with a port.
pub fn listen(text: Option<&str>) -> Result<SocketAddr, BadSetting> {
    let text = text.unwrap_or(DEFAULT_LISTEN);
    text.parse().map_err(|_| {
        let expected = "an address and port such as 127.0.0.1:8080 or [::]:8080";
        BadSetting::value("PHASELINE_LISTEN", text, expected)
    })
}

/// Names under which browsers may ask, separated by commas.
///
/// # Errors
/// The first that is no name of a host.
pub fn allowed_hosts(names: Option<&str>) -> Result<Vec<String>, BadSetting> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    names
        .unwrap_or("")
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| {
            if name.chars().all(plain) {
                return Ok(name.to_ascii_lowercase());
            }
            let expected = "host names without port such as builds.example.org";
            Err(BadSetting::value("PHASELINE_ALLOWED_HOSTS", name, expected))
        })
        .collect()
}

/// What the machine calls itself.
pub(super) fn machine_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Name of this host; unless told the machine's.
///
/// # Errors
/// When it cannot be a host's name.
pub fn host(name: Option<String>) -> Result<String, BadSetting> {
    let name = name.unwrap_or_else(machine_name);
    if protocol::host::is_name(&name) {
        return Ok(name);
    }
    let expected = protocol::host::NAME_EXPECTED;
    Err(BadSetting::value("PHASELINE_HOST", &name, expected))
}

/// Age at which events are deleted.
///
/// # Errors
/// When it is no age, or less than an hour.
pub fn retention(text: Option<&str>) -> Result<Duration, BadSetting> {
    let Some(text) = text else {
        return Ok(Duration::from_secs(DEFAULT_RETENTION_DAYS * 86_400));
    };
    let age = units::age(text).filter(|age| *age >= MIN_RETENTION);
    age.ok_or_else(|| {
        let expected = "an age of at least 1h such as 90d, 36h or 4w";
        BadSetting::value("PHASELINE_RETENTION", text, expected)
    })
}

/// What is kept of one build's log.
///
/// # Errors
/// The first of the two that is no number, or out of bounds.
pub fn log_limits(lines: Option<&str>, bytes: Option<&str>) -> Result<LogLimits, BadSetting> {
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

/// The `[[budget]]` tables of the file.
///
/// # Errors
/// The first that cannot be used.
pub fn budgets(tables: &[BudgetTable]) -> Result<Vec<Budget>, BadSetting> {
    let bad = |problem| BadSetting::new("PHASELINE_CONFIG", problem, budget::EXPECTED);
    budget::check(tables).map_err(bad)
}

/// A `tracing` filter.
///
/// # Errors
/// When it is none.
pub fn log(filter: Option<String>) -> Result<String, BadSetting> {
    let filter = filter.unwrap_or_else(|| DEFAULT_LOG.to_owned());
    if tracing_subscriber::EnvFilter::try_new(&filter).is_ok() {
        return Ok(filter);
    }
    let expected = "a filter such as info or warn,aggregator=debug";
    Err(BadSetting::value("PHASELINE_LOG", &filter, expected))
}

/// How log lines look.
///
/// # Errors
/// When it is another word than `text` and `json`.
pub fn log_format(word: Option<&str>) -> Result<LogFormat, BadSetting> {
    match word {
        None | Some("text") => Ok(LogFormat::Text),
        Some("json") => Ok(LogFormat::Json),
        Some(other) => {
            let expected = "text or json";
            Err(BadSetting::value("PHASELINE_LOG_FORMAT", other, expected))
        }
    }
}
