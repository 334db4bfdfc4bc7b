//! What templates show, computed from the protocol's types: plain structs of
//! text, so that templates hold no decisions. `static/model.js` decides the
//! same in the browser.

pub(crate) mod blank;
pub(crate) mod event;
pub(crate) mod facts;
pub(crate) mod group;
pub(crate) mod host;
pub(crate) mod link;
pub(crate) mod metrics;
pub(crate) mod panel;
pub(crate) mod row;
pub(crate) mod senders;
pub(crate) mod stamp;
pub(crate) mod step;
pub(crate) mod timeline;
pub(crate) mod track;

use std::collections::HashMap;

use protocol::{Build, BuildState, Host, Timestamp};

/// A file this much older than its first reading was left by an earlier time, milliseconds.
const LEFT_BEHIND_MS: i64 = 60_000;

/// It was on disk before the agent came, without an end, and nothing was seen
/// of it since: not live, and nobody's business until it moves.
pub(crate) fn is_dormant(build: &Build) -> bool {
    let open = matches!(
        build.state,
        BuildState::Stalled | BuildState::Unknown | BuildState::Failed
    );
    let unmoved = match (build.changed_at, build.observed_at) {
        (Some(changed), Some(observed)) => observed.millis_since(changed) > LEFT_BEHIND_MS,
        _ => true,
    };
    build.found && open && unmoved
}

/// Now, and how far each host's clock is off.
pub(crate) struct Moment {
    /// Server clock.
    pub(crate) now: Timestamp,
    offsets_ms: HashMap<String, i64>,
}

impl Moment {
    pub(crate) fn new(now: Timestamp, hosts: &[Host]) -> Self {
        let offsets_ms = hosts
            .iter()
            .filter_map(|host| Some((host.name.clone(), host.clock_offset_ms?)))
            .collect();
        Self { now, offsets_ms }
    }

    /// A host's time on our clock; as it is when the offset is unknown.
    pub(crate) fn ours(&self, host: &str, time: Timestamp) -> Timestamp {
        let offset_ms = self.offsets_ms.get(host).copied().unwrap_or(0);
        time.plus_millis(-offset_ms)
    }

    /// When what is shown of this build was last news, on our clock. Never
    /// later than its commit, whatever a host's clock says.
    pub(crate) fn updated(&self, build: &Build) -> Timestamp {
        let seen = if build.found {
            build.changed_at.or(build.observed_at)
        } else {
            build.observed_at.or(build.changed_at)
        };
        seen.map_or(build.last_updated, |time| {
            self.ours(&build.host, time).min(build.last_updated)
        })
    }

    /// How long it ran, or has been running, milliseconds.
    pub(crate) fn elapsed_ms(&self, build: &Build) -> Option<i64> {
        let started = build.started_at?;
        if let Some(ended) = build.ended_at {
            return Some(ended.millis_since(started));
        }
        let until = if is_dormant(build) {
            self.updated(build)
        } else {
            self.now
        };
        Some(until.millis_since(self.ours(&build.host, started)))
    }
}

#[cfg(test)]
pub(crate) mod samples {
    //! Builds and hosts for tests.

    use protocol::{Build, Timestamp};
    use serde_json::{Map, Value, json};

    pub(crate) const NOW_MS: i64 = 1_795_169_297_042;

    pub(crate) fn now() -> Timestamp {
        Timestamp::from_millis(NOW_MS)
    }

    /// A running build whose every text is `word`.
    pub(crate) fn build(run: u32, word: &str) -> Build {
        let time = now().plus_millis(-60_000).to_string();
        let first = json!({
            "id": format!("h-0011223344556677-{run}"), "host": word, "producer": word, "project": word,
            "root": word, "path": word, "session_id": word, "run": run, "origin": "live",
            "found": false, "state": "running", "state_reason": word, "status": word,
            "phase": word, "phase_number": word,
            "phases": [{"name": word, "state": "running", "started_at": time, "ended_at": null, "iterations": 3}]
        });
        let second = json!({
            "progress": 0.4, "detail": word, "test_iteration": 2, "started_at": time,
            "ended_at": null, "changed_at": time, "observed_at": time, "last_updated": time,
            "alive_at": time, "seq": 7, "branch": word, "issue": word, "pr_url": word,
            "commit": word, "coding_agent": word, "model": word, "cost_usd": 4.12,
            "cost_estimated": false, "tokens": {"input": 1, "output": null, "cache_read": 3, "cache_write": null},
            "context": null, "todos": null, "agents": null, "tests": {word: word}, "decisions": null,
            "tasks": null, "summary": {word: [word, null, 1]}, "error": word,
            "facts": [{"key": word, "label": word, "text": word}],
            "fields": {word: {word: word}, "n": null}
        });
        let mut whole = object(first);
        whole.extend(object(second));
        serde_json::from_value(Value::Object(whole)).unwrap()
    }

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}
