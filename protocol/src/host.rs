//! The host: a machine with an agent, as the API and the stream show it.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::calls::Calls;
use crate::presence::{OutboxStatus, RootStatus};

/// Longest host name, bytes: the limit of Linux.
pub const MAX_NAME_BYTES: usize = 64;
/// What [`is_name`] asks for, for people.
pub const NAME_EXPECTED: &str = "1 to 64 bytes without control characters, not blank";

/// Whether a host may be called so.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= MAX_NAME_BYTES && !text.chars().any(char::is_control)
}

/// Whether the host's agent is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// Its agent is there.
    Up,
    /// Two presences in a row were missed.
    Gone,
    /// Its agent said that it stops.
    Stopped,
}

impl HostState {
    /// The word on the wire and on pages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Gone => "gone",
            Self::Stopped => "stopped",
        }
    }
}

/// A machine with an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Whether its agent is there.
    pub state: HostState,
    /// Why we say so, for people; null while it is up and well.
    pub state_reason: Option<String>,
    /// Id of its agent.
    pub agent: Option<String>,
    /// Version of its agent.
    pub version: Option<String>,
    /// When its agent started (host clock).
    pub started_at: Option<Timestamp>,
    /// When its agent was last heard (database clock).
    pub last_seen_at: Option<Timestamp>,
    /// When this record last changed in more than its figures (database clock).
    pub last_updated: Timestamp,
    /// Host clock minus ours, milliseconds; null before the first presence.
    pub clock_offset_ms: Option<i64>,
    /// What waits on it.
    pub outbox: Option<OutboxStatus>,
    /// What is watched on it.
    pub roots: Vec<RootStatus>,
    /// What producers that send have sent to its agent; null where the agent takes no calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Calls>,
    /// Position in the order of all changes.
    pub seq: u64,
}

/// A host without an agent, known from the calls of producers that send. The members are those of
/// [`Host`]; what only an agent tells is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CalledHost {
    /// Its name.
    pub name: String,
    /// Null: whether it is up is not known.
    pub state: Option<HostState>,
    /// Why nothing is known of it, for people.
    pub state_reason: String,
    /// Null.
    pub agent: Option<String>,
    /// Null.
    pub version: Option<String>,
    /// Null.
    pub started_at: Option<Timestamp>,
    /// Null: no agent was ever heard.
    pub last_seen_at: Option<Timestamp>,
    /// When the newest change of its builds was committed (database clock).
    pub last_updated: Timestamp,
    /// Null.
    pub clock_offset_ms: Option<i64>,
    /// Null.
    pub outbox: Option<OutboxStatus>,
    /// Empty: files on it are not watched.
    pub roots: Vec<RootStatus>,
    /// Null: it has no place in the order of changes.
    pub seq: Option<u64>,
}

impl CalledHost {
    /// With the time of the newest change of its builds.
    #[must_use]
    pub fn new(name: &str, last_updated: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            state: None,
            state_reason: "no agent of this name was ever heard: it is known from the calls of producers that send"
                .to_owned(),
            agent: None,
            version: None,
            started_at: None,
            last_seen_at: None,
            last_updated,
            clock_offset_ms: None,
            outbox: None,
            roots: Vec::new(),
            seq: None,
        }
    }
}

/// What is known of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum HostAnswer {
    /// It has, or had, an agent.
    Agent(Box<Host>),
    /// It never had one.
    Calls(Box<CalledHost>),
}
