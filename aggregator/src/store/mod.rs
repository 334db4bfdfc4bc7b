//! Postgres: all SQL of the project is in this folder. Reads go through a
//! small pool; the one writer has a connection of its own ([`WriterSession`]),
//! which also holds the lock that makes it the one.

mod columns;
mod costs;
mod dead_letter;
mod filter;
mod fold_state;
mod history;
mod host_past;
mod hourly;
mod listing;
mod logs;
mod migrate;
mod read;
mod retention;
mod rows;
mod session;
mod snapshot;
mod write;

use std::fmt;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};

pub(crate) use costs::MAX_ROWS;
pub(crate) use dead_letter::DeadMessage;
pub(crate) use filter::{Filter, MAX_BUILDS};
pub(crate) use fold_state::{Beside, LoadedTrack, SessionTrack, TrackKey};
pub(crate) use history::{Moves, StoredRun};
pub(crate) use hourly::Base;
pub use logs::LogLimits;
pub(crate) use logs::{BuildLines, MAX_LINES};
pub(crate) use read::{MAX_EVENTS, ReadError};
pub(crate) use session::WriterSession;
pub(crate) use snapshot::{Changes, MAX_SNAPSHOT_BUILDS};
pub(crate) use write::{BuildRow, CommitError, Committed, EventRow, HostRow, Rows};

/// Connections for reads: pages and resumes are short, and Postgres' default limit is 100.
const MAX_READERS: usize = 12;
/// Longest wait for a free one before the reader is told that Postgres is away.
const POOL_WAIT: Duration = Duration::from_secs(3);
/// To connect, and to give up on a peer that does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Any single statement; a migration alone may take longer.
const STATEMENT_TIMEOUT_MS: u32 = 10_000;
/// The answer to any statement but a migration's: above the server's own limit, so that its word comes first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(12);
/// A connection of the pool that does not answer within this is replaced.
const RECYCLE_TIMEOUT: Duration = Duration::from_secs(2);
/// A dead peer is noticed within some 4 s, on both sides, so that take-over is within 5 s.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(2);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
const KEEPALIVE_RETRIES: u32 = 2;
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(4);

/// Where Postgres is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DatabaseTarget {
    /// `postgres://user@host/db` or `host=/run/postgresql dbname=phaseline`.
    pub url: String,
    /// Wins over one in the URL.
    pub password: Option<String>,
}

impl fmt::Debug for DatabaseTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("DatabaseTarget");
        if let Ok(config) = self.url.parse::<Config>() {
            shown
                .field("hosts", &config.get_hosts())
                .field("dbname", &config.get_dbname())
                .field("user", &config.get_user());
        }
        shown.finish_non_exhaustive()
    }
}

/// The setting is no Postgres target we can use. The text completes "expected ...".
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDatabaseUrl {
    /// Not readable.
    #[error("postgres://user@host/database or host=/run/postgresql dbname=phaseline")]
    Syntax,
    /// TLS is asked for.
    #[error("a target without sslmode=require: this build speaks no TLS to Postgres")]
    Tls,
}

impl DatabaseTarget {
    /// Checks the target without connecting.
    ///
    /// # Errors
    /// See `BadDatabaseUrl`.
    pub fn check(&self) -> Result<(), BadDatabaseUrl> {
        self.config().map(|_| ())
    }

    fn config(&self) -> Result<Config, BadDatabaseUrl> {
        // The parser's own message may quote a part of the password.
        let mut config: Config = self.url.parse().map_err(|_| BadDatabaseUrl::Syntax)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(BadDatabaseUrl::Syntax);
        }
        if config.get_ssl_mode() == SslMode::Require {
            return Err(BadDatabaseUrl::Tls);
        }
        if let Some(password) = &self.password {
            config.password(password);
        }
        config
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(TCP_USER_TIMEOUT);
        Ok(config)
    }
}

/// The server's side of the same promises, and times that are not the session's own.
fn with_server_options(config: &Config, name: &str, statement_timeout_ms: u32) -> Config {
    let mut config = config.clone();
    let own = format!(
        "-c statement_timeout={statement_timeout_ms} -c idle_in_transaction_session_timeout={STATEMENT_TIMEOUT_MS} \
         -c tcp_keepalives_idle={} -c tcp_keepalives_interval={} -c tcp_keepalives_count={KEEPALIVE_RETRIES} \
         -c tcp_user_timeout={} -c timezone=UTC -c client_min_messages=warning",
        KEEPALIVE_IDLE.as_secs(),
        KEEPALIVE_INTERVAL.as_secs(),
        TCP_USER_TIMEOUT.as_millis(),
    );
    let options = match config.get_options() {
        Some(given) => format!("{given} {own}"),
        None => own,
    };
    config.options(options).application_name(name);
    config
}

/// Why Postgres gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It cannot be reached, or the connection broke.
    #[error("reach postgres: {0}")]
    Unreachable(String),
    /// It answered with an error.
    #[error("query postgres: {0}")]
    Refused(String),
    /// A row is not what this program writes.
    #[error("read a stored row: {0}")]
    Row(String),
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = describe(&error);
        if is_unreachable(&error) {
            Self::Unreachable(text)
        } else {
            Self::Refused(text)
        }
    }
}

impl From<deadpool_postgres::PoolError> for StoreError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

/// Waits for Postgres, but not for ever: a connection may be open at this end only.
pub(crate) async fn answered<T, E: Into<StoreError>>(
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, StoreError> {
    answered_within(ANSWER_TIMEOUT, answer).await
}

/// The same with a limit of its own.
async fn answered_within<T, E: Into<StoreError>>(
    limit: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(StoreError::Unreachable("no answer in time".to_owned())),
    }
}

/// The server is away, starting, stopping, or the way to it is broken; nothing is wrong with the request.
fn is_unreachable(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        // 08: connection, 57: operator intervention (shutdown, starting, statement timeout), 53: out of resources.
        Some(state) => ["08", "57", "53"].contains(&&state.code()[..2]),
        None => !has_conversion_error(error),
    }
}

fn has_conversion_error(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    text.starts_with("error serializing parameter")
        || text.starts_with("error deserializing column")
}

/// The whole cause in one line: the driver's own text is only "db error".
fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        let detail = error.detail().map(|detail| format!(" ({detail})"));
        return format!(
            "{} [{}]{}",
            error.message(),
            error.code().code(),
            detail.unwrap_or_default()
        );
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The database, for reads; the writer's session is made from it.
#[derive(Clone)]
pub(crate) struct Store {
    pool: Pool,
    config: Config,
}

impl Store {
    /// Prepares the pool. Connects to nothing yet.
    ///
    /// # Errors
    /// When the target cannot be used.
    pub(crate) fn new(target: &DatabaseTarget) -> Result<Self, BadDatabaseUrl> {
        let config = target.config()?;
        let manager = Manager::from_config(
            with_server_options(&config, "phaseline reader", STATEMENT_TIMEOUT_MS),
            NoTls,
            ManagerConfig {
                // Asked before each use: one behind a network that swallows everything is replaced.
                recycling_method: RecyclingMethod::Verified,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(MAX_READERS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(POOL_WAIT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .recycle_timeout(Some(RECYCLE_TIMEOUT))
            .build()
            .map_err(|_| BadDatabaseUrl::Syntax)?;
        Ok(Self { pool, config })
    }

    async fn client(&self) -> Result<Object, StoreError> {
        Ok(self.pool.get().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> DatabaseTarget {
        DatabaseTarget {
            url: url.to_owned(),
            password: None,
        }
    }

    #[test]
    fn a_url_and_a_key_value_string_are_accepted() {
        assert_eq!(target("postgres://me@db.example/phaseline").check(), Ok(()));
        assert_eq!(target("host=/run/postgresql dbname=x").check(), Ok(()));
        for bad in ["", "nonsense", "dbname=x", "postgres://me@db:notaport/x"] {
            assert_eq!(target(bad).check(), Err(BadDatabaseUrl::Syntax), "{bad}");
        }
        assert_eq!(
            target("host=db sslmode=require").check(),
            Err(BadDatabaseUrl::Tls)
        );
    }

    #[test]
    fn secrets_are_never_shown() {
        let mut target = target("postgres://me:s3cret@db.example/phaseline");
        target.password = Some("pa55".to_owned());
        let shown = format!("{target:?}");
        assert!(
            shown.contains("db.example") && !shown.contains("s3cret") && !shown.contains("pa55"),
            "{shown}"
        );
    }
}
