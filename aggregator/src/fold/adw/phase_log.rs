//! ADW's log of phases (`logs/structured/workflow_<id>.jsonl`), as its digest
//! tells it. It says the same as the orchestrator's task logs, and the newer of
//! both counts.

use std::collections::BTreeMap;

use protocol::{BuildState, Money, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{calls, fields, is_newest, judge, task_logs, words};
use crate::fold::run::{EndedBy, Run};
use crate::fold::value::{count, cut, dollars, name, sentence};

/// Where `fields` keeps it: each phase's members by the phase's name.
pub(super) const LOG: &str = "phase_log";
/// Where `fields` says that the log is longer than is read.
pub(super) const CUT: &str = "phase_log_is_cut";
/// Version of the digest that is understood.
const VERSION: u64 = 1;
/// Phases whose sums are remembered: as many as an agent tells.
const MAX_PHASES: usize = 64;
/// Characters of a producer's word in a reason.
const WORD_CHARS: usize = 80;

/// Whether a document is the digest of such a log.
pub(super) fn is_digest(document: &Map<String, Value>) -> bool {
    document.get("digest").and_then(Value::as_str) == Some("phase-log")
        && count(document, "v") == Some(VERSION)
}

fn phases(document: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    let list = document.get("phases").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_object)
}

fn status(phase: &Map<String, Value>) -> String {
    name(phase, "phase_status").unwrap_or_default()
}

/// Whether the newest line says that a phase starts.
pub(super) fn starts(document: &Map<String, Value>) -> bool {
    phases(document).last().is_some_and(|phase| {
        let word = status(phase);
        !word.is_empty() && word != "skipped" && words::state(&word) == BuildState::Running
    })
}

/// Takes over the log.
pub(super) fn content(run: &mut Run, document: &Map<String, Value>, at: Timestamp) {
    let workflow = document.get("workflow").and_then(Value::as_object);
    for told in phases(document).chain(workflow) {
        fields::merge_told(run, told);
    }
    let told = phases(document)
        .filter_map(|phase| Some((name(phase, "phase_name")?, Value::Object(phase.clone()))));
    let kept = run.adw.phase_log.of_this_run(told.collect());
    run.build.fields.insert(LOG.to_owned(), Value::Object(kept));
    if let Some(true) = document.get("is_cut").and_then(Value::as_bool) {
        // Its beginning was not read: sums over it are of its end only.
        run.build.fields.insert(CUT.to_owned(), true.into());
    }
    if run.build.has_ended() || !is_newest(run.adw.phases_at, at) {
        return;
    }
    let mut last = None;
    for phase in phases(document) {
        let Some(called) = name(phase, "phase_name") else {
            continue;
        };
        let word = status(phase);
        let state = words::state(&word);
        calls::enter(run, &called, state, &word);
        if let Some(number) = name(phase, "phase_number") {
            run.build.phase_number = Some(number);
        }
        last = Some((called, word, state, sentence(phase, "error_message")));
    }
    run.adw.phases_at = Some(at);
    if starts(document) {
        run.adw.phase_began_at = Some(at);
    }
    judge(run, at);
    match (last, workflow.map(ended)) {
        (Some((phase, word, BuildState::Failed, error)), _) => {
            let phase = cut(&phase, WORD_CHARS);
            let reason = format!("its log says of {phase}: {}", cut(&word, WORD_CHARS));
            run.build.error = error.or(run.build.error.take());
            run.end(BuildState::Failed, reason, at, EndedBy::State);
        }
        (_, Some(Some((state, word)))) => {
            let reason = format!("its log says of the workflow: {}", cut(&word, WORD_CHARS));
            let error = workflow.and_then(|told| sentence(told, "error_message"));
            run.build.error = error.or(run.build.error.take());
            run.end(state, reason, at, EndedBy::State);
        }
        _ => {}
    }
}

/// The end that a line about the whole workflow tells.
fn ended(workflow: &Map<String, Value>) -> Option<(BuildState, String)> {
    let keys = ["workflow_status", "status", "phase_status"];
    let word = keys.iter().find_map(|key| name(workflow, key))?;
    let state = words::state(&word);
    let ends = matches!(
        state,
        BuildState::Completed | BuildState::Failed | BuildState::Cancelled
    );
    ends.then_some((state, word))
}

/// What the log adds up to: it goes on over the runs of a workflow, and a run
/// does not pay for the visits of the one before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sums {
    /// As the log tells them, by phase.
    told: BTreeMap<String, Sum>,
    /// What of it is of earlier runs.
    paid: BTreeMap<String, Sum>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sum {
    visits: u64,
    /// Decimal text.
    usd: Option<String>,
    #[serde(default)]
    tokens: u64,
    millis: u64,
}

impl Sums {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn for_next_run(self) -> Self {
        Self {
            paid: self.told,
            told: BTreeMap::new(),
        }
    }

    /// The log's phases without the figures of earlier runs.
    fn of_this_run(&mut self, mut phases: Map<String, Value>) -> Map<String, Value> {
        let sums = phases.iter().filter_map(|(phase, told)| {
            let sum = Sum::read(told.as_object()?);
            Some((phase.clone(), sum))
        });
        self.told = sums.take(MAX_PHASES).collect();
        let is_less = |(phase, paid): (&String, &Sum)| {
            let now = self.told.get(phase);
            now.is_none_or(|now| now.visits < paid.visits)
        };
        if self.paid.iter().any(is_less) {
            // The log was begun anew, or its beginning is no longer read: what it tells now is of this run.
            self.paid.clear();
        }
        for (phase, told) in &mut phases {
            if let (Some(paid), Some(told)) = (self.paid.get(phase), told.as_object_mut()) {
                paid.take_from(told);
            }
        }
        phases
    }
}

impl Sum {
    fn read(told: &Map<String, Value>) -> Self {
        Self {
            visits: count(told, "visits").unwrap_or(0),
            usd: told
                .get("cost_usd")
                .and_then(dollars)
                .map(|usd| usd.to_string()),
            tokens: count(told, task_logs::TOKENS).unwrap_or(0),
            millis: task_logs::seconds(told).map_or(0, millis),
        }
    }

    /// Leaves of a phase's figures what is more than this.
    fn take_from(&self, told: &mut Map<String, Value>) {
        let now = Self::read(told);
        let paid: Money = self.usd.as_deref().map_or(Money::ZERO, amount);
        let more = now.usd.as_deref().and_then(|usd| amount(usd).minus(paid));
        match more.filter(|_| now.visits > self.visits && now.usd != self.usd) {
            Some(usd) => told.insert("cost_usd".to_owned(), usd.to_string().into()),
            None => told.remove("cost_usd"),
        };
        match now.tokens.checked_sub(self.tokens) {
            Some(more @ 1..) => told.insert(task_logs::TOKENS.to_owned(), more.into()),
            _ => told.remove(task_logs::TOKENS),
        };
        match now.millis.checked_sub(self.millis) {
            Some(more @ 1..) => {
                #[expect(clippy::cast_precision_loss, reason = "below 1e12")]
                let seconds = more as f64 / 1_000.0;
                told.insert("duration_seconds".to_owned(), seconds.into())
            }
            _ => told.remove("duration_seconds"),
        };
    }
}

fn amount(text: &str) -> Money {
    text.parse().unwrap_or_default()
}

/// Milliseconds of plausible seconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 0 to 1e12"
)]
pub(super) fn millis(seconds: f64) -> u64 {
    (seconds * 1_000.0) as u64
}

/// What logs and task logs tell of a phase's figures: those of the files, else of the calls.
pub(super) fn figures(
    fields: &Map<String, Value>,
) -> impl Iterator<Item = (&str, &Map<String, Value>)> {
    let sources = [LOG, task_logs::LOGS].into_iter();
    sources.flat_map(|source| figures_at(fields, source))
}

/// Those of one of the two.
pub(super) fn figures_at<'a>(
    fields: &'a Map<String, Value>,
    source: &str,
) -> impl Iterator<Item = (&'a str, &'a Map<String, Value>)> + use<'a> {
    let phases = fields.get(source).and_then(Value::as_object);
    let phases = phases.into_iter().flatten();
    phases.filter_map(|(phase, told)| Some((phase.as_str(), told.as_object()?)))
}
