//! The one log that a connection looks at.

use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::live::{Hub, LogFrame, OutFrame};

/// Which log, if any.
pub(super) struct Reading {
    hub: Arc<Hub>,
    of: Option<(String, Receiver<Arc<LogFrame>>)>,
}

impl Reading {
    pub(super) fn new(hub: Arc<Hub>, build: Option<String>) -> Self {
        let mut reading = Self { hub, of: None };
        reading.of(build);
        reading
    }

    /// Another one from here on.
    pub(super) fn of(&mut self, build: Option<String>) {
        self.of = build.map(|build| (build, self.hub.logs()));
    }

    /// The next lines; never any where none are wanted. Who was too slow goes
    /// on with the newest, and sees the gap in their numbers.
    pub(super) async fn next(&mut self) -> Option<OutFrame> {
        let Some((build, frames)) = &mut self.of else {
            return std::future::pending().await;
        };
        loop {
            match frames.recv().await {
                Ok(frame) if frame.build == *build => return Some(frame.out()),
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                // The hub lives as long as the program.
                Err(RecvError::Closed) => return std::future::pending().await,
            }
        }
    }
}
