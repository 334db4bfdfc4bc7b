//! Writing frames to one browser: many with one flush, large ones in
//! fragments, all within a time limit, and closing with a code that says why.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use protocol::FrameType;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::metered::Metered;
use super::session::End;
use crate::live::OutFrame;
use crate::metrics::{Kind, Metrics};

/// Longest message from a client, bytes; real ones have 40.
const MAX_INBOUND: usize = 64 * 1024;
/// A connection's read buffer, bytes: clients say little.
const READ_BUFFER: usize = 4 * 1024;
/// A connection's write buffer and the largest fragment, bytes: a snapshot
/// passes through it piece by piece instead of being copied whole per browser.
const WRITE_BUFFER: usize = 32 * 1024;
const FRAGMENT: usize = 32 * 1024;
/// What may wait in the write buffer when the browser does not read, bytes: a fragment more than the buffer, and control frames.
const MAX_WRITE_BUFFER: usize = WRITE_BUFFER + 2 * FRAGMENT;
/// A browser must take what it is sent within this, and large amounts at this many bytes a second.
const SEND_WITHIN: Duration = Duration::from_secs(5);
const SLOWEST_BYTES_PER_SECOND: usize = 64 * 1024;
/// What the other side has to answer our Close.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// One browser's connection.
pub(super) struct Socket<S> {
    inner: WebSocketStream<Metered<S>>,
    metrics: Arc<Metrics>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(super) async fn new(stream: S, metrics: Arc<Metrics>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(MAX_WRITE_BUFFER)
            .max_message_size(Some(MAX_INBOUND))
            .max_frame_size(Some(MAX_INBOUND));
        let stream = Metered::new(stream);
        let inner = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        Self { inner, metrics }
    }

    /// The next message; none when the connection is over.
    pub(super) async fn next(&mut self) -> Option<Result<Message, Error>> {
        self.inner.next().await
    }

    /// Sends all, with one flush. When the browser does not take it in time, or is gone, the session ends.
    pub(super) async fn send(&mut self, frames: &[OutFrame]) -> Result<(), End> {
        if frames.is_empty() {
            return Ok(());
        }
        let bytes: usize = frames.iter().map(|frame| frame.text.len()).sum();
        let extra = u64::try_from(bytes / SLOWEST_BYTES_PER_SECOND).unwrap_or(u64::MAX);
        let all = async {
            for frame in frames {
                self.feed(frame).await?;
            }
            self.inner.flush().await
        };
        match timeout(SEND_WITHIN.saturating_add(Duration::from_secs(extra)), all).await {
            Err(_) => return Err(End::Slow),
            Ok(Err(error)) => return Err(failed(&error)),
            Ok(Ok(())) => {}
        }
        self.metrics
            .live
            .bytes
            .inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
        for frame in frames {
            let kind = Kind {
                kind: word(frame.kind),
            };
            self.metrics.live.frames.get_or_create(&kind).inc();
        }
        Ok(())
    }

    async fn feed(&mut self, frame: &OutFrame) -> Result<(), Error> {
        if frame.text.len() <= FRAGMENT {
            return self.inner.feed(Message::Text(frame.text.clone())).await;
        }
        let mut rest = Bytes::from(frame.text.clone());
        let mut opcode = OpCode::Data(Data::Text);
        while !rest.is_empty() {
            let piece = rest.split_to(FRAGMENT.min(rest.len()));
            let fragment = Frame::message(piece, opcode, rest.is_empty());
            self.inner.feed(Message::Frame(fragment)).await?;
            opcode = OpCode::Data(Data::Continue);
        }
        Ok(())
    }

    pub(super) async fn ping(&mut self) -> Result<(), End> {
        match timeout(SEND_WITHIN, self.inner.send(Message::Ping(Bytes::new()))).await {
            Err(_) => Err(End::Slow),
            Ok(Err(error)) => Err(failed(&error)),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// Says why, and waits a moment for the other side's Close.
    pub(super) async fn close(mut self, code: CloseCode, reason: &'static str) {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        let farewell = async {
            // An error means that the other side is gone, or said its Close first: then the answer to it
            // waits to be written.
            if self.inner.close(Some(frame)).await.is_err() {
                let _ = self.inner.flush().await;
                return;
            }
            while let Some(Ok(_)) = self.inner.next().await {}
            // What is left of a refused message is read and dropped: a socket that is closed over unread
            // bytes is reset, and the reset would overtake our reason.
            if matches!(
                code,
                CloseCode::Size | CloseCode::Invalid | CloseCode::Protocol | CloseCode::Policy
            ) {
                let _ = tokio::io::copy(self.inner.get_mut(), &mut tokio::io::sink()).await;
            }
        };
        let _ = timeout(CLOSE_WITHIN, farewell).await;
    }
}

fn failed(error: &Error) -> End {
    tracing::debug!(%error, "failed to write to a stream");
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => End::Left,
        Error::WriteBufferFull(_) => End::Slow,
        _ => End::Failed,
    }
}

/// A frame's type as a label.
fn word(kind: FrameType) -> &'static str {
    match kind {
        FrameType::Snapshot => "snapshot",
        FrameType::Build => "build",
        FrameType::BuildUpdate => "build_update",
        FrameType::BuildComplete => "build_complete",
        FrameType::HostUpdate => "host_update",
        FrameType::Alert => "alert",
        FrameType::Log => "log",
        FrameType::Heartbeat => "heartbeat",
    }
}
