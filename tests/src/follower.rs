//! A browser that never gives up: a stream client that reconnects with `since`
//! whenever its connection ends, as pages do.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::stream::{Client, Seen};

/// Between two tries; pages wait longer, tests have no time for that.
const RETRY: Duration = Duration::from_millis(100);
/// How often a connection is looked at for its end.
const LOOK: Duration = Duration::from_millis(20);
/// A server that takes a connection and says nothing is given up.
const CONNECT: Duration = Duration::from_secs(5);

/// As pages: two missed heartbeats and a margin.
const SILENCE: Duration = Duration::from_secs(12);

/// How a connection ended: the close code, or none when it just broke.
pub type End = Option<u16>;

/// Follows a stream until dropped.
#[derive(Debug)]
pub struct Follower {
    seen: Arc<Mutex<Seen>>,
    ends: Arc<Mutex<Vec<End>>>,
    _task: JoinSet<()>,
}

impl Follower {
    /// Follows the stream of the aggregator at `base`.
    #[must_use]
    pub fn start(base: &str) -> Self {
        Self::begin(vec![base.to_owned()], Seen::default())
    }

    /// Follows one of these aggregators, and the next one when that cannot be
    /// reached. Keeps what was shown and no frames, so that it may follow for hours.
    #[must_use]
    pub fn roam(bases: Vec<String>) -> Self {
        let seen = Seen {
            forgets: true,
            ..Seen::default()
        };
        Self::begin(bases, seen)
    }

    fn begin(bases: Vec<String>, seen: Seen) -> Self {
        let seen = Arc::new(Mutex::new(seen));
        let ends = Arc::default();
        let mut task = JoinSet::new();
        task.spawn(follow(bases, Arc::clone(&seen), Arc::clone(&ends)));
        Self {
            seen,
            ends,
            _task: task,
        }
    }

    /// What was received so far, over all connections.
    #[must_use]
    pub fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    /// A look at what was received, without a copy.
    pub fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&lock(&self.seen))
    }

    /// How its connections ended, oldest first.
    #[must_use]
    pub fn ends(&self) -> Vec<End> {
        lock(&self.ends).clone()
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn follow(bases: Vec<String>, record: Arc<Mutex<Seen>>, ends: Arc<Mutex<Vec<End>>>) {
    for base in bases.iter().cycle() {
        let connecting = Client::go_on(base, Arc::clone(&record));
        if let Ok(Ok(client)) = tokio::time::timeout(CONNECT, connecting).await {
            let (mut received, mut heard_at) = (0, Instant::now());
            while !client.is_over() && heard_at.elapsed() < SILENCE {
                tokio::time::sleep(LOOK).await;
                let now = lock(&record).received;
                if now != received {
                    (received, heard_at) = (now, Instant::now());
                }
            }
            lock(&ends).push(lock(&record).close_code);
        }
        tokio::time::sleep(RETRY).await;
    }
}
