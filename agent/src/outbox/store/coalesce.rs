//! What gives way when the outbox is full: of each file only the newest event
//! is kept. The one that stays remembers that others went, and a removal among them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use protocol::{Event, EventKind};
use rusqlite::{Connection, Transaction, params};

use super::gaps::{self, Gaps};
use super::{Row, StoreError, checksum, path_bytes};

/// Events that one transaction deletes; each touches a few pages.
const DELETED_AT_ONCE: usize = 256;

/// A file's events in the outbox.
#[derive(Default)]
pub(super) struct Older {
    rows: Vec<(i64, bool, i64)>,
    /// One of them is a removal, or a content after one.
    pub(super) boundary: bool,
}

impl Older {
    /// Those of this file.
    pub(super) fn of_file(tx: &Connection, path: &Path) -> Result<Self, StoreError> {
        let rows: Vec<(i64, bool, i64)> = tx
            .prepare_cached("SELECT id, boundary, length(payload) FROM event WHERE file = ?1")?
            .query_map([path_bytes(path)], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<Result<_, _>>()?;
        let boundary = rows.iter().any(|(_, boundary, _)| *boundary);
        Ok(Self { rows, boundary })
    }

    /// Their ids.
    pub(super) fn ids(&self) -> impl Iterator<Item = i64> {
        self.rows.iter().map(|(id, ..)| *id)
    }

    fn boundary_before(&self, newest: i64) -> bool {
        self.rows
            .iter()
            .any(|(id, boundary, _)| *boundary && *id < newest)
    }

    /// Deletes those before this id; how many, and their bytes.
    pub(super) fn delete(&self, tx: &Connection, before: i64) -> Result<(u64, u64), StoreError> {
        let (mut events, mut bytes) = (0, 0);
        for (id, _, size) in self.rows.iter().filter(|(id, ..)| *id < before) {
            tx.prepare_cached("DELETE FROM event WHERE id = ?1")?
                .execute([id])?;
            events += 1;
            bytes += size.unsigned_abs();
        }
        Ok((events, bytes))
    }
}

/// The removal before this content was coalesced away: the content says so itself.
fn mark_recreated(tx: &Transaction, id: i64) -> Result<(), StoreError> {
    let sql = "SELECT line, subject, message_id, payload FROM event WHERE id = ?1";
    let mut row = tx.query_row(sql, [id], |row| {
        Ok(Row {
            id,
            line: row.get(0)?,
            subject: row.get(1)?,
            message_id: row.get(2)?,
            payload: row.get::<_, Vec<u8>>(3)?.into(),
        })
    })?;
    let mut event: Event = serde_json::from_slice(&row.payload)?;
    if event.kind == EventKind::Content && !event.recreated {
        event.recreated = true;
        row.payload = serde_json::to_vec(&event)?.into();
        tx.execute(
            "UPDATE event SET payload = ?2, checksum = ?3, boundary = 1 WHERE id = ?1",
            params![id, &row.payload[..], checksum(&row).0],
        )?;
    }
    Ok(())
}

/// Keeps the newest event of each file. In small transactions, so that the
/// write-ahead file stays small too.
pub(super) fn all(db: &mut Connection, gaps: &mut Gaps) -> Result<(), StoreError> {
    let files: Vec<(Vec<u8>, i64)> = db
        .prepare("SELECT file, max(id) FROM event GROUP BY file HAVING count(*) > 1")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (file, newest) in files {
        let tx = db.transaction()?;
        let file = Path::new(OsStr::from_bytes(&file));
        let older = Older::of_file(&tx, file)?;
        // First, so that nothing of it is forgotten in between.
        if older.boundary_before(newest) {
            mark_recreated(&tx, newest)?;
        }
        let ids: Vec<i64> = older.ids().filter(|id| *id < newest).collect();
        let marked = gaps::mark(&tx, file, ids.iter().copied(), newest)?;
        tx.commit()?;
        if marked {
            gaps.dropped(ids.iter().copied(), newest);
        }
        for some in ids.chunks(DELETED_AT_ONCE) {
            let tx = db.transaction()?;
            for id in some {
                tx.prepare_cached("DELETE FROM event WHERE id = ?1")?
                    .execute([id])?;
            }
            tx.commit()?;
        }
    }
    Ok(())
}
