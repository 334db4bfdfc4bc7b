//! The server's side of a WebSocket's opening handshake (RFC 6455, section 4.2).

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The client's key when it is a WebSocket request as section 4.2.1 wants it.
#[must_use]
pub fn websocket_key(method: &Method, headers: &HeaderMap) -> Option<HeaderValue> {
    let lists = |name, word: &str| {
        let mut values = headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok());
        values.any(|value| {
            value
                .split(',')
                .any(|part| part.trim().eq_ignore_ascii_case(word))
        })
    };
    let asked = method == Method::GET
        && lists(header::CONNECTION, "upgrade")
        && lists(header::UPGRADE, "websocket")
        && headers
            .get(header::SEC_WEBSOCKET_VERSION)
            .is_some_and(|version| version == "13");
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == 24)?;
    asked.then(|| key.clone())
}

/// The answer that makes the connection a WebSocket.
#[must_use]
pub fn switching(key: &HeaderValue) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_as_rfc_6455_wants_it_is_a_websocket() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
                .collect()
        };
        let good = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let key = websocket_key(&Method::GET, &headers(&good)).unwrap();
        // The example of RFC 6455, section 1.3.
        assert_eq!(
            switching(&key).headers()[header::SEC_WEBSOCKET_ACCEPT],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert!(websocket_key(&Method::POST, &headers(&good)).is_none());
        for missing in 0..good.len() {
            let mut rest = good.to_vec();
            rest.remove(missing);
            assert!(
                websocket_key(&Method::GET, &headers(&rest)).is_none(),
                "{rest:?}"
            );
        }
    }
}
