//! The event: one change of one file on one host, as its agent saw it. An
//! event says what was seen, never what it means; meaning is the fold's.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{ContentHash, Timestamp, storable};

/// Version of the event's wire format. Fields are added under the same
/// version; it rises only when an old reader would misread a new event.
pub const EVENT_VERSION: u32 = 1;

/// Longest text in any of an event's own text fields, bytes. Linux limits a
/// path to 4,096; nothing else here is longer.
pub const MAX_TEXT_BYTES: usize = 4096;

/// Largest producer's file that is read, bytes. Real phase files are under
/// 2 KiB, summaries under 20 KiB; a larger file is reported, not read.
pub const MAX_DOCUMENT_BYTES: u64 = 1024 * 1024;

/// Largest event on the wire, bytes: a document whose every character needed
/// an escape of six, and the fields around it. The `max_payload` of every
/// nats-server we configure.
pub const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// Random identity of an agent's state directory: 64 bits as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(pub u64);

/// First 64 bits of a SHA-256, as 16 hex digits: of the absolute project path,
/// or of the producer's own id where it has one that is the same wherever its
/// files lie.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectToken(pub u64);

impl ProjectToken {
    /// The token of a project directory, from the bytes of its absolute path.
    #[must_use]
    pub fn of(absolute: &Path) -> Self {
        Self::of_bytes(absolute.as_os_str().as_encoded_bytes())
    }

    /// The token of a producer's own id, from the bytes of `<producer>:<id>`.
    #[must_use]
    pub fn of_id(producer: &str, id: &str) -> Self {
        Self::of_bytes(format!("{producer}:{id}").as_bytes())
    }

    fn of_bytes(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self(u64::from_be_bytes(first))
    }
}

/// The text was not 16 lower-case hex digits.
#[derive(Debug, thiserror::Error)]
#[error("not 16 lower-case hex digits")]
pub struct BadToken;

macro_rules! hex_token {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $name {
            type Err = BadToken;
            fn from_str(text: &str) -> Result<Self, BadToken> {
                let plain = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                if text.len() != 16 || !text.bytes().all(plain) {
                    return Err(BadToken);
                }
                u64::from_str_radix(text, 16).map(Self).map_err(|_| BadToken)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}
hex_token!(AgentId);
hex_token!(ProjectToken);

/// What happened to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The file has this content now (`document`, `hash`).
    Content,
    /// The file is gone, and was still gone a moment later.
    Removed,
    /// The file is there and cannot be read as what it should be (`unreadable`).
    Unreadable,
}

/// Why a file that is there gave no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnreadableReason {
    /// No JSON, also after the retries.
    Unparsable,
    /// Larger than [`MAX_DOCUMENT_BYTES`], or than the broker takes.
    TooLarge,
    /// Nested deeper than [`crate::json::MAX_DEPTH`].
    TooDeep,
    /// A directory, pipe, device, socket or symbolic link.
    NotRegular,
    /// The system refused: permission, I/O error.
    Denied,
}

/// A file that is there and gave no content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// In one word.
    pub reason: UnreadableReason,
    /// For people: what and where, e.g. "unexpected character at byte 17".
    pub message: String,
}

/// Where the project's working tree stands, from `.git/HEAD` and refs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// Branch name; none when HEAD is detached.
    pub branch: Option<String>,
    /// 40 or 64 hex digits; none before the first commit.
    pub commit: Option<String>,
}

/// One observed change. (`agent`, `boot`, `seq`) is its identity: the
/// `Nats-Msg-Id` and a unique key in Postgres.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// [`EVENT_VERSION`].
    pub v: u32,
    /// Random id of the agent's state directory.
    pub agent: AgentId,
    /// UUIDv7 per start of the agent, so that boots sort by time.
    pub boot: Uuid,
    /// Counts in the outbox from 1, per boot.
    pub seq: u64,
    /// The host's name.
    pub host: String,
    /// The program that writes the file, e.g. `context-foundry`.
    pub producer: String,
    /// Which project directory, independent of roots.
    pub project_token: ProjectToken,
    /// Last component of the project directory.
    pub project: String,
    /// Label of the watched root.
    pub root: String,
    /// The project directory relative to the root; `.` when it is the root.
    pub path: String,
    /// The file relative to the project directory, e.g. `.context-foundry/current-phase.json`.
    pub file: String,
    /// The producer's session, where a call named one instead of a project: the event
    /// then belongs to the newest active build with it on that host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The project that a producer's session works in, where its file lies elsewhere: the event belongs
    /// to the newest active build of another producer there, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near: Option<ProjectToken>,
    /// What happened.
    pub kind: EventKind,
    /// The content was there before this agent first looked: it may be of an earlier build.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub found: bool,
    /// The file had been deleted before this content was written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recreated: bool,
    /// Earlier states of the file may have come and gone unseen: its watch queue overflowed, or the outbox was full.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
    /// The file's modification time (host clock); when it vanished, for `Removed`.
    pub changed_at: Timestamp,
    /// When the agent read it (host clock).
    pub observed_at: Timestamp,
    /// Hash of the content without the producer's volatile keys; `Content` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<ContentHash>,
    /// Size of the file as read, bytes; 0 for `Removed`.
    #[serde(default)]
    pub size: u64,
    /// The content in canonical spelling; `Content` only. A file may hold `null`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub document: Option<Box<RawValue>>,
    /// Why there is no content; `Unreadable` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<Unreadable>,
    /// Where the project's working tree stands; none when it is no git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
}

/// What is there, `null` too.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// An event that cannot be taken: not decodable, or against its own rules.
#[derive(Debug, thiserror::Error)]
pub enum BadEvent {
    /// No JSON of this shape.
    #[error("not an event: {0}")]
    NotAnEvent(#[from] serde_json::Error),
    /// Another wire version.
    #[error("event version {0} is not {EVENT_VERSION}")]
    Version(u32),
    /// A text field is empty, too long or holds a NUL, which Postgres refuses.
    #[error("field {0} is empty, holds a NUL or exceeds {MAX_TEXT_BYTES} bytes")]
    Text(&'static str),
    /// Something in it, or in what is kept with it, that Postgres refuses. No agent sends it.
    #[error("{0}, which cannot be stored")]
    Unstorable(&'static str),
    /// `kind` and the fields that go with it disagree.
    #[error("kind does not fit the fields {0}")]
    Kind(&'static str),
}

impl Event {
    /// The `Nats-Msg-Id`: `agent:boot:seq`.
    #[must_use]
    pub fn message_id(&self) -> String {
        format!("{}:{}:{}", self.agent, self.boot, self.seq)
    }

    /// A producer said it by a call, instead of writing a file.
    #[must_use]
    pub fn is_call(&self) -> bool {
        self.session.is_some() || self.file.starts_with("http/")
    }

    /// Decodes and checks an event from the wire.
    ///
    /// # Errors
    /// See [`BadEvent`]: the message is for the dead-letter table.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadEvent> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let Version { v } = serde_json::from_slice(bytes)?;
        if v != EVENT_VERSION {
            return Err(BadEvent::Version(v));
        }
        let event: Self = serde_json::from_slice(bytes)?;
        event.check()?;
        match storable::obstacle(bytes) {
            Some(what) => Err(BadEvent::Unstorable(what)),
            None => Ok(event),
        }
    }

    fn check(&self) -> Result<(), BadEvent> {
        let texts = [
            ("host", &self.host),
            ("producer", &self.producer),
            ("project", &self.project),
            ("root", &self.root),
            ("path", &self.path),
            ("file", &self.file),
        ];
        for (name, text) in texts {
            if text.is_empty() || text.len() > MAX_TEXT_BYTES || text.contains('\0') {
                return Err(BadEvent::Text(name));
            }
        }
        if let Some(session) = &self.session
            && (session.len() > MAX_TEXT_BYTES || session.contains('\0'))
        {
            return Err(BadEvent::Text("session"));
        }
        let content = self.document.is_some() && self.hash.is_some();
        match self.kind {
            EventKind::Content if !content => Err(BadEvent::Kind("document and hash")),
            EventKind::Unreadable if self.unreadable.is_none() => Err(BadEvent::Kind("unreadable")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every version ever published stays readable: add files, never change one.
    const GOLDEN_V1: &str = include_str!("../golden/event.v1.json");

    #[test]
    fn version_1_is_read_and_written_as_published() {
        let event = Event::decode(GOLDEN_V1.as_bytes()).unwrap();
        assert_eq!(event.host, "build-01");
        assert_eq!(
            event.message_id(),
            "00000000c0ffee01:01930000-0000-7000-8000-000000000001:42"
        );
        let golden: serde_json::Value = serde_json::from_str(GOLDEN_V1).unwrap();
        assert_eq!(serde_json::to_value(&event).unwrap(), golden);
    }

    #[test]
    fn a_document_keeps_integers_that_no_double_holds() {
        let text = GOLDEN_V1.replace(
            "\"test_iteration\": 1",
            "\"test_iteration\": 18446744073709551617",
        );
        let event = Event::decode(text.as_bytes()).unwrap();
        assert!(
            serde_json::to_string(&event)
                .unwrap()
                .contains("18446744073709551617")
        );
    }

    #[test]
    fn a_file_that_holds_null_is_a_content() {
        let mut golden: serde_json::Value = serde_json::from_str(GOLDEN_V1).unwrap();
        golden["document"] = serde_json::Value::Null;
        let event = Event::decode(golden.to_string().as_bytes()).unwrap();
        assert_eq!(event.document.unwrap().get(), "null");
    }

    #[test]
    fn what_is_no_event_is_named() {
        let reason = |text: &str| Event::decode(text.as_bytes()).unwrap_err().to_string();
        assert!(reason("{}").contains("missing field `v`"));
        assert_eq!(reason("{\"v\":2}"), "event version 2 is not 1");
        assert!(reason(&GOLDEN_V1.replace("build-01", "build\\u0000")).contains("host"));
        assert!(reason(&GOLDEN_V1.replace("\"content\"", "\"unreadable\"")).contains("unreadable"));
    }

    #[test]
    fn a_project_token_is_the_start_of_the_hash_of_its_path() {
        // printf %s /srv/weather | sha256sum
        let token = ProjectToken::of(Path::new("/srv/weather"));
        let whole = ContentHash::of(b"/srv/weather").to_string();
        assert_eq!(token.to_string(), whole[..16]);
        assert_eq!(token.to_string().parse::<ProjectToken>().unwrap(), token);
    }

    #[test]
    fn a_producers_own_id_is_a_token_too() {
        // printf %s adw:3af4a34d | sha256sum
        let token = ProjectToken::of_id("adw", "3af4a34d");
        let whole = ContentHash::of(b"adw:3af4a34d").to_string();
        assert_eq!(token.to_string(), whole[..16]);
    }
}
