//! How far growing files were read and what they added up to, kept beside
//! what is known of them.

use std::path::Path;

use protocol::ContentHash;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Store, StoreError, path_bytes};

impl Store {
    /// What was kept of a growing file.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn grown(&self, path: &Path) -> Result<Option<String>, StoreError> {
        let sql = "SELECT saved, checksum FROM grown WHERE path = ?1";
        let mut query = self.db.prepare_cached(sql)?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found: Option<(String, [u8; 32])> =
            query.query_row([path_bytes(path)], row).optional()?;
        match found {
            Some((saved, found)) if ContentHash::of(saved.as_bytes()).0 != found => {
                let path = path.to_string_lossy();
                Err(StoreError::Damaged(format!(
                    "the checksum of how far {path} was read does not fit"
                )))
            }
            found => Ok(found.map(|(saved, _)| saved)),
        }
    }

    /// Keeps how far a growing file was read without an event.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn save_grown(&self, path: &Path, saved: &str) -> Result<(), StoreError> {
        Ok(put(&self.db, path, saved)?)
    }
}

pub(super) fn put(db: &Connection, path: &Path, saved: &str) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO grown (path, saved, checksum) VALUES (?1, ?2, ?3)
         ON CONFLICT (path) DO UPDATE SET saved = ?2, checksum = ?3",
    )?
    .execute(params![
        path_bytes(path),
        saved,
        ContentHash::of(saved.as_bytes()).0
    ])?;
    Ok(())
}

/// Forgets those of which nothing else is known any more.
pub(super) fn forget_gone(db: &Connection) -> rusqlite::Result<()> {
    let sql = "DELETE FROM grown WHERE path NOT IN (SELECT path FROM file)";
    db.execute(sql, []).map(|_| ())
}
