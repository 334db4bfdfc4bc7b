//! A reader that comes from another replica may have seen more than this one
//! has heard: it must not be shown an older state. Postgres has what it saw.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::hub::Hub;

/// Postgres is asked within milliseconds. When it has no such change it was
/// restored, and a snapshot of what it has is right.
const WITHIN: Duration = Duration::from_secs(2);
/// Nobody is further ahead than what is committed in the moment that a frame takes.
const MOST: u64 = 10_000;

/// How far readers had come, and how far this replica is.
#[derive(Debug)]
pub(super) struct Ahead {
    wanted: watch::Sender<u64>,
    reached: watch::Sender<u64>,
}

impl Ahead {
    pub(super) fn new() -> Self {
        Self {
            wanted: watch::Sender::new(0),
            reached: watch::Sender::new(0),
        }
    }

    /// This replica has come so far.
    pub(super) fn reached(&self, seq: u64) {
        self.reached.send_replace(seq);
    }

    /// How far readers had come.
    pub(super) fn wanted(&self) -> watch::Receiver<u64> {
        self.wanted.subscribe()
    }
}

impl Hub {
    /// Waits until everything up to `seq` was taken in, if that may be soon.
    pub(crate) async fn reach(&self, seq: u64) {
        if !(1..=MOST).contains(&seq.saturating_sub(self.seq())) {
            return;
        }
        let mut reached = self.ahead.reached.subscribe();
        self.ahead.wanted.send_if_modified(|wanted| {
            let more = seq > *wanted;
            *wanted = seq.max(*wanted);
            more
        });
        let _ = timeout(WITHIN, reached.wait_for(|reached| *reached >= seq)).await;
    }
}
