//! Which directories are not walked. A watch costs kernel memory and there is
//! a limit on them, and 9 of 10 directories of a source tree are caches and
//! build output that never hold a producer's state. Deciding only, no I/O.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::producer::Producers;

/// Never walked, wherever they are.
const ALWAYS: &[&str] = &[
    // Version control: objects and refs, thousands of directories.
    ".git",
    ".hg",
    ".svn",
    ".bzr",
    ".jj",
    // Installed dependencies of a project.
    "node_modules",
    "bower_components",
    "site-packages",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".eggs",
    ".bundle",
    ".direnv",
    ".terraform",
    // Caches of tools inside a project.
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
    ".parcel-cache",
    ".turbo",
    ".next",
    ".nuxt",
    ".svelte-kit",
    ".angular",
    // Caches and installations of package managers and tool chains in a home directory.
    ".cache",
    ".cargo",
    ".rustup",
    ".npm",
    ".pnpm-store",
    ".yarn",
    ".bun",
    ".deno",
    ".nvm",
    ".volta",
    ".m2",
    ".gradle",
    ".ivy2",
    ".sbt",
    ".sdkman",
    ".pyenv",
    ".conda",
    ".rbenv",
    ".rvm",
    ".gem",
    ".nuget",
    ".dotnet",
    ".opam",
    ".stack",
    ".cabal",
    ".ghcup",
    ".pub-cache",
    ".composer",
    ".linuxbrew",
    "go/pkg",
    // Editors' servers, browsers' profiles, containers' layers: large and not the user's projects.
    ".vscode-server",
    ".cursor-server",
    ".mozilla",
    ".local/share/containers",
    ".local/share/docker",
    "var/lib/docker",
    "var/lib/containerd",
    "var/lib/containers",
    // What was thrown away is no build.
    ".local/share/Trash",
    ".Trash",
];

/// Build output, but ordinary words: not walked inside a project only.
const IN_PROJECTS: &[&str] = &["target", "dist", "build"];

/// A directory that holds one of these is a project.
const MARKERS: &[&str] = &[
    ".git",
    "Cargo.toml",
    "package.json",
    "deno.json",
    "pyproject.toml",
    "setup.py",
    "go.mod",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "build.sbt",
    "CMakeLists.txt",
    "meson.build",
    "composer.json",
    "Gemfile",
    "mix.exs",
    "stack.yaml",
    "Package.swift",
    "pubspec.yaml",
];

/// Prefix that marks a name of the setting as pruned inside projects only.
const PROJECT_PREFIX: &str = "project:";

/// Which directories are not walked: the setting `PHASELINE_PRUNE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune {
    names: BTreeSet<OsString>,
    endings: Vec<PathBuf>,
    in_projects: BTreeSet<OsString>,
}

impl Default for Prune {
    fn default() -> Self {
        let in_projects = IN_PROJECTS.iter().map(|name| (*name, true));
        Self::from_entries(ALWAYS.iter().map(|name| (*name, false)).chain(in_projects))
    }
}

impl Prune {
    /// Reads the setting: names separated by commas, which replace the built-in
    /// list. `go/pkg` means a `pkg` directly in a `go`; `project:target` means
    /// inside a project only (a directory with `.git` or a manifest).
    ///
    /// # Errors
    /// The entry that can match no directory: no relative name, a pattern, or
    /// a producer's directory, which is never left out.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut entries = Vec::new();
        for entry in list.split(',').map(str::trim).filter(|e| !e.is_empty()) {
            let (name, in_projects) = match entry.strip_prefix(PROJECT_PREFIX) {
                Some(name) => (name, true),
                None => (entry, false),
            };
            let plain = |part: &str| {
                !matches!(part, "" | "." | ".." | "~") && !part.contains(['*', '?', '[', '\0'])
            };
            let is_state = |name: &str| Producers::built_in().owns(Path::new(name));
            let never_matches = !name.split('/').all(plain) || is_state(name);
            if never_matches || (in_projects && name.contains('/')) {
                return Err(entry.to_owned());
            }
            entries.push((name, in_projects));
        }
        Ok(Self::from_entries(entries.into_iter()))
    }

    fn from_entries<'a>(entries: impl Iterator<Item = (&'a str, bool)>) -> Self {
        let mut prune = Self {
            names: BTreeSet::new(),
            endings: Vec::new(),
            in_projects: BTreeSet::new(),
        };
        for (name, in_projects) in entries {
            if in_projects {
                prune.in_projects.insert(name.into());
            } else if name.contains('/') {
                prune.endings.push(name.into());
            } else {
                prune.names.insert(name.into());
            }
        }
        prune
    }

    /// Whether this directory is left out, given whether its parent is a
    /// project. A root is never asked about, nor a producer's own directory.
    pub(crate) fn skips(&self, dir: &Path, parent_is_project: impl FnOnce() -> bool) -> bool {
        let Some(name) = dir.file_name() else {
            return false;
        };
        self.names.contains(name)
            || self.endings.iter().any(|ending| dir.ends_with(ending))
            || (self.in_projects.contains(name) && parent_is_project())
    }
}

/// Whether an entry of this name makes its directory a project.
pub(crate) fn is_marker(name: &OsStr) -> bool {
    MARKERS.iter().any(|marker| name == *marker)
}

/// Whether a directory is a project, asking the file system for each marker.
pub(crate) fn is_project(dir: &Path) -> bool {
    MARKERS
        .iter()
        .any(|marker| dir.join(marker).symlink_metadata().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skips(prune: &Prune, dir: &str, in_project: bool) -> bool {
        prune.skips(Path::new(dir), || in_project)
    }

    #[test]
    fn caches_are_left_out_everywhere_and_build_output_in_projects_only() {
        let prune = Prune::default();
        for name in [
            ".git",
            "node_modules",
            ".venv",
            "__pycache__",
            ".cargo",
            ".cache",
        ] {
            assert!(skips(&prune, &format!("/srv/{name}"), false), "{name}");
        }
        for name in ["target", "dist", "build"] {
            assert!(!skips(&prune, &format!("/srv/{name}"), false), "{name}");
            assert!(skips(&prune, &format!("/srv/{name}"), true), "{name}");
        }
        assert!(skips(&prune, "/home/u/go/pkg", false));
        assert!(!skips(&prune, "/home/u/pkg", false));
        assert!(!skips(&prune, "/srv/src", true));
    }

    #[test]
    fn the_setting_replaces_the_list_and_names_what_is_wrong() {
        let prune = Prune::parse("vendor, project:out ,a/b").unwrap();
        assert!(!skips(&prune, "/p/node_modules", true));
        assert!(skips(&prune, "/p/vendor", false));
        assert!(skips(&prune, "/p/out", true) && !skips(&prune, "/p/out", false));
        assert!(skips(&prune, "/p/a/b", false));
        for bad in [
            "/abs",
            "a//b",
            "a/b/",
            "..",
            "project:",
            "project:a/b",
            "*.cache",
            "~/old",
            "p/.context-foundry",
        ] {
            assert_eq!(Prune::parse(bad), Err(bad.to_owned()));
        }
    }
}
