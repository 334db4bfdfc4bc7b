//! Frames of the stream: `{"type","data","timestamp","source","seq"}`.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrameType {
    /// Everything a new reader needs: builds, hosts, alerts.
    Snapshot,
    /// A whole build: after a skip, on resume, or with `?full=1`.
    Build,
    /// A merge patch (RFC 7396) of a build.
    BuildUpdate,
    /// A build ended; once for each.
    BuildComplete,
    /// A whole host.
    HostUpdate,
    /// An alert.
    Alert,
    /// A log line.
    Log,
    /// After 15 s of silence.
    Heartbeat,
}

/// Why a frame is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Something changed.
    Event,
    /// A measured value.
    Sample,
    /// Recovered state.
    Sync,
}

/// The members of a build that its `build_complete` repeats, beside a `seq` of its own.
pub const COMPLETE_MEMBERS: [&str; 10] = [
    "id",
    "host",
    "project",
    "producer",
    "run",
    "state",
    "state_reason",
    "started_at",
    "ended_at",
    "last_updated",
];

/// The envelope. `T` is borrowed data when writing and an owned value when reading.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Frame<T> {
    /// What it carries.
    #[serde(rename = "type")]
    pub kind: FrameType,
    /// The payload.
    pub data: T,
    /// When the server made it.
    pub timestamp: Timestamp,
    /// Why it is sent.
    pub source: Source,
    /// Everything up to here that concerns this connection has been sent; null for `sample` and `log`.
    pub seq: Option<u64>,
}
