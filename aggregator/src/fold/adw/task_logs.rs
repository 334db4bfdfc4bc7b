//! The figures of the orchestrator's task logs, by phase. What the visits of a
//! phase took and cost is added up, as agents do for the file that says the
//! same; a log that is sent once more counts once.

use std::collections::{BTreeMap, VecDeque};

use protocol::{BuildState, Event};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{calls, words};
use crate::fold::run::Run;
use crate::fold::value::{count, dollars, name};

/// Tokens that a visit of a phase used, of whatever kind.
pub(super) const TOKENS: &str = "tokens_used";
/// Where `fields` keeps them: each phase's figures by the phase's name.
pub(super) const LOGS: &str = "task_logs";
/// Phases whose task logs are kept: six times as many as there are.
const MAX_LOGS: usize = 64;
/// Logs that are known again: those of ten phases with a dozen visits each.
const MAX_KNOWN: usize = 256;
/// Members that tell a log from a later one that says the same.
const DATED_BY: [&str; 4] = ["event_id", "completed_at", "started_at", "timestamp"];

/// Which logs were taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// The newest that say which they are.
    dated: VecDeque<String>,
    /// The newest of each phase: one without a time that says the same once more is it again.
    last: BTreeMap<String, String>,
}

impl Known {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a log of this phase was not seen before; it was, from here on.
    fn is_new(&mut self, phase: &str, event: &Event, document: &Map<String, Value>) -> bool {
        let id = name(document, "event_id").map(|id| format!("id {id}"));
        let Some(key) = id.or_else(|| event.hash.map(|hash| hash.to_string())) else {
            return true;
        };
        let is_dated = DATED_BY
            .iter()
            .any(|member| name(document, member).is_some());
        let is_known = match is_dated {
            true => self.dated.contains(&key),
            false => self.last.get(phase) == Some(&key),
        };
        if is_known {
            return false;
        }
        if is_dated {
            self.dated.push_back(key.clone());
            if self.dated.len() > MAX_KNOWN {
                self.dated.pop_front();
            }
        }
        if self.last.len() < MAX_LOGS || self.last.contains_key(phase) {
            self.last.insert(phase.to_owned(), key);
        }
        true
    }
}

/// Adds the figures of a log to those of its phase; what its tools were given and gave is not ours to show.
pub(super) fn keep(run: &mut Run, phase: &str, event: &Event, document: &Map<String, Value>) {
    if !run.adw.task_logs.is_new(phase, event, document) {
        return;
    }
    let logs = run.build.fields.entry(LOGS).or_insert_with(|| json!({}));
    let Value::Object(logs) = logs else { return };
    if logs.len() >= MAX_LOGS && !logs.contains_key(phase) {
        return;
    }
    let log = logs.entry(phase).or_insert_with(|| json!({}));
    let Value::Object(log) = log else { return };
    for key in ["phase_number", "phase_status"] {
        if let Some(value) = document.get(key) {
            log.insert(key.to_owned(), value.clone());
        }
    }
    let word = calls::status(document).unwrap_or_default();
    // A phase that starts has spent nothing, and forgets nothing of its earlier visits.
    if word == "skipped" || words::state(&word) != BuildState::Running {
        add(log, document);
    }
}

/// Adds a visit's figures. An amount is text, so that no digit of the sum is lost.
fn add(sum: &mut Map<String, Value>, visit: &Map<String, Value>) {
    let visits = count(sum, "visits").unwrap_or(0).saturating_add(1);
    sum.insert("visits".to_owned(), visits.into());
    if let Some(tokens) = count(visit, TOKENS) {
        let before = count(sum, TOKENS).unwrap_or(0);
        sum.insert(TOKENS.to_owned(), before.saturating_add(tokens).into());
    }
    let cost = |told: &Map<String, Value>| told.get("cost_usd").and_then(dollars);
    if let Some(usd) = cost(visit) {
        let usd = usd.plus(cost(sum).unwrap_or_default());
        sum.insert("cost_usd".to_owned(), usd.to_string().into());
    }
    if let Some(took) = seconds(visit) {
        let took = took + seconds(sum).unwrap_or(0.0);
        sum.insert("duration_seconds".to_owned(), took.into());
    }
}

/// What a phase took, seconds; none where it is no plausible number.
pub(super) fn seconds(told: &Map<String, Value>) -> Option<f64> {
    let seconds = match told.get("duration_seconds")? {
        Value::String(text) => text.trim().parse().ok()?,
        number => number.as_f64()?,
    };
    (0.0..1e9).contains(&seconds).then_some(seconds)
}
