//! The connection to NATS: settings, and reconnecting for ever. The stream and
//! its consumer are in [`stream`].

mod echo;
mod logs;
mod stream;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{Context, ContextBuilder};
use async_nats::{ConnectOptions, Event, ServerAddr};
use protocol::subject;
use rand::RngExt as _;
use tokio::sync::watch;

pub(crate) use echo::keep_proving;
pub(crate) use logs::{MAX_LOG_BATCHES, log_messages};
pub(crate) use stream::{MAX_BATCH, ensure_stream, messages, renew_consumer, stream_name};

/// Keep-alive of a connection on which nothing comes; it is given up when two are missed: in 12 s, and made
/// anew within 15. One on which something comes is proved by [`keep_proving`].
const PING_INTERVAL: Duration = Duration::from_secs(4);
/// Longest wait between two attempts to connect: a server that comes back is used at once.
const RECONNECT_CAP_MS: u64 = 500;
/// A request to the broker, answered or not.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages that wait in one subscription. A burst of presences of 2,000 hosts fits; more are
/// dropped (and logged by the client), which costs nothing: they repeat.
const SUBSCRIPTION_CAPACITY: usize = 4_096;
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
pub(crate) struct Nats {
    /// The client, for subscriptions and publishing.
    pub client: async_nats::Client,
    /// True while connected.
    pub connected: watch::Receiver<bool>,
    /// How often the connection was lost: a short loss may go unseen in `connected`.
    pub losses: watch::Receiver<u64>,
}

impl Nats {
    /// Whether the connection stands.
    #[must_use]
    pub(crate) fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// The JetStream API with a bounded wait.
    pub(crate) fn jetstream(&self) -> Context {
        ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .build(self.client.clone())
    }

    /// Events in the stream that are not committed yet; none when the broker does not tell.
    pub(crate) async fn lag(&self) -> Option<u64> {
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
pub(crate) async fn connect(target: &NatsTarget, name: &str) -> Result<Nats, BadNatsUrl> {
    let servers = target.servers()?;
    let (state, connected) = watch::channel(false);
    let (lost, losses) = watch::channel(0);
    let state = Arc::new((state, lost));
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
    Ok(Nats {
        client,
        connected,
        losses,
    })
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

fn note((connected, losses): &(watch::Sender<bool>, watch::Sender<u64>), event: &Event) {
    match event {
        Event::Connected => {
            connected.send_replace(true);
            tracing::info!("connected to NATS");
        }
        Event::Disconnected | Event::Closed => {
            losses.send_modify(|count| *count += 1);
            if connected.send_replace(false) {
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
        // We close it ourselves: the disconnect that follows is no loss.
        Event::Draining => {
            connected.send_replace(false);
            tracing::info!("closing the connection to NATS");
        }
        Event::LameDuckMode => tracing::info!("the NATS server is about to stop"),
    }
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
}
