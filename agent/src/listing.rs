//! One directory, read once: which directories to go on to, which state files
//! are in it, and whether it is a project. Symbolic links are not followed.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

use crate::producer::Producers;
use crate::{filesystem, prune};

/// What tells one directory from another, over renames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// Device.
    pub(crate) dev: u64,
    /// Inode number.
    pub(crate) inode: u64,
}

impl Identity {
    /// Of what is at this path now; symbolic links are followed.
    ///
    /// # Errors
    /// When nothing is there or it may not be looked at.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&rustix::fs::stat(path)?))
    }

    /// Of the directory at this path now; a symbolic link is none.
    ///
    /// # Errors
    /// When no directory is there or it may not be looked at.
    pub(crate) fn of_dir(path: &Path) -> io::Result<Self> {
        let stat = rustix::fs::lstat(path)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(Self::from(&stat)),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }
}

impl From<&Stat> for Identity {
    fn from(stat: &Stat) -> Self {
        Self {
            dev: stat.st_dev,
            inode: stat.st_ino,
        }
    }
}

/// An open directory, not read yet: it may turn out not to be wanted.
#[derive(Debug)]
pub(crate) struct OpenDir {
    fd: OwnedFd,
    /// Which directory this is.
    pub(crate) identity: Identity,
}

/// What is in a directory.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// It has `.git` or a manifest.
    pub(crate) is_project: bool,
    /// Directories that lead to no producer's files, by name, the last first.
    pub(crate) dirs: Vec<OsString>,
    /// Directories that do, or that may, by name.
    pub(crate) state_dirs: Vec<OsString>,
    /// Producers' own directories that are symbolic links, which are not followed.
    pub(crate) state_links: Vec<OsString>,
    /// Producers' files by name, in the order to read them; of whatever kind they are.
    pub(crate) state_files: Vec<OsString>,
}

impl OpenDir {
    /// Opens a directory. Only a root may be reached by a symbolic link.
    ///
    /// # Errors
    /// When it is not there, no directory, or may not be read.
    pub(crate) fn open(path: &Path, is_root: bool) -> io::Result<Self> {
        let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        if !is_root {
            flags |= OFlags::NOFOLLOW;
        }
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        let identity = Identity::from(&rustix::fs::fstat(&fd)?);
        Ok(Self { fd, identity })
    }

    /// The kind of file system it is on.
    pub(crate) fn kind(&self) -> filesystem::Kind {
        filesystem::kind_of(&self.fd)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the system fails to.
    pub(crate) fn list(self, path: &Path, producers: &Producers) -> io::Result<Listing> {
        let owned = producers.owns(path);
        let mut listing = Listing::default();
        let mut dir = Dir::new(self.fd)?;
        while let Some(entry) = dir.read() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            if producers.knows_in(path, name) {
                listing.state_files.push(name.to_owned());
                continue;
            }
            if prune::is_marker(name) {
                listing.is_project = true;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => type_of(&dir, name),
                known => known,
            };
            if kind == FileType::Directory {
                if producers.leads(&path.join(name)).is_some() {
                    listing.state_dirs.push(name.to_owned());
                } else if !owned {
                    listing.dirs.push(name.to_owned());
                }
            } else if kind == FileType::Symlink && producers.owns(&path.join(name)) {
                listing.state_links.push(name.to_owned());
            }
        }
        // In an order that is the same at every start: where one directory has two names, the first one counts.
        listing.dirs.sort_unstable_by(|a, b| b.cmp(a));
        listing
            .state_files
            .sort_by_cached_key(|name| producers.rank(&path.join(name)));
        Ok(listing)
    }
}

/// For file systems whose entries do not say what they are.
fn type_of(dir: &Dir, name: &OsStr) -> FileType {
    dir.fd()
        .and_then(|dir| rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW))
        .map_or(FileType::Unknown, |stat| {
            FileType::from_raw_mode(stat.st_mode)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_tells_projects_state_and_links_apart() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for sub in ["src", ".context-foundry/deeper", ".git", "agents/1f/ops"] {
            std::fs::create_dir_all(root.join(sub)).unwrap();
        }
        std::os::unix::fs::symlink("src", root.join("link")).unwrap();
        std::fs::write(root.join(".context-foundry/current-phase.json"), "{}").unwrap();
        std::fs::write(root.join(".context-foundry/notes.md"), "").unwrap();
        let list = |path: &Path| {
            let open = OpenDir::open(path, false).unwrap();
            open.list(path, &Producers::built_in()).unwrap()
        };
        let mut listing = list(root);
        assert!(listing.is_project);
        assert_eq!(listing.dirs, ["src", ".git"]);
        listing.state_dirs.sort();
        assert_eq!(listing.state_dirs, [".context-foundry", "agents"]);
        let state = list(&root.join(".context-foundry"));
        assert_eq!(state.state_files, ["current-phase.json"]);
        assert!(state.dirs.is_empty());
        for file in [
            "error.log",
            "notes",
            "completed_phases.json",
            "adw_state.json",
        ] {
            std::fs::write(root.join("agents/1f").join(file), "").unwrap();
        }
        let workflow = list(&root.join("agents/1f"));
        assert_eq!(
            workflow.state_files,
            ["adw_state.json", "completed_phases.json", "error.log"]
        );
        assert_eq!(
            workflow.state_dirs,
            ["ops"],
            "an agent's output may be in it"
        );
        assert!(OpenDir::open(&root.join("link"), false).is_err());
        assert!(OpenDir::open(&root.join("link"), true).is_ok());
    }
}
