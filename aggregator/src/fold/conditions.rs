//! What stands in the way of believing a producer's last word: its host is
//! gone, its root is missing, its file was removed, it has been silent, it cannot be read.

use std::collections::BTreeMap;

use protocol::{Build, BuildState};
use serde::{Deserialize, Serialize};

/// Circumstances of an open build; each with its reason for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Conditions {
    pub(super) host_gone: Option<String>,
    #[serde(default)]
    pub(super) root_missing: Option<String>,
    pub(super) removed: Option<String>,
    pub(super) silent: Option<String>,
    /// By file: one that is good says nothing about another.
    pub(super) unreadable: BTreeMap<String, String>,
}

impl Conditions {
    /// Sets `state` and `state_reason` from what the producer said and these.
    /// An ended build keeps its last word.
    pub(super) fn apply(&self, build: &mut Build, said: BuildState, reason: Option<&str>) {
        if build.has_ended() {
            return;
        }
        let (state, why) = if let Some(gone) = &self.host_gone {
            (BuildState::Unknown, Some(gone.as_str()))
        } else if let Some(missing) = &self.root_missing {
            (BuildState::Unknown, Some(missing.as_str()))
        } else if let Some(removed) = &self.removed {
            (BuildState::Unknown, Some(removed.as_str()))
        } else if let Some(silent) = &self.silent {
            (BuildState::Stalled, Some(silent.as_str()))
        } else {
            (
                said,
                self.unreadable
                    .values()
                    .next()
                    .map(String::as_str)
                    .or(reason),
            )
        };
        build.state = state;
        build.state_reason = why.map(str::to_owned);
    }
}
