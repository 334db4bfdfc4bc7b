//! Which build it is, and the build of which nothing but that is known.

use serde_json::Map;

use super::{Build, BuildState, Origin};
use crate::Timestamp;

/// What is known of a build from its first event on, and never changes. The members are those of [`Build`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// As [`Build::id`].
    pub id: String,
    /// As [`Build::host`].
    pub host: String,
    /// As [`Build::producer`].
    pub producer: String,
    /// As [`Build::project`].
    pub project: String,
    /// As [`Build::root`].
    pub root: String,
    /// As [`Build::path`].
    pub path: String,
    /// As [`Build::run`].
    pub run: u32,
    /// As [`Build::origin`].
    pub origin: Origin,
    /// As [`Build::found`].
    pub found: bool,
}

impl Build {
    /// A build of which nothing but its identity is known: its state is unknown, its `seq` 0, its
    /// `last_updated` the epoch, and all else null or empty.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self {
            id: identity.id,
            host: identity.host,
            producer: identity.producer,
            project: identity.project,
            root: identity.root,
            path: identity.path,
            session_id: None,
            run: identity.run,
            origin: identity.origin,
            found: identity.found,
            state: BuildState::Unknown,
            state_reason: None,
            status: None,
            phase: None,
            phase_number: None,
            phases: Vec::new(),
            progress: None,
            detail: None,
            test_iteration: None,
            started_at: None,
            ended_at: None,
            changed_at: None,
            observed_at: None,
            last_updated: Timestamp::default(),
            gap_at: None,
            alive_at: None,
            same_as: None,
            seq: 0,
            branch: None,
            issue: None,
            pr_url: None,
            commit: None,
            coding_agent: None,
            model: None,
            cost_usd: None,
            cost_estimated: None,
            tokens: None,
            context: None,
            todos: None,
            calls: None,
            agents: None,
            tests: None,
            decisions: None,
            tasks: None,
            summary: None,
            error: None,
            facts: Vec::new(),
            fields: Map::new(),
        }
    }

    /// Which build it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            id: self.id.clone(),
            host: self.host.clone(),
            producer: self.producer.clone(),
            project: self.project.clone(),
            root: self.root.clone(),
            path: self.path.clone(),
            run: self.run,
            origin: self.origin,
            found: self.found,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn of_a_new_build_nothing_but_its_identity_is_told() {
        let identity = Identity {
            id: "h-0011223344556677-3".to_owned(),
            host: "h".to_owned(),
            producer: "adw".to_owned(),
            project: "shop".to_owned(),
            root: "~".to_owned(),
            path: "src/shop".to_owned(),
            run: 3,
            origin: Origin::Http,
            found: true,
        };
        let build = Build::new(identity.clone());
        assert_eq!(build.identity(), identity);
        let told = serde_json::to_value(&build).unwrap();
        let is_told = |value: &&Value| {
            let empty = value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(Map::is_empty);
            !value.is_null() && !empty
        };
        let members = told.as_object().unwrap();
        let known: Vec<&str> = members
            .iter()
            .filter(|(_, value)| is_told(value))
            .map(|(name, _)| name.as_str())
            .collect();
        let ours = [
            "found",
            "host",
            "id",
            "last_updated",
            "origin",
            "path",
            "producer",
            "project",
            "root",
            "run",
            "seq",
            "state",
        ];
        assert_eq!(known, ours);
    }
}
