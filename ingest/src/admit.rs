//! Who may call: this machine, or whoever holds the token. Never a page in a
//! browser of somebody who happens to be on this machine.

use std::fmt;
use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN};
use axum::http::{Extensions, HeaderMap, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::answer::Refused;

/// Who may call.
#[derive(Clone, Default)]
pub struct Admission {
    /// Hash of the bearer token, so that comparing takes the same time for every guess.
    token: Option<[u8; 32]>,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.token.is_some() {
            "with a token"
        } else {
            "from loopback"
        };
        f.write_str(who)
    }
}

impl Admission {
    /// Only calls from this machine.
    #[must_use]
    pub fn loopback() -> Self {
        Self::default()
    }

    /// Only calls with this bearer token, from anywhere.
    #[must_use]
    pub fn token(token: &str) -> Self {
        Self {
            token: Some(Sha256::digest(token.as_bytes()).into()),
        }
    }

    /// Lets a request pass, and says whether it comes from this machine.
    pub(crate) fn admit(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<bool, Refused> {
        let peer = extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(peer)| peer.ip());
        let local = peer.is_some_and(|peer| peer.to_canonical().is_loopback());
        match &self.token {
            Some(expected) => {
                let given = headers
                    .get(AUTHORIZATION)
                    .and_then(|value| value.to_str().ok())
                    .and_then(|text| text.strip_prefix("Bearer "))
                    .map(|token| <[u8; 32]>::from(Sha256::digest(token.trim().as_bytes())));
                if given.as_ref() != Some(expected) {
                    return Err(Refused::new(
                        StatusCode::UNAUTHORIZED,
                        "unauthorized",
                        "Unauthorized: the bearer token is missing or not the one of this server.",
                    ));
                }
            }
            None if !local => {
                return Err(Refused::new(
                    StatusCode::FORBIDDEN,
                    "loopback_only",
                    "Calls from other machines are taken once a token is configured (PHASELINE_INGEST_TOKEN_FILE).",
                ));
            }
            None => {}
        }
        not_from_a_page(headers)?;
        Ok(local)
    }
}

/// A page elsewhere can make its visitor's browser post plain text here, and
/// sends its origin with it; programs send no origin.
pub(crate) fn not_from_a_page(headers: &HeaderMap) -> Result<(), Refused> {
    if headers.contains_key(ORIGIN) {
        return Err(Refused::new(
            StatusCode::FORBIDDEN,
            "not_for_pages",
            "Pages may not send builds.",
        ));
    }
    Ok(())
}

/// What a body is read of says that it is JSON, which a page elsewhere may not say unasked.
pub(crate) fn only_json(headers: &HeaderMap) -> Result<(), Refused> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(';').next())
        .unwrap_or_default()
        .trim();
    let json = kind.eq_ignore_ascii_case("application/json") || kind.ends_with("+json");
    if !json {
        return Err(Refused::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            "The Content-Type must be application/json.",
        ));
    }
    Ok(())
}
