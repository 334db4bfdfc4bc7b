//! The life of one connection: first frames, then changes as they come,
//! heartbeats in silence, pings, and an end with a reason.

use std::sync::Arc;
use std::time::Duration;

use protocol::page::Stale;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;

use super::Wishes;
use super::inbound::{Heard, Inbound};
use super::reading::Reading;
use super::socket::Socket;
use super::talk::Talk;
use crate::live::{Hub, Joined, OutFrame};

/// How often a connection is pinged; without a word after two pings it is over: in 12 s, and the reader is
/// back within the 15 s of every hop.
const PING_EVERY: Duration = Duration::from_secs(4);
const UNANSWERED: u32 = 2;

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Left,
    Slow,
    Silent,
    Refused(CloseCode, &'static str),
    Stopping,
    Failed,
}

impl End {
    /// As a label.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Refused(..) => "bad_message",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        }
    }
}

pub(super) struct Session<S> {
    socket: Socket<S>,
    talk: Talk,
    first: Option<Vec<OutFrame>>,
    inbound: Inbound,
    reading: Reading,
    stale: watch::Receiver<Option<Stale>>,
    silent_since: Instant,
    /// Silence after which a heartbeat says that there is nothing to say.
    beat: Duration,
    ping_at: Instant,
    unanswered: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub(super) fn new(socket: Socket<S>, hub: Arc<Hub>, wishes: Wishes, joined: Joined) -> Self {
        let now = Instant::now();
        let stale = hub.stale();
        let beat = wishes.beat;
        let reading = Reading::new(Arc::clone(&hub), wishes.logs.clone());
        let (talk, first) = Talk::begin(hub, wishes, joined, now);
        Self {
            socket,
            talk,
            first: Some(first),
            inbound: Inbound::new(now),
            reading,
            stale,
            silent_since: now,
            beat,
            ping_at: now + PING_EVERY,
            unanswered: 0,
        }
    }

    /// Until either side ends it; then the socket is closed with the fitting code.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> End {
        let end = stop
            .run_until_cancelled(self.converse())
            .await
            .unwrap_or(End::Stopping);
        let (code, reason) = match end {
            End::Left | End::Failed => (CloseCode::Normal, ""),
            End::Slow => (CloseCode::Again, "what was sent was not read in time"),
            End::Silent => (CloseCode::Away, "two pings were not answered"),
            End::Refused(code, reason) => (code, reason),
            End::Stopping => (CloseCode::Away, "the server is stopping"),
        };
        self.socket.close(code, reason).await;
        end
    }

    async fn converse(&mut self) -> End {
        loop {
            if let Err(end) = self.step().await {
                return end;
            }
        }
    }

    async fn step(&mut self) -> Result<(), End> {
        if let Some(first) = self.first.take() {
            return self.send(first).await;
        }
        let silence_ends = self.silent_since + self.beat;
        let due = self.talk.due().unwrap_or(silence_ends);
        let wake = due.min(silence_ends).min(self.ping_at);
        tokio::select! {
            biased;
            message = self.socket.next() => {
                let message = message.ok_or(End::Left)?;
                match self.inbound.hear(message, Instant::now()) {
                    Heard::Alive => self.unanswered = 0,
                    Heard::Rate(per_second) => {
                        self.unanswered = 0;
                        self.talk.set_rate(per_second);
                    }
                    Heard::Logs(build) => {
                        self.unanswered = 0;
                        self.reading.of(build);
                    }
                    Heard::Bye => return Err(End::Left),
                    Heard::Refused(code, reason) => return Err(End::Refused(code, reason)),
                    Heard::Broken => return Err(End::Failed),
                }
            }
            news = self.talk.news.recv() => {
                let frames = self.talk.take(news);
                self.send(frames).await?;
            }
            // The hub lives as long as the program.
            Ok(()) = self.stale.changed() => {
                let heartbeat = self.talk.heartbeat();
                self.send(vec![heartbeat]).await?;
            }
            () = sleep_until(wake) => self.wake(Instant::now()).await?,
            // Last: lines are never in the way of a change.
            Some(frame) = self.reading.next() => self.send(vec![frame]).await?,
        }
        Ok(())
    }

    async fn wake(&mut self, now: Instant) -> Result<(), End> {
        if self.talk.due().is_some_and(|due| due <= now) {
            let frames = self.talk.flush();
            self.send(frames).await?;
        }
        if self.silent_since + self.beat <= now {
            let heartbeat = self.talk.heartbeat();
            self.send(vec![heartbeat]).await?;
        }
        if self.ping_at <= now {
            if self.unanswered >= UNANSWERED {
                return Err(End::Silent);
            }
            self.unanswered += 1;
            self.ping_at = now + PING_EVERY;
            self.socket.ping().await?;
        }
        Ok(())
    }

    async fn send(&mut self, frames: Vec<OutFrame>) -> Result<(), End> {
        if frames.is_empty() {
            return Ok(());
        }
        self.socket.send(&frames).await?;
        self.silent_since = Instant::now();
        Ok(())
    }
}
