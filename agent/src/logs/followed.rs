//! One log that is being followed: what is read and not yet acknowledged, how
//! fast it may go on, and the two things that are done with it.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use ingest::Paid;
use protocol::LogBatch;

use super::Place;
use super::saved::Saved;
use super::tail::{Piece, State};
use crate::beneath::ReadError;

/// After this the fate of a batch is unknown, and it is sent again; a line that comes twice is known by its identity.
pub(crate) const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// A log that is being followed right now; one at rest needs no memory.
#[derive(Default)]
pub(super) struct Followed {
    pub(super) place: Option<Place>,
    /// Where the reading stands; none while it is read, and before it was read.
    pub(super) state: Option<State>,
    /// Nothing of its generation was queued yet.
    pub(super) begins: bool,
    pub(super) reading: bool,
    pub(super) touched: bool,
    pub(super) not_before: Option<Instant>,
    pub(super) paid: Paid,
    pub(super) queue: VecDeque<Queued>,
    pub(super) queued_bytes: usize,
    pub(super) sending: bool,
    pub(super) failures: u32,
    pub(super) send_not_before: Option<Instant>,
}

/// A batch, and where the reading stood behind it.
pub(super) struct Queued {
    pub(super) batch: LogBatch,
    pub(super) state: State,
    /// Of the first batch of a generation: where the reading stood before it. Saved before the batch
    /// leaves, so that its lines have the same identity when they are read again after a crash.
    pub(super) begun: Option<State>,
    pub(super) bytes: usize,
}

pub(super) struct ReadDone {
    pub(super) path: Arc<Path>,
    pub(super) state: State,
    /// The file was begun, or begun anew.
    pub(super) begins: bool,
    pub(super) result: Result<Option<Piece>, ReadError>,
}

pub(crate) enum Sent {
    /// The broker has it.
    Stored,
    /// No broker like this one takes it.
    TooLarge,
    /// To be sent again; why.
    Again(String),
}

impl Followed {
    pub(super) fn is_at_rest(&self, now: Instant) -> bool {
        // What it took beyond its rate is remembered until it is paid for.
        let paid = self.paid.is_paid(now);
        !self.touched && !self.reading && self.queue.is_empty() && paid
    }
}

/// On a blocking thread.
pub(super) fn read(
    path: Arc<Path>,
    state: Option<State>,
    place: &Place,
    saved: &Saved,
) -> ReadDone {
    let mut state = state.or_else(|| saved.get(&path)).unwrap_or_default();
    let before = state.generation;
    // Below 2^63, as Postgres counts.
    let result = state.read(place, rand::random::<u64>() >> 1);
    ReadDone {
        begins: state.generation != before,
        path,
        state,
        result,
    }
}

pub(crate) async fn send(context: &Context, subject: String, id: &str, payload: Vec<u8>) -> Sent {
    let message = PublishMessage::build()
        .message_id(id)
        .payload(payload.into());
    let sent = context.send_publish(subject, message).await;
    let result = match sent {
        Ok(ack) => ack.await,
        Err(error) => Err(error),
    };
    match result {
        Ok(_) => Sent::Stored,
        Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => Sent::TooLarge,
        Err(error) => Sent::Again(error.to_string()),
    }
}
