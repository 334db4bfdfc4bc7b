//! What one connection is to be sent, apart from the socket: changes as they
//! come or gathered, and the newest states after it was too slow.

use std::sync::Arc;

use protocol::{FrameType, Source};
use serde_json::json;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;

use super::{Wishes, note_join};
use crate::live::{Conflator, Filter, Hub, Joined, News, OutFrame, encode, now};
use crate::metrics::LiveMetrics;

/// Changes that are taken up together and written with one flush.
const DRAIN: usize = 64;

/// What is to be sent, apart from the socket.
pub(super) struct Talk {
    hub: Arc<Hub>,
    filter: Filter,
    pub(super) news: broadcast::Receiver<News>,
    conflator: Conflator,
    /// The newest change that was looked at.
    seen: u64,
    /// Everything up to here that concerns this connection has been sent.
    sent: u64,
}

impl Talk {
    /// From where the connection joined; answers with the first frames.
    pub(super) fn begin(
        hub: Arc<Hub>,
        wishes: Wishes,
        joined: Joined,
        now: Instant,
    ) -> (Self, Vec<OutFrame>) {
        note_join(&hub.metrics().live, &joined);
        let mut frames = joined.frames;
        let talk = Self {
            hub,
            filter: wishes.filter,
            news: joined.news,
            conflator: Conflator::new(wishes.full, now),
            seen: joined.seq,
            sent: joined.seq,
        };
        if joined.resumed || talk.hub.stale().borrow().is_some() {
            // Says that this is all, what time it is here, and what the values are worth.
            frames.push(talk.heartbeat());
        }
        (talk, frames)
    }

    /// When [`flush`](Self::flush) is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.conflator.due()
    }

    pub(super) fn set_rate(&mut self, per_second: f64) {
        self.conflator.set_rate(per_second);
    }

    /// There is nothing to say, how far everything has been said, and whether it is up to date.
    pub(super) fn heartbeat(&self) -> OutFrame {
        let (kind, seq) = (FrameType::Heartbeat, self.sent);
        let data = match &*self.hub.stale().borrow() {
            Some(stale) => json!({ "stale": stale }),
            None => json!({}),
        };
        OutFrame {
            kind,
            seq,
            text: encode(kind, &data, now(), Source::Sync, seq),
        }
    }

    /// Takes up what has come; answers with what is to be sent now.
    pub(super) fn take(&mut self, first: Result<News, RecvError>) -> Vec<OutFrame> {
        let now = Instant::now();
        let mut out = Vec::new();
        let mut news = first;
        for taken in 1..=DRAIN {
            match news {
                Ok(News::Change(change)) => {
                    if change.seq > self.seen {
                        self.seen = change.seq;
                        if self.filter.wants(&change) {
                            self.conflator.offer(change, now, &mut out);
                        }
                        self.settle();
                    }
                }
                Ok(News::Reset) => {
                    self.rejoin(None, &mut out);
                    break;
                }
                Err(RecvError::Lagged(_)) => {
                    self.metrics().lagged.inc();
                    self.rejoin(Some(self.sent), &mut out);
                    break;
                }
                // The hub lives as long as the program; without it the stop signal ends the session.
                Err(RecvError::Closed) => break,
            }
            if taken == DRAIN {
                break;
            }
            news = match self.news.try_recv() {
                Ok(news) => Ok(news),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                Err(TryRecvError::Lagged(count)) => Err(RecvError::Lagged(count)),
            };
        }
        out
    }

    pub(super) fn flush(&mut self) -> Vec<OutFrame> {
        let mut out = Vec::new();
        self.conflator.flush(&mut out);
        self.settle();
        out
    }

    /// Notes how far everything has been given out.
    fn settle(&mut self) {
        if !self.conflator.is_pending() {
            self.sent = self.seen;
        }
        let replaced = self.conflator.take_replaced();
        self.metrics().conflated.inc_by(replaced);
    }

    /// The newest states instead of each change.
    fn rejoin(&mut self, since: Option<u64>, out: &mut Vec<OutFrame>) {
        self.conflator.clear();
        if let Some(joined) = self.hub.join(since, &self.filter) {
            note_join(self.metrics(), &joined);
            self.news = joined.news;
            self.seen = joined.seq;
            self.sent = joined.seq;
            out.extend(joined.frames);
        }
    }

    fn metrics(&self) -> &LiveMetrics {
        &self.hub.metrics().live
    }
}
