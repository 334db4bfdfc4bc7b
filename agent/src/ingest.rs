//! Calls of producers that send, on this host's own loopback addresses: the
//! routes of the `ingest` crate, kept in the outbox. A success means that the
//! call is there. Without an address there is neither listener nor task. What
//! runners' programs print goes the way of log lines instead.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use ingest::{Admission, Call, Carried, Carrier, Ingest, Lines, NotKept, Sink, Status};
use protocol::{Calls, Timestamp};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Texts;
use crate::logs::{self, Sent};
use crate::outbox::Outbox;

/// Connections to one address at a time: producers make one per call.
const MAX_CONNECTIONS: usize = 64;
/// Told to stop, calls that have begun are answered within this.
const FINISH: Duration = Duration::from_secs(3);

/// Where calls are taken, and from whom.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Taking {
    /// Loopback addresses; none: no calls are taken.
    pub addresses: Vec<SocketAddr>,
    /// The bearer token that every caller must have; none: whoever is on this machine.
    pub token: Option<String>,
}

impl fmt::Debug for Taking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taking")
            .field("addresses", &self.addresses)
            .field("token", &self.token.as_ref().map(|_| "hidden"))
            .finish()
    }
}

/// The listeners of this agent, bound.
pub(crate) struct Listeners {
    bound: Vec<TcpListener>,
    admission: Admission,
    status: Arc<Status>,
}

impl Listeners {
    /// Takes the addresses.
    ///
    /// # Errors
    /// When one cannot be had, e.g. because another program listens there.
    pub(crate) async fn bind(taking: &Taking) -> anyhow::Result<Self> {
        let mut bound = Vec::new();
        for address in &taking.addresses {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("failed to take calls on {address} (PHASELINE_INGEST)"))?;
            tracing::info!(%address, "producers' calls are taken");
            bound.push(listener);
        }
        let admission = match &taking.token {
            Some(token) => Admission::token(token),
            None => Admission::loopback(),
        };
        Ok(Self {
            bound,
            admission,
            status: Arc::default(),
        })
    }

    /// What came in; none where nothing is listened to.
    pub(crate) fn heard(&self) -> Heard {
        Heard((!self.bound.is_empty()).then(|| Arc::clone(&self.status)))
    }

    /// Serves until `stop`, then lets calls that have begun end. `way`: by which log lines go,
    /// where they may leave this host.
    pub(crate) async fn serve(
        self,
        outbox: Arc<Outbox>,
        host: &str,
        way: Option<LogWay>,
        stop: CancellationToken,
    ) {
        if self.bound.is_empty() {
            return stop.cancelled().await;
        }
        let tasks = TaskTracker::new();
        let lines = way.map(|way| {
            let lines = Arc::new(Lines::new(outbox.identity().agent, host));
            (lines, way)
        });
        let sink = OutboxSink {
            outbox,
            host: host.to_owned(),
        };
        let mut ingest = Ingest::new(sink, self.admission, self.status)
            .on(tasks.clone(), stop.clone())
            .of_host(host);
        if let Some((lines, _)) = &lines {
            ingest = ingest.with_lines(Arc::clone(lines));
        }
        let router = ingest::router(ingest);
        let serving = self.bound.into_iter().map(|listener| {
            let (router, tasks) = (router.clone(), tasks.clone());
            ingest::serve(listener, router, MAX_CONNECTIONS, tasks, stop.clone())
        });
        let ended = CancellationToken::new();
        let serving = async {
            futures::future::join_all(serving).await;
            tasks.close();
            if tokio::time::timeout(FINISH, tasks.wait()).await.is_err() {
                tracing::warn!("a producer's call was left without an answer");
            }
            ended.cancel();
        };
        let shipping = async {
            if let Some((lines, way)) = &lines {
                lines.ship(way, ended.cancelled()).await;
            }
        };
        tokio::join!(serving, shipping);
    }
}

/// The way of log lines to their stream.
pub(crate) struct LogWay(Context);

impl LogWay {
    /// By this connection; none where texts may not leave the host.
    pub(crate) fn new(texts: Texts, client: &async_nats::Client) -> Option<Self> {
        let context = ContextBuilder::new()
            .timeout(logs::ACK_TIMEOUT)
            .ack_timeout(logs::ACK_TIMEOUT)
            .build(client.clone());
        (texts != Texts::None).then_some(Self(context))
    }
}

impl Carrier for LogWay {
    async fn carry(&self, subject: String, id: String, payload: Vec<u8>) -> Carried {
        match logs::send(&self.0, subject, &id, payload).await {
            Sent::Stored => Carried::Stored,
            Sent::TooLarge => Carried::Never("the broker takes no message this large".to_owned()),
            Sent::Again(reason) => Carried::Again(reason),
        }
    }
}

/// What came in, for the presence messages.
pub(crate) struct Heard(Option<Arc<Status>>);

impl Heard {
    /// Now; none where no calls are taken.
    pub(crate) fn now(&self) -> Option<Calls> {
        self.0.as_ref().map(|status| status.snapshot())
    }
}

/// Keeps calls in the outbox.
struct OutboxSink {
    outbox: Arc<Outbox>,
    host: String,
}

impl Sink for OutboxSink {
    async fn keep(&self, call: Call) -> Result<(), NotKept> {
        let now = Timestamp::from_system_time(SystemTime::now());
        let mut event = call
            .into_event(&self.host, now)
            .map_err(|error| NotKept(format!("the body cannot be stored: {error}")))?;
        // As short as what the publishing task does on this thread.
        self.outbox
            .record_call(&mut event)
            .map_err(|error| NotKept(format!("the outbox did not take it: {error}")))
    }
}
