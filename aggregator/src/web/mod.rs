//! HTTP: the dashboard's pages, the API, the live stream, health and metrics.
//! Reads only: nothing here changes a build.

mod api;
mod costs;
mod error;
mod exposition;
mod guard;
mod health;
mod healthcheck;
mod openapi;
mod origin;
mod pages;
mod past;
mod query;
mod router;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::budgets::Budget;
use crate::live::Hub;
use crate::metrics::Metrics;
use crate::store::Store;

pub(crate) use health::Health;
pub use healthcheck::healthcheck;
pub(crate) use origin::HostPolicy;
pub(crate) use router::router;

/// Connections that ask for pages and data at a time. Streams do not count here: they have a limit of their own.
pub(crate) const MAX_CONNECTIONS: usize = 1_024;

/// Streams at a time: at some 20 KiB each 100 MiB, and twice what one replica is meant for.
const MAX_STREAMS: usize = 5_000;

/// Longest wait for Postgres in one request: someone is waiting for the answer.
const READ_TIMEOUT: Duration = Duration::from_secs(4);

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) hub: Arc<Hub>,
    pub(crate) store: Store,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) hosts: Arc<HostPolicy>,
    /// The streams' tasks, so that they can be waited for.
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    /// What producers that send have sent.
    pub(crate) calls: Arc<ingest::Status>,
    /// Age at which events are deleted.
    pub(crate) retention: Duration,
    pub(crate) budgets: Arc<[Budget]>,
    streams: Arc<Semaphore>,
}

impl App {
    pub(crate) fn new(
        hub: Arc<Hub>,
        store: Store,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
        hosts: HostPolicy,
        stop: CancellationToken,
    ) -> Self {
        Self {
            hub,
            store,
            health,
            metrics,
            hosts: Arc::new(hosts),
            tasks: TaskTracker::new(),
            stop,
            calls: Arc::default(),
            retention: Duration::MAX,
            budgets: Arc::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        }
    }

    /// Waits for Postgres, but not for ever.
    async fn ask<T, E>(
        &self,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, error::ApiError>
    where
        error::ApiError: From<E>,
    {
        match tokio::time::timeout(READ_TIMEOUT, answer).await {
            Ok(answer) => Ok(answer?),
            Err(_) => {
                tracing::warn!(
                    limit_s = READ_TIMEOUT.as_secs(),
                    "failed to answer a request: postgres took too long"
                );
                Err(error::ApiError::unavailable())
            }
        }
    }
}
