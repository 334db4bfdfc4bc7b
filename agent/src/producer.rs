//! What the producers write and where: the one table to extend for a new
//! producer. A producer keeps its state files in a directory of a known name
//! inside the project; the project directory is that directory's parent.

use std::ffi::OsStr;
use std::path::Path;

/// A program whose state files are watched.
#[derive(Debug)]
pub(crate) struct Producer {
    /// As in `Event::producer`.
    pub(crate) name: &'static str,
    /// The directory in the project that holds its state files.
    pub(crate) dir: &'static str,
    /// Its state files.
    pub(crate) files: &'static [StateFile],
}

/// One state file of a producer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StateFile {
    /// Its name in [`Producer::dir`].
    pub(crate) name: &'static str,
    /// What it is for.
    pub(crate) role: Role,
    /// Top-level keys that the producer changes without meaning anything by it.
    pub(crate) volatile: &'static [&'static str],
}

/// What a state file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Rewritten all the time: where the build stands.
    Phase,
    /// Written once at the end of a run. Two runs may end with equal bytes.
    Summary,
}

/// Every producer the agent knows.
pub(crate) const PRODUCERS: &[Producer] = &[Producer {
    name: "context-foundry",
    dir: ".context-foundry",
    files: &[
        StateFile {
            name: "current-phase.json",
            role: Role::Phase,
            volatile: &["last_updated"],
        },
        StateFile {
            name: "session-summary.json",
            role: Role::Summary,
            volatile: &["last_updated"],
        },
    ],
}];

/// A state file of a producer, recognised by its path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    /// Whose it is.
    pub(crate) producer: &'static Producer,
    /// Which it is.
    pub(crate) file: &'static StateFile,
}

impl Spec {
    /// The state file at this path; none when the path is nobody's state file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?;
        let producer = of_dir(path.parent()?.file_name()?)?;
        let file = producer.files.iter().find(|file| name == file.name)?;
        Some(Self { producer, file })
    }

    /// The file relative to its project directory.
    pub(crate) fn file_in_project(&self) -> String {
        format!("{}/{}", self.producer.dir, self.file.name)
    }
}

/// The producer that keeps its state in directories of this name.
pub(crate) fn of_dir(name: &OsStr) -> Option<&'static Producer> {
    PRODUCERS.iter().find(|producer| name == producer.dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_file_is_known_by_its_name_and_its_directory() {
        let role = |path: &str| Spec::of(Path::new(path)).map(|spec| spec.file.role);
        assert_eq!(
            role("/p/.context-foundry/current-phase.json"),
            Some(Role::Phase)
        );
        assert_eq!(
            role("/p/.context-foundry/session-summary.json"),
            Some(Role::Summary)
        );
        assert_eq!(role("/p/current-phase.json"), None);
        assert_eq!(role("/p/.context-foundry/other.json"), None);
        assert_eq!(role("/"), None);
    }
}
