-- Events (the record), builds and tracks (their fold), hosts, dead letters.

CREATE TABLE change_counter (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint NOT NULL DEFAULT 0
);
INSERT INTO change_counter DEFAULT VALUES;
COMMENT ON TABLE change_counter IS 'The newest seq given to a change of a build or host; one row, moved in the transaction of the change.';
COMMENT ON COLUMN change_counter.one IS 'Keeps the table at one row.';
COMMENT ON COLUMN change_counter.seq IS 'Newest seq; gapless.';

CREATE TABLE event (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent         text,
    boot          uuid,
    seq           bigint,
    host          text NOT NULL,
    producer      text NOT NULL,
    project_token text NOT NULL,
    build_id      text NOT NULL,
    kind          text NOT NULL,
    file          text,
    late          boolean NOT NULL,
    found         boolean NOT NULL,
    changed_at    timestamptz NOT NULL,
    observed_at   timestamptz NOT NULL,
    broker_at     timestamptz,
    committed_at  timestamptz NOT NULL DEFAULT now(),
    hash          text,
    size          bigint NOT NULL,
    message       text,
    document      jsonb,
    envelope      jsonb NOT NULL,
    UNIQUE (agent, boot, seq)
);
CREATE INDEX event_by_build ON event (build_id, id);
CREATE INDEX event_by_age ON event (committed_at);
COMMENT ON TABLE event IS 'Every observed change, and what the leader''s timer found, in the order of commits. Immutable until retention deletes it.';
COMMENT ON COLUMN event.id IS 'Order of commits.';
COMMENT ON COLUMN event.agent IS 'Id of the agent''s state directory; null for the aggregator''s own events.';
COMMENT ON COLUMN event.boot IS 'Start of that agent (UUIDv7).';
COMMENT ON COLUMN event.seq IS 'Position in that boot; (agent, boot, seq) is the event''s identity.';
COMMENT ON COLUMN event.host IS 'Host name as the agent gave it.';
COMMENT ON COLUMN event.producer IS 'Program that wrote the file.';
COMMENT ON COLUMN event.project_token IS 'First 16 hex digits of the SHA-256 of the project''s absolute path.';
COMMENT ON COLUMN event.build_id IS 'The build it was folded into.';
COMMENT ON COLUMN event.kind IS 'content, removed, unreadable; silent, alive, host_gone, host_back from the timer.';
COMMENT ON COLUMN event.file IS 'File relative to the project; null for the aggregator''s own.';
COMMENT ON COLUMN event.late IS 'Older than what had been folded: kept, without effect on the build.';
COMMENT ON COLUMN event.found IS 'Was there before the agent came.';
COMMENT ON COLUMN event.changed_at IS 'File time, host clock.';
COMMENT ON COLUMN event.observed_at IS 'Read by the agent, host clock.';
COMMENT ON COLUMN event.broker_at IS 'Taken by the stream, broker clock.';
COMMENT ON COLUMN event.committed_at IS 'Database clock.';
COMMENT ON COLUMN event.hash IS 'Content hash without volatile keys, hex.';
COMMENT ON COLUMN event.size IS 'Size of the file, bytes.';
COMMENT ON COLUMN event.message IS 'Why there is no content, for people.';
COMMENT ON COLUMN event.document IS 'The content.';
COMMENT ON COLUMN event.envelope IS 'Everything else of the event as received, so that it can be folded anew.';

-- Tracks and builds are rewritten with every event: room on the page and rows
-- that are not compressed below 8 KB make that cheap.
CREATE TABLE track (
    host          text NOT NULL,
    producer      text NOT NULL,
    project_token text NOT NULL,
    fold          text NOT NULL,
    PRIMARY KEY (host, producer, project_token)
) WITH (fillfactor = 60, toast_tuple_target = 8160);
COMMENT ON TABLE track IS 'What the fold remembers of a producer in a project on a host, over its runs.';
COMMENT ON COLUMN track.host IS 'Host name.';
COMMENT ON COLUMN track.producer IS 'Producer name.';
COMMENT ON COLUMN track.project_token IS 'Project.';
COMMENT ON COLUMN track.fold IS 'The fold''s memory with the current build, as JSON that only the fold reads; derived from the events.';

CREATE TABLE build (
    id            text PRIMARY KEY,
    host          text NOT NULL,
    producer      text NOT NULL,
    project_token text NOT NULL,
    project       text NOT NULL,
    path          text NOT NULL,
    run           integer NOT NULL,
    session_id    text,
    state         text NOT NULL,
    branch        text,
    started_at    timestamptz,
    ended_at      timestamptz,
    alive_at      timestamptz,
    last_updated  timestamptz NOT NULL,
    opened_at     timestamptz NOT NULL DEFAULT now(),
    cost_usd      numeric(14, 6),
    opened_seq    bigint NOT NULL,
    seq           bigint NOT NULL,
    completed_seq bigint,
    acknowledged_at timestamptz,
    body          jsonb NOT NULL,
    UNIQUE (host, producer, project_token, run)
) WITH (fillfactor = 80, toast_tuple_target = 8160);
CREATE UNIQUE INDEX build_by_seq ON build (seq);
CREATE UNIQUE INDEX build_by_completed_seq ON build (completed_seq) WHERE completed_seq IS NOT NULL;
CREATE UNIQUE INDEX build_by_opened_seq ON build (opened_seq);
CREATE INDEX build_open ON build (seq) WHERE ended_at IS NULL;
CREATE INDEX build_by_end ON build (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX build_by_host ON build (host, opened_seq);
CREATE INDEX build_by_session ON build (session_id, host, opened_seq) WHERE session_id IS NOT NULL;
CREATE INDEX build_to_acknowledge ON build (opened_seq) WHERE state = 'failed' AND acknowledged_at IS NULL;
COMMENT ON TABLE build IS 'The projection: each build as the fold left it. Outlives its events.';
COMMENT ON COLUMN build.id IS 'host-project token-run, URL-safe.';
COMMENT ON COLUMN build.host IS 'Host name.';
COMMENT ON COLUMN build.producer IS 'Producer name.';
COMMENT ON COLUMN build.project_token IS 'Project.';
COMMENT ON COLUMN build.project IS 'Last component of the project directory.';
COMMENT ON COLUMN build.path IS 'Project directory relative to its watched root.';
COMMENT ON COLUMN build.run IS 'Counts from 1 per host, producer and project.';
COMMENT ON COLUMN build.session_id IS 'The producer''s own word.';
COMMENT ON COLUMN build.state IS 'queued, running, waiting, stalled, completed, failed, cancelled, unknown.';
COMMENT ON COLUMN build.branch IS 'Branch of the working tree.';
COMMENT ON COLUMN build.started_at IS 'File time of its first event.';
COMMENT ON COLUMN build.ended_at IS 'File time of the event that ended it; null while open.';
COMMENT ON COLUMN build.alive_at IS 'Last sign of life; moved without a seq by presences. Newer than the one in body.';
COMMENT ON COLUMN build.last_updated IS 'When its last change was committed.';
COMMENT ON COLUMN build.opened_at IS 'When its first event was committed: retention took that event when the oldest left is younger.';
COMMENT ON COLUMN build.cost_usd IS 'US dollars, exact; null while unknown.';
COMMENT ON COLUMN build.opened_seq IS 'seq of its first change: the order of listings.';
COMMENT ON COLUMN build.seq IS 'seq of its last change.';
COMMENT ON COLUMN build.completed_seq IS 'seq of its build_complete frame; null while open.';
COMMENT ON COLUMN build.acknowledged_at IS 'When somebody took note of its failure.';
COMMENT ON COLUMN build.body IS 'The build as the API shows it.';

CREATE TABLE host (
    name         text PRIMARY KEY,
    state        text NOT NULL,
    agent        text,
    last_seen_at timestamptz,
    last_updated timestamptz NOT NULL,
    seq          bigint NOT NULL,
    body         jsonb NOT NULL
);
CREATE UNIQUE INDEX host_by_seq ON host (seq);
COMMENT ON TABLE host IS 'Machines with an agent, from their presences.';
COMMENT ON COLUMN host.name IS 'Host name.';
COMMENT ON COLUMN host.state IS 'up, gone, stopped.';
COMMENT ON COLUMN host.agent IS 'Id of its agent.';
COMMENT ON COLUMN host.last_seen_at IS 'Last presence, database clock; moved without a seq. Newer than the one in body.';
COMMENT ON COLUMN host.last_updated IS 'When its last change was committed.';
COMMENT ON COLUMN host.seq IS 'seq of its last change.';
COMMENT ON COLUMN host.body IS 'The host as the API shows it.';

CREATE TABLE dead_letter (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    stream_seq  bigint,
    subject     text NOT NULL,
    reason      text NOT NULL,
    payload     bytea NOT NULL
);
CREATE UNIQUE INDEX dead_letter_once ON dead_letter (stream_seq, sha256(payload));
CREATE INDEX dead_letter_by_age ON dead_letter (received_at);
COMMENT ON TABLE dead_letter IS 'Messages that could not become events, with their bytes and the reason.';
COMMENT ON COLUMN dead_letter.id IS 'Order of arrival.';
COMMENT ON COLUMN dead_letter.received_at IS 'Database clock.';
COMMENT ON COLUMN dead_letter.stream_seq IS 'Position in the stream; with the bytes it makes a redelivery no second row.';
COMMENT ON COLUMN dead_letter.subject IS 'Subject it came on.';
COMMENT ON COLUMN dead_letter.reason IS 'Why it was refused.';
COMMENT ON COLUMN dead_letter.payload IS 'Its bytes.';
