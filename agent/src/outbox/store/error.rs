//! What can be wrong with the database, and what that means: damage is set
//! aside, a full disk is waited for, and the rest is for people.

/// Why a store is not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// SQLite's own words.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// What it holds is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// The limit is reached, and nothing in it can give way.
    #[error("it has reached its limit of {0} bytes (PHASELINE_OUTBOX_MAX)")]
    Limit(u64),
    /// What one transaction wrote is not in it: it could not be committed.
    #[error("what was written last could not be committed")]
    Undone,
    /// Written by a newer agent: not damaged, and not ours to set aside.
    #[error("it has version {0}, which is newer than this agent")]
    Newer(i64),
    /// An event that cannot be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl StoreError {
    /// The file is damaged: nothing in it can be trusted.
    pub(crate) fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, SchemaChanged, TypeMismatch};
        match self {
            Self::Damaged(_) => true,
            Self::Sqlite(rusqlite::Error::SqliteFailure(error, _)) => {
                matches!(
                    error.code,
                    DatabaseCorrupt | NotADatabase | SchemaChanged | TypeMismatch
                ) || error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHORT_READ
            }
            // A column of another type, or a table that is not there.
            Self::Sqlite(
                rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::SqlInputError { .. },
            ) => true,
            Self::Sqlite(_)
            | Self::Limit(_)
            | Self::Undone
            | Self::Newer(_)
            | Self::Json(_)
            | Self::Io(_) => false,
        }
    }

    /// The disk has no room, or the limit is reached.
    pub(crate) fn is_full(&self) -> bool {
        use rusqlite::ErrorCode::DiskFull;
        match self {
            Self::Limit(_) => true,
            Self::Sqlite(error) => error.sqlite_error_code() == Some(DiskFull),
            Self::Damaged(_) | Self::Undone | Self::Newer(_) | Self::Json(_) | Self::Io(_) => false,
        }
    }

    /// It may be different in a moment: a full disk, one that fails, somebody who holds the file.
    pub(crate) fn may_pass(&self) -> bool {
        use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, SystemIoFailure};
        let code = match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        };
        let waits = [CannotOpen, DatabaseBusy, DatabaseLocked, SystemIoFailure];
        !self.is_damage() && (self.is_full() || code.is_some_and(|code| waits.contains(&code)))
    }
}
