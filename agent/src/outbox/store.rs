//! All SQL of the agent. One connection, written
//! ahead and not synced here: a write survives the death of the process, and
//! the group sync ([`super::sync`]) brings it to the disk. That is why it is
//! SQLite: what a store like redb has not synced is in its memory, and dies with `kill -9`.

mod boot;
mod coalesce;
mod error;
mod files;
mod fresh;
mod gaps;
mod grown;
mod open;
mod room;
mod row;
mod transaction;
mod wal;

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use protocol::{ContentHash, Event, EventKind};
use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use crate::change::Known;
use coalesce::Older;
pub(crate) use error::StoreError;
use fresh::Fresh;
use gaps::Gaps;
pub(crate) use gaps::Refused;
use room::Room;
pub(crate) use row::Row;
use row::{checksum, insert};

/// The database of one agent.
#[derive(Debug)]
pub(crate) struct Store {
    db: Connection,
    room: Room,
    fresh: Fresh,
    gaps: Gaps,
    /// A transaction for many events is open.
    begun_many: bool,
    /// Events that wait.
    pub(crate) events: u64,
    /// Their payloads, bytes.
    pub(crate) bytes: u64,
    /// There was nothing before.
    pub(crate) begun: bool,
    /// What was written last is missing; why.
    pub(crate) shortened: Option<String>,
}

impl Store {
    /// Opens or begins the database, which may take `max_bytes` on the disk
    /// (beside its write-ahead file), and begins a boot after `boot`. Ids go on after `last_id`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn open(
        path: &Path,
        max_bytes: u64,
        last_id: i64,
        boot: Uuid,
    ) -> Result<(Self, Uuid), StoreError> {
        let opened = open::open(path)?;
        let mut store = Self {
            db: opened.db,
            begun: opened.begun,
            shortened: opened.shortened,
            room: Room::new(max_bytes),
            fresh: Fresh::default(),
            gaps: Gaps::default(),
            begun_many: false,
            events: 0,
            bytes: 0,
        };
        store.count()?;
        store.gaps = Gaps::load(&store.db)?;
        store.begin_ids_after(last_id)?;
        let boot = store.begin_boot(boot)?;
        Ok((store, boot))
    }

    /// What is on its way still has its old ids.
    fn begin_ids_after(&self, last_id: i64) -> Result<(), StoreError> {
        let sql = "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'event'";
        if last_id > 0 && self.db.execute(sql, [last_id])? == 0 {
            let sql = "INSERT INTO sqlite_sequence (name, seq) VALUES ('event', ?1)";
            self.db.execute(sql, [last_id])?;
        }
        Ok(())
    }

    /// The pages in use have reached the limit.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn is_at_limit(&mut self) -> Result<bool, StoreError> {
        Ok(self.room.is_at_limit(&self.db)?)
    }

    /// So few pages are in use that it may fill up once more before older events give way.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn is_half_empty(&self) -> Result<bool, StoreError> {
        Ok(self.room.is_half_empty(&self.db)?)
    }

    /// Brings the write-ahead file into the database, so that its room can be used again.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn checkpoint(&self) -> Result<(), StoreError> {
        let sql = "PRAGMA wal_checkpoint(PASSIVE)";
        Ok(self.db.query_row(sql, [], |_| Ok(()))?)
    }

    fn count(&mut self) -> Result<(), StoreError> {
        let sql = "SELECT count(*), coalesce(sum(length(payload)), 0) FROM event";
        let (events, bytes): (i64, i64) = self
            .db
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.events = events.unsigned_abs();
        self.bytes = bytes.unsigned_abs();
        Ok(())
    }

    /// A UUIDv7 later than `floor` and than that of every boot before.
    fn begin_boot(&mut self, floor: Uuid) -> Result<Uuid, StoreError> {
        let last = files::single(&self.db, "boot")?;
        let last = last.and_then(|bytes| Uuid::from_slice(&bytes).ok());
        let boot = boot::later(last.max(Some(floor)), Uuid::now_v7());
        files::put_single(&self.db, "boot", boot.as_bytes())?;
        Ok(boot)
    }

    /// What is known of every state file. Those that are gone for long are forgotten.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn files(&self, now_ms: i64) -> Result<Vec<(PathBuf, Known)>, StoreError> {
        files::all(&self.db, now_ms)
    }

    /// Notes which stream takes the events. True when another did before: what
    /// that one took may be gone, so that nothing counts as sent any more.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn stream_is(&mut self, stream: &str) -> Result<bool, StoreError> {
        let known = files::single(&self.db, "stream")?;
        if known.as_deref() == Some(stream.as_bytes()) {
            return Ok(false);
        }
        let tx = self.db.savepoint()?;
        if known.is_some() {
            files::forget_what_was_sent(&tx)?;
        }
        files::put_single(&tx, "stream", stream.as_bytes())?;
        tx.commit()?;
        Ok(known.is_some())
    }

    /// Writes an event and what is now known of its file, both or none.
    /// `coalesce`: the file's older events give way to this one. Returns the
    /// event's id. `grown`: how far a growing file was read. `settles`: it
    /// tells what was refused of the file before.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn record(
        &mut self,
        event: &mut Event,
        path: &Path,
        known: &Known,
        grown: Option<&str>,
        coalesce: bool,
        settles: bool,
    ) -> Result<i64, StoreError> {
        // A transaction of its own where none is open.
        let tx = self.db.savepoint()?;
        let (mut dropped, mut dropped_bytes) = (0, 0);
        let mut older = Older::default();
        if coalesce {
            older = Older::of_file(&tx, path)?;
            event.recreated |= older.boundary && event.kind == EventKind::Content;
            (dropped, dropped_bytes) = older.delete(&tx, i64::MAX)?;
        }
        let row = insert(
            &tx,
            &mut self.room,
            event,
            path_bytes(path),
            grown.map_or(0, str::len),
        )?;
        let id = row.id;
        files::put(&tx, path, known, event.observed_at.as_millis())?;
        if let Some(saved) = grown {
            grown::put(&tx, path, saved)?;
        }
        let marked = dropped > 0 && gaps::mark(&tx, path, older.ids(), id)?;
        if settles {
            gaps::forget_refused(&tx, path)?;
        }
        tx.commit()?;
        if marked {
            self.gaps.dropped(older.ids(), id);
        }
        self.events = (self.events + 1).saturating_sub(dropped);
        self.bytes = (self.bytes + row.payload.len() as u64).saturating_sub(dropped_bytes);
        if dropped > 0 {
            self.fresh.forget();
        }
        self.fresh.push(row);
        Ok(id)
    }

    /// Writes an event that is of no file: nothing is known of it but that it
    /// was said, and it never gives way to a newer one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn record_call(&mut self, event: &Event) -> Result<i64, StoreError> {
        let tx = self.db.savepoint()?;
        // No absolute path, and no other event's.
        let file = format!("call {}", event.message_id());
        let row = insert(&tx, &mut self.room, event, file.as_bytes(), 0)?;
        tx.commit()?;
        let id = row.id;
        self.events += 1;
        self.bytes += row.payload.len() as u64;
        self.fresh.push(row);
        Ok(id)
    }

    /// Remembers a file without an event (rewritten, unchanged).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn remember(&self, path: &Path, known: &Known, at: i64) -> Result<(), StoreError> {
        Ok(files::put(&self.db, path, known, at)?)
    }

    /// Keeps the newest event of each file and drops what is older.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn coalesce_all(&mut self) -> Result<(), StoreError> {
        self.fresh.forget();
        coalesce::all(&mut self.db, &mut self.gaps)?;
        self.count()
    }

    /// Events after this id, oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn load(
        &mut self,
        after: i64,
        max: usize,
        bytes: usize,
    ) -> Result<Vec<Row>, StoreError> {
        if let Some(rows) = self.fresh.after(after, max, bytes) {
            self.gaps.gave(rows.last().map_or(0, |row| row.id));
            return Ok(rows);
        }
        let rows = self.read(after, max, bytes)?;
        let size: usize = rows.iter().map(|row| row.payload.len()).sum();
        if rows.len() < max && size < bytes {
            self.fresh
                .begin_after(rows.last().map_or(after, |row| row.id));
        }
        self.gaps.gave(rows.last().map_or(0, |row| row.id));
        Ok(rows)
    }

    fn read(&self, after: i64, max: usize, bytes: usize) -> Result<Vec<Row>, StoreError> {
        let mut query = self.db.prepare_cached(
            "SELECT id, line, subject, message_id, payload, checksum FROM event
             WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?;
        let limit = i64::try_from(max).unwrap_or(i64::MAX);
        let mut rows = query.query(params![after, limit])?;
        let (mut loaded, mut size) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let checksum_found: [u8; 32] = row.get(5)?;
            let row = Row {
                id: row.get(0)?,
                line: row.get(1)?,
                subject: row.get(2)?,
                message_id: row.get(3)?,
                payload: row.get::<_, Vec<u8>>(4)?.into(),
            };
            if checksum(&row) != ContentHash(checksum_found) {
                let id = row.id;
                return Err(StoreError::Damaged(format!(
                    "the checksum of event {id} does not fit"
                )));
            }
            size += row.payload.len();
            loaded.push(self.gaps.told(row)?);
            if size >= bytes {
                break;
            }
        }
        Ok(loaded)
    }

    /// Drops events that the broker has acknowledged.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn acknowledge(&mut self, ids: &[i64]) -> Result<(), StoreError> {
        let tx = self.db.savepoint()?;
        let (mut events, mut bytes) = (0, 0);
        {
            let mut delete =
                tx.prepare_cached("DELETE FROM event WHERE id = ?1 RETURNING length(payload)")?;
            for id in ids {
                let size: Option<i64> = delete.query_row([id], |row| row.get(0)).optional()?;
                if let Some(size) = size {
                    events += 1;
                    bytes += size.unsigned_abs();
                }
                if self.gaps.is_marked(*id) {
                    gaps::forget_told(&tx, *id)?;
                }
            }
        }
        tx.commit()?;
        self.gaps.acknowledged(ids);
        self.events = self.events.saturating_sub(events);
        self.bytes = self.bytes.saturating_sub(bytes);
        Ok(())
    }

    /// Puts another payload in the place of an event's (the broker takes no
    /// message this large).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn replace(&mut self, row: &Row) -> Result<(), StoreError> {
        self.db.execute(
            "UPDATE event SET payload = ?2, checksum = ?3 WHERE id = ?1",
            params![row.id, &row.payload[..], checksum(row).0],
        )?;
        self.count()
    }
}

fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
