//! Planning a batch: messages become drafts, drafts are folded on copies of
//! the tracks, and the result is all that one transaction will write. Pure;
//! nothing here is kept until it is committed.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use protocol::{AgentId, Build, BuildState, Event, EventKind, Timestamp, merge_patch, subject};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::tracks::TrackCache;
use crate::fold::{Effect, Fact, Outcome, TimerFact, TimerKind, Track};
use crate::store::{EventRow, TrackKey};

/// A fact that is to be folded, and what its row needs beyond it.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) key: TrackKey,
    pub(crate) fact: Fact,
    pub(crate) broker_at: Option<Timestamp>,
    /// Everything as received but the document; empty for the timer's.
    envelope: String,
    /// Which message of the batch it is; none for the timer's.
    pub(crate) message: Option<usize>,
}

/// Why a message cannot become an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// `undecodable`, `wrong_subject` or `refused`.
    pub(crate) kind: &'static str,
    /// For people.
    pub(crate) reason: String,
}

/// The draft that cannot be folded.
#[derive(Debug)]
pub(crate) struct Culprit {
    pub(crate) index: usize,
    pub(crate) reason: String,
}

impl Draft {
    /// From a message of the stream.
    pub(crate) fn decode(
        subject: &str,
        payload: &[u8],
        broker_at: Option<Timestamp>,
        message: usize,
    ) -> Result<Self, Refusal> {
        let undecodable = |reason: String| Refusal {
            kind: "undecodable",
            reason,
        };
        let event = Event::decode(payload).map_err(|error| undecodable(error.to_string()))?;
        let expected = subject::event(&event);
        if expected != subject {
            return Err(Refusal {
                kind: "wrong_subject",
                reason: format!("the event belongs on {expected}"),
            });
        }
        if i64::try_from(event.seq).is_err() || i64::try_from(event.size).is_err() {
            return Err(undecodable(
                "seq or size is beyond what can be stored".to_owned(),
            ));
        }
        let envelope = envelope(payload).map_err(|error| undecodable(error.to_string()))?;
        Ok(Self {
            key: TrackKey {
                host: event.host.clone(),
                producer: event.producer.clone(),
                project: event.project_token,
            },
            fact: Fact::Observed(event),
            broker_at,
            envelope,
            message: Some(message),
        })
    }

    /// From the leader's timer.
    pub(crate) fn timer(key: TrackKey, kind: TimerKind, at: Timestamp) -> Self {
        Self {
            key,
            fact: Fact::Timer(TimerFact { kind, at }),
            broker_at: None,
            envelope: String::new(),
            message: None,
        }
    }
}

/// The message without its document, members that we do not know included.
fn envelope(payload: &[u8]) -> serde_json::Result<String> {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_slice(payload)?;
    members.remove("document");
    serde_json::to_string(&members)
}

/// A build that the batch changes.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) key: &'a TrackKey,
    pub(crate) build: Build,
    /// From the state last committed to this one; of a new build all that is not null.
    pub(crate) patch: Map<String, Value>,
    /// It ended in this batch.
    pub(crate) ended: bool,
}

/// All that one transaction will write, hosts aside.
#[derive(Debug, Default)]
pub(crate) struct Plan<'a> {
    pub(crate) events: Vec<EventRow<'a>>,
    pub(crate) tracks: BTreeMap<&'a TrackKey, Track>,
    pub(crate) changes: Vec<Change<'a>>,
    /// Builds that only showed a sign of life.
    pub(crate) alive: Vec<(String, Timestamp)>,
    pub(crate) counts: Counts,
}

/// What became of the facts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) folded: u64,
    pub(crate) late: u64,
    pub(crate) repeated: u64,
    pub(crate) timer: Vec<&'static str>,
}

/// Folds the drafts in their order. `closed` tells why nothing can be said of the
/// builds of a host's root (its agent is gone, or the root is missing); an event
/// from there is still folded, and the same finding follows it.
///
/// # Errors
/// Names the first draft that cannot be folded: its track's row cannot be read,
/// or the fold panicked, which is a bug that must not stop the others.
pub(crate) fn plan<'a>(
    drafts: &'a [Draft],
    cache: &TrackCache,
    closed: &dyn Fn(&str, &str) -> Option<TimerKind>,
    now: Timestamp,
) -> Result<Plan<'a>, Culprit> {
    let mut planner = Planner::default();
    for (index, draft) in drafts.iter().enumerate() {
        let culprit = |reason| Culprit { index, reason };
        planner.load(&draft.key, cache).map_err(culprit)?;
        let outcome = planner.fold(&draft.key, &draft.fact).map_err(culprit)?;
        let row = event_row(draft, &outcome);
        planner.take(draft, &outcome, row);
        if let (Fact::Observed(event), Effect::Folded) = (&draft.fact, outcome.effect)
            && let Some(kind) = closed(&draft.key.host, &event.root)
        {
            planner.follow_up(&draft.key, kind, now).map_err(culprit)?;
        }
    }
    Ok(planner.finish(cache))
}

#[derive(Default)]
struct Planner<'a> {
    plan: Plan<'a>,
    /// Builds that changed, with the place of their first change.
    changed: HashMap<String, (usize, &'a TrackKey, Build)>,
    ended: Vec<String>,
    /// Places among the events by identity: a batch may hold a message twice.
    places: HashMap<(AgentId, Uuid, u64), usize>,
}

impl<'a> Planner<'a> {
    fn load(&mut self, key: &'a TrackKey, cache: &TrackCache) -> Result<(), String> {
        if self.plan.tracks.contains_key(key) {
            return Ok(());
        }
        let track = match cache.get(key) {
            Some(Ok(track)) => track.clone(),
            Some(Err(reason)) => return Err(reason.to_owned()),
            None => return Err("its track was not loaded".to_owned()),
        };
        self.plan.tracks.insert(key, track);
        Ok(())
    }

    fn fold(&mut self, key: &TrackKey, fact: &Fact) -> Result<Outcome, String> {
        let Some(track) = self.plan.tracks.get_mut(key) else {
            return Err("its track was not loaded".to_owned());
        };
        // A panic leaves the copy half done; the caller drops the whole plan.
        let folded = catch_unwind(AssertUnwindSafe(|| track.fold(fact)));
        folded.map_err(|panic| {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            format!(
                "the fold panicked, which is a bug: {}",
                text.unwrap_or("no message")
            )
        })
    }

    fn take(&mut self, draft: &Draft, outcome: &Outcome, row: EventRow<'a>) {
        if let Fact::Observed(event) = &draft.fact {
            let identity = (event.agent, event.boot, event.seq);
            let again = |place: &usize| self.plan.events[*place].says_the_same(&row);
            if self.places.get(&identity).is_some_and(again) {
                self.plan.counts.repeated += 1;
                return;
            }
            // One that says something else goes along: Postgres decides which of them stands.
            if outcome.effect != Effect::Repeated {
                self.places.insert(identity, self.plan.events.len());
            }
        }
        let counts = &mut self.plan.counts;
        match (&draft.fact, outcome.effect) {
            (_, Effect::Repeated) => {
                counts.repeated += 1;
                return;
            }
            // A finding that changes nothing is none.
            (Fact::Timer(_), _) if outcome.changed.is_empty() => return,
            (Fact::Timer(fact), _) => counts.timer.push(fact.kind.word()),
            (_, Effect::Late) => counts.late += 1,
            (_, Effect::Folded) => counts.folded += 1,
        }
        self.note(row.key, outcome);
        self.plan.events.push(row);
    }

    fn note(&mut self, key: &'a TrackKey, outcome: &Outcome) {
        for build in &outcome.changed {
            let place = self.changed.len();
            self.changed
                .entry(build.id.clone())
                .and_modify(|(_, _, last)| last.clone_from(build))
                .or_insert_with(|| (place, key, build.clone()));
        }
        self.ended.extend_from_slice(&outcome.ended);
    }

    /// The host's agent is gone, or the root: what was said before is old news.
    fn follow_up(
        &mut self,
        key: &'a TrackKey,
        kind: TimerKind,
        now: Timestamp,
    ) -> Result<(), String> {
        let current = self.plan.tracks.get(key).and_then(Track::current);
        if current.is_none_or(|build| build.has_ended() || build.state == BuildState::Unknown) {
            return Ok(());
        }
        let fact = TimerFact { kind, at: now };
        let outcome = self.fold(key, &Fact::Timer(fact.clone()))?;
        self.plan.counts.timer.push(fact.kind.word());
        self.note(key, &outcome);
        self.plan.events.push(timer_row(key, &fact, &outcome));
        Ok(())
    }

    fn finish(mut self, cache: &TrackCache) -> Plan<'a> {
        let committed =
            |key: &TrackKey| cache.get(key).and_then(Result::ok).and_then(Track::current);
        let mut changed: Vec<_> = self.changed.into_values().collect();
        changed.sort_unstable_by_key(|(place, _, _)| *place);
        for (_, key, build) in changed {
            let before = committed(key).filter(|before| before.id == build.id);
            if before == Some(&build) {
                continue;
            }
            let ended = build.has_ended() && self.ended.contains(&build.id);
            let body = object(&build);
            let patch = match before {
                Some(before) => merge_patch::diff(&object(before), &body),
                None => body
                    .into_iter()
                    .filter(|(_, value)| !value.is_null())
                    .collect(),
            };
            self.plan.changes.push(Change {
                key,
                build,
                patch,
                ended,
            });
        }
        let changes = &self.plan.changes;
        let changed: HashSet<&str> = changes
            .iter()
            .map(|change| change.build.id.as_str())
            .collect();
        for (key, track) in &self.plan.tracks {
            let Some(build) = track.current().filter(|build| !build.has_ended()) else {
                continue;
            };
            let moved = committed(key).is_none_or(|before| before.alive_at < build.alive_at);
            if let (false, true, Some(alive_at)) =
                (changed.contains(build.id.as_str()), moved, build.alive_at)
            {
                self.plan.alive.push((build.id.clone(), alive_at));
            }
        }
        self.plan
    }
}

fn object(build: &Build) -> Map<String, Value> {
    match serde_json::to_value(build) {
        Ok(Value::Object(members)) => members,
        // A struct with text keys is always an object.
        _ => Map::new(),
    }
}

fn event_row<'a>(draft: &'a Draft, outcome: &Outcome) -> EventRow<'a> {
    let event = match &draft.fact {
        Fact::Timer(fact) => return timer_row(&draft.key, fact, outcome),
        Fact::Observed(event) => event,
    };
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    EventRow {
        identity: Some((event.agent.to_string(), event.boot, signed(event.seq))),
        key: &draft.key,
        build_id: outcome.build_id.clone(),
        kind: match event.kind {
            EventKind::Content => "content",
            EventKind::Removed => "removed",
            EventKind::Unreadable => "unreadable",
        },
        file: Some(&event.file),
        late: outcome.effect == Effect::Late,
        found: event.found,
        changed_at: event.changed_at,
        observed_at: event.observed_at,
        broker_at: draft.broker_at,
        hash: event.hash.map(|hash| hash.to_string()),
        size: signed(event.size),
        message: event
            .unreadable
            .as_ref()
            .map(|why| Cow::Borrowed(why.message.as_str())),
        document: event.document.as_ref().map(|document| document.get()),
        envelope: Cow::Borrowed(&draft.envelope),
    }
}

fn timer_row<'a>(key: &'a TrackKey, fact: &TimerFact, outcome: &Outcome) -> EventRow<'a> {
    let message = match &fact.kind {
        TimerKind::Silent { evidence, .. } => Some(Cow::Owned(evidence.clone())),
        TimerKind::HostGone { reason } | TimerKind::RootMissing { reason, .. } => {
            Some(Cow::Owned(reason.clone()))
        }
        TimerKind::Joins { told } => Some(Cow::Owned(format!(
            "calls had told of it before its files were seen, as {}",
            told.build
        ))),
        TimerKind::JoinsSession { session } => Some(Cow::Owned(format!(
            "the session had a build of its own, {}, before the live file named it",
            session.current().map_or("", |build| build.id.as_str())
        ))),
        TimerKind::Joined { build } => Some(Cow::Owned(format!(
            "its files were seen: it goes on as {build}"
        ))),
        TimerKind::Alive { .. } | TimerKind::HostBack | TimerKind::RootBack { .. } => None,
    };
    EventRow {
        identity: None,
        key,
        build_id: outcome.build_id.clone(),
        kind: fact.kind.word(),
        file: None,
        late: false,
        found: false,
        changed_at: fact.at,
        observed_at: fact.at,
        broker_at: None,
        hash: None,
        size: 0,
        message,
        document: None,
        envelope: Cow::Owned(serde_json::to_string(fact).unwrap_or_else(|_| "{}".to_owned())),
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
