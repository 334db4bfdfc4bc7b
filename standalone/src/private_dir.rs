//! Directories that only their owner can enter. A server's is for one launcher at a time.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::lock::DirLock;

/// Creates a directory that only its owner can enter, and its parents.
pub(crate) fn create_private_dir(dir: &Path) -> Result<()> {
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("failed to create {}", parent.display()))?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("failed to create {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// A server's directory, ours until this is dropped.
#[derive(Debug)]
pub(crate) struct ServerDir {
    path: PathBuf,
    _lock: DirLock,
}

impl ServerDir {
    /// Creates it if missing, and keeps other launchers out.
    ///
    /// # Errors
    /// When it cannot be created or another launcher has it.
    pub(crate) fn take(dir: &Path) -> Result<Self> {
        create_private_dir(dir)?;
        let path = dir
            .canonicalize()
            .with_context(|| format!("failed to find {}", dir.display()))?;
        let lock = DirLock::take(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Absolute, without links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_directory_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        create_private_dir(&path).unwrap();
        create_private_dir(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_servers_directory_has_one_launcher_and_no_links_in_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap().join("real");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let taken = ServerDir::take(&real).unwrap();
        assert_eq!(taken.path(), real);
        let refused = ServerDir::take(&link).unwrap_err().to_string();
        assert!(refused.contains("is in use by process"), "{refused}");
        drop(taken);
        assert_eq!(ServerDir::take(&link).unwrap().path(), real);
    }
}
