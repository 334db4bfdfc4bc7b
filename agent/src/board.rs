//! What the watching thread tells the presence messages: the roots' states,
//! signs of life, and what went wrong on this host.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::presence::{ALIVE_REPEAT_MS, Alive, MAX_ALIVE};
use protocol::{ProjectToken, RootState, RootStatus, Timestamp};
use tokio::sync::{Notify, watch};

/// The shared board.
#[derive(Debug, Default)]
pub(crate) struct Board {
    inner: Mutex<Inner>,
    changed: Notify,
    broker_silent: watch::Sender<bool>,
}

/// What does not work, each shown by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// The outbox cannot be read or written.
    Outbox,
    /// The broker is reached and takes no events.
    Broker,
}

#[derive(Debug, Default)]
struct Inner {
    roots: Vec<RootStatus>,
    alarm: Option<String>,
    troubles: BTreeMap<Trouble, String>,
    alive: HashMap<(Arc<str>, ProjectToken), Sign>,
}

#[derive(Debug)]
struct Sign {
    file_time: Timestamp,
    noticed: Instant,
    times_sent: u32,
}

impl Board {
    /// An empty one, that also tells there when the broker answers no publish.
    pub(crate) fn new(broker_silent: watch::Sender<bool>) -> Self {
        Self {
            broker_silent,
            ..Self::default()
        }
    }

    /// Whether the broker is reached and answers no publish.
    pub(crate) fn broker_is_silent(&self, silent: bool) {
        self.broker_silent.send_replace(silent);
    }

    /// Sets how the roots are doing. Whoever waits for a change is told, but
    /// not of a mere count.
    pub(crate) fn set_roots(&self, roots: Vec<RootStatus>) {
        let mut inner = self.lock();
        let visible = |all: &[RootStatus]| {
            let each = all.iter().map(|root| (root.state, root.reason.clone()));
            each.collect::<Vec<_>>()
        };
        let changed = visible(&inner.roots) != visible(&roots);
        inner.roots = roots;
        drop(inner);
        if changed {
            self.changed.notify_one();
        }
    }

    /// Something was lost; shown until the agent is restarted.
    pub(crate) fn alarm(&self, text: String) {
        self.lock().alarm = Some(text);
        self.changed.notify_one();
    }

    /// Something does not work now; none when it works again.
    pub(crate) fn trouble(&self, what: Trouble, text: Option<&str>) {
        let mut inner = self.lock();
        let before = match text {
            Some(text) => inner.troubles.insert(what, text.to_owned()),
            None => inner.troubles.remove(&what),
        };
        drop(inner);
        if before.as_deref() != text {
            self.changed.notify_one();
        }
    }

    /// A project's state file was rewritten without a change.
    pub(crate) fn alive(
        &self,
        producer: &Arc<str>,
        project: ProjectToken,
        file_time: Timestamp,
        now: Instant,
    ) {
        let mut inner = self.lock();
        let sign = inner
            .alive
            .entry((Arc::clone(producer), project))
            .or_insert(Sign {
                file_time,
                noticed: now,
                times_sent: 0,
            });
        if file_time > sign.file_time {
            *sign = Sign {
                file_time,
                noticed: now,
                times_sent: 0,
            };
        }
    }

    /// The roots as a presence shows them: trouble makes each of them degraded.
    pub(crate) fn roots(&self) -> Vec<RootStatus> {
        let inner = self.lock();
        let mut roots = inner.roots.clone();
        let reasons: Vec<&str> = inner
            .troubles
            .values()
            .chain(&inner.alarm)
            .map(String::as_str)
            .collect();
        if !reasons.is_empty() {
            for root in &mut roots {
                // One that is missing stays so: its builds are judged by it.
                if root.state != RootState::Missing {
                    root.state = RootState::Degraded;
                }
                let all = reasons.iter().copied().chain(root.reason.as_deref());
                root.reason = Some(all.collect::<Vec<_>>().join("; "));
            }
        }
        roots
    }

    /// The signs of life to send now: those sent least often first, at most
    /// [`MAX_ALIVE`]. Old ones are forgotten.
    pub(crate) fn signs_of_life(&self, now: Instant) -> Vec<Alive> {
        let mut inner = self.lock();
        let keep = Duration::from_millis(ALIVE_REPEAT_MS.unsigned_abs());
        inner.alive.retain(|_, sign| now < sign.noticed + keep);
        let mut all: Vec<_> = inner.alive.iter_mut().collect();
        all.sort_by_key(|(_, sign)| (sign.times_sent, sign.noticed));
        all.into_iter()
            .take(MAX_ALIVE)
            .map(|((producer, project_token), sign)| {
                sign.times_sent += 1;
                Alive {
                    producer: producer.to_string(),
                    project_token: *project_token,
                    file_time: sign.file_time,
                }
            })
            .collect()
    }

    /// Waits until something visible changed.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> RootStatus {
        RootStatus {
            label: "src".into(),
            path: "/src".into(),
            state: RootState::Watching,
            watches: 1,
            reason: None,
            remedy: None,
        }
    }

    #[test]
    fn trouble_is_seen_on_every_root_until_it_ends() {
        let board = Board::default();
        board.set_roots(vec![root()]);
        board.trouble(Trouble::Outbox, Some("disk full"));
        assert_eq!(board.roots()[0].state, RootState::Degraded);
        assert_eq!(board.roots()[0].reason.as_deref(), Some("disk full"));
        board.trouble(Trouble::Outbox, None);
        assert_eq!(board.roots(), [root()]);
    }

    #[test]
    fn a_sign_of_life_is_repeated_for_a_minute_and_each_gets_its_turn() {
        let (board, start) = (Board::default(), Instant::now());
        let producer = Arc::from("p");
        let time = Timestamp::from_millis;
        for project in 0..=MAX_ALIVE as u64 {
            board.alive(&producer, ProjectToken(project), time(5), start);
        }
        assert_eq!(board.signs_of_life(start).len(), MAX_ALIVE);
        let second = board.signs_of_life(start);
        assert_eq!(second.len(), MAX_ALIVE);
        board.alive(&producer, ProjectToken(0), time(9), start);
        let third = board.signs_of_life(start);
        let newest = third.iter().find(|sign| sign.project_token.0 == 0);
        assert_eq!(newest.unwrap().file_time, time(9));
        let later = start + Duration::from_millis(ALIVE_REPEAT_MS.unsigned_abs());
        assert!(board.signs_of_life(later).is_empty());
    }
}
