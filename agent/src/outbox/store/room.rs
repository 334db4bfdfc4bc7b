//! How full the database is, asked for only when it may be near its limit:
//! else it would be half of the work of writing an event.

use rusqlite::Connection;

/// What an event may take beside its bytes: a new page on each level of each
/// table and index, all of 4 KiB.
const BESIDE_BYTES: u64 = 64 * 1024;

#[derive(Debug)]
pub(super) struct Room {
    pub(super) max_bytes: u64,
    used_at_most: u64,
}

impl Room {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            used_at_most: u64::MAX,
        }
    }

    /// The pages in use have reached the limit.
    pub(super) fn is_at_limit(&mut self, db: &Connection) -> rusqlite::Result<bool> {
        if self.used_at_most >= self.max_bytes {
            self.used_at_most = used_bytes(db)?;
        }
        Ok(self.used_at_most >= self.max_bytes)
    }

    /// So much was written; whether that was more than there is room for.
    pub(super) fn is_exceeded_by(&mut self, db: &Connection, bytes: u64) -> rusqlite::Result<bool> {
        self.used_at_most = self.used_at_most.saturating_add(bytes + BESIDE_BYTES);
        if self.used_at_most > self.max_bytes {
            self.used_at_most = used_bytes(db)?;
        }
        Ok(self.used_at_most > self.max_bytes)
    }

    pub(super) fn is_half_empty(&self, db: &Connection) -> rusqlite::Result<bool> {
        Ok(used_bytes(db)? < self.max_bytes / 2)
    }
}

/// Pages in use times their size.
fn used_bytes(db: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma| db.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let pages = number("page_count")? - number("freelist_count")?;
    Ok(pages.unsigned_abs() * number("page_size")?.unsigned_abs())
}
