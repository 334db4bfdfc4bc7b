//! Log lines on their way to browsers: a ring of their own, so that a flood of
//! lines never pushes a change of a build out of the other. Whoever is too
//! slow misses frames, sees it in the lines' numbers, and asks the API.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use protocol::{Frame, FrameType, subject};
use serde::Deserialize;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;

use super::change::OutFrame;
use super::hub::Hub;
use crate::nats::Nats;

/// Frames that a reader may be behind: at most 64 MiB of them in memory, usually some KiB.
pub(super) const RING: usize = 128;
/// Largest frame that is taken in, bytes; the leader's have at most 200 lines.
const MAX_FRAME: usize = 512 * 1024;
/// A subscription that ended is begun anew after this time.
const RETRY: Duration = Duration::from_secs(2);

/// A `log` frame, as the leader published it.
#[derive(Debug)]
pub(crate) struct LogFrame {
    /// The build.
    pub(crate) build: String,
    text: Utf8Bytes,
}

impl LogFrame {
    /// As it goes to a browser; it has no place in the order of changes.
    pub(crate) fn out(&self) -> OutFrame {
        OutFrame {
            kind: FrameType::Log,
            seq: 0,
            text: self.text.clone(),
        }
    }

    fn read(payload: bytes::Bytes) -> Option<Self> {
        #[derive(Deserialize)]
        struct Data {
            id: String,
        }
        let text = Utf8Bytes::try_from(payload).ok()?;
        let frame: Frame<Data> = serde_json::from_str(&text).ok()?;
        let fits = frame.kind == FrameType::Log && frame.seq.is_none() && text.len() <= MAX_FRAME;
        fits.then_some(Self {
            build: frame.data.id,
            text,
        })
    }
}

/// Hands on log lines until `stop`.
pub(crate) async fn follow_logs(hub: Arc<Hub>, nats: Nats, stop: CancellationToken) {
    let follow = async {
        loop {
            if let Ok(mut frames) = nats.client.subscribe(subject::LIVE_LOGS).await {
                while let Some(message) = frames.next().await {
                    match LogFrame::read(message.payload) {
                        Some(frame) => hub.tell_log(frame),
                        None => {
                            hub.metrics.live.bad_frames.inc();
                        }
                    }
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    stop.run_until_cancelled(follow).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_log_frames_are_taken_in() {
        let read = |text: &str| LogFrame::read(bytes::Bytes::from(text.to_owned()));
        let good = r#"{"type":"log","data":{"id":"h-aa-1","lines":[]},"timestamp":"2026-11-20T10:00:00.000Z","source":"event","seq":null}"#;
        assert_eq!(read(good).unwrap().build, "h-aa-1");
        assert!(read(&good.replace("\"log\"", "\"alert\"")).is_none());
        assert!(read(&good.replace("null", "5")).is_none());
        assert!(read(&good.replace("\"id\"", "\"x\"")).is_none());
        assert!(read("nonsense").is_none());
    }
}
