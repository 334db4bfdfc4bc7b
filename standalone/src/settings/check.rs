//! The text of each setting that the aggregator does not have to its value.

use std::path::{Path, PathBuf};

use protocol::units;

use super::BadSetting;

/// The state directory as given, else the usual one. It can be used, or made.
pub(super) fn usable_state_dir(given: Option<PathBuf>) -> Result<PathBuf, BadSetting> {
    let dir = state_dir(given)?;
    agent::config::usable_directory(&dir).map_err(|expected| {
        let problem = format!("{dir:?} cannot be used");
        BadSetting::new("PHASELINE_STATE_DIR", problem, expected)
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
        None => Err(BadSetting::new(
            NAME,
            "not set, and there is no HOME",
            "a directory",
        )),
    }
}

pub(super) fn absolute(setting: &'static str, path: &Path) -> Result<PathBuf, BadSetting> {
    std::path::absolute(path)
        .map_err(|_| BadSetting::value(setting, &path.to_string_lossy(), "a directory"))
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
    let bad = |bad: agent::config::BadSetting| {
        let problem = format!("{} is {}", bad.setting, bad.value);
        BadSetting::new("PHASELINE_CONFIG", problem, bad.expected)
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

pub(super) fn texts(what: Option<String>) -> Result<agent::Texts, BadSetting> {
    let Some(text) = what else {
        return Ok(agent::Texts::default());
    };
    agent::Texts::parse(&text)
        .ok_or_else(|| BadSetting::value("PHASELINE_TEXTS", &text, agent::Texts::WORDS))
}
