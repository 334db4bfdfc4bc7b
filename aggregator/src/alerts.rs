//! What is wrong with the servers behind us, or was: for `/api/v1/alerts` and
//! the system page. Each replica tells what it has met itself.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::Timestamp;
use protocol::page::Alert;

/// Alerts that are over and still shown: a night of trouble can be read in the morning.
const MAX_OVER: usize = 50;

/// What an alert is about; of each there is one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// Nobody of this replica can write to Postgres.
    Writing,
    /// Postgres is there and refuses to write: its disk is full or fails.
    Room,
    /// The stream or its consumer cannot be read.
    Stream,
    /// Two living agents call themselves the same.
    Name,
    /// A project spent more than this budget.
    Budget(usize),
}

/// All alerts of this replica.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    now: Vec<(About, Alert)>,
    over: VecDeque<Alert>,
}

impl Alerts {
    /// Something does not work from now on. The first text stays until it works again.
    pub(crate) fn raise(&self, about: About, text: String, remedy: &str) {
        let mut inner = self.lock();
        if !inner.now.iter().any(|(known, _)| *known == about) {
            inner.now.push((about, alert(text, remedy)));
        }
    }

    /// The same, with the newest text: it says how far it has gone.
    pub(crate) fn tell(&self, about: About, text: String, remedy: &str) {
        let mut inner = self.lock();
        match inner.now.iter_mut().find(|(known, _)| *known == about) {
            Some((_, known)) => known.text = text,
            None => inner.now.push((about, alert(text, remedy))),
        }
    }

    /// It works again.
    pub(crate) fn clear(&self, about: About) {
        let mut inner = self.lock();
        if let Some(at) = inner.now.iter().position(|(known, _)| *known == about) {
            let (_, alert) = inner.now.remove(at);
            inner.end(alert);
        }
    }

    /// Something happened that is over already.
    pub(crate) fn note(&self, text: String, remedy: &str) {
        self.lock().end(alert(text, remedy));
    }

    /// Whether it does not work now.
    pub(crate) fn is_raised(&self, about: About) -> bool {
        self.lock().now.iter().any(|(known, _)| *known == about)
    }

    /// Those that go on, then those that are over, newest first.
    pub(crate) fn all(&self) -> Vec<Alert> {
        let inner = self.lock();
        let now = inner.now.iter().rev().map(|(_, alert)| alert);
        now.chain(&inner.over).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn end(&mut self, alert: Alert) {
        self.over.push_front(Alert {
            ended_at: Some(crate::live::now()),
            ..alert
        });
        self.over.truncate(MAX_OVER);
    }
}

fn alert(text: String, remedy: &str) -> Alert {
    Alert {
        began_at: crate::live::now(),
        ended_at: None::<Timestamp>,
        text,
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_told_once_and_kept_when_it_is_over() {
        let alerts = Alerts::default();
        alerts.raise(About::Writing, "disk full".to_owned(), "free some");
        alerts.raise(About::Writing, "another word for it".to_owned(), "");
        assert!(alerts.is_raised(About::Writing) && !alerts.is_raised(About::Stream));
        let told = alerts.all();
        assert_eq!((told.len(), told[0].text.as_str()), (1, "disk full"));
        assert_eq!(told[0].ended_at, None);
        alerts.clear(About::Writing);
        alerts.note("the stream was made anew".to_owned(), "");
        let told = alerts.all();
        assert!(told.iter().all(|alert| alert.ended_at.is_some()));
        assert_eq!(told[1].text, "disk full");
        for _ in 0..2 * MAX_OVER {
            alerts.note(String::new(), "");
        }
        assert_eq!(alerts.all().len(), MAX_OVER);
    }
}
