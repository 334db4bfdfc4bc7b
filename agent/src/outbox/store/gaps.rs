//! What gave way for want of room, so that its build says so: events that tell
//! that older ones of their file were dropped, and files of which a state was
//! refused. Small rows, because they are written when there is hardly any room.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use protocol::{ContentHash, Event};
use rusqlite::{Connection, params};

use super::{Row, Store, StoreError, path_bytes};

/// Position of what the next event of a file tells.
const NEXT: i64 = 0;

/// A state that was refused; none: another one after it was too, so that one gave way for certain.
pub(crate) type Refused = Option<ContentHash>;

/// Waiting events before which states of their file gave way.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// Each with whether it tells so now, and not only after a kill.
    marked: BTreeMap<i64, bool>,
    /// Events up to here were given out: what is dropped of them is sent all the same, while this process lives.
    given: i64,
}

impl Gaps {
    /// Reads those of the last process: what it had given out and not sent is gone with it.
    pub(super) fn load(db: &Connection) -> Result<Self, StoreError> {
        let stale = "DELETE FROM gap WHERE event <> ?1 AND event NOT IN (SELECT id FROM event)";
        db.execute(stale, [NEXT])?;
        let rows = rows(db)?.into_iter().filter(|(_, event, _)| *event != NEXT);
        Ok(Self {
            marked: rows.map(|(_, event, _)| (event, true)).collect(),
            given: 0,
        })
    }

    /// Events up to this one were given out.
    pub(super) fn gave(&mut self, newest: i64) {
        self.given = newest.max(self.given);
    }

    /// These older events of the file of `event` were dropped.
    pub(super) fn dropped(&mut self, older: impl Iterator<Item = i64>, event: i64) {
        let mut unsent = false;
        for id in older {
            unsent |= id > self.given;
            self.marked.remove(&id);
        }
        self.marked.insert(event, unsent);
    }

    /// There is a row that says that others gave way before it.
    pub(super) fn is_marked(&self, event: i64) -> bool {
        self.marked.contains_key(&event)
    }

    /// These have left.
    pub(super) fn acknowledged(&mut self, events: &[i64]) {
        if !self.marked.is_empty() {
            for event in events {
                self.marked.remove(event);
            }
        }
    }

    /// The row as it is to be sent.
    pub(super) fn told(&self, row: Row) -> Result<Row, StoreError> {
        if self.marked.get(&row.id) != Some(&true) {
            return Ok(row);
        }
        let mut event: Event = serde_json::from_slice(&row.payload)?;
        event.gap = true;
        let payload = serde_json::to_vec(&event)?.into();
        Ok(Row { payload, ..row })
    }
}

/// Notes that these older events of the file are dropped before this one. True
/// but for a file that grows: nothing of it is missing then, because each event
/// tells all before it.
pub(super) fn mark(
    db: &Connection,
    file: &Path,
    older: impl Iterator<Item = i64>,
    event: i64,
) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM grown WHERE path = ?1)";
    let file = path_bytes(file);
    let grows: bool = db
        .prepare_cached(sql)?
        .query_row([file], |row| row.get(0))?;
    for id in older {
        forget_told(db, id)?;
    }
    if !grows {
        put(db, file, event, None)?;
    }
    Ok(!grows)
}

/// The event has left.
pub(super) fn forget_told(db: &Connection, event: i64) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM gap WHERE event = ?1")?
        .execute([event])?;
    Ok(())
}

/// The file's next event is written: it has told what was refused.
pub(super) fn forget_refused(db: &Connection, file: &Path) -> Result<(), StoreError> {
    let sql = "DELETE FROM gap WHERE file = ?1 AND event = ?2";
    db.execute(sql, params![path_bytes(file), NEXT])?;
    Ok(())
}

impl Store {
    /// Files of which the last process could not keep a state.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn refused(&self) -> Result<Vec<(PathBuf, Refused)>, StoreError> {
        let rows = rows(&self.db)?.into_iter();
        let next = rows.filter(|(_, event, _)| *event == NEXT);
        Ok(next.map(|(file, _, refused)| (file, refused)).collect())
    }

    /// Keeps over a kill that a state of the file was refused.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn save_refused(&self, file: &Path, refused: Refused) -> Result<(), StoreError> {
        put(&self.db, path_bytes(file), NEXT, refused)
    }
}

fn put(db: &Connection, file: &[u8], event: i64, refused: Refused) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO gap (file, event, refused, checksum) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (event, file) DO UPDATE SET refused = ?3, checksum = ?4",
    )?
    .execute(params![
        file,
        event,
        refused.map(|hash| hash.0),
        checksum(file, event, refused).0
    ])?;
    Ok(())
}

fn rows(db: &Connection) -> Result<Vec<(PathBuf, i64, Refused)>, StoreError> {
    let mut query = db.prepare("SELECT file, event, refused, checksum FROM gap")?;
    let found = query.query_map([], |row| {
        let refused: Option<[u8; 32]> = row.get(2)?;
        let file: Vec<u8> = row.get(0)?;
        Ok((file, row.get(1)?, refused.map(ContentHash), row.get(3)?))
    })?;
    let mut rows = Vec::new();
    for row in found {
        let (file, event, refused, found): (Vec<u8>, i64, Refused, [u8; 32]) = row?;
        if checksum(&file, event, refused).0 != found {
            return Err(StoreError::Damaged(
                "the checksum of what gave way does not fit".to_owned(),
            ));
        }
        rows.push((PathBuf::from(OsStr::from_bytes(&file)), event, refused));
    }
    Ok(rows)
}

fn checksum(file: &[u8], event: i64, refused: Refused) -> ContentHash {
    let mut bytes = file.to_vec();
    bytes.extend_from_slice(&event.to_le_bytes());
    bytes.extend_from_slice(refused.as_ref().map_or(&[], |hash| &hash.0[..]));
    ContentHash::of(&bytes)
}
