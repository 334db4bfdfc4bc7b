//! Each setting's text to its value, and what it is where nobody says.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{Number, OneOrMany};
use crate::config::{BadSetting, Prune, Texts};

pub(super) fn host(flag: Option<String>, file: Option<String>) -> String {
    match set_text(flag).or(set_text(file)) {
        Some(host) => host,
        None => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
    }
}

pub(super) fn prune(flag: Option<String>, file: Option<OneOrMany>) -> Result<Prune, BadSetting> {
    match set_text(flag).or(file.map(|names| names.join(","))) {
        None => Ok(Prune::default()),
        Some(list) => Prune::parse(&list).map_err(|entry| {
            BadSetting::new(
                "PHASELINE_PRUNE",
                entry,
                "names of directories such as node_modules, go/pkg or project:target, no patterns and no whole paths",
            )
        }),
    }
}

pub(super) fn texts(flag: Option<String>, file: Option<String>) -> Result<Texts, BadSetting> {
    match set_text(flag).or(set_text(file)) {
        None => Ok(Texts::default()),
        Some(text) => Texts::parse(&text)
            .ok_or_else(|| BadSetting::new("PHASELINE_TEXTS", &text, Texts::WORDS)),
    }
}

pub(super) fn watch(flag: Option<OsString>, file: Option<OneOrMany>) -> Vec<PathBuf> {
    let split = |list: &std::ffi::OsStr| -> Vec<PathBuf> {
        std::env::split_paths(list)
            .filter(|path| !path.as_os_str().is_empty())
            .map(expand)
            .collect()
    };
    match (flag.filter(|list| !list.is_empty()), file) {
        (Some(list), _) => split(&list),
        (None, Some(OneOrMany::One(list))) => split(list.as_ref()),
        (None, Some(OneOrMany::Many(paths))) => {
            paths.into_iter().map(|path| expand(path.into())).collect()
        }
        (None, None) => vec![PathBuf::from(".")],
    }
}

/// `~` and `~/x` mean the home directory, which no shell expands in a file.
pub(super) fn expand(path: PathBuf) -> PathBuf {
    match (path.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

/// The user's home directory.
pub(crate) fn home() -> Option<PathBuf> {
    std::env::var_os("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute())
}

pub(super) fn default_state_dir(
    variable: &dyn Fn(&str) -> Option<OsString>,
    is_root: bool,
) -> Result<PathBuf, BadSetting> {
    let absolute = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    match (absolute("XDG_STATE_HOME"), absolute("HOME")) {
        (Some(state), _) => Ok(state.join("phaseline")),
        (None, _) if is_root => Ok(PathBuf::from("/var/lib/phaseline")),
        (None, Some(home)) => Ok(home.join(".local/state/phaseline")),
        (None, None) => Err(BadSetting {
            setting: "PHASELINE_STATE_DIR".into(),
            value: "not set".into(),
            expected: "a directory, because HOME is not set either".into(),
        }),
    }
}

pub(super) fn set_text(value: Option<String>) -> Option<String> {
    value.filter(|text| !text.is_empty())
}

pub(super) fn set(value: Option<PathBuf>) -> Option<PathBuf> {
    value.filter(|path| !path.as_os_str().is_empty())
}

impl OneOrMany {
    pub(super) fn join(self, separator: &str) -> String {
        match self {
            Self::One(text) => text,
            Self::Many(texts) => texts.join(separator),
        }
    }
}

impl Number {
    pub(super) fn text(self) -> String {
        match self {
            Self::Plain(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}
