//! The connection to NATS: settings, reconnecting, the stream and the
//! writer's consumer. What the stream should be is written down here; a stream
//! that differs is reported, never changed silently.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::consumer::{AckPolicy, Consumer};
use async_nats::jetstream::context::{Context, ContextBuilder, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{ErrorCode, consumer};
use async_nats::{ConnectOptions, Event, ServerAddr};
use protocol::event::MAX_EVENT_BYTES;
use protocol::subject;
use rand::RngExt as _;
use tokio::sync::watch;

/// Keep-alive of the connection; it is given up when two are missed.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// Longest wait between two attempts to connect: a server that comes back is used at once.
const RECONNECT_CAP_MS: u64 = 500;
/// A request to the broker, answered or not.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages that wait in one subscription. A burst of presences of 2,000 hosts fits; more are
/// dropped (and logged by the client), which costs nothing: they repeat.
const SUBSCRIPTION_CAPACITY: usize = 4_096;
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

/// Where NATS is and who we are there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NatsTarget {
    /// `nats://host:4222`, several separated by commas.
    pub url: String,
    /// User name; wins over one in the URL.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
}

impl fmt::Debug for NatsTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsTarget")
            .field("url", &self.shown())
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .finish()
    }
}

/// The setting is no address of a NATS server. The text completes "expected ...".
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("one or more addresses such as nats://127.0.0.1:4222, separated by commas")]
pub struct BadNatsUrl;

impl NatsTarget {
    /// Checks the URL without connecting.
    ///
    /// # Errors
    /// When it is no `nats://` or `tls://` address.
    pub fn check(&self) -> Result<(), BadNatsUrl> {
        self.servers().map(|_| ())
    }

    /// The addresses without user and password, for logs and pages.
    #[must_use]
    pub fn shown(&self) -> String {
        match self.servers() {
            Ok(servers) => servers
                .iter()
                .map(|server| format!("{}://{}:{}", server.scheme(), server.host(), server.port()))
                .collect::<Vec<_>>()
                .join(","),
            Err(_) => "(not an address)".to_owned(),
        }
    }

    fn servers(&self) -> Result<Vec<ServerAddr>, BadNatsUrl> {
        let server = |text: &str| {
            let server: ServerAddr = text.trim().parse().map_err(|_| BadNatsUrl)?;
            let known = matches!(server.scheme(), "nats" | "tls") && !server.host().is_empty();
            known.then_some(server).ok_or(BadNatsUrl)
        };
        self.url.split(',').map(server).collect()
    }

    /// User and password: the settings' own, else those of the first URL that has them.
    fn credentials(&self, servers: &[ServerAddr]) -> Option<(String, String)> {
        if let Some(user) = &self.user {
            return Some((user.clone(), self.password.clone().unwrap_or_default()));
        }
        servers.iter().find_map(|server| {
            let user = percent_decoded(server.username()?);
            Some((user, percent_decoded(server.password().unwrap_or_default())))
        })
    }
}

/// `%41` becomes `A`; what is no such escape stays.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = |at: usize| {
            tail.get(at)
                .and_then(|digit| char::from(*digit).to_digit(16))
        };
        if let (b'%', Some(high), Some(low)) = (first, hex(0), hex(1)) {
            bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A client that reconnects for ever, and whether it is connected now.
#[derive(Clone)]
pub struct Nats {
    /// The client, for subscriptions and publishing.
    pub client: async_nats::Client,
    /// True while connected.
    pub connected: watch::Receiver<bool>,
}

impl Nats {
    /// Whether the connection stands.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// The JetStream API with a bounded wait.
    pub(crate) fn jetstream(&self) -> Context {
        ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .build(self.client.clone())
    }

    /// Events in the stream that are not committed yet; none when the broker does not tell.
    pub async fn lag(&self) -> Option<u64> {
        if !self.is_connected() {
            return None;
        }
        let stream = self.jetstream().get_stream(subject::STREAM).await.ok()?;
        Some(stream.cached_info().state.messages)
    }
}

/// Begins to connect and goes on by itself, for ever: a broker that is away is
/// waited for. `name` is what the broker's monitoring shows.
///
/// # Errors
/// When the URL is no address.
pub async fn connect(target: &NatsTarget, name: &str) -> Result<Nats, BadNatsUrl> {
    let servers = target.servers()?;
    let (state, connected) = watch::channel(false);
    let state = Arc::new(state);
    let mut options = ConnectOptions::new()
        .name(name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(REQUEST_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            note(&state, &event);
            async {}
        });
    if let Some((user, password)) = target.credentials(&servers) {
        options = options.user_and_password(user, password);
    }
    // With `retry_on_initial_connect` the only error is an address that cannot be read.
    let client = options.connect(servers).await.map_err(|_| BadNatsUrl)?;
    Ok(Nats { client, connected })
}

/// Doubles from 10 ms to the cap, half of it random, so that many clients do not come at once.
fn reconnect_delay(attempt: usize) -> Duration {
    if attempt <= 1 {
        return Duration::ZERO;
    }
    let doubled = 10_u64 << attempt.min(10);
    let span = doubled.min(RECONNECT_CAP_MS);
    Duration::from_millis(rand::rng().random_range(span / 2..=span))
}

fn note(state: &watch::Sender<bool>, event: &Event) {
    match event {
        Event::Connected => {
            state.send_replace(true);
            tracing::info!("connected to NATS");
        }
        Event::Disconnected | Event::Closed => {
            if state.send_replace(false) {
                tracing::warn!("lost the connection to NATS, reconnecting");
            }
        }
        Event::SlowConsumer(subscription) => {
            tracing::warn!(
                subscription,
                "messages of a NATS subscription were dropped: it is read too slowly"
            );
        }
        Event::ServerError(error) => tracing::warn!(%error, "the NATS server reports an error"),
        Event::ClientError(error) => tracing::debug!(%error, "failed to reach NATS, trying again"),
        Event::LameDuckMode | Event::Draining => tracing::info!(%event, "NATS connection"),
    }
}

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
pub(crate) async fn renew_consumer(stream: &Stream) -> Result<Consumer<pull::Config>, String> {
    if let Err(error) = stream.delete_consumer(subject::CONSUMER).await {
        let missing = matches!(error.kind(), jetstream::stream::ConsumerErrorKind::JetStream(refusal)
            if refusal.error_code() == ErrorCode::CONSUMER_NOT_FOUND);
        if !missing {
            return Err(format!("delete consumer {}: {error}", subject::CONSUMER));
        }
    }
    stream
        .create_consumer(pull::Config {
            durable_name: Some(subject::CONSUMER.to_owned()),
            description: Some("The leader: commits to Postgres, then acknowledges".to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            max_ack_pending: MAX_ACK_PENDING,
            ..pull::Config::default()
        })
        .await
        .map_err(|error| format!("create consumer {}: {error}", subject::CONSUMER))
}

/// The consumer's messages, pulled ahead within bounds.
pub(crate) async fn messages(
    consumer: &Consumer<pull::Config>,
) -> Result<consumer::pull::Stream, String> {
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

    fn target(url: &str) -> NatsTarget {
        NatsTarget {
            url: url.to_owned(),
            user: None,
            password: None,
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let mut target = target("nats://agent:s3cret@10.0.0.1:4222,nats://other");
        target.password = Some("pa55".to_owned());
        let shown = format!("{target:?}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("pa55"),
            "{shown}"
        );
        assert_eq!(target.shown(), "nats://10.0.0.1:4222,nats://other:4222");
    }

    #[test]
    fn only_addresses_are_accepted() {
        for good in ["nats://127.0.0.1:4222", "localhost", "tls://a:1,nats://b:2"] {
            assert_eq!(target(good).check(), Ok(()), "{good}");
        }
        for bad in ["", "http://x", "nats://", "nats://a,,", "nats://a:notaport"] {
            assert_eq!(target(bad).check(), Err(BadNatsUrl), "{bad}");
        }
    }

    #[test]
    fn the_setting_wins_over_the_url_and_the_url_may_be_escaped() {
        let mut target = target("nats://u%40x:p%3Aw@h");
        let servers = target.servers().unwrap();
        let both = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(target.credentials(&servers), both("u@x", "p:w"));
        target.user = Some("agent".to_owned());
        target.password = Some("q".to_owned());
        assert_eq!(target.credentials(&servers), both("agent", "q"));
    }

    #[test]
    fn reconnecting_never_waits_longer_than_the_cap() {
        assert_eq!(reconnect_delay(1), Duration::ZERO);
        for attempt in 2..100 {
            let delay = reconnect_delay(attempt);
            assert!(
                delay > Duration::ZERO && delay <= Duration::from_millis(RECONNECT_CAP_MS),
                "{delay:?}"
            );
        }
    }

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
