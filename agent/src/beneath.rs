//! Opening files beneath a watched root and nowhere else: no symbolic link is
//! followed, and what is no regular file (a pipe, a device) is never opened,
//! because opening alone can block or have effects.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// The kernel or a container's filter refuses `openat2`; asked once only.
static OPENAT2_REFUSED: AtomicBool = AtomicBool::new(false);

/// True only in the test that shows what looking before opening is for.
static OPENS_ANYTHING: AtomicBool = AtomicBool::new(false);

/// Opens whatever is there, as programs usually do.
pub(crate) fn open_anything() {
    OPENS_ANYTHING.store(true, Ordering::Relaxed);
}

/// A root, opened for looking beneath it. Held for one observation only, so
/// that a file system can be unmounted.
#[derive(Debug)]
pub(crate) struct Beneath {
    root: OwnedFd,
}

/// A regular file's content and what the system says of it.
#[derive(Debug)]
pub(crate) struct Reading {
    /// The content, at most as long as was asked for.
    pub(crate) bytes: Vec<u8>,
    /// What is known of the file.
    pub(crate) meta: Meta,
}

/// What the system says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Meta {
    /// Modification time, nanoseconds since the Unix epoch.
    pub(crate) mtime_ns: i64,
    /// Inode number.
    pub(crate) inode: u64,
    /// Bytes.
    pub(crate) size: u64,
}

/// Why a file gave no content.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It is not there.
    Missing,
    /// It is a directory, a pipe, a device, a socket, or behind a symbolic link.
    NotRegular(&'static str),
    /// It is larger than was asked for.
    TooLarge(Meta),
    /// The system refused.
    Refused(io::Error),
}

impl Beneath {
    /// Opens a root; symbolic links in the root's own path are followed.
    ///
    /// # Errors
    /// When it is not there or no directory.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())?;
        Ok(Self { root })
    }

    /// Reads a regular file of at most `max` bytes.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub(crate) fn read(&self, relative: &Path, max: u64) -> Result<Reading, ReadError> {
        let (file, meta) = self.open_file(relative)?;
        if meta.size > max {
            return Err(ReadError::TooLarge(meta));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(meta.size).unwrap_or(0) + 1);
        file.take(max + 1)
            .read_to_end(&mut bytes)
            .map_err(ReadError::Refused)?;
        let size = bytes.len() as u64;
        let meta = Meta { size, ..meta };
        if size > max {
            return Err(ReadError::TooLarge(meta));
        }
        Ok(Reading { bytes, meta })
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub(crate) fn open_file(&self, relative: &Path) -> Result<(File, Meta), ReadError> {
        if OPENS_ANYTHING.load(Ordering::Relaxed) {
            let file = self.find(relative, OFlags::RDONLY)?;
            let found = rustix::fs::fstat(&file).map_err(ReadError::from)?;
            return Ok((File::from(file), meta(&found)));
        }
        let handle = self.find(relative, OFlags::PATH)?;
        let found = rustix::fs::fstat(&handle).map_err(ReadError::from)?;
        if let Some(kind) = not_regular(&found) {
            return Err(ReadError::NotRegular(kind));
        }
        // Opened for reading only now that it is known to be regular. NONBLOCK in case it was swapped since.
        let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        if found.st_uid == rustix::process::geteuid().as_raw() {
            // Reading leaves no trace, and never waits until the disk has noted one. Allowed to owners only.
            flags |= OFlags::NOATIME;
        }
        let file = self.find(relative, flags)?;
        let stat = rustix::fs::fstat(&file).map_err(ReadError::from)?;
        if let Some(kind) = not_regular(&stat) {
            return Err(ReadError::NotRegular(kind));
        }
        Ok((File::from(file), meta(&stat)))
    }

    /// What the system says of a regular file, without opening it.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub(crate) fn look(&self, relative: &Path) -> Result<Meta, ReadError> {
        let handle = self.find(relative, OFlags::PATH)?;
        let found = rustix::fs::fstat(&handle).map_err(ReadError::from)?;
        match not_regular(&found) {
            Some(kind) => Err(ReadError::NotRegular(kind)),
            None => Ok(meta(&found)),
        }
    }

    /// Whether there is a directory at this path; none when there is nothing.
    pub(crate) fn is_dir(&self, relative: &Path) -> Option<bool> {
        let handle = self.find(relative, OFlags::PATH).ok()?;
        let stat = rustix::fs::fstat(&handle).ok()?;
        Some(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    /// What the system says of a path, without opening it.
    pub(crate) fn meta(&self, relative: &Path) -> Option<Meta> {
        let handle = self.find(relative, OFlags::PATH).ok()?;
        rustix::fs::fstat(&handle).ok().map(|stat| meta(&stat))
    }

    fn find(&self, relative: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if !OPENAT2_REFUSED.load(Ordering::Relaxed) {
            let resolve =
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(&self.root, relative, flags, Mode::empty(), resolve) {
                // Kernels before 5.6 do not know it; older container filters say EPERM, which opening never does here.
                Err(Errno::NOSYS | Errno::PERM) => OPENAT2_REFUSED.store(true, Ordering::Relaxed),
                result => return result,
            }
        }
        self.find_stepwise(relative, flags)
    }

    /// What `openat2` does, one component at a time.
    fn find_stepwise(&self, relative: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let step = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at = rustix::fs::openat(&self.root, ".", step, Mode::empty())?;
        let mut components = relative.components().peekable();
        while let Some(component) = components.next() {
            let Component::Normal(name) = component else {
                return Err(Errno::XDEV);
            };
            let flags = match components.peek() {
                Some(_) => step,
                None => flags,
            };
            at = rustix::fs::openat(&at, name, flags, Mode::empty())?;
            if components.peek().is_some() {
                let mode = rustix::fs::fstat(&at)?.st_mode;
                if FileType::from_raw_mode(mode) == FileType::Symlink {
                    return Err(Errno::LOOP);
                }
            }
        }
        Ok(at)
    }
}

impl From<Errno> for ReadError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR => Self::Missing,
            Errno::LOOP => Self::NotRegular("a symbolic link, or behind one"),
            Errno::XDEV => Self::NotRegular("outside of the watched root"),
            // A socket, or a pipe or device that was swapped in after the check.
            Errno::NXIO | Errno::NODEV => Self::NotRegular("a pipe, socket or device"),
            other => Self::Refused(other.into()),
        }
    }
}

fn not_regular(stat: &Stat) -> Option<&'static str> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Symlink => Some("a symbolic link"),
        FileType::Fifo => Some("a pipe"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        FileType::Unknown => Some("of no known kind"),
    }
}

fn meta(stat: &Stat) -> Meta {
    let nanos = i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
    Meta {
        mtime_ns: stat
            .st_mtime
            .saturating_mul(1_000_000_000)
            .saturating_add(nanos),
        inode: stat.st_ino,
        size: u64::try_from(stat.st_size).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    fn tree() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/f"), "inside").unwrap();
        std::fs::write(dir.path().join("secret"), "outside").unwrap();
        symlink(dir.path().join("secret"), root.join("a/link")).unwrap();
        symlink("b", root.join("a/dirlink")).unwrap();
        (dir, root)
    }

    fn word(result: Result<Reading, ReadError>) -> String {
        match result {
            Ok(reading) => String::from_utf8(reading.bytes).unwrap(),
            Err(ReadError::Missing) => "missing".into(),
            Err(ReadError::NotRegular(kind)) => kind.into(),
            Err(ReadError::TooLarge(_)) => "too large".into(),
            Err(ReadError::Refused(error)) => error.to_string(),
        }
    }

    fn behaves(read: impl Fn(&Path, u64) -> Result<Reading, ReadError>) {
        let read = |path: &str, max| word(read(Path::new(path), max));
        assert_eq!(read("a/b/f", 6), "inside");
        assert_eq!(read("a/b/f", 5), "too large");
        assert_eq!(read("a/b/none", 9), "missing");
        assert_eq!(read("a/b/f/x", 9), "missing");
        assert_eq!(read("a/b", 9), "a directory");
        assert!(read("a/link", 9).contains("symbolic link"));
        assert!(read("a/dirlink/f", 9).contains("symbolic link"));
        assert!(read("../secret", 9).contains("outside"));
    }

    #[test]
    fn only_regular_files_beneath_the_root_are_read() {
        let (_dir, root) = tree();
        let beneath = Beneath::open(&root).unwrap();
        behaves(|path, max| beneath.read(path, max));
    }

    #[test]
    fn the_stepwise_way_finds_and_refuses_the_same() {
        let (_dir, root) = tree();
        let beneath = Beneath::open(&root).unwrap();
        for (path, errno) in [
            ("a/dirlink/f", Some(Errno::LOOP)),
            ("../secret", Some(Errno::XDEV)),
            ("a/none", Some(Errno::NOENT)),
            ("a/b/f", None),
        ] {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let found = beneath.find_stepwise(Path::new(path), flags);
            assert_eq!(found.err(), errno, "{path}");
        }
    }

    #[test]
    fn a_pipe_is_neither_opened_nor_read() {
        let (_dir, root) = tree();
        let pipe = root.join("a/pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let beneath = Beneath::open(&root).unwrap();
        assert_eq!(word(beneath.read(Path::new("a/pipe"), 9)), "a pipe");
    }
}
