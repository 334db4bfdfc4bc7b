-- Listings by state and by text, which read all builds (at 100,000 of them 0.1 and 0.4 s). Each change of a build
-- writes every index that has it, so these two have only builds that are not at work any more.

CREATE INDEX build_by_state ON build (state, opened_seq) WHERE state NOT IN ('queued', 'running', 'waiting', 'stalled');

-- Three letters that follow each other find a text within others (46 MB for 100,000 builds; each end of a build costs some
-- 0.3 ms more). pg_trgm comes with Postgres' own extensions; where it is not installed, or this role may not create it, the
-- search reads all builds and finds the same. Written at once: a list that is merged now and then makes one end slow (0.3 s).
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX build_by_text ON build USING gin ((
        id || ' ' || project || ' ' || path || ' ' || COALESCE(session_id, '') || ' ' || COALESCE(branch, '')
        || ' ' || COALESCE(body->>'detail', '')) gin_trgm_ops) WITH (fastupdate = off) WHERE ended_at IS NOT NULL;
EXCEPTION
    WHEN insufficient_privilege OR feature_not_supported OR undefined_file OR undefined_object THEN
        RAISE WARNING 'the text search of builds goes without an index: %', SQLERRM;
END
$$;
