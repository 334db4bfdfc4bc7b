//! What a running `phaseline up` tells other programs of the same user, such
//! as `phaseline demo`: a file in the state directory, gone when it stops.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::lock::DirLock;
use crate::secret::write_private;

/// Where a running system can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuntimeFile {
    /// Address of the dashboard, e.g. `http://127.0.0.1:8080`.
    pub(crate) page: String,
    /// Address of NATS, without credentials.
    pub(crate) nats_url: String,
    /// NATS user for agents.
    pub(crate) nats_user: String,
    /// File with that user's password.
    pub(crate) nats_password_file: PathBuf,
}

impl RuntimeFile {
    /// Writes it, readable by its owner only.
    pub(crate) fn write(&self, state_dir: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("failed to write JSON")?;
        write_private(&path(state_dir), &text)
    }

    /// What the running system wrote; `None` when none runs on this state directory.
    pub(crate) fn read(state_dir: &Path) -> Result<Option<Self>> {
        // One that was killed leaves its file, but not its lock.
        if !DirLock::is_held(state_dir) {
            return Ok(None);
        }
        let path = path(state_dir);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            // It is still starting.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("failed to read {}", path.display()));
            }
        };
        serde_json::from_str(&text)
            .map(Some)
            .with_context(|| format!("failed to understand {}", path.display()))
    }

    /// Removes it; a missing one is fine.
    pub(crate) fn remove(state_dir: &Path) {
        let path = path(state_dir);
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "failed to remove the runtime file");
        }
    }
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("runtime.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_a_killed_system_left_counts_as_nothing_running() {
        let dir = tempfile::tempdir().unwrap();
        let file = RuntimeFile {
            page: "http://127.0.0.1:8080".to_owned(),
            nats_url: "nats://127.0.0.1:4222".to_owned(),
            nats_user: "agent".to_owned(),
            nats_password_file: "/s/nats/agent.password".into(),
        };
        let lock = DirLock::take(dir.path()).unwrap();
        assert_eq!(RuntimeFile::read(dir.path()).unwrap(), None);
        file.write(dir.path()).unwrap();
        assert_eq!(RuntimeFile::read(dir.path()).unwrap(), Some(file));
        drop(lock);
        assert_eq!(RuntimeFile::read(dir.path()).unwrap(), None);
        RuntimeFile::remove(dir.path());
        RuntimeFile::remove(dir.path());
    }
}
