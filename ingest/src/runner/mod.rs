//! `/ws/runner`: the WebSocket of OpenBuilder's runner. [`frame`] is what its
//! frames say, [`session`] the life of one connection. The runner keeps no
//! frame that it could not send and hears of no failure, so that what cannot be
//! kept at once is tried again for a while, and then counted.

mod frame;
mod session;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::admit::not_from_a_page;
use crate::answer::Refused;
use crate::handshake::{switching, websocket_key};
use crate::router::Ingest;
use crate::{MAX_BODY, Sink};
use session::{Patience, Session};

/// As it is counted.
pub(crate) const ROUTE: &str = "/ws/runner";
/// Runners at a time: one per machine is usual.
pub(crate) const MAX_CONNECTED: usize = 64;
/// A connection's buffers, bytes: little is said on it for most of the time.
const BUFFER: usize = 8 * 1024;
/// What may wait to be written to a runner that does not read, bytes: pings and a Close.
const MAX_WRITE_BUFFER: usize = 64 * 1024;

/// Makes a runner's request a WebSocket. Who may not come in is told so on it,
/// with code 1008, as the runner expects.
pub(crate) async fn upgrade<S: Sink>(
    State(ingest): State<Arc<Ingest<S>>>,
    mut request: Request,
) -> Response {
    match accept(&ingest, &mut request) {
        Ok(response) => response,
        Err(refused) => {
            ingest.status.refused(ROUTE, &refused.message);
            refused.into_response()
        }
    }
}

fn accept<S: Sink>(ingest: &Arc<Ingest<S>>, request: &mut Request) -> Result<Response, Refused> {
    not_from_a_page(request.headers())?;
    let key = websocket_key(request.method(), request.headers()).ok_or_else(|| {
        Refused::new(
            StatusCode::UPGRADE_REQUIRED,
            "websocket_required",
            "This address only answers WebSocket requests (RFC 6455, version 13).",
        )
    })?;
    let upgrade = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or_else(|| Refused::bad_body("The connection cannot be a WebSocket."))?;
    let seat = Arc::clone(&ingest.seats).try_acquire_owned().map_err(|_| {
        Refused::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_runners",
            format!("{MAX_CONNECTED} runners are connected."),
        )
    })?;
    let admitted = ingest.admit(request.headers(), request.extensions());
    let runner = runner_id(request.uri().query().unwrap_or_default());
    let ingest_in = Arc::clone(ingest);
    ingest.tasks.spawn(async move {
        let stream = match upgrade.await {
            Ok(upgraded) => TokioIo::new(upgraded),
            Err(error) => {
                tracing::debug!(%error, "a runner's connection ended before it began");
                return;
            }
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_write_buffer_size(MAX_WRITE_BUFFER)
            .max_message_size(Some(MAX_BODY))
            .max_frame_size(Some(MAX_BODY));
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        Session::new(socket, &ingest_in, Patience::default())
            .run(&runner, admitted)
            .await;
        drop(seat);
    });
    Ok(switching(&key))
}

/// `runnerId` of the query; real ones are `runner-<hostname>`.
fn runner_id(query: &str) -> String {
    let value = query
        .split('&')
        .find_map(|part| part.strip_prefix("runnerId="))
        .unwrap_or_default();
    let text = decoded(value);
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    if text.trim().is_empty() {
        "(unnamed)".to_owned()
    } else {
        text
    }
}

/// Percent signs and plus signs of a query as what they stand for.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digits = [ahead.next(), ahead.next()]
            .map(|digit| digit.and_then(|d| char::from(d).to_digit(16)));
        match (byte, digits) {
            (b'%', [Some(high), Some(low)]) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = ahead;
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_is_named_by_its_query() {
        assert_eq!(runner_id("runnerId=runner-mac"), "runner-mac");
        assert_eq!(runner_id("a=1&runnerId=my%20mac%2"), "my mac%2");
        for nameless in ["", "runnerId=", "runnerId=%00"] {
            assert_eq!(runner_id(nameless), "(unnamed)");
        }
    }
}
