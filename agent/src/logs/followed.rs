//! One log that is being followed: what is read and not yet acknowledged, how
//! fast it may go on, and the two things that are done with it.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use protocol::{ContentHash, LogBatch};

use super::Place;
use super::saved::Saved;
use super::tail::{Piece, State};
use crate::beneath::ReadError;

/// So much of that may be used at once: what a build writes in a burst is there at once.
const BURST: Duration = Duration::from_secs(4);
/// After this the fate of a batch is unknown, and it is sent again; a line that comes twice is known by its identity.
pub(super) const ACK_TIMEOUT: Duration = Duration::from_secs(5);

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

/// A leaky bucket: up to when what was taken is paid for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Paid(Option<Instant>);

impl Paid {
    /// Takes so many seconds' worth; when the next may be taken.
    pub(super) fn take(&mut self, seconds: f64, now: Instant) -> Instant {
        let from = self.0.map_or(now, |until| until.max(now));
        let until = from + Duration::from_secs_f64(seconds);
        self.0 = Some(until);
        until.checked_sub(BURST).unwrap_or(now)
    }
}

pub(super) struct ReadDone {
    pub(super) path: Arc<Path>,
    pub(super) state: State,
    /// The file was begun, or begun anew.
    pub(super) begins: bool,
    pub(super) result: Result<Option<Piece>, ReadError>,
}

pub(super) enum Sent {
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
        let paid = self.paid.0.is_none_or(|until| until <= now);
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

/// The same for the same lines read again: the broker knows it as a duplicate.
pub(super) fn message_id(batch: &LogBatch) -> String {
    let file = ContentHash::of(format!("{} {}", batch.project_token, batch.file).as_bytes());
    let (generation, from, to) = (batch.generation, batch.from, batch.to);
    format!("{}:{file}:{generation}:{from}-{to}", batch.agent)
}

pub(super) async fn send(context: &Context, subject: String, id: &str, payload: Vec<u8>) -> Sent {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_at_once_and_then_so_much_a_second() {
        let (mut paid, start) = (Paid::default(), Instant::now());
        let mut next = start;
        for _ in 0..4 {
            next = paid.take(1.0, start);
        }
        assert!(next <= start, "four seconds' worth");
        assert_eq!(paid.take(1.0, start), start + Duration::from_secs(1));
        let later = start + Duration::from_secs(60);
        assert!(
            paid.take(1.0, later) <= later,
            "what was not used is not saved up"
        );
    }
}
