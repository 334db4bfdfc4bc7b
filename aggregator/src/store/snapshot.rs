//! What a replica needs to begin or to catch up: the current set of builds at
//! one seq, or what changed after one. Each is read in one transaction, so
//! that it is exactly the state at that seq.

use deadpool_postgres::{Object, Transaction};
use protocol::{Build, Host};
use tokio_postgres::IsolationLevel;

use super::listing::NOT_ANOTHER;
use super::rows::{self, BUILD_COLUMNS};
use super::{Store, StoreError};

/// Builds in a snapshot; beyond it the newest are shown and `truncated` says so.
pub(crate) const MAX_SNAPSHOT_BUILDS: usize = 1_000;

/// The current set: builds not ended, ended within 24 h, failed and not acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// Newest first, at most [`MAX_SNAPSHOT_BUILDS`].
    pub builds: Vec<Build>,
    /// All hosts, by name.
    pub hosts: Vec<Host>,
    /// The state is the one after this change.
    pub seq: u64,
    /// There are more builds than shown.
    pub truncated: bool,
}

/// A build that changed.
#[derive(Debug, Clone)]
pub(crate) struct ChangedBuild {
    /// As it is now.
    pub build: Build,
    /// seq of its `build_complete`; none while it is open.
    pub completed_seq: Option<u64>,
}

/// What changed after a seq.
#[derive(Debug, Clone)]
pub(crate) struct Changes {
    /// By seq of their last change.
    pub builds: Vec<ChangedBuild>,
    /// By seq.
    pub hosts: Vec<Host>,
    /// The state is the one after this change; less than the seq asked for when the database went back.
    pub seq: u64,
}

/// What is read in it is the state of one moment.
async fn of_one_moment(client: &mut Object) -> Result<Transaction<'_>, StoreError> {
    let transaction = client.build_transaction();
    let transaction = transaction.isolation_level(IsolationLevel::RepeatableRead);
    Ok(transaction.read_only(true).start().await?)
}

async fn newest_seq(transaction: &Transaction<'_>) -> Result<u64, StoreError> {
    let row = transaction
        .query_one("SELECT seq FROM change_counter", &[])
        .await?;
    rows::count(&row, "seq")
}

impl Store {
    /// The current set at one seq.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let mut client = self.client().await?;
        let transaction = of_one_moment(&mut client).await?;
        let seq = newest_seq(&transaction).await?;
        let sql = format!(
            "SELECT {BUILD_COLUMNS} FROM build
             WHERE (ended_at IS NULL OR ended_at > now() - interval '24 hours'
                OR (state = 'failed' AND acknowledged_at IS NULL))
               AND {NOT_ANOTHER}
             ORDER BY opened_seq DESC LIMIT {}",
            MAX_SNAPSHOT_BUILDS + 1
        );
        let mut found = transaction.query(&sql, &[]).await?;
        let hosts = transaction.query(rows::HOSTS, &[]).await?;
        transaction.commit().await?;
        let truncated = found.len() > MAX_SNAPSHOT_BUILDS;
        found.truncate(MAX_SNAPSHOT_BUILDS);
        Ok(Snapshot {
            builds: found.iter().map(rows::build).collect::<Result<_, _>>()?,
            hosts: hosts.iter().map(rows::host).collect::<Result<_, _>>()?,
            seq,
            truncated,
        })
    }

    /// What changed after `seq`, or none when that is more than `limit` builds:
    /// then a snapshot is the shorter way.
    ///
    /// # Errors
    /// When Postgres cannot be asked.
    pub(crate) async fn changes_since(
        &self,
        seq: u64,
        limit: u32,
    ) -> Result<Option<Changes>, StoreError> {
        let mut client = self.client().await?;
        let transaction = of_one_moment(&mut client).await?;
        let newest = newest_seq(&transaction).await?;
        let since = i64::try_from(seq).unwrap_or(i64::MAX);
        // A completed_seq is always followed or preceded by the build's own seq, which is one less.
        let sql = format!(
            "SELECT {BUILD_COLUMNS} FROM build WHERE seq > $1 OR completed_seq > $1 ORDER BY seq LIMIT $2"
        );
        let builds = transaction
            .query(&sql, &[&since, &(i64::from(limit) + 1)])
            .await?;
        let hosts = transaction
            .query(
                "SELECT body, seq, last_updated, last_seen_at FROM host WHERE seq > $1 ORDER BY seq",
                &[&since],
            )
            .await?;
        transaction.commit().await?;
        if builds.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
            return Ok(None);
        }
        let changed = |row| {
            Ok::<_, StoreError>(ChangedBuild {
                build: rows::build(row)?,
                completed_seq: rows::completed_seq(row)?,
            })
        };
        Ok(Some(Changes {
            builds: builds.iter().map(changed).collect::<Result<_, _>>()?,
            hosts: hosts.iter().map(rows::host).collect::<Result<_, _>>()?,
            seq: newest,
        }))
    }
}
