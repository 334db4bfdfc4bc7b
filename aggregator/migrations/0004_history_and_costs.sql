-- What the past needs beside the events: hosts as they were, and the fold's
-- memory once an hour. What costs need: the parts of a build's cost.

CREATE TABLE host_past (
    name         text NOT NULL,
    seq          bigint NOT NULL,
    at           timestamptz NOT NULL,
    last_seen_at timestamptz,
    body         jsonb NOT NULL,
    PRIMARY KEY (name, seq)
);
CREATE INDEX host_past_by_age ON host_past (at);
COMMENT ON TABLE host_past IS 'Each change of a host, written with it. Retention keeps the newest of each host.';
COMMENT ON COLUMN host_past.name IS 'Host name.';
COMMENT ON COLUMN host_past.seq IS 'seq of the change.';
COMMENT ON COLUMN host_past.at IS 'When it was committed (database clock).';
COMMENT ON COLUMN host_past.last_seen_at IS 'Last presence by then (database clock).';
COMMENT ON COLUMN host_past.body IS 'The host after the change, as the API shows it.';
INSERT INTO host_past (name, seq, at, last_seen_at, body) SELECT name, seq, last_updated, last_seen_at, body FROM host;

CREATE TABLE snapshot (
    build_id   text NOT NULL,
    hour       timestamptz NOT NULL,
    taken_at   timestamptz NOT NULL,
    last_event bigint NOT NULL,
    build_seq  bigint NOT NULL,
    changed_at timestamptz NOT NULL,
    fold       text NOT NULL,
    PRIMARY KEY (build_id, hour)
);
CREATE INDEX snapshot_by_age ON snapshot (taken_at);
CREATE INDEX snapshot_by_seq ON snapshot (build_seq);
COMMENT ON TABLE snapshot IS 'What the fold remembered of a build''s track, at most once an hour and only after a change: a past moment is folded on from here.';
COMMENT ON COLUMN snapshot.build_id IS 'The track''s current build then.';
COMMENT ON COLUMN snapshot.hour IS 'The full hour before taken_at.';
COMMENT ON COLUMN snapshot.taken_at IS 'No event in it was committed later (database clock).';
COMMENT ON COLUMN snapshot.last_event IS 'Events up to this id are in it, and no others.';
COMMENT ON COLUMN snapshot.build_seq IS 'seq of the build''s last change then.';
COMMENT ON COLUMN snapshot.changed_at IS 'When that change was committed.';
COMMENT ON COLUMN snapshot.fold IS 'As track.fold.';

ALTER TABLE build ADD COLUMN costs jsonb;
COMMENT ON COLUMN build.costs IS 'Parts of cost_usd, which add up to it: phase and model (null where unknown), usd as decimal text, estimated. Null while the cost is unknown.';
UPDATE build SET costs = jsonb_build_array(jsonb_build_object(
    'phase', NULL, 'model', NULL, 'usd', cost_usd::text, 'estimated', COALESCE((body->>'cost_estimated')::boolean, false)))
WHERE cost_usd IS NOT NULL;

-- Filters of listings that would otherwise walk all builds: with 100,000 of them
-- 90 to 160 ms become 1. Text, state and cost are looked for without an index
-- (0.4 s, 0.1 s): each one more would cost every change of a build.
CREATE INDEX build_by_branch ON build (branch, opened_seq) WHERE branch IS NOT NULL;
-- A past list begins at its moment and not at the newest build.
CREATE INDEX build_by_opening ON build (opened_at, opened_seq);
CREATE INDEX build_by_start ON build (started_at);
