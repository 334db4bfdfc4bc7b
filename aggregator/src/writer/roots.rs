//! What a change of a host, or of the roots watched on it, means for its open
//! builds: gone, back, missing. Pure.

use protocol::{HostState, RootState, RootStatus};

use super::presence::Known;
use crate::fold::TimerKind;

/// Labels of the roots that are missing, given those that were before: one that is being looked at stays as it was.
pub(super) fn missing<'a>(
    roots: &'a [RootStatus],
    was_missing: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = String> + 'a {
    let missing = move |root: &&RootStatus| match root.state {
        RootState::Missing => true,
        RootState::Starting => was_missing(&root.label),
        RootState::Watching | RootState::Degraded => false,
    };
    roots.iter().filter(missing).map(|root| root.label.clone())
}

impl Known {
    /// What the change from before means for the host's open builds.
    pub(super) fn news_for_builds(&self, before: &Self) -> Vec<TimerKind> {
        let mut news = Vec::new();
        let is_back = match (before.host.state, self.host.state) {
            (HostState::Up, HostState::Stopped) => {
                let reason = self.host.state_reason.clone().unwrap_or_default();
                news.push(TimerKind::HostGone { reason });
                false
            }
            (HostState::Gone | HostState::Stopped, HostState::Up) => {
                news.push(TimerKind::HostBack);
                true
            }
            _ => false,
        };
        let is_there = |label: &&String| {
            let mut roots = self.host.roots.iter();
            !self.missing.contains(*label) && roots.any(|root| root.label == **label)
        };
        let back = before.missing.iter().filter(is_there).cloned();
        news.extend(back.map(|root| TimerKind::RootBack { root }));
        let gone = self.missing.iter();
        let gone = gone.filter(|label| is_back || !before.missing.contains(*label));
        news.extend(gone.map(|label| self.root_missing(label)));
        news
    }

    pub(super) fn root_missing(&self, label: &str) -> TimerKind {
        let root = self.host.roots.iter().find(|root| root.label == label);
        let path = root.map_or(label, |root| root.path.as_str());
        let why = root.and_then(|root| root.reason.as_deref());
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        TimerKind::RootMissing {
            root: label.to_owned(),
            reason: format!("root missing: {path}{why}"),
        }
    }
}
