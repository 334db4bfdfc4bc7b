//! What came in on each route, for the people who wonder why nothing shows.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use protocol::calls::{MAX_RUNNERS, MAX_SAID};
use protocol::text::cut;
use protocol::{Calls, RouteStatus, RunnerStatus, Timestamp};

/// What came in, by route and by runner.
#[derive(Debug, Default)]
pub struct Status(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    routes: BTreeMap<&'static str, RouteStatus>,
    runners: BTreeMap<String, Runner>,
}

#[derive(Debug, Default)]
struct Runner {
    told: RunnerStatus,
    /// Its connections: one that connects anew may still have the old one.
    connections: usize,
}

fn now() -> Timestamp {
    Timestamp::from_system_time(SystemTime::now())
}

impl Status {
    /// Something was kept.
    pub(crate) fn received(&self, route: &'static str) {
        self.with(route, |status| {
            status.received += 1;
            status.last_received_at = Some(now());
        });
    }

    /// Something came that says nothing of a build.
    pub(crate) fn ignored(&self, route: &'static str) {
        self.with(route, |status| {
            status.ignored += 1;
            status.last_received_at = Some(now());
        });
    }

    /// Something was refused, or could not be kept.
    pub(crate) fn refused(&self, route: &'static str, why: &str) {
        self.with(route, |status| {
            status.refused += 1;
            status.last_refused_at = Some(now());
            status.last_refusal = Some(cut(why, MAX_SAID));
        });
    }

    /// A runner is connected for as long as the answer lives.
    pub(crate) fn connected(&self, runner: &str) -> Connected<'_> {
        let name = cut(runner, MAX_SAID);
        let mut inner = self.lock();
        if !inner.runners.contains_key(&name) && inner.runners.len() >= MAX_RUNNERS {
            inner.forget_one();
        }
        let known = inner.runners.entry(name.clone()).or_default();
        known.connections += 1;
        known.told.runner.clone_from(&name);
        known.told.last_seen_at = Some(now());
        Connected { status: self, name }
    }

    fn with(&self, route: &'static str, change: impl FnOnce(&mut RouteStatus)) {
        let mut inner = self.lock();
        change(inner.routes.entry(route).or_insert_with(|| RouteStatus {
            route: route.to_owned(),
            ..RouteStatus::default()
        }));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands now; routes that were never called are absent.
    #[must_use]
    pub fn snapshot(&self) -> Calls {
        let inner = self.lock();
        let runner = |known: &Runner| RunnerStatus {
            connected: known.connections > 0,
            ..known.told.clone()
        };
        Calls {
            routes: inner.routes.values().cloned().collect(),
            runners: inner.runners.values().map(runner).collect(),
        }
    }
}

impl Inner {
    /// The one that was not heard for the longest; fewer than the limit can be connected.
    fn forget_one(&mut self) {
        let gone = self
            .runners
            .iter()
            .filter(|(_, runner)| runner.connections == 0);
        let oldest = gone
            .min_by_key(|(_, runner)| runner.told.last_seen_at)
            .map(|(name, _)| name.clone());
        if let Some(name) = oldest {
            self.runners.remove(&name);
        }
    }
}

/// A runner that is connected.
#[derive(Debug)]
pub(crate) struct Connected<'a> {
    status: &'a Status,
    name: String,
}

impl Connected<'_> {
    /// It was heard.
    pub(crate) fn heard(&self) {
        self.change(|_| {});
    }

    /// It told how it is.
    pub(crate) fn said(
        &self,
        status: Option<String>,
        version: Option<String>,
        hostname: Option<String>,
    ) {
        self.change(|told| {
            told.status = status;
            told.version = version;
            told.hostname = hostname;
        });
    }

    fn change(&self, change: impl FnOnce(&mut RunnerStatus)) {
        if let Some(known) = self.status.lock().runners.get_mut(&self.name) {
            known.told.last_seen_at = Some(now());
            change(&mut known.told);
        }
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        if let Some(known) = self.status.lock().runners.get_mut(&self.name) {
            known.connections = known.connections.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_that_connects_anew_stays_connected_when_its_old_connection_ends() {
        let status = Status::default();
        let old = status.connected("r");
        let new = status.connected("r");
        drop(old);
        new.said(Some("idle".to_owned()), None, None);
        let runners = status.snapshot().runners;
        assert_eq!((runners.len(), runners[0].connected), (1, true));
        assert_eq!(runners[0].status.as_deref(), Some("idle"));
        drop(new);
        assert!(!status.snapshot().runners[0].connected);
    }

    #[test]
    fn runners_that_were_are_forgotten_before_there_are_too_many() {
        let status = Status::default();
        for runner in 0..2 * MAX_RUNNERS {
            drop(status.connected(&runner.to_string()));
        }
        let last = status.connected("last");
        let runners = status.snapshot().runners;
        assert_eq!(runners.len(), MAX_RUNNERS);
        assert!(
            runners
                .iter()
                .any(|runner| runner.runner == "last" && runner.connected)
        );
        drop(last);
    }
}
