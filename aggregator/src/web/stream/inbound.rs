//! What a client may say, and how often.

use serde::Deserialize;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Messages of a client, pings too, that are read at once, and how many more each second. Real ones send two a minute.
const BURST: f64 = 100.0;
const PER_SECOND: f64 = 20.0;

/// What a message leads to.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// A sign of life.
    Alive,
    /// It wants each build at most so often.
    Rate(f64),
    /// It wants the log lines of this build; none: of no build.
    Logs(Option<String>),
    /// It says goodbye.
    Bye,
    /// It may not do that.
    Refused(CloseCode, &'static str),
    /// The connection broke.
    Broken,
}

/// Reads a client's messages.
#[derive(Debug)]
pub(super) struct Inbound {
    tokens: f64,
    refilled: Instant,
}

#[derive(Deserialize)]
struct Said {
    #[serde(rename = "type")]
    kind: String,
    per_second: Option<f64>,
    build: Option<String>,
}

impl Inbound {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            tokens: BURST,
            refilled: now,
        }
    }

    pub(super) fn hear(&mut self, message: Result<Message, Error>, now: Instant) -> Heard {
        let passed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        self.tokens = (self.tokens + passed * PER_SECOND).min(BURST) - 1.0;
        if self.tokens < 0.0 {
            return Heard::Refused(CloseCode::Policy, "too many messages");
        }
        match message {
            Ok(Message::Text(text)) => said(&text),
            Ok(Message::Binary(_)) => {
                Heard::Refused(CloseCode::Unsupported, "only text is read here")
            }
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Heard::Alive,
            Ok(Message::Close(_)) => Heard::Bye,
            Err(Error::Capacity(_)) => Heard::Refused(CloseCode::Size, "the message is too large"),
            Err(Error::Utf8(_)) => Heard::Refused(CloseCode::Invalid, "the text is not UTF-8"),
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => Heard::Bye,
            Err(Error::Protocol(error)) => {
                tracing::debug!(%error, "a stream's client broke the protocol");
                use tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
                if error == ResetWithoutClosingHandshake {
                    return Heard::Broken;
                }
                Heard::Refused(CloseCode::Protocol, "not as RFC 6455 wants it")
            }
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::QuotaExceeded => {
                Heard::Refused(CloseCode::Policy, "too many bytes")
            }
            Err(error) => {
                tracing::debug!(%error, "failed to read from a stream");
                Heard::Broken
            }
        }
    }
}

fn said(text: &str) -> Heard {
    let Ok(said) = serde_json::from_str::<Said>(text) else {
        return Heard::Refused(
            CloseCode::Invalid,
            "not a message such as {\"type\":\"rate\",\"per_second\":5}",
        );
    };
    match (said.kind.as_str(), said.per_second) {
        ("rate", Some(per_second)) if per_second.is_finite() && per_second > 0.0 => {
            Heard::Rate(per_second)
        }
        ("logs", _)
            if said
                .build
                .as_ref()
                .is_none_or(|id| id.len() <= super::MAX_FILTER) =>
        {
            Heard::Logs(said.build)
        }
        ("rate", _) => Heard::Refused(CloseCode::Invalid, "per_second must be a number above 0"),
        _ => Heard::Refused(
            CloseCode::Policy,
            "a message of this type is not known here",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(message: Result<Message, Error>) -> Heard {
        Inbound::new(Instant::now()).hear(message, Instant::now())
    }

    #[test]
    fn a_rate_is_a_number_above_zero() {
        let rate = |text: &str| hear(Ok(Message::text(text)));
        assert_eq!(
            rate(r#"{"type":"rate","per_second":2.5}"#),
            Heard::Rate(2.5)
        );
        for bad in [
            "",
            "[]",
            "null",
            "{",
            r#"{"type":"rate"}"#,
            r#"{"type":"rate","per_second":-1}"#,
            r#"{"type":5}"#,
            r#"{"type":"logs","build":5}"#,
        ] {
            assert!(
                matches!(rate(bad), Heard::Refused(CloseCode::Invalid, _)),
                "{bad}"
            );
        }
        assert!(matches!(
            rate(r#"{"type":"shout"}"#),
            Heard::Refused(CloseCode::Policy, _)
        ));
    }

    #[test]
    fn the_log_of_one_build_is_asked_for() {
        let logs = |text: &str| hear(Ok(Message::text(text)));
        let of = |build: &str| Heard::Logs(Some(build.to_owned()));
        assert_eq!(logs(r#"{"type":"logs","build":"h-aa-1"}"#), of("h-aa-1"));
        assert_eq!(logs(r#"{"type":"logs","build":null}"#), Heard::Logs(None));
    }

    #[test]
    fn binary_messages_and_floods_are_refused() {
        assert!(matches!(
            hear(Ok(Message::binary(vec![1]))),
            Heard::Refused(CloseCode::Unsupported, _)
        ));
        let now = Instant::now();
        let mut inbound = Inbound::new(now);
        let flood = (0..=100).map(|_| inbound.hear(Ok(Message::Ping(bytes::Bytes::new())), now));
        let last = flood.last();
        assert!(
            matches!(last, Some(Heard::Refused(CloseCode::Policy, _))),
            "{last:?}"
        );
    }
}
