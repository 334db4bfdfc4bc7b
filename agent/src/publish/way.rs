//! Whether the broker takes events. One that is reached and takes none (its
//! disk is full, or the stream is gone) is told to people by the presences,
//! which go another way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::board::{Board, Trouble};

/// A stream that is made anew, or a broker that comes up, is no trouble; five
/// seconds are promised until somebody sees it.
const TELL_AFTER: Duration = Duration::from_secs(3);

/// The way to the stream.
pub(super) struct Way {
    board: Arc<Board>,
    /// Something was sent then, and nothing was taken since.
    unanswered_since: Option<Instant>,
    reason: Option<String>,
    told: bool,
}

impl Way {
    pub(super) fn new(board: Arc<Board>) -> Self {
        Self {
            board,
            unanswered_since: None,
            reason: None,
            told: false,
        }
    }

    /// Something is on its way.
    pub(super) fn sent(&mut self, now: Instant) {
        self.unanswered_since.get_or_insert(now);
    }

    /// An event was not taken; why, if the broker said it.
    pub(super) fn refused(&mut self, reason: Option<String>) {
        self.reason = reason;
    }

    /// An event was taken, or nothing is on its way any more.
    pub(super) fn works(&mut self) {
        self.unanswered_since = None;
        self.reason = None;
        if std::mem::take(&mut self.told) {
            self.board.broker_is_silent(false);
            self.board.trouble(Trouble::Broker, None);
        }
    }

    /// The connection is another one: it has its own time to answer.
    pub(super) fn reconnected(&mut self) {
        self.unanswered_since = None;
    }

    /// When to look again whether it is time to tell.
    pub(super) fn due(&self) -> Option<Instant> {
        let since = self.unanswered_since.filter(|_| !self.told)?;
        Some(since + TELL_AFTER)
    }

    /// Tells, if it is time to.
    pub(super) fn look(&mut self, now: Instant) {
        if self.due().is_some_and(|due| due <= now) {
            let reason = self.reason.as_deref().unwrap_or("it does not answer");
            let text = format!("the broker takes no events ({reason}): they wait in the outbox");
            tracing::error!(reason, "the broker is reached and takes no events");
            self.board.broker_is_silent(self.reason.is_none());
            self.board.trouble(Trouble::Broker, Some(&text));
            self.told = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::{RootState, RootStatus};

    use super::*;

    #[test]
    fn a_broker_that_takes_nothing_for_a_while_is_told_until_it_does() {
        let board = Arc::new(Board::default());
        board.set_roots(vec![RootStatus {
            label: "r".into(),
            path: "/r".into(),
            state: RootState::Watching,
            watches: 1,
            reason: None,
            remedy: None,
        }]);
        let mut way = Way::new(Arc::clone(&board));
        let start = Instant::now();
        way.sent(start);
        way.look(start);
        assert_eq!(board.roots()[0].reason, None);
        way.refused(Some("no room".to_owned()));
        let due = way.due().unwrap();
        assert_eq!(due, start + TELL_AFTER);
        way.look(due);
        let reason = board.roots()[0].reason.clone().unwrap();
        assert!(reason.contains("no room"), "{reason}");
        assert_eq!(way.due(), None, "it is told");
        way.works();
        assert_eq!(board.roots()[0].state, RootState::Watching);
    }

    #[test]
    fn a_silent_broker_is_told_apart_from_one_that_refuses() {
        let silent = tokio::sync::watch::Sender::default();
        let mut way = Way::new(Arc::new(Board::new(silent.clone())));
        let start = Instant::now();
        for reason in [Some("the stream is full".to_owned()), None] {
            way.sent(start);
            way.refused(reason.clone());
            way.look(start + TELL_AFTER);
            assert_eq!(*silent.borrow(), reason.is_none());
            way.works();
            assert!(!*silent.borrow());
        }
    }
}
