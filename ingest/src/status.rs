//! What came in on each route, for the people who wonder why nothing shows.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use protocol::Timestamp;
use protocol::page::RouteStatus;

/// What came in, by route.
#[derive(Debug, Default)]
pub struct Status(Mutex<BTreeMap<&'static str, RouteStatus>>);

impl Status {
    pub(crate) fn received(&self, route: &'static str, at: Timestamp) {
        self.with(route, |status| {
            status.received += 1;
            status.last_received_at = Some(at);
        });
    }

    pub(crate) fn refused(&self, route: &'static str, at: Timestamp, why: &str) {
        self.with(route, |status| {
            status.refused += 1;
            status.last_refused_at = Some(at);
            status.last_refusal = Some(why.to_owned());
        });
    }

    fn with(&self, route: &'static str, change: impl FnOnce(&mut RouteStatus)) {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(routes.entry(route).or_insert_with(|| RouteStatus {
            route: route.to_owned(),
            ..RouteStatus::default()
        }));
    }

    /// How it stands now; routes that were never called are absent.
    #[must_use]
    pub fn snapshot(&self) -> Vec<RouteStatus> {
        let routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        routes.values().cloned().collect()
    }
}
