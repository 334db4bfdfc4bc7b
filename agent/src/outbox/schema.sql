-- Events that the broker has not acknowledged, oldest first. `id` never falls,
-- also over restarts and when the table was empty.
CREATE TABLE event (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    line       TEXT    NOT NULL, -- producer and project: at most one of these is on its way
    file       BLOB    NOT NULL, -- absolute path, for coalescing
    boundary   INTEGER NOT NULL, -- a removal, or a content after one: outlives coalescing
    subject    TEXT    NOT NULL,
    message_id TEXT    NOT NULL,
    payload    BLOB    NOT NULL, -- the event as JSON
    checksum   BLOB    NOT NULL
) STRICT;
CREATE INDEX event_by_file ON event (file);

-- What is known of each state file.
CREATE TABLE file (
    path       BLOB    PRIMARY KEY,
    raw        BLOB,
    hash       BLOB,
    unreadable BLOB,
    mtime_ns   INTEGER NOT NULL,
    inode      INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    present    INTEGER NOT NULL,
    event      INTEGER NOT NULL, -- id of its last event
    seen_at    INTEGER NOT NULL, -- milliseconds since the Unix epoch
    checksum   BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- `boot`: the newest boot, so that boots sort even when the clock was set back.
-- `stream`: the stream that took the last events, as its writer named it.
CREATE TABLE single (
    name     TEXT PRIMARY KEY,
    value    BLOB NOT NULL,
    checksum BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- How far each growing file was read, and what it added up to, as JSON.
CREATE TABLE grown (
    path     BLOB PRIMARY KEY,
    saved    TEXT NOT NULL,
    checksum BLOB NOT NULL
) STRICT, WITHOUT ROWID;
