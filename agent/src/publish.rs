//! From the outbox to JetStream: pipelined, bounded, and sent again under the
//! same id until the broker acknowledges. Runs for as long as the agent does.

mod way;
mod window;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Client;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{ContextBuilder, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use protocol::{Event, EventKind, Unreadable, UnreadableReason};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::alarm::{earlier, sleep_until};
use crate::board::Board;
use crate::nats::Link;
use crate::outbox::{Outbox, OutboxError, Row};
use way::Way;
use window::{IN_FLIGHT, Window};

/// After this the fate of an event is unknown, and it is sent again under the same id.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// Told to stop, what is left is sent for at most this long.
const FLUSH: Duration = Duration::from_secs(3);
/// The broker's "message size exceeds maximum allowed", of the stream's own limit.
const STREAM_MESSAGE_TOO_LARGE: u64 = 10_054;
/// A disk that cannot be read is asked again after this time.
const OUTBOX_RETRY: Duration = Duration::from_secs(1);

/// What became of an event that was sent.
enum Fate {
    /// The broker has it.
    Stored,
    /// No broker like this one will ever take it; why, for people.
    TooLarge(String),
    /// To be sent again; why, for the log, and whether the broker said so itself.
    Again { why: String, answered: bool },
}

/// Sends events until `stop`, then what is left for a moment.
pub(crate) async fn publish(
    outbox: Arc<Outbox>,
    board: Arc<Board>,
    client: Client,
    mut link: watch::Receiver<Link>,
    stop: CancellationToken,
) {
    let context = ContextBuilder::new()
        .timeout(ACK_TIMEOUT)
        .ack_timeout(ACK_TIMEOUT)
        // Abandoned acknowledgements hold a place until their time is up.
        .max_ack_inflight(16 * IN_FLIGHT)
        .build(client);
    let mut window = Window::new();
    let mut way = Way::new(board);
    let mut on_their_way = FuturesUnordered::new();
    let mut made = 0;
    let mut flush_until: Option<tokio::time::Instant> = None;
    loop {
        let now_link = *link.borrow_and_update();
        if now_link.times != made {
            made = now_link.times;
            on_their_way = FuturesUnordered::new();
            window.reconnected();
            way.reconnected();
        }
        // Also while the broker is away. What fails says so itself, and is read again.
        let _ = outbox.write();
        let mut look_again = refill(&outbox, &mut window);
        if outbox.must_drop() && outbox.acknowledge(&[]).is_err() {
            look_again = earlier(look_again, Some(Instant::now() + OUTBOX_RETRY));
        }
        if now_link.up {
            for row in window.take_ready(Instant::now()) {
                on_their_way.push(send(&context, row));
            }
            if !on_their_way.is_empty() {
                way.sent(Instant::now());
            }
            way.look(Instant::now());
            look_again = earlier(look_again, earlier(window.paused_until(), way.due()));
        }
        if flush_until.is_some() && (window.is_empty() || !now_link.up) {
            return;
        }
        let timer = earlier(look_again, flush_until.map(tokio::time::Instant::into_std));
        tokio::select! {
            Some(first) = on_their_way.next(), if !on_their_way.is_empty() => {
                let mut fates = vec![first];
                while let Some(Some(fate)) = futures::FutureExt::now_or_never(on_their_way.next()) {
                    fates.push(fate);
                }
                settle(&outbox, &mut window, &mut way, fates);
            }
            () = outbox.added() => {}
            changed = link.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = sleep_until(timer), if timer.is_some() => {
                if flush_until.is_some_and(|until| tokio::time::Instant::now() >= until) {
                    tracing::warn!("events are left in the outbox; they are sent at the next start");
                    return;
                }
            }
            () = stop.cancelled(), if flush_until.is_none() => {
                flush_until = Some(tokio::time::Instant::now() + FLUSH);
            }
        }
    }
}

/// Loads more events where there is room. Returns when to try again if the disk failed.
fn refill(outbox: &Outbox, window: &mut Window) -> Option<Instant> {
    let (rows, bytes) = window.room()?;
    match outbox.load(window.newest(), rows, bytes) {
        Ok(rows) => {
            window.fill(rows);
            None
        }
        // What is in the window can still be sent; ids are never used again.
        Err(OutboxError::Anew) => Some(Instant::now()),
        // It has said so itself.
        Err(OutboxError::Failed(..)) => Some(Instant::now() + OUTBOX_RETRY),
    }
}

async fn send(context: &Context, row: Row) -> (Row, Fate) {
    let message = PublishMessage::build()
        .message_id(&row.message_id)
        .payload(row.payload.clone());
    let sent = context.send_publish(row.subject.clone(), message).await;
    let result = match sent {
        Ok(ack) => ack.await,
        Err(error) => Err(error),
    };
    let fate = match result {
        Ok(_) => Fate::Stored,
        Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
            let limit = context.client().max_payload();
            Fate::TooLarge(format!("the broker's max_payload is {limit} bytes"))
        }
        Err(error) => match stream_limit(&error) {
            Some(limit) => Fate::TooLarge(limit),
            None => Fate::Again {
                why: error.to_string(),
                answered: error.kind() != PublishErrorKind::TimedOut,
            },
        },
    };
    (row, fate)
}

/// The stream's own limit on messages, if that is what was hit.
fn stream_limit(error: &async_nats::jetstream::context::PublishError) -> Option<String> {
    let source = std::error::Error::source(error)?;
    let refusal = source.downcast_ref::<async_nats::jetstream::Error>()?;
    (refusal.error_code().0 == STREAM_MESSAGE_TOO_LARGE)
        .then(|| "the stream's max_message_size is smaller".to_owned())
}

fn settle(outbox: &Outbox, window: &mut Window, way: &mut Way, fates: Vec<(Row, Fate)>) {
    // An outage is told when it begins and when it ends.
    let failed_before = window.is_failing();
    let mut stored = Vec::new();
    let (mut failure, mut said) = (None, None);
    for (row, fate) in fates {
        match fate {
            Fate::Stored => {
                window.acknowledged(row.id);
                stored.push(row.id);
            }
            Fate::TooLarge(limit) => match without_content(row, &limit) {
                Ok(row) => {
                    if let Err(error) = outbox.replace(&row) {
                        tracing::error!(%error, "failed to shorten an event");
                    }
                    window.replace(row);
                }
                Err(id) => window.failed(id, Instant::now(), rand::random()),
            },
            Fate::Again { why, answered } => {
                window.failed(row.id, Instant::now(), rand::random());
                said = answered.then(|| why.clone());
                failure = Some((row.message_id, why));
            }
        }
    }
    match &failure {
        Some(_) if stored.is_empty() => way.refused(said),
        _ => way.works(),
    }
    match failure {
        Some((event, error)) if !failed_before => tracing::warn!(
            event.id = event,
            error,
            "failed to publish; it is sent again until it is stored"
        ),
        Some((event, error)) => tracing::debug!(event.id = event, error, "failed to publish"),
        None if failed_before && !window.is_failing() => tracing::info!("publishing again"),
        None => {}
    }
    if !stored.is_empty() {
        // What cannot be dropped now is so later, and the outbox says why.
        let _ = outbox.acknowledge(&stored);
    }
}

/// The same event without its content, which no broker like this one takes.
fn without_content(mut row: Row, limit: &str) -> Result<Row, i64> {
    let Ok(mut event) = serde_json::from_slice::<Event>(&row.payload) else {
        return Err(row.id);
    };
    if event.kind != EventKind::Content {
        // It cannot be made smaller.
        return Err(row.id);
    }
    event.kind = EventKind::Unreadable;
    event.document = None;
    event.hash = None;
    event.unreadable = Some(Unreadable {
        reason: UnreadableReason::TooLarge,
        message: format!("the event has {} bytes, and {limit}", row.payload.len()),
    });
    match serde_json::to_vec(&event) {
        Ok(payload) => {
            row.payload = payload.into();
            Ok(row)
        }
        Err(_) => Err(row.id),
    }
}
