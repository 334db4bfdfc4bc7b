//! All SQL of the agent. One connection, one transaction per event, written
//! ahead and not synced here: a write survives the death of the process, and
//! the group sync ([`super::sync`]) brings it to the disk.

mod boot;
mod coalesce;

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use protocol::{ContentHash, Event, EventKind};
use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use crate::change::Known;
use coalesce::Older;

/// Version of the tables, in SQLite's `user_version`.
const SCHEMA_VERSION: i64 = 1;
/// Page cache, KiB: the working set is a few pages of two small tables.
const CACHE_KIB: i64 = 512;
/// Safety net only, pages: the sync thread checkpoints at a sixteenth of it.
const AUTO_CHECKPOINT_PAGES: i64 = 16_384;
/// Somebody with a SQLite shell may hold the file for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Free pages (of 4 KiB) above which the file is rewritten smaller at the next start.
const FREE_PAGES_MAX: i64 = 4_096;
/// Removed files are remembered this long, so that one that returns is known as re-created.
const GONE_KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// An event that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Position in the outbox.
    pub(crate) id: i64,
    /// Producer and project: at most one event of these is on its way.
    pub(crate) line: String,
    /// Where it is published.
    pub(crate) subject: String,
    /// Its `Nats-Msg-Id`.
    pub(crate) message_id: String,
    /// The event as JSON.
    pub(crate) payload: Bytes,
}

/// Why a store is not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// SQLite's own words.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A row's checksum is not that of its content.
    #[error("the checksum of event {0} does not fit")]
    Checksum(i64),
    /// Written by a newer agent: not corrupt, and not ours to set aside.
    #[error("the outbox has version {0}, this agent reads up to {SCHEMA_VERSION}")]
    Newer(i64),
    /// An event that cannot be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl StoreError {
    /// The file is damaged: nothing in it can be trusted.
    pub(crate) fn is_corruption(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Checksum(_) => true,
            Self::Sqlite(rusqlite::Error::SqliteFailure(error, _)) => {
                matches!(error.code, DatabaseCorrupt | NotADatabase)
            }
            // A column of another type, or a table that is not there.
            Self::Sqlite(
                rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..),
            ) => true,
            Self::Sqlite(error) => error.to_string().contains("no such table"),
            Self::Newer(_) | Self::Json(_) => false,
        }
    }
}

/// The database of one agent.
#[derive(Debug)]
pub(crate) struct Store {
    db: Connection,
    /// Events that wait.
    pub(crate) events: u64,
    /// Their payloads, bytes.
    pub(crate) bytes: u64,
}

impl Store {
    /// Opens or creates the database.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        // SQLite would let everybody read it. What fails here fails there too, with a better error.
        let _ = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path);
        let db = Connection::open(path)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.pragma_update(None, "journal_mode", "wal")?;
        db.pragma_update(None, "synchronous", "normal")?;
        db.pragma_update(None, "cache_size", -CACHE_KIB)?;
        db.pragma_update(None, "wal_autocheckpoint", AUTO_CHECKPOINT_PAGES)?;
        let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            0 => {
                db.execute_batch(&format!(
                    "BEGIN IMMEDIATE; {} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;",
                    include_str!("schema.sql")
                ))?;
            }
            SCHEMA_VERSION => {}
            newer => return Err(StoreError::Newer(newer)),
        }
        let free: i64 = db.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        if free > FREE_PAGES_MAX {
            db.execute_batch("VACUUM")?;
        }
        let mut store = Self {
            db,
            events: 0,
            bytes: 0,
        };
        store.count()?;
        Ok(store)
    }

    /// Closes the file; until another store takes its place nothing can be read or written.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn close(&mut self) -> Result<(), StoreError> {
        self.db = Connection::open_in_memory()?;
        Ok(())
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

    /// Begins a boot: a UUIDv7 later than that of every boot before.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn begin_boot(&mut self) -> Result<Uuid, StoreError> {
        let sql = "SELECT boot FROM boot";
        let last: Option<[u8; 16]> = self.db.query_row(sql, [], |row| row.get(0)).optional()?;
        let boot = boot::later(last.map(Uuid::from_bytes), Uuid::now_v7());
        self.db.execute(
            "INSERT INTO boot (only, boot) VALUES (1, ?1) ON CONFLICT (only) DO UPDATE SET boot = ?1",
            [boot.into_bytes()],
        )?;
        Ok(boot)
    }

    /// What is known of every state file. Those that are gone for long are forgotten.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn files(&self, now_ms: i64) -> Result<Vec<(PathBuf, Known)>, StoreError> {
        let old = now_ms - GONE_KEPT_MS;
        let sql = "DELETE FROM file WHERE present = 0 AND seen_at < ?1";
        self.db.execute(sql, [old])?;
        let mut query = self.db.prepare(
            "SELECT path, raw, hash, unreadable, mtime_ns, inode, size, present, event FROM file",
        )?;
        let hash = |bytes: Option<[u8; 32]>| bytes.map(ContentHash);
        let rows = query.query_map([], |row| {
            let path: Vec<u8> = row.get(0)?;
            let known = Known {
                raw: hash(row.get(1)?),
                hash: hash(row.get(2)?),
                unreadable: hash(row.get(3)?),
                mtime_ns: row.get(4)?,
                inode: row.get::<_, i64>(5)?.cast_unsigned(),
                size: row.get::<_, i64>(6)?.cast_unsigned(),
                present: row.get(7)?,
                event: row.get(8)?,
            };
            Ok((PathBuf::from(OsStr::from_bytes(&path)), known))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes an event and what is now known of its file, in one transaction.
    /// `coalesce`: the file's older events give way to this one. Returns the
    /// event's id, which is also set in `known`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn record(
        &mut self,
        event: &mut Event,
        path: &Path,
        known: &mut Known,
        coalesce: bool,
    ) -> Result<i64, StoreError> {
        let tx = self.db.transaction()?;
        let (mut dropped, mut dropped_bytes) = (0, 0);
        if coalesce {
            let older = Older::of_file(&tx, path)?;
            event.recreated |= older.boundary && event.kind == EventKind::Content;
            (dropped, dropped_bytes) = older.delete(&tx, i64::MAX)?;
        }
        let row = Row {
            id: 0,
            line: line(event),
            subject: protocol::subject::event(event),
            message_id: event.message_id(),
            payload: serde_json::to_vec(event)?.into(),
        };
        let boundary = event.recreated || event.kind == EventKind::Removed;
        tx.prepare_cached(
            "INSERT INTO event (line, file, boundary, subject, message_id, payload, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            row.line,
            path_bytes(path),
            boundary,
            row.subject,
            row.message_id,
            &row.payload[..],
            checksum(&row).0
        ])?;
        let id = tx.last_insert_rowid();
        let written = Known {
            event: id,
            ..known.clone()
        };
        put_file(&tx, path, &written, event.observed_at.as_millis())?;
        tx.commit()?;
        known.event = id;
        self.events = (self.events + 1).saturating_sub(dropped);
        self.bytes = (self.bytes + row.payload.len() as u64).saturating_sub(dropped_bytes);
        Ok(id)
    }

    /// Remembers a file without an event (rewritten, unchanged).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn remember(&self, path: &Path, known: &Known, at: i64) -> Result<(), StoreError> {
        Ok(put_file(&self.db, path, known, at)?)
    }

    /// Keeps the newest event of each file and drops what is older.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn coalesce_all(&mut self) -> Result<(), StoreError> {
        coalesce::all(&mut self.db)?;
        self.count()
    }

    /// Events after this id, oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn load(
        &self,
        after: i64,
        max: usize,
        bytes: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut query = self.db.prepare_cached(
            "SELECT id, line, subject, message_id, payload, checksum FROM event
             WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?;
        let mut rows = query.query(params![after, i64::try_from(max).unwrap_or(i64::MAX)])?;
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
                return Err(StoreError::Checksum(row.id));
            }
            size += row.payload.len();
            loaded.push(row);
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
        let tx = self.db.transaction()?;
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
            }
        }
        tx.commit()?;
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

fn put_file(db: &Connection, path: &Path, known: &Known, at: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO file (path, raw, hash, unreadable, mtime_ns, inode, size, present, event, seen_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (path) DO UPDATE SET raw = ?2, hash = ?3, unreadable = ?4, mtime_ns = ?5,
           inode = ?6, size = ?7, present = ?8, event = ?9, seen_at = ?10",
    )?
    .execute(params![
        path_bytes(path),
        known.raw.map(|hash| hash.0),
        known.hash.map(|hash| hash.0),
        known.unreadable.map(|hash| hash.0),
        known.mtime_ns,
        known.inode.cast_signed(),
        known.size.cast_signed(),
        known.present,
        known.event,
        at
    ])?;
    Ok(())
}

fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

fn line(event: &Event) -> String {
    format!("{}/{}", event.producer, event.project_token)
}

fn checksum(row: &Row) -> ContentHash {
    let mut bytes = Vec::with_capacity(row.payload.len() + 256);
    for part in [&row.line, &row.subject, &row.message_id] {
        bytes.extend_from_slice(part.as_bytes());
        bytes.push(0);
    }
    bytes.extend_from_slice(&row.payload);
    ContentHash::of(&bytes)
}
