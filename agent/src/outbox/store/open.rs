//! Opening the database: begun, or looked through before anything in it is
//! believed. A flipped bit or a missing piece is found here or by a row's
//! checksum; what SQLite cannot notice would be events that nobody misses.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::{StoreError, wal};

/// Version of the tables, in SQLite's `user_version`.
const SCHEMA_VERSION: i64 = 2;
/// "PHL" and the version, in SQLite's `application_id`: the version once more, so that a flipped bit is
/// never taken for a newer agent.
const APPLICATION: i64 = 0x5048_4c00;
/// Versions that fit beside the three letters.
const VERSIONS: std::ops::Range<i64> = 1..256;
/// Events ever written; a larger number is none that was counted.
const MAX_IDS: i64 = 1 << 53;
/// Page cache, KiB: the working set is a few pages of two small tables.
const CACHE_KIB: i64 = 128;
/// Safety net only, pages (16 MiB): the sync thread checkpoints at a quarter of it. So much may lie beside
/// the database.
const AUTO_CHECKPOINT_PAGES: i64 = 4_096;
/// Somebody with a SQLite shell may hold the file for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Free pages (of 4 KiB) above which the file is rewritten smaller at the next start.
const FREE_PAGES_MAX: i64 = 4_096;

/// What an outbox of version 1 has, and what came with version 2.
const SCHEMA_1: &str = include_str!("../schema.sql");
const SCHEMA_2: &str = include_str!("../schema_2.sql");
const SCHEMA: &str = concat!(
    include_str!("../schema.sql"),
    include_str!("../schema_2.sql")
);

/// A database that can be believed.
pub(super) struct Opened {
    pub(super) db: Connection,
    /// There was nothing before.
    pub(super) begun: bool,
    /// What was written last is missing; why.
    pub(super) shortened: Option<String>,
}

/// Opens the database or begins one. A given error of any other kind than a
/// lack of room, of rights or of time means that the file is damaged.
///
/// # Errors
/// See [`StoreError`].
pub(super) fn open(path: &Path) -> Result<Opened, StoreError> {
    // SQLite would let everybody read it. What fails here fails there too, with a better error.
    let writable = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .is_ok();
    let shortened = wal::missing(&with(path, "-wal"), &with(path, "-shm"))?;
    let (db, begun) = open_checked(path, writable).map_err(|error| match error {
        StoreError::Sqlite(error) if writable && is_strange(&error) => {
            StoreError::Damaged(error.to_string())
        }
        other => other,
    })?;
    Ok(Opened {
        db,
        begun,
        shortened,
    })
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// An error that an undamaged file never gives, whatever the disk does.
fn is_strange(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, FileLockingProtocolFailed, OutOfMemory,
        PermissionDenied, SystemIoFailure,
    };
    !matches!(
        error.sqlite_error_code(),
        Some(
            CannotOpen
                | DatabaseBusy
                | DatabaseLocked
                | DiskFull
                | FileLockingProtocolFailed
                | OutOfMemory
                | PermissionDenied
                | SystemIoFailure
        )
    )
}

fn open_checked(path: &Path, writable: bool) -> Result<(Connection, bool), StoreError> {
    let db = Connection::open(path)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "normal")?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.pragma_update(None, "wal_autocheckpoint", AUTO_CHECKPOINT_PAGES)?;
    let version = number(&db, "user_version")?;
    let application = number(&db, "application_id")?;
    let doubly = VERSIONS.contains(&version) && application == APPLICATION + version;
    let begun = version == 0;
    match version {
        0 if application == 0 && schema(&db)?.is_empty() => begin(&db)?,
        1 if doubly => {
            check(&db, SCHEMA_1)?;
            write_schema(&db, SCHEMA_2)?;
        }
        SCHEMA_VERSION if doubly => check(&db, SCHEMA)?,
        newer if doubly => return Err(StoreError::Newer(newer)),
        _ => {
            return Err(StoreError::Damaged(format!(
                "version {version} and application {application:#x} do not fit"
            )));
        }
    }
    // A file that says of itself that it cannot be written, although it can.
    if writable && db.is_readonly("main")? {
        return Err(StoreError::Damaged("it calls itself read-only".to_owned()));
    }
    if number(&db, "freelist_count")? > FREE_PAGES_MAX {
        db.execute_batch("VACUUM")?;
    }
    Ok((db, begun))
}

fn number(db: &Connection, pragma: &str) -> Result<i64, rusqlite::Error> {
    db.pragma_query_value(None, pragma, |row| row.get(0))
}

fn begin(db: &Connection) -> Result<(), rusqlite::Error> {
    write_schema(db, SCHEMA)?;
    // So that without its write-ahead file it is still an outbox.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Makes these tables, and with them an outbox of the newest version.
fn write_schema(db: &Connection, tables: &str) -> Result<(), rusqlite::Error> {
    let application = APPLICATION + SCHEMA_VERSION;
    let made = db.execute_batch(&format!(
        "BEGIN IMMEDIATE; {tables} PRAGMA user_version = {SCHEMA_VERSION};
         PRAGMA application_id = {application}; COMMIT;"
    ));
    if made.is_err() && !db.is_autocommit() {
        db.execute_batch("ROLLBACK")?;
    }
    made
}

/// Every table, index and page: a second for a full outbox, nothing for the usual empty one.
fn check(db: &Connection, tables: &str) -> Result<(), StoreError> {
    let wanted = Connection::open_in_memory()?;
    wanted.execute_batch(tables)?;
    if schema(db)? != schema(&wanted)? {
        return Err(StoreError::Damaged("its tables are not ours".to_owned()));
    }
    let found: String = db.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
    if found != "ok" {
        return Err(StoreError::Damaged(found));
    }
    let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence";
    let ids: i64 = db.query_row(sql, [], |row| row.get(0))?;
    if !(0..MAX_IDS).contains(&ids) {
        return Err(StoreError::Damaged(format!("{ids} events were counted")));
    }
    Ok(())
}

fn schema(db: &Connection) -> Result<Vec<(String, Option<String>)>, rusqlite::Error> {
    db.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
