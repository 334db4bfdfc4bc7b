//! The agent's own directory: one agent at a time, its random identity, and
//! where the outbox lies. Readable by the agent's user only.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use protocol::AgentId;

/// The directory, held by this process until it is dropped.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    _lock: File,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateDirError {
    /// Another agent holds it.
    #[error("{0} is in use by another phaseline-agent; give each its own PHASELINE_STATE_DIR")]
    InUse(PathBuf),
    /// The system refused.
    #[error("failed to use the state directory {0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// The identity in it is none.
    #[error("{0} does not hold 16 hex digits; remove it to take a new identity")]
    BadIdentity(PathBuf),
}

impl StateDirError {
    /// The disk has no room for the few bytes of it: worth another try.
    pub(crate) fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io(_, error) if matches!(error.kind(), StorageFull | QuotaExceeded))
    }
}

impl StateDir {
    /// Creates the directory (mode 0700) where it is missing, and takes it.
    ///
    /// # Errors
    /// See [`StateDirError`].
    pub(crate) fn take(path: &Path) -> Result<Self, StateDirError> {
        let failed = |error| StateDirError::Io(path.to_owned(), error);
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(path.join("agent.lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(StateDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The identity of this directory, and whether it was there before: random,
    /// made once. It is kept outside of the outbox, so that it outlives a broken one.
    ///
    /// # Errors
    /// See [`StateDirError`].
    pub(crate) fn agent_id(&self) -> Result<(AgentId, bool), StateDirError> {
        let path = self.path.join("agent-id");
        match fs::read_to_string(&path) {
            Ok(text) => text
                .trim()
                .parse()
                .map(|id| (id, true))
                .map_err(|_| StateDirError::BadIdentity(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let id = AgentId(rand::random());
                match write_whole(&self.path, &path, &format!("{id}\n")) {
                    Ok(()) => Ok((id, false)),
                    Err(error) => Err(StateDirError::Io(path, error)),
                }
            }
            Err(error) => Err(StateDirError::Io(path, error)),
        }
    }

    /// Where the directory is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes beside, syncs, renames: the file is there whole or not at all.
fn write_whole(dir: &Path, path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600);
    let mut file = options.open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_identity_is_made_once_and_the_directory_is_private() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/state");
        let first = StateDir::take(&path).unwrap().agent_id().unwrap();
        let second = StateDir::take(&path).unwrap().agent_id().unwrap();
        assert_eq!((first.0, true), second);
        assert!(!first.1, "made just now");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn two_agents_cannot_share_a_directory() {
        let temp = tempfile::tempdir().unwrap();
        let _first = StateDir::take(temp.path()).unwrap();
        let second = StateDir::take(temp.path());
        assert!(matches!(second, Err(StateDirError::InUse(_))));
    }
}
