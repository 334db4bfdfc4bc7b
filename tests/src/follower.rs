//! A browser that never gives up: a stream client that reconnects with `since`
//! whenever its connection ends, as pages do.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::stream::{Client, Seen};

/// Between two tries; pages wait longer, tests have no time for that.
const RETRY: Duration = Duration::from_millis(100);
/// How often a connection is looked at for news.
const LOOK: Duration = Duration::from_millis(20);

/// Follows a stream until dropped.
#[derive(Debug)]
pub struct Follower {
    seen: Arc<Mutex<Seen>>,
    _task: JoinSet<()>,
}

impl Follower {
    /// Follows the stream of the aggregator at `base`.
    #[must_use]
    pub fn start(base: &str) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut task = JoinSet::new();
        task.spawn(follow(base.to_owned(), Arc::clone(&seen)));
        Self { seen, _task: task }
    }

    /// What was received so far, over all connections.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn follow(base: String, record: Arc<Mutex<Seen>>) {
    loop {
        let seen = record
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        // Nothing received yet: a first visit, not a resumption.
        let connected = if seen.frames.is_empty() {
            Client::try_open(&base).await
        } else {
            Client::resume(&base, seen).await
        };
        if let Ok(client) = connected {
            loop {
                let now = client.seen();
                let over = now.over;
                *record.lock().unwrap_or_else(PoisonError::into_inner) = now;
                if over {
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}
