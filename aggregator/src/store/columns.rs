//! The writer's statements and their parameters: rows turned into one array per
//! column, because `unnest` of arrays is the fastest way to insert many rows.
//! JSON goes as text and is cast, which is faster than binary jsonb.

use std::time::SystemTime;

use protocol::Timestamp;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::fold_state::TrackKey;
use super::write::{BuildRow, EventRow, HostRow};

type Param<'a> = &'a (dyn ToSql + Sync);

pub(super) const INSERT_EVENTS: &str = "
INSERT INTO event (agent, boot, seq, host, producer, project_token, build_id, kind, file, late, found,
                   changed_at, observed_at, broker_at, hash, size, message, document, envelope)
SELECT agent, boot, seq, host, producer, project_token, build_id, kind, file, late, found,
       changed_at, observed_at, broker_at, hash, size, message, document::jsonb, envelope::jsonb
FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::bool[], $11::bool[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[],
            $15::text[], $16::bigint[], $17::text[], $18::text[], $19::text[])
     AS new (agent, boot, seq, host, producer, project_token, build_id, kind, file, late, found,
             changed_at, observed_at, broker_at, hash, size, message, document, envelope)
ON CONFLICT (agent, boot, seq) DO NOTHING";

pub(super) const UPSERT_TRACKS: &str = "
INSERT INTO track (host, producer, project_token, fold)
SELECT host, producer, project_token, fold::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS new (host, producer, project_token, fold)
ON CONFLICT (host, producer, project_token) DO UPDATE SET fold = EXCLUDED.fold";

// The conflict is on the run, not on the id: an id that two producers of one
// project would share is refused, not overwritten.
pub(super) const UPSERT_BUILDS: &str = "
INSERT INTO build (id, host, producer, project_token, project, path, run, session_id, state, branch, started_at,
                   ended_at, alive_at, last_updated, cost_usd, opened_seq, seq, completed_seq, body)
SELECT id, host, producer, project_token, project, path, run, session_id, state, branch, started_at,
       ended_at, alive_at, now(), cost_usd::numeric, seq, seq, completed_seq, body::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::text[],
            $9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::text[],
            $15::bigint[], $16::bigint[], $17::text[])
     AS new (id, host, producer, project_token, project, path, run, session_id, state, branch, started_at,
             ended_at, alive_at, cost_usd, seq, completed_seq, body)
ON CONFLICT (host, producer, project_token, run) DO UPDATE SET
    project = EXCLUDED.project, path = EXCLUDED.path, session_id = EXCLUDED.session_id, state = EXCLUDED.state,
    branch = EXCLUDED.branch, started_at = EXCLUDED.started_at, ended_at = EXCLUDED.ended_at,
    alive_at = EXCLUDED.alive_at, last_updated = EXCLUDED.last_updated, cost_usd = EXCLUDED.cost_usd,
    seq = EXCLUDED.seq, body = EXCLUDED.body,
    completed_seq = CASE WHEN EXCLUDED.ended_at IS NULL THEN NULL
                         ELSE COALESCE(EXCLUDED.completed_seq, build.completed_seq) END";

pub(super) const MOVE_ALIVE: &str = "
UPDATE build SET alive_at = new.alive_at
FROM unnest($1::text[], $2::timestamptz[]) AS new (id, alive_at)
WHERE build.id = new.id AND build.ended_at IS NULL AND (build.alive_at IS NULL OR build.alive_at < new.alive_at)";

pub(super) const UPSERT_HOSTS: &str = "
INSERT INTO host (name, state, agent, last_seen_at, last_updated, seq, body)
SELECT name, state, agent, CASE WHEN seen THEN now() END, now(), seq, body::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::bool[], $5::bigint[], $6::text[])
     AS new (name, state, agent, seen, seq, body)
ON CONFLICT (name) DO UPDATE SET state = EXCLUDED.state, agent = EXCLUDED.agent, seq = EXCLUDED.seq,
    last_updated = EXCLUDED.last_updated, last_seen_at = COALESCE(EXCLUDED.last_seen_at, host.last_seen_at),
    body = EXCLUDED.body";

pub(super) const FIGURES: &str = "
UPDATE host SET last_seen_at = now(), body = body || $2::text::jsonb WHERE name = $1";

/// Largest amount that the column holds; a larger one is in the body only.
const MAX_COST_USD: f64 = 99_999_999.0;

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
            pub(super) fn params(&self) -> Vec<Param<'_>> {
                vec![$(&self.$column,)+]
            }
        }
    };
}

columns! {
    /// Of [`INSERT_EVENTS`].
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
    /// Of [`UPSERT_TRACKS`].
    TrackColumns from (&'a TrackKey, &'a str) as row {
        host: &'a str = row.0.host.as_str(),
        producer: &'a str = row.0.producer.as_str(),
        project_token: String = row.0.project.to_string(),
        fold: &'a str = row.1,
    }
}

columns! {
    /// Of [`UPSERT_BUILDS`].
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
        cost_usd: Option<String> = row.build.cost_usd.and_then(cost),
        seq: i64 = row.seq,
        completed_seq: Option<i64> = row.completed_seq,
        body: &'a str = row.body.as_str(),
    }
}

columns! {
    /// Of [`MOVE_ALIVE`].
    AliveColumns from (&'a str, Timestamp) as row {
        id: &'a str = row.0,
        alive_at: SystemTime = row.1.to_system_time(),
    }
}

columns! {
    /// Of [`UPSERT_HOSTS`].
    HostColumns from HostRow<'a> as row {
        name: &'a str = row.name,
        state: &'static str = row.state,
        agent: Option<&'a str> = row.agent,
        seen: bool = row.seen,
        seq: i64 = row.seq,
        body: &'a str = row.body.as_str(),
    }
}

fn cost(usd: f64) -> Option<String> {
    (usd.abs() <= MAX_COST_USD).then(|| usd.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_that_the_column_cannot_hold_is_left_out() {
        assert_eq!(cost(0.25).as_deref(), Some("0.25"));
        for odd in [f64::NAN, f64::INFINITY, -1e300, 1e8] {
            assert_eq!(cost(odd), None);
        }
    }
}
