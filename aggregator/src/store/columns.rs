//! The writer's statements and their parameters: rows turned into one array per
//! column, because `unnest` of arrays is the fastest way to insert many rows.
//! JSON goes as text and is cast, which is faster than binary jsonb.

use std::time::SystemTime;

use protocol::Timestamp;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::fold_state::TrackKey;
use super::write::{BuildRow, EventRow, HostRow};

pub(super) type Param<'a> = &'a (dyn ToSql + Sync);

/// The whole transaction as one statement: one message each way, one wake-up of
/// each side. Without the first part (another writer moved the counter) every
/// other part finds nothing to do, and no row is answered. The conflict of a
/// build is on the run, not on the id: an id that two producers of one project
/// would share is refused, not overwritten. An event that is there already is
/// passed over when it says the same; when its identity stands for something
/// else, the update to null is refused, and the whole batch with it. A build that is new was opened by the first
/// event that is filed under it, which may have come before; asked by a scalar, because EXISTS reads all builds.
const BATCH: &str = "
WITH advanced AS (
    UPDATE change_counter SET seq = $2 WHERE seq = $1 RETURNING now() AS at
), events AS (
    INSERT INTO event (agent, boot, seq, host, producer, project_token, build_id, kind, file, late, found,
                       changed_at, observed_at, broker_at, hash, size, message, document, envelope)
    SELECT agent, boot, seq, host, producer, project_token, build_id, kind, file, late, found,
           changed_at, observed_at, broker_at, hash, size, message, document::jsonb, envelope::jsonb
    FROM advanced, unnest($3::text[], $4::uuid[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::text[], $11::text[], $12::bool[], $13::bool[], $14::timestamptz[], $15::timestamptz[],
            $16::timestamptz[], $17::text[], $18::bigint[], $19::text[], $20::text[], $21::text[])
         AS new (agent, boot, seq, host, producer, project_token, build_id, kind, file, late, found,
                 changed_at, observed_at, broker_at, hash, size, message, document, envelope)
    ON CONFLICT (agent, boot, seq) DO UPDATE SET kind = NULL
        WHERE (event.host, event.producer, event.project_token, event.kind, event.file, event.hash)
            IS DISTINCT FROM (EXCLUDED.host, EXCLUDED.producer, EXCLUDED.project_token, EXCLUDED.kind, EXCLUDED.file, EXCLUDED.hash)
    RETURNING 1
), tracks AS (
    INSERT INTO track (host, producer, project_token, fold)
    SELECT host, producer, project_token, fold
    FROM advanced, unnest($22::text[], $23::text[], $24::text[], $25::text[]) AS new (host, producer, project_token, fold)
    ON CONFLICT (host, producer, project_token) DO UPDATE SET fold = EXCLUDED.fold
), builds AS (
    INSERT INTO build (id, host, producer, project_token, project, path, run, session_id, state, branch, started_at,
                       ended_at, alive_at, last_updated, opened_at, cost_usd, opened_seq, seq, completed_seq, body, costs)
    SELECT id, host, producer, project_token, project, path, run, session_id, state, branch, started_at, ended_at, alive_at, at,
           CASE WHEN (SELECT 1 FROM build WHERE build.id = new.id) IS NULL
                THEN LEAST(at, (SELECT min(committed_at) FROM event WHERE build_id = new.id)) ELSE at END,
           cost_usd::numeric, seq, seq, completed_seq, body::jsonb, costs::jsonb
    FROM advanced, unnest($26::text[], $27::text[], $28::text[], $29::text[], $30::text[], $31::text[], $32::int[],
            $33::text[], $34::text[], $35::text[], $36::timestamptz[], $37::timestamptz[], $38::timestamptz[],
            $39::text[], $40::bigint[], $41::bigint[], $42::text[], $43::text[])
         AS new (id, host, producer, project_token, project, path, run, session_id, state, branch, started_at,
                 ended_at, alive_at, cost_usd, seq, completed_seq, body, costs)
    ON CONFLICT (host, producer, project_token, run) DO UPDATE SET
        project = EXCLUDED.project, path = EXCLUDED.path, session_id = EXCLUDED.session_id, state = EXCLUDED.state,
        branch = EXCLUDED.branch, started_at = EXCLUDED.started_at, ended_at = EXCLUDED.ended_at,
        alive_at = EXCLUDED.alive_at, last_updated = EXCLUDED.last_updated, cost_usd = EXCLUDED.cost_usd,
        seq = EXCLUDED.seq, body = EXCLUDED.body, costs = EXCLUDED.costs,
        completed_seq = CASE WHEN EXCLUDED.ended_at IS NULL THEN NULL
                             ELSE COALESCE(EXCLUDED.completed_seq, build.completed_seq) END
)";

/// What most batches have not: signs of life alone, and hosts (each change of one is kept). Left out where
/// there is none, because even an update of nothing is set up.
const QUIET_PARTS: &str = "
, alive AS (
    UPDATE build SET alive_at = new.alive_at
    FROM advanced, unnest($44::text[], $45::timestamptz[]) AS new (id, alive_at)
    WHERE build.id = new.id AND build.ended_at IS NULL AND (build.alive_at IS NULL OR build.alive_at < new.alive_at)
), hosts AS (
    INSERT INTO host (name, state, agent, last_seen_at, last_updated, seq, body)
    SELECT name, state, agent, CASE WHEN seen THEN at END, at, seq, body::jsonb
    FROM advanced, unnest($46::text[], $47::text[], $48::text[], $49::bool[], $50::bigint[], $51::text[])
         AS new (name, state, agent, seen, seq, body)
    ON CONFLICT (name) DO UPDATE SET state = EXCLUDED.state, agent = EXCLUDED.agent, seq = EXCLUDED.seq,
        last_updated = EXCLUDED.last_updated, last_seen_at = COALESCE(EXCLUDED.last_seen_at, host.last_seen_at),
        body = EXCLUDED.body
), past AS (
    INSERT INTO host_past (name, seq, at, last_seen_at, body)
    SELECT new.name, new.seq, at, CASE WHEN seen THEN at ELSE host.last_seen_at END, new.body::jsonb
    FROM advanced, unnest($46::text[], $49::bool[], $50::bigint[], $51::text[]) AS new (name, seen, seq, body)
    LEFT JOIN host ON host.name = new.name
)";

const ANSWER: &str = "
SELECT at, (SELECT count(*) FROM events) AS inserted FROM advanced";

/// The statement of a batch without signs of life and hosts: $1 to $43.
pub(super) fn commit_builds() -> String {
    format!("{BATCH}{ANSWER}")
}

/// The statement of any batch: $1 to $51.
pub(super) fn commit_all() -> String {
    format!("{BATCH}{QUIET_PARTS}{ANSWER}")
}

pub(super) const MOVE_ALIVE: &str = "
UPDATE build SET alive_at = new.alive_at
FROM unnest($1::text[], $2::timestamptz[]) AS new (id, alive_at)
WHERE build.id = new.id AND build.ended_at IS NULL AND (build.alive_at IS NULL OR build.alive_at < new.alive_at)";

pub(super) const FIGURES: &str = "
UPDATE host SET last_seen_at = now(), body = body || $2::text::jsonb WHERE name = $1";

macro_rules! columns {
    ($(#[$meta:meta])* $name:ident from $row:ty as $item:ident { $($column:ident: $type:ty = $value:expr,)+ }) => {
        $(#[$meta])*
        #[derive(Default)]
        pub(super) struct $name<'a> {
            $($column: Vec<$type>,)+
        }

        impl<'a> $name<'a> {
            pub(super) fn of(rows: &'a [$row]) -> Self {
                let mut columns = Self::default();
                $(columns.$column.reserve_exact(rows.len());)+
                for $item in rows {
                    $(columns.$column.push($value);)+
                }
                columns
            }

            /// In the order of the statement's parameters.
            pub(super) fn params(&self) -> impl Iterator<Item = Param<'_>> {
                let params: Vec<Param<'_>> = vec![$(&self.$column,)+];
                params.into_iter()
            }
        }
    };
}

columns! {
    /// Of [`BATCH`], $3 to $21.
    EventColumns from EventRow<'a> as row {
        agent: Option<&'a str> = row.identity.as_ref().map(|(agent, _, _)| agent.as_str()),
        boot: Option<Uuid> = row.identity.as_ref().map(|(_, boot, _)| *boot),
        seq: Option<i64> = row.identity.as_ref().map(|(_, _, seq)| *seq),
        host: &'a str = row.key.host.as_str(),
        producer: &'a str = row.key.producer.as_str(),
        project_token: String = row.key.project.to_string(),
        build_id: &'a str = row.build_id.as_str(),
        kind: &'static str = row.kind,
        file: Option<&'a str> = row.file,
        late: bool = row.late,
        found: bool = row.found,
        changed_at: SystemTime = row.changed_at.to_system_time(),
        observed_at: SystemTime = row.observed_at.to_system_time(),
        broker_at: Option<SystemTime> = row.broker_at.map(Timestamp::to_system_time),
        hash: Option<&'a str> = row.hash.as_deref(),
        size: i64 = row.size,
        message: Option<&'a str> = row.message.as_deref(),
        document: Option<&'a str> = row.document,
        envelope: &'a str = row.envelope.as_ref(),
    }
}

columns! {
    /// Of [`BATCH`], $22 to $25.
    TrackColumns from (&'a TrackKey, &'a str) as row {
        host: &'a str = row.0.host.as_str(),
        producer: &'a str = row.0.producer.as_str(),
        project_token: String = row.0.project.to_string(),
        fold: &'a str = row.1,
    }
}

columns! {
    /// Of [`BATCH`], $26 to $43.
    BuildColumns from BuildRow<'a> as row {
        id: &'a str = row.build.id.as_str(),
        host: &'a str = row.build.host.as_str(),
        producer: &'a str = row.build.producer.as_str(),
        project_token: String = row.key.project.to_string(),
        project: &'a str = row.build.project.as_str(),
        path: &'a str = row.build.path.as_str(),
        run: i32 = i32::try_from(row.build.run).unwrap_or(i32::MAX),
        session_id: Option<&'a str> = row.build.session_id.as_deref(),
        state: &'static str = row.build.state.word(),
        branch: Option<&'a str> = row.build.branch.as_deref(),
        started_at: Option<SystemTime> = row.build.started_at.map(Timestamp::to_system_time),
        ended_at: Option<SystemTime> = row.build.ended_at.map(Timestamp::to_system_time),
        alive_at: Option<SystemTime> = row.build.alive_at.map(Timestamp::to_system_time),
        cost_usd: Option<String> = row.build.cost_usd.map(|usd| usd.to_string()),
        seq: i64 = row.seq,
        completed_seq: Option<i64> = row.completed_seq,
        body: &'a str = row.body.as_str(),
        costs: Option<&'a str> = row.costs.as_deref(),
    }
}

columns! {
    /// Of [`MOVE_ALIVE`], and of [`QUIET_PARTS`], $44 and $45.
    AliveColumns from (&'a str, Timestamp) as row {
        id: &'a str = row.0,
        alive_at: SystemTime = row.1.to_system_time(),
    }
}

columns! {
    /// Of [`QUIET_PARTS`], $46 to $51.
    HostColumns from HostRow<'a> as row {
        name: &'a str = row.name,
        state: &'static str = row.state,
        agent: Option<&'a str> = row.agent,
        seen: bool = row.seen,
        seq: i64 = row.seq,
        body: &'a str = row.body.as_str(),
    }
}
