//! The leader's loop: events from the stream, presences from the agents, and
//! one timer for everything that becomes due. One thing at a time, so that
//! there is one order of changes.

use std::time::{Duration, Instant};

use async_nats::Subscriber;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{MessagesError, Stream as Messages};
use futures::StreamExt;
use protocol::{Timestamp, subject};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::batch::{Draft, Refusal};
use super::duties::Duties;
use super::leader::{Leader, Lost, Refused};
use super::{FailPoint, STREAM_GONE_REMEDY, abort_at_the_fail_point};
use crate::alerts::About;
use crate::metrics::Kind;
use crate::nats::{self, MAX_BATCH};
use crate::store::DeadMessage;

/// Acknowledging a batch, and the last flush before stopping.
const ACK_TIMEOUT: Duration = Duration::from_secs(2);
/// Dead letters in one statement: each may have the 8 MiB of the largest message.
const MAX_LETTERS: usize = 64;

/// Said when there was no stream although there were changes before.
const STREAM_GONE: &str = "the stream PHASELINE was gone and is made anew: what it held and was not written yet is lost, every agent sends its newest states once more";

/// Why the loop ended.
pub(crate) enum Interrupt {
    /// The program stops.
    Stop,
    /// The broker is away, or took the consumer or stream; `worked` when messages could be taken before.
    Nats { reason: String, worked: bool },
    /// The lead is over.
    Lost(Lost),
}

impl From<Lost> for Interrupt {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

/// What the loop reads from.
struct Sources {
    presences: Subscriber,
    messages: futures::stream::ReadyChunks<Messages>,
    /// Events in the stream when it began.
    backlog: u64,
}

/// The sender lives as long as the client; without it there is nothing to wait for any more.
async fn or_never<T, E>(wait: impl Future<Output = Result<T, E>>) {
    if wait.await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Leader {
    /// Takes events until something ends it.
    pub(crate) async fn consume(&mut self, stop: &CancellationToken) -> Interrupt {
        let mut connected = self.nats.connected.clone();
        tokio::select! {
            () = stop.cancelled() => return Interrupt::Stop,
            () = self.db.closed() => return Interrupt::Lost(Lost("the connection to Postgres closed".to_owned())),
            () = or_never(connected.wait_for(|connected| *connected)) => {}
        }
        let mut losses = self.nats.losses.clone();
        losses.mark_unchanged();
        let sources = tokio::select! {
            () = stop.cancelled() => return Interrupt::Stop,
            sources = self.open_sources() => sources,
        };
        let mut sources = match sources {
            Ok(sources) => sources,
            Err(reason) => {
                return Interrupt::Nats {
                    reason,
                    worked: false,
                };
            }
        };
        super::publish::announce(&self.nats, self.seq).await;
        let mut duties = Duties::begin(Instant::now(), sources.backlog);
        self.hosts.hear_all(Instant::now());
        let ended = self.take(&mut sources, &mut duties, losses, stop).await;
        let Err(interrupt) = ended;
        if matches!(interrupt, Interrupt::Stop) {
            // What was acknowledged should be so before the connection closes.
            let flushed = tokio::time::timeout(ACK_TIMEOUT, self.nats.client.flush()).await;
            if !matches!(flushed, Ok(Ok(()))) {
                tracing::debug!(
                    "failed to flush the last acknowledgements: those events come again"
                );
            }
        }
        interrupt
    }

    async fn open_sources(&mut self) -> Result<Sources, String> {
        let jetstream = self.nats.jetstream();
        let ensured = nats::ensure_stream(&jetstream).await?;
        self.metrics
            .writer
            .stream_drift
            .set(i64::from(!ensured.drift.is_empty()));
        let stream = nats::stream_name(&ensured.stream);
        let another = self.stream.replace(stream.clone()) != Some(stream);
        // Before the first change there was nothing to lose.
        if ensured.created && another && self.seq > 0 {
            tracing::warn!(
                stream = subject::STREAM,
                "created the stream: there was none"
            );
            self.alerts.note(STREAM_GONE.to_owned(), STREAM_GONE_REMEDY);
        } else if ensured.created && another {
            tracing::info!(stream = subject::STREAM, "created the stream");
        }
        if !ensured.drift.is_empty() {
            tracing::warn!(
                stream = subject::STREAM,
                drift = ensured.drift.join("; "),
                "the stream's settings are not ours; change them with the nats tool, or delete the stream when it is empty"
            );
        }
        // First the presences: one that is sent before an event is then read before it.
        let presences = self
            .nats
            .client
            .subscribe(subject::PRESENCES)
            .await
            .map_err(|error| format!("subscribe to presences: {error}"))?;
        let consumer = nats::renew_consumer(&ensured.stream).await?;
        let backlog = consumer.cached_info().num_pending;
        let messages = nats::messages(&consumer).await?.ready_chunks(MAX_BATCH);
        self.alerts.clear(About::Stream);
        Ok(Sources {
            presences,
            messages,
            backlog,
        })
    }

    async fn take(
        &mut self,
        sources: &mut Sources,
        duties: &mut Duties,
        mut losses: watch::Receiver<u64>,
        stop: &CancellationToken,
    ) -> Result<std::convert::Infallible, Interrupt> {
        let nats = |reason: &str| Interrupt::Nats {
            reason: reason.to_owned(),
            worked: true,
        };
        loop {
            let wake = tokio::time::Instant::from_std(self.next_duty(duties));
            // Only waiting happens inside `select!`: what has begun is finished.
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Interrupt::Stop),
                () = self.db.closed() => return Err(Lost("the connection to Postgres closed".to_owned()).into()),
                () = or_never(losses.changed()) => return Err(nats("the connection to NATS was lost")),
                presence = sources.presences.next() => match presence {
                    Some(message) => self.on_presence(&message).await?,
                    None => return Err(nats("the subscription to presences ended")),
                },
                () = tokio::time::sleep_until(wake) => self.on_timer(duties).await?,
                chunk = sources.messages.next() => match chunk {
                    Some(chunk) => self.on_messages(chunk, duties).await?,
                    None => return Err(nats("the consumer ended")),
                },
            }
        }
    }

    async fn on_messages(
        &mut self,
        chunk: Vec<Result<Message, MessagesError>>,
        duties: &mut Duties,
    ) -> Result<(), Interrupt> {
        let mut messages = Vec::with_capacity(chunk.len());
        let mut failed = None;
        for item in chunk {
            match item {
                Ok(message) => messages.push(message),
                Err(error) => failed = Some(error.to_string()),
            }
        }
        if !messages.is_empty() {
            self.on_batch(&messages, duties).await?;
        }
        match failed {
            Some(reason) => Err(Interrupt::Nats {
                reason,
                worked: !messages.is_empty(),
            }),
            None => Ok(()),
        }
    }

    async fn on_batch(
        &mut self,
        messages: &[Message],
        duties: &mut Duties,
    ) -> Result<(), Interrupt> {
        self.metrics.writer.messages.inc_by(messages.len() as u64);
        let fail_point = self.fail_point.next_batch();
        if matches!(fail_point, FailPoint::AckFirst(_)) {
            acknowledge(messages).await?;
            let _ = self.nats.client.flush().await;
            abort_at_the_fail_point();
        }
        let mut drafts = Vec::with_capacity(messages.len());
        let mut dead = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            let broker_at = message.info().ok().map(|info| {
                let millis = info.published.unix_timestamp_nanos() / 1_000_000;
                Timestamp::from_millis(i64::try_from(millis).unwrap_or_default())
            });
            match Draft::decode(&message.subject, &message.payload, broker_at, index) {
                Ok(draft) => drafts.push(draft),
                Err(refusal) => dead.push(self.dead(message, refusal)),
            }
        }
        if self.fail_point == FailPoint::NoDeadLetters && !dead.is_empty() {
            return Err(Interrupt::Nats {
                reason: "a message is no event, and nothing is set aside".to_owned(),
                worked: true,
            });
        }
        self.name_hosts(&mut drafts).await?;
        for Refused { draft, reason } in self.settle(drafts, Vec::new()).await? {
            let index = draft.and_then(|draft| draft.message);
            let refusal = Refusal {
                kind: "refused",
                reason,
            };
            match index.and_then(|index| messages.get(index)) {
                Some(message) => dead.push(self.dead(message, refusal)),
                None => tracing::error!(reason = refusal.reason, "failed to store a finding"),
            }
        }
        for letters in dead.chunks(MAX_LETTERS) {
            self.db.set_aside(letters).await.map_err(Lost::from)?;
        }
        if matches!(fail_point, FailPoint::AfterCommit(_)) {
            abort_at_the_fail_point();
        }
        if let Some(Ok(info)) = messages.last().map(Message::info) {
            duties.heard(info.pending, Instant::now());
            let pending = i64::try_from(info.pending).unwrap_or(i64::MAX);
            self.metrics.writer.consumer_lag.set(pending);
        }
        acknowledge(messages).await
    }

    /// The message as a dead letter, counted and told.
    fn dead<'a>(&self, message: &'a Message, refusal: Refusal) -> DeadMessage<'a> {
        let stream_seq = message.info().map_or(0, |info| info.stream_sequence);
        let kind = refusal.kind;
        self.metrics
            .writer
            .dead_letters
            .get_or_create(&Kind { kind })
            .inc();
        tracing::warn!(
            subject = %message.subject,
            stream.seq = stream_seq,
            reason = refusal.reason,
            "a message cannot become an event: it is kept as a dead letter"
        );
        DeadMessage {
            stream_seq: i64::try_from(stream_seq).unwrap_or(i64::MAX),
            subject: &message.subject,
            reason: refusal.reason,
            payload: &message.payload,
        }
    }
}

/// Each by itself: a work queue takes no "all up to here".
async fn acknowledge(messages: &[Message]) -> Result<(), Interrupt> {
    let all = async {
        for message in messages {
            if let Err(error) = message.ack().await {
                return Err(error.to_string());
            }
        }
        Ok(())
    };
    let failed = match tokio::time::timeout(ACK_TIMEOUT, all).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(reason)) => reason,
        Err(_) => "the connection to NATS hangs".to_owned(),
    };
    // They are committed: they come again and change nothing.
    Err(Interrupt::Nats {
        reason: format!("failed to acknowledge: {failed}"),
        worked: true,
    })
}
