//! The stream and the writer's consumer. What the stream should be is written
//! down here; one that differs is reported, never changed silently.

use std::fmt;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::pull::{Config as ConsumerConfig, Stream as Messages};
use async_nats::jetstream::consumer::{AckPolicy, Consumer};
use async_nats::jetstream::context::{Context, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config as StreamConfig, ConsumerErrorKind, DiscardPolicy, RetentionPolicy, StorageType, Stream,
};
use protocol::event::MAX_EVENT_BYTES;
use protocol::subject;

/// The stream's limit, bytes: a million events. More would not start on a small machine, because the
/// broker reserves it; at the limit it refuses (`discard: new`) and the agents keep their outboxes.
const STREAM_MAX_BYTES: i64 = 1024 * 1024 * 1024;
/// Within it the broker answers a repeated publish as duplicate. The record of duplicates is Postgres.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// A message that was not acknowledged for so long comes again: twice the longest commit.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// Messages that are delivered and not yet acknowledged: two batches.
const MAX_ACK_PENDING: i64 = 2 * MAX_BATCH as i64;
/// Largest batch, events: 500 cost 6 to 8 ms to commit, more per commit is not faster.
pub(crate) const MAX_BATCH: usize = 500;
/// Bytes that one pull asks for: two of the largest events, so that memory stays bounded.
const PULL_BYTES: usize = 2 * MAX_EVENT_BYTES;
/// The broker says that the consumer lives; two missed and it is made anew.
const CONSUMER_HEARTBEAT: Duration = Duration::from_secs(5);
/// A pull without messages is asked again.
const PULL_EXPIRES: Duration = Duration::from_secs(30);

/// The stream as it should be.
fn stream_config() -> StreamConfig {
    StreamConfig {
        name: subject::STREAM.to_owned(),
        subjects: vec![subject::EVENTS.to_owned()],
        description: Some("Observed changes of build files, until they are committed".to_owned()),
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: 1,
        max_bytes: STREAM_MAX_BYTES,
        max_message_size: i32::try_from(MAX_EVENT_BYTES).unwrap_or(i32::MAX),
        duplicate_window: DUPLICATE_WINDOW,
        ..StreamConfig::default()
    }
}

/// The stream, and how it differs from what it should be (empty: it does not).
pub(crate) struct EnsuredStream {
    pub(crate) stream: Stream,
    pub(crate) created: bool,
    pub(crate) drift: Vec<String>,
}

/// Finds the stream, or creates it where it is missing.
pub(crate) async fn ensure_stream(jetstream: &Context) -> Result<EnsuredStream, String> {
    let wanted = stream_config();
    let (stream, created) = match jetstream.get_stream(subject::STREAM).await {
        Ok(stream) => (stream, false),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(refusal)
                if refusal.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                jetstream
                    .create_stream(wanted.clone())
                    .await
                    .map_err(|error| format!("create stream {}: {error}", subject::STREAM))?;
                let stream = jetstream
                    .get_stream(subject::STREAM)
                    .await
                    .map_err(|error| format!("read stream {}: {error}", subject::STREAM))?;
                (stream, true)
            }
            _ => return Err(format!("read stream {}: {error}", subject::STREAM)),
        },
    };
    let drift = drift(&wanted, &stream.cached_info().config);
    Ok(EnsuredStream {
        stream,
        created,
        drift,
    })
}

/// Names a stream over restarts of the broker: one that is deleted and made
/// anew, or that is lost with the broker's disk, has another.
pub(crate) fn stream_name(stream: &Stream) -> String {
    let info = stream.cached_info();
    format!(
        "{} of {}",
        info.config.name,
        info.created.unix_timestamp_nanos()
    )
}

/// One sentence fragment for each setting that matters and differs. The size
/// and the number of replicas are the operator's to choose.
fn drift(wanted: &StreamConfig, found: &StreamConfig) -> Vec<String> {
    let mut drift = Vec::new();
    let mut compare = |setting: &str, wanted: &dyn fmt::Debug, found: &dyn fmt::Debug| {
        let (wanted, found) = (format!("{wanted:?}"), format!("{found:?}"));
        if wanted != found {
            drift.push(format!("{setting} is {found}, expected {wanted}"));
        }
    };
    compare("subjects", &wanted.subjects, &found.subjects);
    compare("retention", &wanted.retention, &found.retention);
    compare("discard", &wanted.discard, &found.discard);
    compare("storage", &wanted.storage, &found.storage);
    compare(
        "max_message_size",
        &wanted.max_message_size,
        &found.max_message_size,
    );
    compare(
        "duplicate_window",
        &wanted.duplicate_window,
        &found.duplicate_window,
    );
    compare("max_age", &wanted.max_age, &found.max_age);
    compare("max_messages", &-1_i64, &found.max_messages);
    drift
}

/// Deletes the consumer of an earlier leader and makes it anew, so that all
/// that is not acknowledged comes again, at once and in order.
pub(crate) async fn renew_consumer(stream: &Stream) -> Result<Consumer<ConsumerConfig>, String> {
    if let Err(error) = stream.delete_consumer(subject::CONSUMER).await {
        let missing = matches!(error.kind(), ConsumerErrorKind::JetStream(refusal)
            if refusal.error_code() == ErrorCode::CONSUMER_NOT_FOUND);
        if !missing {
            return Err(format!("delete consumer {}: {error}", subject::CONSUMER));
        }
    }
    stream
        .create_consumer(ConsumerConfig {
            durable_name: Some(subject::CONSUMER.to_owned()),
            description: Some("The leader: commits to Postgres, then acknowledges".to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            max_ack_pending: MAX_ACK_PENDING,
            ..ConsumerConfig::default()
        })
        .await
        .map_err(|error| format!("create consumer {}: {error}", subject::CONSUMER))
}

/// The consumer's messages, pulled ahead within bounds.
pub(crate) async fn messages(consumer: &Consumer<ConsumerConfig>) -> Result<Messages, String> {
    consumer
        .stream()
        .max_messages_per_batch(MAX_BATCH)
        .max_bytes_per_batch(PULL_BYTES)
        .heartbeat(CONSUMER_HEARTBEAT)
        .expires(PULL_EXPIRES)
        .messages()
        .await
        .map_err(|error| format!("pull from consumer {}: {error}", subject::CONSUMER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_differs_is_described() {
        let mut found = stream_config();
        found.max_messages = -1;
        assert_eq!(drift(&stream_config(), &found), Vec::<String>::new());
        found.discard = DiscardPolicy::Old;
        assert_eq!(
            drift(&stream_config(), &found),
            ["discard is Old, expected New"]
        );
    }
}
