-- Lines of logs: bounded per build, and no events.

CREATE TABLE log_source (
    agent         text NOT NULL,
    project_token text NOT NULL,
    file          text NOT NULL,
    generation    bigint NOT NULL,
    position      bigint NOT NULL,
    seen_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agent, project_token, file, generation)
);
CREATE INDEX log_source_by_age ON log_source (seen_at);
COMMENT ON TABLE log_source IS 'How far each log file was stored; what comes again is known by it.';
COMMENT ON COLUMN log_source.agent IS 'Id of the agent''s state directory.';
COMMENT ON COLUMN log_source.project_token IS 'Project.';
COMMENT ON COLUMN log_source.file IS 'File relative to the project.';
COMMENT ON COLUMN log_source.generation IS 'Another one when the file was begun anew.';
COMMENT ON COLUMN log_source.position IS 'Offset behind the last byte that was stored or is known to be left out.';
COMMENT ON COLUMN log_source.seen_at IS 'When something of it came last, database clock.';

CREATE TABLE build_log (
    build_id      text PRIMARY KEY,
    newest        bigint NOT NULL,
    size          bigint NOT NULL,
    skipped_bytes bigint NOT NULL,
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX build_log_by_age ON build_log (updated_at);
COMMENT ON TABLE build_log IS 'The log of a build, over all its files.';
COMMENT ON COLUMN build_log.build_id IS 'The build; with run 0 the lines that came before the project''s first build, which takes them over.';
COMMENT ON COLUMN build_log.newest IS 'Number of its newest line: how many ever came.';
COMMENT ON COLUMN build_log.size IS 'Bytes of all lines that ever came.';
COMMENT ON COLUMN build_log.skipped_bytes IS 'Bytes of its files that were never read or were lost on the way.';
COMMENT ON COLUMN build_log.updated_at IS 'When the newest line was committed, database clock.';

CREATE TABLE log_line (
    build_id     text NOT NULL,
    number       bigint NOT NULL,
    preceding    bigint NOT NULL,
    file         text NOT NULL,
    cut          boolean NOT NULL,
    observed_at  timestamptz NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now(),
    text         text NOT NULL,
    PRIMARY KEY (build_id, number)
);
CREATE INDEX log_line_by_age ON log_line (committed_at);
COMMENT ON TABLE log_line IS 'The newest lines of each build''s log; older ones give way.';
COMMENT ON COLUMN log_line.build_id IS 'As in build_log.';
COMMENT ON COLUMN log_line.number IS 'Counts from 1 per build, gapless.';
COMMENT ON COLUMN log_line.preceding IS 'Bytes of the build''s lines before this one, so that the bound in bytes needs no sum.';
COMMENT ON COLUMN log_line.file IS 'File relative to the project.';
COMMENT ON COLUMN log_line.cut IS 'It was longer.';
COMMENT ON COLUMN log_line.observed_at IS 'Read by the agent, host clock.';
COMMENT ON COLUMN log_line.committed_at IS 'Database clock.';
COMMENT ON COLUMN log_line.text IS 'Without colours and control characters, secrets masked.';

CREATE INDEX build_by_project ON build (host, project_token, opened_seq);
