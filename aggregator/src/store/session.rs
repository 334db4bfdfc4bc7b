//! The writer's own connection. It holds the lock that makes this the leader,
//! on the very connection that writes: when one is gone, so is the other.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, Statement};
use tokio_util::sync::CancellationToken;

use super::columns::{FIGURES, MOVE_ALIVE, commit_all, commit_builds};
use super::{
    STATEMENT_TIMEOUT_MS, Store, StoreError, answered, answered_within, describe,
    with_server_options,
};

/// Postgres' advisory lock of the leader; "phaselin" in ASCII.
const LEADER_LOCK: i64 = 0x7068_6173_656c_696e;
/// A waiting follower asks anew so often: a statement that waits for days would keep Postgres from
/// vacuuming, and a connection that is open at this end only would be waited on for ever.
const LOCK_SLICE_MS: u32 = 4_000;
/// The answer to a slice. A connection that dies in one is given up with the next: within 4 and 8 s.
const SLICE_ANSWER: Duration = Duration::from_millis(LOCK_SLICE_MS as u64 + 4_000);

pub(super) struct Statements {
    pub(super) commit_builds: Statement,
    pub(super) commit_all: Statement,
    pub(super) alive: Statement,
    pub(super) figures: Statement,
}

/// The writer's connection. It is the leader for as long as this stands.
pub(crate) struct WriterSession {
    pub(super) client: Client,
    pub(super) statements: Statements,
    closed: CancellationToken,
    _connection: JoinSet<()>,
}

impl Store {
    /// Connects the writer. It is not the leader before [`WriterSession::wait_for_lead`] says so.
    pub(crate) async fn writer_session(&self) -> Result<WriterSession, StoreError> {
        answered(self.connect_writer()).await
    }

    async fn connect_writer(&self) -> Result<WriterSession, StoreError> {
        let config = with_server_options(&self.config, "phaseline writer", STATEMENT_TIMEOUT_MS);
        let (client, connection) = config.connect(NoTls).await?;
        let closed = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let guard = closed.clone().drop_guard();
        tasks.spawn(async move {
            let _guard = guard;
            if let Err(error) = connection.await {
                tracing::warn!(
                    error = describe(&error),
                    "lost the writer's connection to Postgres"
                );
            }
        });
        // One plan for all sizes of a batch; planning each anew costs more than the statement.
        client
            .batch_execute("SET plan_cache_mode = force_generic_plan")
            .await?;
        let (builds, all) = (commit_builds(), commit_all());
        let (commit_builds, commit_all, alive, figures) = futures::try_join!(
            client.prepare(&builds),
            client.prepare(&all),
            client.prepare(MOVE_ALIVE),
            client.prepare(FIGURES),
        )?;
        let statements = Statements {
            commit_builds,
            commit_all,
            alive,
            figures,
        };
        Ok(WriterSession {
            client,
            statements,
            closed,
            _connection: tasks,
        })
    }
}

impl WriterSession {
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Resolves when the connection is gone, and the lead with it.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Whether the connection (and so the lock) still stands: one round trip.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        answered(self.client.simple_query("SELECT 1")).await?;
        Ok(())
    }

    /// Takes the leader's lock if nobody has it.
    pub(crate) async fn try_lead(&self) -> Result<bool, StoreError> {
        let row = self
            .client
            .query_one("SELECT pg_try_advisory_lock($1)", &[&LEADER_LOCK])
            .await?;
        Ok(row.try_get(0)?)
    }

    /// Waits, for ever if need be, until this connection holds the leader's lock.
    pub(crate) async fn wait_for_lead(&self) -> Result<(), StoreError> {
        let patient = format!("SET lock_timeout = {LOCK_SLICE_MS}; SET statement_timeout = 0");
        answered(self.client.batch_execute(&patient)).await?;
        loop {
            let lock = self
                .client
                .execute("SELECT pg_advisory_lock($1)", &[&LEADER_LOCK]);
            let asked = async {
                match lock.await {
                    Ok(_) => Ok(true),
                    Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(false),
                    Err(error) => Err(error),
                }
            };
            if answered_within(SLICE_ANSWER, asked).await? {
                break;
            }
        }
        let usual = format!("SET lock_timeout = 0; SET statement_timeout = {STATEMENT_TIMEOUT_MS}");
        answered(self.client.batch_execute(&usual)).await?;
        Ok(())
    }
}
