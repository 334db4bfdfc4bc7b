
-- Files of which states gave way for want of room. `event`: the waiting event
-- that tells it; 0: the next one of the file does, unless it is the very state
-- that was refused.
CREATE TABLE gap (
    event    INTEGER NOT NULL,
    file     BLOB    NOT NULL,
    refused  BLOB, -- what tells that state from others; null: some gave way for certain
    checksum BLOB    NOT NULL,
    PRIMARY KEY (event, file)
) STRICT, WITHOUT ROWID;
