//! The one transaction per batch: one statement, so that an event costs one
//! round trip; a part that fails undoes all.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use futures::future::OptionFuture;
use protocol::Timestamp;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Statement};
use uuid::Uuid;

use super::columns::{AliveColumns, BuildColumns, EventColumns, HostColumns, Param, TrackColumns};
use super::describe;
use super::fold_state::TrackKey;
use super::session::WriterSession;

/// A whole commit; longer means that the connection is dead in a way that nothing else noticed.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(12);

/// Why an event is refused whose identity is taken.
const CONTRADICTION: &str = "another event has this agent, boot and seq, and says something else";

/// An event or a finding of the timer, as it is stored.
#[derive(Debug)]
pub(crate) struct EventRow<'a> {
    /// Agent, boot and seq; none for the timer's.
    pub(crate) identity: Option<(String, Uuid, i64)>,
    pub(crate) key: &'a TrackKey,
    pub(crate) build_id: String,
    pub(crate) kind: &'static str,
    pub(crate) file: Option<&'a str>,
    pub(crate) late: bool,
    pub(crate) found: bool,
    pub(crate) changed_at: Timestamp,
    pub(crate) observed_at: Timestamp,
    pub(crate) broker_at: Option<Timestamp>,
    pub(crate) hash: Option<String>,
    pub(crate) size: i64,
    pub(crate) message: Option<Cow<'a, str>>,
    pub(crate) document: Option<&'a str>,
    pub(crate) envelope: Cow<'a, str>,
}

impl EventRow<'_> {
    /// Whether two rows of one identity tell of one event; as the statement of the batch compares them.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        (self.key, self.kind, self.file, &self.hash)
            == (other.key, other.kind, other.file, &other.hash)
    }
}

/// A build as it is stored; the columns are copies of what `body` holds.
#[derive(Debug)]
pub(crate) struct BuildRow<'a> {
    pub(crate) build: &'a protocol::Build,
    pub(crate) key: &'a TrackKey,
    pub(crate) seq: i64,
    /// Only when it ended just now.
    pub(crate) completed_seq: Option<i64>,
    pub(crate) body: String,
    /// The parts of its cost as JSON; none while that is unknown.
    pub(crate) costs: Option<String>,
}

/// A host whose state changed.
#[derive(Debug)]
pub(crate) struct HostRow<'a> {
    pub(crate) name: &'a str,
    pub(crate) state: &'static str,
    pub(crate) agent: Option<&'a str>,
    /// Its agent was heard in this transaction.
    pub(crate) seen: bool,
    pub(crate) seq: i64,
    pub(crate) body: String,
}

/// Everything that one transaction writes.
#[derive(Debug, Default)]
pub(crate) struct Rows<'a> {
    pub(crate) events: &'a [EventRow<'a>],
    pub(crate) tracks: Vec<(&'a TrackKey, &'a str)>,
    pub(crate) builds: Vec<BuildRow<'a>>,
    /// Builds that only showed a sign of life.
    pub(crate) alive: Vec<(&'a str, Timestamp)>,
    pub(crate) hosts: Vec<HostRow<'a>>,
}

/// What is known after a commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Committed {
    /// Time of the transaction (database clock): `last_updated` of all that changed.
    pub(crate) at: Timestamp,
    /// Events that were not there yet.
    pub(crate) inserted: u64,
}

/// Why a commit did not happen (or may have: after `Lost` nobody knows).
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// Postgres refuses the content of a row. Halve the batch and find it.
    #[error("{0}")]
    Data(String),
    /// Somebody else writes: this is no longer the leader.
    #[error("another writer is at work")]
    NotLeader,
    /// Its disk is full, or fails; nothing is wrong with the rows.
    #[error("{0}")]
    NoRoom(String),
    /// The connection broke, or Postgres cannot work now.
    #[error("{0}")]
    Lost(String),
}

impl From<Error> for CommitError {
    fn from(error: Error) -> Self {
        let text = describe(&error);
        // Only the batch's conflict clause sets it to null.
        let contradicts = |cause: &tokio_postgres::error::DbError| {
            *cause.code() == SqlState::NOT_NULL_VIOLATION
                && (cause.table(), cause.column()) == (Some("event"), Some("kind"))
        };
        if error.as_db_error().is_some_and(contradicts) {
            return Self::Data(CONTRADICTION.to_owned());
        }
        match error.code().map(SqlState::code) {
            // 21: one identity twice, 22: data exception, 23: integrity, 54: a limit (row, index entry, nesting).
            Some(code) if ["21", "22", "23", "54"].contains(&&code[..2]) => Self::Data(text),
            // A trigger of somebody's raised it, as a rule because of one row; else that row would stop all others.
            Some("P0001") => Self::Data(text),
            // Disk full; 58: errors of the system beneath, such as one of its disk.
            Some(code) if code == "53100" || code.starts_with("58") => Self::NoRoom(text),
            _ => Self::Lost(text),
        }
    }
}

impl WriterSession {
    /// Commits a batch. `expected` is the newest seq so far, `next` the newest after it.
    pub(crate) async fn commit(
        &self,
        rows: &Rows<'_>,
        expected: i64,
        next: i64,
    ) -> Result<Committed, CommitError> {
        match tokio::time::timeout(COMMIT_TIMEOUT, self.send(rows, expected, next)).await {
            Ok(result) => result,
            Err(_) => Err(CommitError::Lost(
                "no answer to a commit in time".to_owned(),
            )),
        }
    }

    async fn send(
        &self,
        rows: &Rows<'_>,
        expected: i64,
        next: i64,
    ) -> Result<Committed, CommitError> {
        let events = EventColumns::of(rows.events);
        let tracks = TrackColumns::of(&rows.tracks);
        let builds = BuildColumns::of(&rows.builds);
        let alive = AliveColumns::of(&rows.alive);
        let hosts = HostColumns::of(&rows.hosts);
        let quiet_parts = !rows.alive.is_empty() || !rows.hosts.is_empty();
        let guard: [Param<'_>; 2] = [&expected, &next];
        let mut params: Vec<Param<'_>> = guard
            .into_iter()
            .chain(events.params())
            .chain(tracks.params())
            .chain(builds.params())
            .collect();
        let statement = if quiet_parts {
            params.extend(alive.params().chain(hosts.params()));
            &self.statements.commit_all
        } else {
            &self.statements.commit_builds
        };
        let row = self.client.query_opt(statement, &params).await?;
        let row = row.ok_or(CommitError::NotLeader)?;
        let at: SystemTime = row.try_get("at")?;
        let inserted: i64 = row.try_get("inserted")?;
        Ok(Committed {
            at: Timestamp::from_system_time(at),
            inserted: inserted.unsigned_abs(),
        })
    }

    async fn unless_empty(
        &self,
        len: usize,
        statement: &Statement,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error> {
        let sent: OptionFuture<_> = (len > 0)
            .then(|| self.client.execute(statement, params))
            .into();
        sent.await.unwrap_or(Ok(0))
    }

    /// Notes that a host was heard, with its newest figures (a JSON object whose members replace those of
    /// its body), and signs of life of builds. Neither a seq nor a frame.
    pub(crate) async fn note_figures(
        &self,
        host: Option<(&str, &str)>,
        alive: &[(&str, Timestamp)],
    ) -> Result<(), CommitError> {
        let columns = AliveColumns::of(alive);
        let params: Vec<Param<'_>> = columns.params().collect();
        let (name, figures) = host.unwrap_or_default();
        let host_params: [&(dyn ToSql + Sync); 2] = [&name, &figures];
        let rows = usize::from(host.is_some());
        let sent = async {
            futures::join!(
                self.unless_empty(rows, &self.statements.figures, &host_params),
                self.unless_empty(alive.len(), &self.statements.alive, &params),
            )
        };
        let (figures, alive) = tokio::time::timeout(COMMIT_TIMEOUT, sent)
            .await
            .map_err(|_| CommitError::Lost("no answer to an update in time".to_owned()))?;
        figures?;
        alive?;
        Ok(())
    }
}
