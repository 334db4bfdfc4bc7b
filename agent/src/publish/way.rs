//! Whether the broker takes events. One that is reached and takes none (its
//! store is full, or the stream is gone) is told to people by the presences,
//! which go another way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::board::{Board, Trouble};

/// A stream that is made anew, or a broker that comes up, is no trouble.
const TELL_AFTER: Duration = Duration::from_secs(2);

/// The way to the stream.
pub(super) struct Way {
    board: Arc<Board>,
    failing_since: Option<Instant>,
}

impl Way {
    pub(super) fn new(board: Arc<Board>) -> Self {
        Self {
            board,
            failing_since: None,
        }
    }

    /// An event was not taken; why.
    pub(super) fn failed(&mut self, error: &str, now: Instant) {
        let since = *self.failing_since.get_or_insert(now);
        if now >= since + TELL_AFTER {
            let text = format!("the broker takes no events ({error}): they wait in the outbox");
            self.board.trouble(Trouble::Broker, Some(text));
        }
    }

    /// An event was taken.
    pub(super) fn works(&mut self) {
        if self.failing_since.take().is_some() {
            self.board.trouble(Trouble::Broker, None);
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
        way.failed("no room", start);
        assert_eq!(board.roots()[0].reason, None);
        way.failed("no room", start + TELL_AFTER);
        let reason = board.roots()[0].reason.clone().unwrap();
        assert!(reason.contains("no room"), "{reason}");
        way.works();
        assert_eq!(board.roots()[0].state, RootState::Watching);
    }
}
