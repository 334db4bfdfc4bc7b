//! NATS subjects, built and read in this one place, and the ids that go into
//! URLs. Each token is encoded so that no host, producer or project name can
//! add or remove a token or match a wildcard.

use std::fmt::Write as _;

use crate::event::{Event, ProjectToken};

/// What the stream `PHASELINE` holds: all events of all hosts.
pub const EVENTS: &str = "phaseline.v1.event.>";
/// Committed changes of builds and hosts, in the frames' format (core NATS).
pub const LIVE: &str = "phaseline.v1.live.>";
/// The presence messages of all agents (core NATS).
pub const PRESENCES: &str = "phaseline.v1.presence.*";
/// The leader repeats the newest `seq` here, so that a replica notices a gap (core NATS).
pub const SEQ: &str = "phaseline.v1.seq";
/// What the stream `PHASELINE_LOGS` holds: lines of logs of all hosts.
pub const LOGS: &str = "phaseline.v1.log.>";
/// Committed lines of logs, in the frames' format (core NATS): beside [`LIVE`], so that a flood of
/// lines fills another queue than the changes of builds.
pub const LIVE_LOGS: &str = "phaseline.v1.live-log.>";
/// Name of the stream of log lines.
pub const LOG_STREAM: &str = "PHASELINE_LOGS";
/// Name of the one durable consumer of log lines.
pub const LOG_CONSUMER: &str = "phaseline-log-writer";
/// Name of the stream.
pub const STREAM: &str = "PHASELINE";
/// Name of the one durable consumer of the leader.
pub const CONSUMER: &str = "phaseline-writer";
/// Third token of `phaseline.v1.live.<host>.<build>` for a change of the host itself; no build id can be this.
const HOST_ITSELF: &str = "-";

/// One subject token: bytes other than ASCII letters, digits, `-` and `_` are
/// written `%XX`; an empty text is `%`. Different texts give different tokens.
#[must_use]
pub fn token(text: &str) -> String {
    if text.is_empty() {
        return "%".to_owned();
    }
    escape(text, '%', |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
    })
}

/// A host name as it stands in build ids and URLs: `[A-Za-z0-9.-]` as they are,
/// every other byte as `_xx`. Different names give different texts.
#[must_use]
pub fn url_name(host: &str) -> String {
    escape(host, '_', |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')
    })
}

fn escape(text: &str, mark: char, plain: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "{mark}{byte:02x}");
        }
    }
    out
}

/// `<host>-<project token>-<run>`: the id of a build, URL-safe.
#[must_use]
pub fn build_id(host: &str, project: ProjectToken, run: u32) -> String {
    format!("{}-{project}-{run}", url_name(host))
}

/// Where an event is published: `phaseline.v1.event.<host>.<producer>.<project token>`.
#[must_use]
pub fn event(event: &Event) -> String {
    format!(
        "phaseline.v1.event.{}.{}.{}",
        token(&event.host),
        token(&event.producer),
        event.project_token
    )
}

/// Where a committed change of a build is published: `phaseline.v1.live.<host>.<build>`.
#[must_use]
pub fn live_build(host: &str, build_id: &str) -> String {
    format!("phaseline.v1.live.{}.{}", token(host), token(build_id))
}

/// Where a committed change of a host is published.
#[must_use]
pub fn live_host(host: &str) -> String {
    format!("phaseline.v1.live.{}.{HOST_ITSELF}", token(host))
}

/// Where lines of a log are published: `phaseline.v1.log.<host>.<project token>`.
#[must_use]
pub fn log(host: &str, project: ProjectToken) -> String {
    format!("phaseline.v1.log.{}.{project}", token(host))
}

/// Where committed lines of a build's log are published: `phaseline.v1.live-log.<host>.<build>`.
#[must_use]
pub fn live_log(host: &str, build_id: &str) -> String {
    format!("phaseline.v1.live-log.{}.{}", token(host), token(build_id))
}

/// Where an agent says that it is there: `phaseline.v1.presence.<host>`.
#[must_use]
pub fn presence(host: &str) -> String {
    format!("phaseline.v1.presence.{}", token(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_names_stay_one_token() {
        for name in [
            "",
            ".",
            "*",
            ">",
            "a.b",
            "a b",
            "../x",
            "\u{202e}x",
            "a\nb",
            "%",
            "é",
        ] {
            let token = token(name);
            assert!(!token.is_empty());
            assert!(
                token
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !b".*>".contains(&b)),
                "{name:?} {token}"
            );
        }
        assert_eq!(token("build-01"), "build-01");
        assert_eq!(token("a.b"), "a%2eb");
    }

    #[test]
    fn a_build_id_is_url_safe() {
        let id = build_id("name~ab12", ProjectToken(0xb8a9), 3);
        assert_eq!(id, "name_7eab12-000000000000b8a9-3");
    }

    proptest! {
        #[test]
        fn different_names_never_meet(a in ".{0,12}", b in ".{0,12}") {
            prop_assert_eq!(a == b, token(&a) == token(&b));
            prop_assert_eq!(a == b, url_name(&a) == url_name(&b));
            prop_assert!(url_name(&a).bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c)));
        }
    }
}
