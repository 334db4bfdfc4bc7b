//! `/healthz`, `/readyz` and `/metrics`, and what readiness is made of.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::page::Readiness;
use tokio::sync::watch;
use tokio::time::timeout;

use super::App;
use super::error::ApiError;
use super::exposition;
use crate::alerts::{About, Alerts};
use crate::live::{Hub, LEADER_SILENT, Servers};
use crate::nats::Nats;
use crate::store::Store;
use crate::writer::Leadership;

/// Between two questions at start, when only the stream can still be missing.
const ALMOST_READY: Duration = Duration::from_millis(20);
/// What each part has to answer.
const PART_TIMEOUT: Duration = Duration::from_secs(2);

/// The parts whose state is told.
pub(crate) struct Health {
    pub(crate) hub: Arc<Hub>,
    pub(crate) nats: Nats,
    pub(crate) store: Store,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) alerts: Arc<Alerts>,
    /// Those of `phaseline up`.
    pub(crate) servers: Servers,
}

impl Health {
    /// Asks all parts; answers also when none does.
    pub(crate) async fn readiness(&self) -> Readiness {
        let (lag, dead_letters) = tokio::join!(
            timeout(PART_TIMEOUT, self.nats.lag()),
            timeout(PART_TIMEOUT, self.store.dead_letter_count()),
        );
        let nats = self.nats.is_connected();
        let dead_letters = dead_letters.ok().and_then(Result::ok);
        let postgres = dead_letters.is_some();
        let leadership = self.leadership();
        let lag = lag.ok().flatten();
        let word = |connected| {
            if connected {
                "connected"
            } else {
                "disconnected"
            }
            .to_owned()
        };
        Readiness {
            // Without its stream the broker takes no events, so that its lag is more than a figure.
            ready: nats
                && lag.is_some()
                && postgres
                && leadership != "none"
                && !self.alerts.is_raised(About::Room)
                && self.hub.is_loaded(),
            nats: word(nats),
            postgres: word(postgres),
            leadership: leadership.to_owned(),
            consumer_lag: lag,
            seq: self.hub.seq(),
            dead_letters,
            alerts: self.alerts.all(),
            stale: self.hub.stale().borrow().clone(),
            servers: self.servers.iter().map(|s| s.borrow().clone()).collect(),
        }
    }

    fn leadership(&self) -> &'static str {
        if *self.leadership.borrow() == Leadership::Leader {
            return "leader";
        }
        let heard = *self.hub.beacon().borrow();
        match heard {
            Some(at) if at.elapsed() < LEADER_SILENT => "follower",
            _ => "none",
        }
    }

    /// Returns when [`readiness`](Self::readiness) says ready for the first time.
    pub(crate) async fn first_ready(&self) {
        let mut connected = self.nats.connected.clone();
        let (mut loaded, mut beacon, mut leadership) = (
            self.hub.loaded(),
            self.hub.beacon(),
            self.leadership.clone(),
        );
        // Each only ends with an error when its owner is gone, and then we stop anyway.
        let _ = loaded.wait_for(|loaded| *loaded).await;
        let _ = connected.wait_for(|connected| *connected).await;
        tokio::select! {
            _ = leadership.wait_for(|leadership| *leadership == Leadership::Leader) => {}
            _ = beacon.wait_for(Option::is_some) => {}
        }
        // What is left, the stream that a new leader makes, takes milliseconds and tells nobody.
        while !self.readiness().await.ready {
            tokio::time::sleep(ALMOST_READY).await;
        }
    }
}

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, description = "The process lives", body = String)))]
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// Whether all parts do their work.
#[utoipa::path(
    get, path = "/readyz", tag = "operation",
    responses(
        (status = 200, description = "All parts do their work", body = Readiness),
        (status = 503, description = "A part does not; the data that is shown may be old", body = Readiness),
    ),
)]
pub(super) async fn ready(State(app): State<App>) -> Response {
    let readiness = app.health.readiness().await;
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness)).into_response()
}

/// Figures for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses((
        status = 200, description = "Prometheus text; OpenMetrics where `Accept` names it no later than text",
        content((String = "text/plain"), (String = "application/openmetrics-text")),
    )),
)]
pub(super) async fn metrics(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    app.hub.refresh_metrics();
    let text = app.metrics.encode().map_err(|error| {
        tracing::error!(%error, "failed to write the metrics");
        ApiError::internal()
    })?;
    let (kind, text) = if exposition::wants_open(&headers) {
        (exposition::OPEN, text)
    } else {
        (exposition::PLAIN, exposition::plain(&text))
    };
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
