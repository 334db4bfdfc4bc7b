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
