//! A frame of the leader, as the hub takes it in: read from NATS or, on the leader itself, handed over.

use bytes::Bytes;
use protocol::{Build, BuildState, Frame, FrameType, Host, Timestamp};
use serde_json::{Map, Value};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// What a frame says.
#[derive(Debug)]
pub(crate) enum Said {
    /// A merge patch of a build; of a new one it has all members that are not null.
    Update {
        id: String,
        patch: Map<String, Value>,
    },
    /// A build ended.
    Complete { id: String },
    /// A whole host.
    Host(Box<Host>),
}

/// A frame that the hub takes in, with its text for the browsers.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    pub(crate) said: Said,
    pub(crate) text: Utf8Bytes,
}

/// Why a live message is not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadFrame {
    #[error("not UTF-8")]
    NotText,
    #[error("not a frame: {0}")]
    NotAFrame(serde_json::Error),
    #[error("a {0:?} frame without seq")]
    NoSeq(FrameType),
    #[error("a {0:?} frame, which the leader does not publish")]
    Unexpected(FrameType),
    #[error("a {0:?} frame without the build's id")]
    NoId(FrameType),
}

impl Incoming {
    pub(crate) fn read(payload: Bytes) -> Result<Self, BadFrame> {
        let text = Utf8Bytes::try_from(payload).map_err(|_| BadFrame::NotText)?;
        let frame: Frame<Map<String, Value>> =
            serde_json::from_str(&text).map_err(BadFrame::NotAFrame)?;
        let kind = frame.kind;
        let seq = frame.seq.ok_or(BadFrame::NoSeq(kind))?;
        let id = || {
            let id = frame.data.get("id").and_then(Value::as_str);
            id.map(str::to_owned).ok_or(BadFrame::NoId(kind))
        };
        let said = match kind {
            FrameType::BuildUpdate => Said::Update {
                id: id()?,
                patch: frame.data,
            },
            FrameType::BuildComplete => Said::Complete { id: id()? },
            FrameType::HostUpdate => Said::Host(Box::new(
                serde_json::from_value(Value::Object(frame.data)).map_err(BadFrame::NotAFrame)?,
            )),
            other => return Err(BadFrame::Unexpected(other)),
        };
        Ok(Self {
            seq,
            at: frame.timestamp,
            said,
            text,
        })
    }
}

/// The build that a patch describes wholly, with its nulls; none when the
/// patch changes a build that must be known.
pub(super) fn new_build(patch: &Map<String, Value>) -> Option<Map<String, Value>> {
    // The run never changes, so only a new build's frame carries it.
    patch.get("run")?;
    let build: Build = serde_json::from_value(Value::Object(patch.clone())).ok()?;
    match serde_json::to_value(build) {
        Ok(Value::Object(map)) => Some(map),
        _ => None,
    }
}

/// Whether a change may not wait: the build ended, stalled or failed, or its to-do list changed.
pub(super) fn is_urgent(patch: &Map<String, Value>) -> bool {
    let state = patch
        .get("state")
        .and_then(Value::as_str)
        .and_then(BuildState::from_word);
    let calm = matches!(state, None | Some(BuildState::Queued | BuildState::Running));
    !calm || patch.contains_key("todos")
}
