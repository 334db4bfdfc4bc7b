//! What is known of each state file, and the two single values, each with its
//! checksum: a wrong "present" or boot would not be noticed by anybody.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use protocol::ContentHash;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{StoreError, grown, path_bytes};
use crate::change::Known;

/// Removed files are remembered this long, so that one that returns is known as re-created.
const GONE_KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// What is known of every state file. Those that are gone for long are forgotten.
pub(super) fn all(db: &Connection, now_ms: i64) -> Result<Vec<(PathBuf, Known)>, StoreError> {
    let old = now_ms - GONE_KEPT_MS;
    let sql = "DELETE FROM file WHERE present = 0 AND seen_at < ?1";
    db.execute(sql, [old])?;
    grown::forget_gone(db)?;
    read(db)?
        .into_iter()
        .map(|(path, known, at, found)| {
            if checksum(path_bytes(&path), &known, at) == found {
                Ok((path, known))
            } else {
                let path = path.to_string_lossy();
                Err(StoreError::Damaged(format!(
                    "the checksum of what is known of {path} does not fit"
                )))
            }
        })
        .collect()
}

type Found = (PathBuf, Known, i64, ContentHash);

fn read(db: &Connection) -> Result<Vec<Found>, rusqlite::Error> {
    let mut query = db.prepare(
        "SELECT path, raw, hash, unreadable, mtime_ns, inode, size, present, event, seen_at, checksum FROM file",
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
        let path = PathBuf::from(OsStr::from_bytes(&path));
        Ok((path, known, row.get(9)?, ContentHash(row.get(10)?)))
    })?;
    rows.collect()
}

/// Remembers one.
pub(super) fn put(db: &Connection, path: &Path, known: &Known, at: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO file (path, raw, hash, unreadable, mtime_ns, inode, size, present, event, seen_at, checksum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (path) DO UPDATE SET raw = ?2, hash = ?3, unreadable = ?4, mtime_ns = ?5,
           inode = ?6, size = ?7, present = ?8, event = ?9, seen_at = ?10, checksum = ?11",
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
        at,
        checksum(path_bytes(path), known, at).0
    ])?;
    Ok(())
}

/// Forgets what was sent of every file, and also that removals were: all of it
/// is reported once more. That a file was there is kept.
pub(super) fn forget_what_was_sent(db: &Connection) -> Result<(), StoreError> {
    for (path, known, at, _) in read(db)? {
        let unsent = Known {
            raw: None,
            hash: None,
            unreadable: None,
            present: true,
            ..known
        };
        put(db, &path, &unsent, at)?;
    }
    Ok(())
}

/// A single value.
pub(super) fn single(db: &Connection, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT value, checksum FROM single WHERE name = ?1";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found: Option<(Vec<u8>, [u8; 32])> = db.query_row(sql, [name], row).optional()?;
    match found {
        Some((value, found)) if ContentHash::of(&value).0 != found => Err(StoreError::Damaged(
            format!("the checksum of the {name} does not fit"),
        )),
        found => Ok(found.map(|(value, _)| value)),
    }
}

/// Writes a single value.
pub(super) fn put_single(db: &Connection, name: &str, value: &[u8]) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO single (name, value, checksum) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET value = ?2, checksum = ?3",
        params![name, value, ContentHash::of(value).0],
    )?;
    Ok(())
}

fn checksum(path: &[u8], known: &Known, at: i64) -> ContentHash {
    let mut bytes = Vec::with_capacity(path.len() + 160);
    bytes.extend_from_slice(path);
    for hash in [known.raw, known.hash, known.unreadable] {
        bytes.push(u8::from(hash.is_some()));
        bytes.extend_from_slice(&hash.map_or([0; 32], |hash| hash.0));
    }
    bytes.push(u8::from(known.present));
    for number in [known.mtime_ns, known.event, at] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for number in [known.inode, known.size] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    ContentHash::of(&bytes)
}
