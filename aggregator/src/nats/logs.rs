//! The stream of log lines and its consumer. Lines are worth less than
//! events: at its limit the stream drops the oldest, which is seen as a gap in
//! their offsets, counted and shown.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::pull::{Config as ConsumerConfig, Stream as Messages};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::context::{Context, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config as StreamConfig, ConsumerErrorKind, DiscardPolicy, RetentionPolicy, StorageType,
};
use protocol::log::MAX_BATCH_BYTES;
use protocol::subject;

/// The stream's limit, bytes: an hour of ten builds that write all the time.
const MAX_BYTES: i64 = 256 * 1024 * 1024;
/// Lines that nobody took for so long are old news.
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);
/// Within it a batch that is sent twice is stored once; beyond it the writer knows it by its offset.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// A batch that was not acknowledged for so long comes again.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// Batches in one transaction.
pub(crate) const MAX_LOG_BATCHES: usize = 32;
/// Bytes that one pull asks for: some ten full batches.
const PULL_BYTES: usize = 4 * MAX_BATCH_BYTES;
const HEARTBEAT: Duration = Duration::from_secs(5);
const EXPIRES: Duration = Duration::from_secs(30);

/// Where lines are taken from.
pub(crate) struct LogMessages {
    /// All that is not acknowledged first and in order.
    pub(crate) messages: Messages,
    /// There was no stream: this one is new and empty.
    pub(crate) created: bool,
}

/// Makes sure of the stream and takes its messages.
pub(crate) async fn log_messages(jetstream: &Context) -> Result<LogMessages, String> {
    let name = subject::LOG_STREAM;
    let created = match jetstream.get_stream(name).await {
        Ok(_) => false,
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(refusal)
                if refusal.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                true
            }
            _ => return Err(format!("read stream {name}: {error}")),
        },
    };
    let stream = jetstream
        .get_or_create_stream(StreamConfig {
            name: name.to_owned(),
            subjects: vec![subject::LOGS.to_owned()],
            description: Some("Lines of logs, until they are committed".to_owned()),
            retention: RetentionPolicy::WorkQueue,
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            num_replicas: 1,
            max_bytes: MAX_BYTES,
            max_age: MAX_AGE,
            max_message_size: i32::try_from(MAX_BATCH_BYTES).unwrap_or(i32::MAX),
            duplicate_window: DUPLICATE_WINDOW,
            ..StreamConfig::default()
        })
        .await
        .map_err(|error| format!("make sure of stream {name}: {error}"))?;
    let consumer = subject::LOG_CONSUMER;
    if let Err(error) = stream.delete_consumer(consumer).await {
        let refusal = match error.kind() {
            ConsumerErrorKind::JetStream(refusal) => Some(refusal.error_code()),
            _ => None,
        };
        if refusal != Some(ErrorCode::CONSUMER_NOT_FOUND) {
            return Err(format!("delete consumer {consumer}: {error}"));
        }
    }
    let consumer = stream
        .create_consumer(ConsumerConfig {
            durable_name: Some(consumer.to_owned()),
            description: Some("The leader: commits lines of logs to Postgres".to_owned()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            max_ack_pending: 4 * MAX_LOG_BATCHES as i64,
            ..ConsumerConfig::default()
        })
        .await
        .map_err(|error| format!("create consumer {consumer}: {error}"))?;
    let messages = consumer
        .stream()
        .max_messages_per_batch(MAX_LOG_BATCHES)
        .max_bytes_per_batch(PULL_BYTES)
        .heartbeat(HEARTBEAT)
        .expires(EXPIRES)
        .messages()
        .await
        .map_err(|error| format!("pull log lines: {error}"))?;
    Ok(LogMessages { messages, created })
}
