//! Each setting's text to its value.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::BadSetting;
use crate::units;

/// Below an hour the hourly deletion would decide, not the setting.
const MIN_RETENTION: Duration = Duration::from_secs(3600);
const DEFAULT_RETENTION: &str = "90d";
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
pub(super) fn listen(listen: Option<String>) -> Result<SocketAddr, BadSetting> {
    let text = listen.unwrap_or_else(|| DEFAULT_LISTEN.to_owned());
    text.parse().map_err(|_| {
        let expected = "an address and port such as 127.0.0.1:8080 or [::1]:8080";
        BadSetting::value("PHASELINE_LISTEN", &text, expected)
    })
}

pub(super) fn allowed_hosts(names: Option<&str>) -> Result<Vec<String>, BadSetting> {
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

/// The state directory as given, else the usual one. It can be used, or made.
pub(super) fn usable_state_dir(given: Option<PathBuf>) -> Result<PathBuf, BadSetting> {
    let dir = state_dir(given)?;
    agent::config::usable_directory(&dir).map_err(|expected| BadSetting {
        setting: "PHASELINE_STATE_DIR",
        problem: format!("{dir:?} cannot be used"),
        expected: expected.into(),
    })?;
    Ok(dir)
}

/// A directory with the programs of Postgres, if one is given.
pub(super) fn postgres_bin(given: Option<PathBuf>) -> Result<Option<PathBuf>, BadSetting> {
    let is_bin = |dir: &PathBuf| {
        ["postgres", "initdb"]
            .iter()
            .all(|name| dir.join(name).is_file())
    };
    match given {
        Some(dir) if !is_bin(&dir) => Err(BadSetting::value(
            "PHASELINE_POSTGRES_BIN",
            &dir.to_string_lossy(),
            "a directory that holds postgres and initdb, such as /usr/lib/postgresql/15/bin",
        )),
        given => Ok(given),
    }
}

/// The program nats-server, if one is given.
pub(super) fn nats_server(given: Option<PathBuf>) -> Result<Option<PathBuf>, BadSetting> {
    let runs = |file: &PathBuf| {
        file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
    };
    match given {
        Some(file) if !runs(&file) => Err(BadSetting::value(
            "PHASELINE_NATS_SERVER",
            &file.to_string_lossy(),
            "the program nats-server",
        )),
        given => Ok(given),
    }
}

/// The state directory as given, else the usual one.
pub(crate) fn state_dir(given: Option<PathBuf>) -> Result<PathBuf, BadSetting> {
    const NAME: &str = "PHASELINE_STATE_DIR";
    if let Some(dir) = given {
        return absolute(NAME, &dir);
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(base) = variable("XDG_STATE_HOME") {
        return absolute(NAME, &PathBuf::from(base).join("phaseline"));
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/phaseline"));
    }
    match variable("HOME") {
        Some(home) => absolute(NAME, &PathBuf::from(home).join(".local/state/phaseline")),
        None => Err(BadSetting {
            setting: NAME,
            problem: "not set, and there is no HOME".to_owned(),
            expected: "a directory".into(),
        }),
    }
}

pub(super) fn absolute(setting: &'static str, path: &Path) -> Result<PathBuf, BadSetting> {
    std::path::absolute(path)
        .map_err(|_| BadSetting::value(setting, &path.to_string_lossy(), "a directory"))
}

pub(super) fn host(host: Option<String>) -> Result<String, BadSetting> {
    let name = host.unwrap_or_else(|| {
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned()
    });
    if protocol::host::is_name(&name) {
        return Ok(name);
    }
    let expected = protocol::host::NAME_EXPECTED;
    Err(BadSetting::value("PHASELINE_HOST", &name, expected))
}

pub(super) fn outbox_max(size: Option<String>) -> Result<u64, BadSetting> {
    let Some(text) = size else {
        return Ok(agent::config::OUTBOX_MAX);
    };
    units::bytes(&text)
        .filter(|bytes| *bytes >= agent::config::OUTBOX_MIN)
        .ok_or_else(|| {
            let expected = "a size of at least 1MiB such as 512MiB or 2GiB";
            BadSetting::value("PHASELINE_OUTBOX_MAX", &text, expected)
        })
}

pub(super) fn prune(names: Option<String>) -> Result<agent::Prune, BadSetting> {
    let Some(text) = names else {
        return Ok(agent::Prune::default());
    };
    agent::Prune::parse(&text).map_err(|entry| {
        let expected = "names separated by commas such as .git,node_modules,project:target";
        BadSetting::value("PHASELINE_PRUNE", &entry, expected)
    })
}

/// The `[[producer]]` tables, by the agent's own rules.
pub(super) fn producers(
    tables: &[toml::Table],
    prune: &agent::Prune,
) -> Result<agent::Custom, BadSetting> {
    let bad = |bad: agent::config::BadSetting| BadSetting {
        setting: "PHASELINE_CONFIG",
        problem: format!("{} is {}", bad.setting, bad.value),
        expected: bad.expected.into(),
    };
    let producers = agent::Custom::read(tables).map_err(bad)?;
    producers.check_walked(prune).map_err(bad)?;
    Ok(producers)
}

pub(super) fn max_depth(depth: Option<String>) -> Result<usize, BadSetting> {
    let Some(text) = depth else {
        return Ok(agent::config::MAX_DEPTH);
    };
    text.parse()
        .ok()
        .filter(|depth| (1..=agent::config::MAX_DEPTH_LIMIT).contains(depth))
        .ok_or_else(|| {
            let expected = "a number from 1 to 512";
            BadSetting::value("PHASELINE_MAX_DEPTH", &text, expected)
        })
}

pub(super) fn budgets(
    tables: &[aggregator::config::BudgetTable],
) -> Result<Vec<aggregator::budgets::Budget>, BadSetting> {
    aggregator::config::check_budgets(tables).map_err(|problem| BadSetting {
        setting: "PHASELINE_CONFIG",
        problem,
        expected: aggregator::config::EXPECTED_BUDGET.into(),
    })
}

pub(super) fn texts(what: Option<String>) -> Result<agent::Texts, BadSetting> {
    let Some(text) = what else {
        return Ok(agent::Texts::default());
    };
    agent::Texts::parse(&text)
        .ok_or_else(|| BadSetting::value("PHASELINE_TEXTS", &text, agent::Texts::WORDS))
}

pub(super) fn log_limits(
    lines: Option<String>,
    bytes: Option<String>,
) -> Result<aggregator::LogLimits, BadSetting> {
    let limits = aggregator::LogLimits::default();
    let lines = match lines {
        Some(text) => aggregator::LogLimits::read_lines(&text).ok_or_else(|| {
            let expected = aggregator::LogLimits::LINES_EXPECTED;
            BadSetting::value("PHASELINE_BUILD_LOG_LINES", &text, expected)
        })?,
        None => limits.lines,
    };
    let bytes = match bytes {
        Some(text) => aggregator::LogLimits::read_bytes(&text).ok_or_else(|| {
            let expected = aggregator::LogLimits::BYTES_EXPECTED;
            BadSetting::value("PHASELINE_BUILD_LOG_BYTES", &text, expected)
        })?,
        None => limits.bytes,
    };
    Ok(aggregator::LogLimits { lines, bytes })
}

pub(super) fn retention(age: Option<String>) -> Result<Duration, BadSetting> {
    let text = age.unwrap_or_else(|| DEFAULT_RETENTION.to_owned());
    units::age(&text)
        .filter(|age| *age >= MIN_RETENTION)
        .ok_or_else(|| {
            let expected = "an age of at least 1h such as 90d, 36h or 4w";
            BadSetting::value("PHASELINE_RETENTION", &text, expected)
        })
}
