//! One directory, read once: which directories to go on to, which state files
//! are in it, and whether it is a project. Symbolic links are not followed.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

use crate::{filesystem, producer, prune};

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
    /// Directories other than a producer's, by name, the last first.
    pub(crate) dirs: Vec<OsString>,
    /// Directories in which a producer keeps its state, by name.
    pub(crate) state_dirs: Vec<OsString>,
    /// The same that are symbolic links, which are not followed.
    pub(crate) state_links: Vec<OsString>,
    /// State files by name, if this is a producer's directory; of whatever kind they are.
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
    pub(crate) fn list(self, path: &Path) -> io::Result<Listing> {
        let producer = path.file_name().and_then(producer::of_dir);
        let mut listing = Listing::default();
        let mut dir = Dir::new(self.fd)?;
        while let Some(entry) = dir.read() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            if let Some(producer) = producer {
                // Nothing beneath a producer's directory is needed, so it is not walked further.
                if producer.files.iter().any(|file| name == file.name) {
                    listing.state_files.push(name.to_owned());
                }
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
                if producer::of_dir(name).is_some() {
                    listing.state_dirs.push(name.to_owned());
                } else {
                    listing.dirs.push(name.to_owned());
                }
            } else if kind == FileType::Symlink && producer::of_dir(name).is_some() {
                listing.state_links.push(name.to_owned());
            }
        }
        // In an order that is the same at every start: where one directory has two names, the first one counts.
        listing.dirs.sort_unstable_by(|a, b| b.cmp(a));
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
        for sub in ["src", ".context-foundry/deeper", ".git"] {
            std::fs::create_dir_all(root.join(sub)).unwrap();
        }
        std::os::unix::fs::symlink("src", root.join("link")).unwrap();
        std::fs::write(root.join(".context-foundry/current-phase.json"), "{}").unwrap();
        std::fs::write(root.join(".context-foundry/notes.md"), "").unwrap();
        let list = |path: &Path| OpenDir::open(path, false).unwrap().list(path).unwrap();
        let listing = list(root);
        assert!(listing.is_project);
        assert_eq!(listing.dirs, ["src", ".git"]);
        assert_eq!(listing.state_dirs, [".context-foundry"]);
        let state = list(&root.join(".context-foundry"));
        assert_eq!(state.state_files, ["current-phase.json"]);
        assert!(state.dirs.is_empty());
        assert!(OpenDir::open(&root.join("link"), false).is_err());
        assert!(OpenDir::open(&root.join("link"), true).is_ok());
    }
}
