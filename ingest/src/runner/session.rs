//! The life of one runner's connection: frames as they come, a ping every half
//! minute, and an end with a reason.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::ROUTE;
use super::frame::{self, Said};
use crate::answer::Refused;
use crate::call::Call;
use crate::lines::Output;
use crate::router::Ingest;
use crate::status::Connected;
use crate::{NotKept, Sink};

/// What cannot be kept is tried again for so long; a runner leaves after 45 s without an answer to its pings.
const KEEP_WITHIN: Duration = Duration::from_secs(10);
const KEEP_AGAIN: Duration = Duration::from_millis(500);
/// A ping or a Close must be taken within this.
const SEND_WITHIN: Duration = Duration::from_secs(5);
/// Characters of the reason in a Close, which has room for 123 bytes.
const MAX_REASON: usize = 100;

/// Projects of one runner whose half lines are looked for when it is gone: more than it has programs running.
const MAX_PROJECTS: usize = 256;

/// How long a connection is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How often the runner is pinged.
    pub(super) ping_every: Duration,
    /// After which silence it is gone.
    pub(super) silent_after: Duration,
}

impl Default for Patience {
    /// Both as upstream's server does.
    fn default() -> Self {
        Self {
            ping_every: Duration::from_secs(30),
            silent_after: Duration::from_secs(90),
        }
    }
}

/// Why a connection is over.
enum End {
    /// The runner left, or the connection broke.
    Left,
    /// It is told why.
    Closed(CloseCode, String),
}

pub(super) struct Session<'a, S, T> {
    socket: WebSocketStream<T>,
    ingest: &'a Ingest<S>,
    patience: Patience,
    /// Projects of which it told output.
    projects: BTreeSet<String>,
}

impl<'a, S: Sink, T: AsyncRead + AsyncWrite + Unpin> Session<'a, S, T> {
    pub(super) fn new(
        socket: WebSocketStream<T>,
        ingest: &'a Ingest<S>,
        patience: Patience,
    ) -> Self {
        Self {
            socket,
            ingest,
            patience,
            projects: BTreeSet::new(),
        }
    }

    /// Until either side ends it. `admitted` has the host that was named.
    pub(super) async fn run(mut self, runner: &str, admitted: Result<Option<String>, Refused>) {
        let end = match admitted {
            Ok(host) => {
                let connected = self.ingest.status.connected(runner);
                tracing::info!(runner, "a runner is connected");
                let stop = self.ingest.stop.clone();
                let ended = stop.run_until_cancelled(self.converse(&connected, host.as_deref()));
                let end = ended.await.unwrap_or_else(|| {
                    End::Closed(CloseCode::Away, "the server is stopping".to_owned())
                });
                for project in &self.projects {
                    self.ingest.output_ends(host.as_deref(), project);
                }
                end
            }
            Err(refused) => {
                self.ingest.status.refused(ROUTE, &refused.message);
                End::Closed(CloseCode::Policy, refused.message)
            }
        };
        if let End::Closed(code, reason) = end {
            tracing::info!(runner, reason, "closed a runner's connection");
            self.close(code, &reason).await;
        }
    }

    async fn converse(&mut self, connected: &Connected<'_>, host: Option<&str>) -> End {
        let mut heard = Instant::now();
        let Patience {
            ping_every,
            silent_after,
        } = self.patience;
        let mut ping_at = heard + ping_every;
        loop {
            let silent_at = heard + silent_after;
            tokio::select! {
                // What came in time counts, however late we are.
                biased;
                message = self.socket.next() => {
                    let said = match message {
                        None => return End::Left,
                        Some(message) => {
                            hear(self.ingest, message, connected, host, &mut self.projects).await
                        }
                    };
                    if let Err(end) = said {
                        return end;
                    }
                    connected.heard();
                    heard = Instant::now();
                }
                () = sleep_until(ping_at.min(silent_at)) => {
                    if Instant::now() >= silent_at {
                        let reason = format!("nothing was heard for {} s", silent_after.as_secs());
                        return End::Closed(CloseCode::Away, reason);
                    }
                    let ping = self.socket.send(Message::Ping(Bytes::new()));
                    if !matches!(timeout(SEND_WITHIN, ping).await, Ok(Ok(()))) {
                        return End::Left;
                    }
                    ping_at += ping_every;
                }
            }
        }
    }

    async fn close(&mut self, code: CloseCode, reason: &str) {
        let frame = CloseFrame {
            code,
            reason: protocol::text::cut(reason, MAX_REASON).into(),
        };
        let farewell = async {
            if self.socket.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        let _ = timeout(SEND_WITHIN, farewell).await;
    }
}

/// Takes one message.
async fn hear<S: Sink>(
    ingest: &Ingest<S>,
    message: Result<Message, Error>,
    connected: &Connected<'_>,
    host: Option<&str>,
    projects: &mut BTreeSet<String>,
) -> Result<(), End> {
    let closed = |code, reason: &str| {
        ingest.status.refused(ROUTE, reason);
        Err(End::Closed(code, reason.to_owned()))
    };
    match message {
        Ok(Message::Text(text)) => {
            take(ingest, &text, connected, host, projects).await;
            Ok(())
        }
        // Pings are answered by the library with the next read.
        Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Ok(()),
        Ok(Message::Binary(_)) => closed(CloseCode::Unsupported, "only text is read here"),
        Err(Error::Capacity(_)) => closed(CloseCode::Size, "the frame is larger than 1 MiB"),
        Err(Error::Utf8(_)) => closed(CloseCode::Invalid, "the text is not UTF-8"),
        Ok(Message::Close(_)) => Err(End::Left),
        Err(error) => {
            tracing::debug!(%error, "a runner's connection broke");
            Err(End::Left)
        }
    }
}

async fn take<S: Sink>(
    ingest: &Ingest<S>,
    text: &str,
    connected: &Connected<'_>,
    host: Option<&str>,
    projects: &mut BTreeSet<String>,
) {
    let status = &ingest.status;
    match frame::read(text) {
        Ok(Said::Builds { calls, ignored }) => {
            (0..ignored).for_each(|_| status.ignored(ROUTE));
            for call in calls {
                let call = Call {
                    host: host.map(str::to_owned),
                    ..call
                };
                match keep(ingest, call).await {
                    Ok(()) => status.received(ROUTE),
                    Err(NotKept(reason)) => {
                        tracing::warn!(reason, "a runner's frame is lost");
                        status.refused(ROUTE, &format!("lost: {reason}"));
                    }
                }
            }
        }
        Ok(Said::Runner {
            status,
            version,
            hostname,
        }) => connected.said(status, version, hostname),
        Ok(Said::Output(output)) => {
            if let Output::Chunk(chunk) = &output
                && projects.len() < MAX_PROJECTS
            {
                projects.insert(chunk.project.clone());
            }
            ingest.output(ROUTE, host, &output);
        }
        Ok(Said::Nothing) => status.ignored(ROUTE),
        Err(refused) => {
            tracing::info!(reason = refused.message, "refused a runner's frame");
            status.refused(ROUTE, &refused.message);
        }
    }
}

/// Nothing else is read meanwhile, so that what follows waits at the runner.
async fn keep<S: Sink>(ingest: &Ingest<S>, call: Call) -> Result<(), NotKept> {
    let until = Instant::now() + KEEP_WITHIN;
    loop {
        match ingest.sink.keep(call.clone()).await {
            Err(_) if Instant::now() < until => sleep(KEEP_AGAIN).await,
            kept => return kept,
        }
    }
}

#[cfg(test)]
mod tests;
