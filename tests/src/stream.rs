//! A client of `/api/v1/stream` as a browser is one: connects, resumes by
//! `since`, and keeps what it received in [`Seen`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::{self, Message};

pub use crate::seen::{Seen, Told, agree};
use crate::wait;

/// Texts that a test sends; it sends a handful.
const OUTGOING: usize = 16;

/// An open connection; closed when dropped.
pub struct Client {
    seen: Arc<Mutex<Seen>>,
    outgoing: mpsc::Sender<Message>,
    _tasks: JoinSet<()>,
}

impl Client {
    /// Connects to an aggregator's stream; `query` is e.g. `?full=1` or empty.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect(base: &str, query: &str) -> Self {
        Self::try_connect(base, query, Arc::default())
            .await
            .unwrap_or_else(|e| panic!("the stream of {base}{query} is open to clients: {e}"))
    }

    /// Connects again where `seen` ended, as a browser does.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn resume(base: &str, seen: Seen) -> Result<Self, tungstenite::Error> {
        Self::go_on(base, Arc::new(Mutex::new(seen))).await
    }

    /// The same into a record that others look at too; empty, it is a first visit.
    pub(crate) async fn go_on(
        base: &str,
        record: Arc<Mutex<Seen>>,
    ) -> Result<Self, tungstenite::Error> {
        let (seq, received) = {
            let seen = lock(&record);
            (seen.seq, seen.received)
        };
        let query = match received {
            0 => "?beat=5".to_owned(),
            _ => format!("?beat=5&since={seq}"),
        };
        Self::try_connect(base, &query, record).await
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        lock(&self.seen).over
    }

    async fn try_connect(
        base: &str,
        query: &str,
        seen: Arc<Mutex<Seen>>,
    ) -> Result<Self, tungstenite::Error> {
        let url = format!("{}/api/v1/stream{query}", base.replacen("http", "ws", 1));
        let (socket, _) = tokio_tungstenite::connect_async(url).await?;
        let (mut sink, mut source) = socket.split();
        {
            let mut seen = lock(&seen);
            seen.over = false;
            seen.close_code = None;
        }
        let (outgoing, mut texts) = mpsc::channel::<Message>(OUTGOING);
        let mut tasks = JoinSet::new();
        let record = Arc::clone(&seen);
        tasks.spawn(async move {
            while let Some(Ok(message)) = source.next().await {
                let mut seen = lock(&record);
                match message {
                    Message::Text(text) => seen.take(&text),
                    Message::Close(close) => {
                        seen.close_code = close.map(|close| u16::from(close.code));
                    }
                    Message::Binary(_) => seen.breach("a binary message".to_owned()),
                    _ => {}
                }
            }
            lock(&record).over = true;
        });
        tasks.spawn(async move {
            while let Some(message) = texts.recv().await {
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            seen,
            outgoing,
            _tasks: tasks,
        })
    }

    /// Sends a message.
    ///
    /// # Panics
    /// When the connection is over.
    pub async fn send(&self, message: Message) {
        self.outgoing
            .send(message)
            .await
            .expect("the connection is open");
    }

    /// What was received so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    /// Waits until what was received satisfies `probe`.
    ///
    /// # Panics
    /// When it never does.
    pub async fn until<T>(&self, what: &str, probe: impl Fn(&Seen) -> Option<T>) -> T {
        wait::eventually(what, async || {
            let seen = lock(&self.seen);
            probe(&seen).ok_or_else(|| {
                let last = seen.frames.iter().rev().take(3).collect::<Vec<_>>();
                let state =
                    |(id, build): (&String, &crate::seen::Told)| format!("{id} {}", build["state"]);
                let builds = seen.builds.iter().take(3).map(state).collect::<Vec<_>>();
                format!(
                    "{} frames, seq {}, {} builds ({}), last {last:?}",
                    seen.frames.len(),
                    seen.seq,
                    seen.builds.len(),
                    builds.join(", ")
                )
            })
        })
        .await
    }

    /// Waits for a build in a state that satisfies `probe`, by its project's name;
    /// members that are not known read as null.
    ///
    /// # Panics
    /// When it never comes.
    pub async fn until_build(&self, project: &str, probe: impl Fn(&Value) -> bool) -> Value {
        self.until(&format!("a build of {project} on the stream"), |seen| {
            let of_project = |told: &&Told| told.get("project").is_some_and(|name| name == project);
            let told = seen.builds.values().filter(of_project);
            let mut told = told.map(|told| Value::Object(told.clone()));
            told.find(|told| probe(told))
        })
        .await
    }

    /// Ends the connection and gives what it received.
    #[must_use]
    pub fn leave(self) -> Seen {
        self.seen()
    }

    /// The stream kept all its promises.
    ///
    /// # Panics
    /// When it did not.
    pub fn assert_clean(&self) {
        let seen = self.seen();
        assert!(
            seen.breaches.is_empty(),
            "the stream broke promises:\n{}",
            seen.breaches.join("\n")
        );
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
