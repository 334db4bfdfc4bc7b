//! How far each log was shipped, over restarts: a small database of its own,
//! so that saving never waits for the outbox nor keeps it waiting. It is a
//! memory, not a record: where it is lost or damaged it is begun anew, and
//! what the files' ends hold is shipped once more.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::tail::State;

/// Files that were not read for so long are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30 * 86_400);
/// Version of the table, in SQLite's `user_version`.
const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = "
CREATE TABLE position (
    path    BLOB PRIMARY KEY,
    state   TEXT NOT NULL, -- as JSON
    seen_at INTEGER NOT NULL -- seconds since the Unix epoch
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 1;";

/// The positions, opened with the first log: most agents have none, and stay small.
#[derive(Debug)]
pub(crate) struct Saved {
    dir: PathBuf,
    db: OnceLock<Mutex<Option<Connection>>>,
}

impl Saved {
    /// What is in this directory.
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            db: OnceLock::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        let db = self.db.get_or_init(|| Mutex::new(self.open()));
        db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens what is there, or begins it.
    fn open(&self) -> Option<Connection> {
        let dir = &self.dir;
        let path = dir.join("logs.db");
        let opened = open(&path).or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "failed to read how far logs were shipped: the ends of all logs are shipped once more");
            for ending in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(dir.join(format!("logs.db{ending}")));
            }
            open(&path)
        });
        if let Err(error) = &opened {
            tracing::error!(path = %path.display(), %error, "how far logs are shipped is not kept over a restart");
        }
        opened.ok()
    }

    /// Where the reading of a file stood.
    pub(super) fn get(&self, path: &Path) -> Option<State> {
        let db = self.lock();
        let mut query = db
            .as_ref()?
            .prepare_cached("SELECT state FROM position WHERE path = ?1")
            .ok()?;
        let found: Option<String> = query
            .query_row([path.as_os_str().as_bytes()], |row| row.get(0))
            .optional()
            .ok()?;
        serde_json::from_str(&found?).ok()
    }

    /// Keeps where it stands. What cannot be kept is shipped once more after a restart.
    pub(super) fn put(&self, path: &Path, state: &State) {
        let db = self.lock();
        let (Some(db), Ok(text)) = (db.as_ref(), serde_json::to_string(state)) else {
            return;
        };
        let done = db
            .prepare_cached(
                "INSERT INTO position (path, state, seen_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (path) DO UPDATE SET state = ?2, seen_at = ?3",
            )
            .and_then(|mut put| put.execute(params![path.as_os_str().as_bytes(), text, now()]));
        if let Err(error) = done {
            tracing::debug!(path = %path.display(), %error, "failed to keep how far a log was shipped");
        }
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "wal")?;
    // Not synced: after a loss of power the newest lines come again, and are known by their identity.
    db.pragma_update(None, "synchronous", "off")?;
    db.pragma_update(None, "cache_size", -256)?;
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != SCHEMA_VERSION {
        db.execute_batch(SCHEMA)?;
    }
    let old = now() - i64::try_from(FORGOTTEN_AFTER.as_secs()).unwrap_or(i64::MAX);
    db.execute("DELETE FROM position WHERE seen_at < ?1", [old])?;
    let found: String = db.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    match found.as_str() {
        "ok" => Ok(db),
        _ => Err(rusqlite::Error::InvalidQuery),
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_outlive_a_restart_and_a_damaged_memory_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = Path::new("/p/execution.log");
        let mut state = State::default();
        (state.generation, state.position) = (7, 99);
        let saved = Saved::new(dir.path());
        assert_eq!(saved.get(path), None);
        saved.put(path, &state);
        drop(saved);
        let saved = Saved::new(dir.path());
        assert_eq!(saved.get(path), Some(state.clone()));
        drop(saved);
        std::fs::write(dir.path().join("logs.db"), "no database").unwrap();
        let saved = Saved::new(dir.path());
        assert_eq!(saved.get(path), None);
        saved.put(path, &state);
        assert_eq!(saved.get(path), Some(state));
    }
}
