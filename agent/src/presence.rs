//! "I am here", every ten seconds on core NATS, at once when connected or when
//! a root's state changed, and a last time when told to stop. The agent's one
//! regular timer. The leader answers which stream takes the events.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_nats::{Client, Message, Subscriber};
use futures::StreamExt as _;
use protocol::presence::{self, INTERVAL_MS, PRESENCE_VERSION};
use protocol::{Presence, Timestamp, subject};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::board::Board;
use crate::ingest::Heard;
use crate::mailbox::{Flag, Mailbox};
use crate::nats::Link;
use crate::outbox::Outbox;

const INTERVAL: Duration = Duration::from_millis(INTERVAL_MS.unsigned_abs());
/// A root that comes and goes all the time is told of at most this often.
const SPACING: Duration = Duration::from_secs(1);
/// The last message must be out before the connection is closed.
const FLUSH: Duration = Duration::from_secs(1);

/// What a presence says, and where it comes from.
pub(crate) struct Herald {
    /// The host's name.
    pub(crate) host: String,
    /// When the agent started.
    pub(crate) started_at: Timestamp,
    /// Counts and identity.
    pub(crate) outbox: Arc<Outbox>,
    /// Roots and signs of life.
    pub(crate) board: Arc<Board>,
    /// The thread that checks the roots.
    pub(crate) mailbox: Mailbox,
    /// What producers that send have sent.
    pub(crate) heard: Heard,
    /// The connection.
    pub(crate) client: Client,
}

impl Herald {
    /// Speaks until `stop`.
    pub(crate) async fn run(&self, mut link: watch::Receiver<Link>, stop: CancellationToken) {
        let inbox = self.client.new_inbox();
        let mut answers = match self.client.subscribe(inbox.clone()).await {
            Ok(answers) => Some(answers),
            Err(error) => {
                tracing::error!(%error, "failed to listen for answers to presences");
                None
            }
        };
        let mut last: Option<Instant> = None;
        let mut due = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {
                    // What it finds is said at once if it is news, and with the next message otherwise.
                    self.mailbox.raise(Flag::Check);
                    if link.borrow().up {
                        self.say(false, Some(&inbox)).await;
                        last = Some(Instant::now());
                    }
                    due = Instant::now() + INTERVAL;
                }
                changed = link.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if link.borrow_and_update().up {
                        due = Instant::now();
                    }
                }
                () = self.board.changed() => {
                    let spaced = last.map_or_else(Instant::now, |last| last + SPACING);
                    due = due.min(spaced);
                }
                answer = next(&mut answers) => self.answered(&answer),
                () = stop.cancelled() => return,
            }
        }
    }

    /// The last message of this boot.
    pub(crate) async fn farewell(&self) {
        self.say(true, None).await;
        if tokio::time::timeout(FLUSH, self.client.flush())
            .await
            .is_err()
        {
            tracing::debug!("nats did not take the last presence in time");
        }
    }

    fn answered(&self, answer: &Message) {
        match serde_json::from_slice::<presence::Heard>(&answer.payload) {
            Ok(heard) if heard.v == PRESENCE_VERSION => {
                // An outbox that cannot note it now is told again with the next answer.
                let _ = self.outbox.stream_is(&heard.stream);
            }
            Ok(heard) => tracing::debug!(heard.v, "an answer to a presence is of another version"),
            Err(error) => tracing::debug!(%error, "failed to read an answer to a presence"),
        }
    }

    async fn say(&self, stopping: bool, inbox: Option<&str>) {
        let identity = self.outbox.identity();
        let presence = Presence {
            v: PRESENCE_VERSION,
            agent: identity.agent,
            boot: identity.boot,
            host: self.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sent_at: Timestamp::from_system_time(SystemTime::now()),
            started_at: self.started_at,
            stopping,
            outbox: self.outbox.status(),
            roots: self.board.roots(),
            calls: self.heard.now(),
            alive: self.board.signs_of_life(Instant::now()),
        };
        let payload = match serde_json::to_vec(&presence) {
            Ok(payload) => payload,
            Err(error) => {
                tracing::error!(%error, "failed to write a presence");
                return;
            }
        };
        let subject = subject::presence(&self.host);
        let sent = match inbox {
            Some(inbox) => {
                let publish =
                    self.client
                        .publish_with_reply(subject, inbox.to_owned(), payload.into());
                publish.await
            }
            None => self.client.publish(subject, payload.into()).await,
        };
        if let Err(error) = sent {
            tracing::warn!(%error, "failed to publish a presence");
        }
    }
}

/// The next answer; never one where there is nothing to listen to.
async fn next(answers: &mut Option<Subscriber>) -> Message {
    if let Some(answers) = answers
        && let Some(answer) = answers.next().await
    {
        return answer;
    }
    std::future::pending().await
}
