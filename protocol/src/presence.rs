//! What an agent says of itself every ten seconds on core NATS. Losing one
//! costs nothing: the next says the same.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AgentId, Calls, ProjectToken, Timestamp};

/// How often an agent says that it is there, milliseconds.
pub const INTERVAL_MS: i64 = 10_000;
/// A host is gone after two missed presences and a margin for a slow network, milliseconds.
pub const GONE_AFTER_MS: i64 = 2 * INTERVAL_MS + 2_000;
/// Signs of life stay in the presence for this long, so that six repeats carry each, milliseconds.
pub const ALIVE_REPEAT_MS: i64 = 60_000;
/// Most signs of life in one message: some 60 KiB, far under any broker's limit. More wait for the next message.
pub const MAX_ALIVE: usize = 1_000;
/// Version of this message's format.
pub const PRESENCE_VERSION: u32 = 1;

/// How a watched root is being watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum RootState {
    /// The first walk is under way.
    Starting,
    /// By events of the file system.
    Watching,
    /// It does not exist yet; it is found when it appears.
    Missing,
    /// Not fully by events; `reason` and `remedy` say why and what helps.
    Degraded,
}

/// A watched root and how it is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RootStatus {
    /// As in `Build::root`.
    pub label: String,
    /// Absolute path on the host.
    pub path: String,
    /// How it is being watched.
    pub state: RootState,
    /// Directories that are watched beneath it.
    pub watches: u64,
    /// Why it is degraded or missing.
    pub reason: Option<String>,
    /// The command or change that helps.
    pub remedy: Option<String>,
}

/// What waits on the host because the broker has not acknowledged it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutboxStatus {
    /// Events waiting.
    pub events: u64,
    /// Their size, bytes.
    pub bytes: u64,
    /// The limit, bytes (`PHASELINE_OUTBOX_MAX`).
    pub max_bytes: u64,
    /// The limit was reached since the last restart: states were coalesced to the newest.
    pub overflowed: bool,
}

/// What the leader answers to a presence: where events go now. An agent that
/// knew another stream sends every state once more, because what that one had
/// taken may be gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// [`PRESENCE_VERSION`].
    pub v: u32,
    /// Names the stream over restarts of the broker; another one after it was made anew.
    pub stream: String,
}

/// A sign of life: a project's newest file time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// As in `Event::producer`.
    pub producer: String,
    /// As in `Event::project_token`.
    pub project_token: ProjectToken,
    /// Modification time of its newest state file.
    pub file_time: Timestamp,
}

/// "I am here."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// [`PRESENCE_VERSION`].
    pub v: u32,
    /// As in `Event::agent`.
    pub agent: AgentId,
    /// As in `Event::boot`.
    pub boot: Uuid,
    /// As in `Event::host`.
    pub host: String,
    /// The agent's version.
    pub version: String,
    /// The agent's clock now.
    pub sent_at: Timestamp,
    /// When it started.
    pub started_at: Timestamp,
    /// The last message of this boot: the agent was told to stop.
    pub stopping: bool,
    /// What waits to be sent.
    pub outbox: OutboxStatus,
    /// Its roots.
    pub roots: Vec<RootStatus>,
    /// What producers that send have sent to it; none where it takes no calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Calls>,
    /// Projects whose newest file time moved within [`ALIVE_REPEAT_MS`].
    pub alive: Vec<Alive>,
}
