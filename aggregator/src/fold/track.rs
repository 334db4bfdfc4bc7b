//! What all producers share: identity and order of events, runs of a project,
//! signs of life, and what changed. A producer's module says what its files
//! mean, by the methods of [`Run`] and `Track::begin`.

use std::collections::BTreeMap;

use protocol::{
    AgentId, Build, BuildState, ContentHash, Event, EventKind, ProjectToken, Timestamp, subject,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::limits::{MAX_AGENTS, MAX_FILES, MAX_SENTENCE};
use super::run::{EndedBy, Run, moment};
use super::silence::{Silence, Silences, minutes};
use super::stream_json::{self, Streams};
use super::value::cut;
use super::{
    Effect, Fact, Outcome, TimerFact, TimerKind, adw, broadcast, context_foundry, openbuilder,
    reported, unknown_producer,
};

/// A producer in a project on a host, over its runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track {
    host: String,
    producer: String,
    project: ProjectToken,
    seen: BTreeMap<AgentId, (Uuid, u64)>,
    newest_agent: Option<AgentId>,
    newest_observed: Option<Timestamp>,
    /// Runs whose events are past retention, so that the next one is numbered after them.
    #[serde(default, skip_serializing_if = "is_zero")]
    runs_before: u32,
    files: BTreeMap<String, Standing>,
    pub(super) silences: Silences,
    pub(super) run: Option<Run>,
}

/// How a file stood at its last event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Content(ContentHash),
    Removed,
    Unreadable(String),
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(runs: &u32) -> bool {
    *runs == 0
}

impl Track {
    /// A track without a run.
    #[must_use]
    pub fn new(host: &str, producer: &str, project: ProjectToken) -> Self {
        Self {
            host: host.to_owned(),
            producer: producer.to_owned(),
            project,
            seen: BTreeMap::new(),
            newest_agent: None,
            newest_observed: None,
            runs_before: 0,
            files: BTreeMap::new(),
            silences: Silences::default(),
            run: None,
        }
    }

    /// A track of which the first runs cannot be folded any more.
    #[must_use]
    pub fn after_runs(host: &str, producer: &str, project: ProjectToken, runs: u32) -> Self {
        Self {
            runs_before: runs,
            ..Self::new(host, producer, project)
        }
    }

    /// Takes over how far the agents had come, from the memory that this one
    /// replaces: a repeated event leaves no row, but must stay repeated.
    pub fn catch_up(&mut self, other: &Self) {
        for (agent, position) in &other.seen {
            let newest = self.seen.entry(*agent).or_insert(*position);
            *newest = (*newest).max(*position);
        }
        self.newest_observed = self.newest_observed.max(other.newest_observed);
        self.newest_agent = other.newest_agent.or(self.newest_agent);
        self.runs_before = other.runs_before;
    }

    /// The current build.
    #[must_use]
    pub fn current(&self) -> Option<&Build> {
        self.run.as_ref().map(|run| &run.build)
    }

    /// Last sign of life of the current build (host clock).
    #[must_use]
    pub fn alive_at(&self) -> Option<Timestamp> {
        self.current().and_then(|build| build.alive_at)
    }

    /// How long the current build may be silent; nothing when silence means
    /// nothing: it has ended, waits, is already stalled, or its host is gone.
    #[must_use]
    pub fn silence(&self) -> Option<Silence> {
        let run = self.run.as_ref()?;
        let expected = run.build.state == BuildState::Running && !run.build.has_ended();
        expected.then(|| self.silences.limit(run.build.phase.as_deref()))
    }

    /// A sign of life without an event: moves `alive_at` of an open build, and
    /// says whether it moved.
    pub fn saw_life(&mut self, at: Timestamp) -> bool {
        match &mut self.run {
            Some(run) if !run.build.has_ended() && run.build.alive_at < Some(at) => {
                run.build.alive_at = Some(at);
                true
            }
            _ => false,
        }
    }

    /// Folds one fact. Pure; a late or repeated one changes no build.
    pub fn fold(&mut self, fact: &Fact) -> Outcome {
        let before = self.current().cloned();
        let (effect, superseded) = match fact {
            Fact::Observed(event) => self.observe(event),
            Fact::Timer(fact) => {
                self.timer(fact);
                (Effect::Folded, None)
            }
        };
        self.outcome(before.as_ref(), effect, superseded.as_ref())
    }

    fn outcome(
        &self,
        before: Option<&Build>,
        effect: Effect,
        superseded: Option<&Build>,
    ) -> Outcome {
        let mut outcome = Outcome {
            effect,
            build_id: self.current().map_or_else(
                || self.id_of(self.runs_before + 1),
                |build| build.id.clone(),
            ),
            changed: Vec::new(),
            ended: Vec::new(),
        };
        if effect != Effect::Folded {
            return outcome;
        }
        let mut compare = |before: Option<&Build>, after: &Build| {
            if before == Some(after) {
                return;
            }
            outcome.changed.push(after.clone());
            if after.has_ended() && !before.is_some_and(Build::has_ended) {
                outcome.ended.push(after.id.clone());
            }
        };
        if let Some(superseded) = superseded {
            compare(before, superseded);
        }
        if let Some(after) = self.current() {
            compare(before.filter(|before| before.id == after.id), after);
        }
        outcome
    }

    fn id_of(&self, run: u32) -> String {
        subject::build_id(&self.host, self.project, run)
    }

    fn observe(&mut self, event: &Event) -> (Effect, Option<Build>) {
        if self.is_late(event) {
            return (Effect::Late, None);
        }
        self.remember(event);
        if self.is_repeated(event) {
            self.saw_life(moment(event));
            return (Effect::Repeated, None);
        }
        let superseded = self.interpret(event);
        if let Some(run) = &mut self.run {
            run.conditions.host_gone = None;
            if event.gap && !run.build.has_ended() {
                run.build.gap_at = Some(event.observed_at);
            }
            if event.kind != EventKind::Removed {
                // It was read, so its root was there.
                run.conditions.root_missing = None;
            }
            run.settle();
        }
        (Effect::Folded, superseded)
    }

    /// Older than what was folded: by the agent's own order, or, from another
    /// agent of that host, by the time of reading.
    fn is_late(&self, event: &Event) -> bool {
        match self.seen.get(&event.agent) {
            Some(&(boot, seq)) => (event.boot, event.seq) <= (boot, seq),
            None => self
                .newest_observed
                .is_some_and(|newest| event.observed_at < newest),
        }
    }

    fn remember(&mut self, event: &Event) {
        self.seen.insert(event.agent, (event.boot, event.seq));
        if self.seen.len() > MAX_AGENTS {
            let oldest = self
                .seen
                .iter()
                .min_by_key(|(_, position)| **position)
                .map(|(agent, _)| *agent);
            if let Some(oldest) = oldest {
                self.seen.remove(&oldest);
            }
        }
        self.newest_agent = Some(event.agent);
        self.newest_observed = Some(event.observed_at);
    }

    /// Whether the file already stood like this; remembers how it stands now.
    fn is_repeated(&mut self, event: &Event) -> bool {
        let now = match (event.kind, event.hash, &event.unreadable) {
            (EventKind::Content, Some(hash), _) => Standing::Content(hash),
            (EventKind::Unreadable, _, Some(why)) => {
                Standing::Unreadable(cut(&why.message, MAX_SENTENCE))
            }
            _ => Standing::Removed,
        };
        let file = self.key(event);
        let same = self.files.get(&file) == Some(&now) && !event.recreated;
        if self.files.len() < MAX_FILES || self.files.contains_key(&file) {
            self.files.insert(file, now);
        }
        // A summary may be equal to that of the run before: it counts once in each run.
        same && !context_foundry::is_news_again(self, event)
    }

    /// What tells a file from the producer's others. Where the id is the
    /// producer's own, its files may lie in several projects.
    fn key(&self, event: &Event) -> String {
        match self.producer.as_str() {
            adw::PRODUCER => format!("{}/{}", event.path, event.file),
            _ => event.file.clone(),
        }
    }

    /// Whether a file of which this is true is there, by its last event.
    fn has(&self, is_wanted: impl Fn(&str) -> bool) -> bool {
        self.files
            .iter()
            .any(|(file, standing)| *standing != Standing::Removed && is_wanted(file))
    }

    fn interpret(&mut self, event: &Event) -> Option<Build> {
        match event.kind {
            EventKind::Content => {
                let text = event.document.as_ref().map_or("null", |raw| raw.get());
                match serde_json::from_str::<Value>(text) {
                    Ok(Value::Object(document)) => self.content(event, &document),
                    _ => self.unreadable(event, "it holds JSON, but no object"),
                }
            }
            EventKind::Unreadable => {
                let why = event
                    .unreadable
                    .as_ref()
                    .map_or("", |why| why.message.as_str());
                self.unreadable(event, why)
            }
            EventKind::Removed => {
                self.removed(event);
                None
            }
        }
    }

    fn content(&mut self, event: &Event, document: &Map<String, Value>) -> Option<Build> {
        if self.producer != event.producer && stream_json::is_digest(document) {
            stream_json::beside(self, event, document);
            return None;
        }
        match self.producer.as_str() {
            adw::PRODUCER => return adw::content(self, event, document),
            context_foundry::PRODUCER if broadcast::is_call(event) => {
                return broadcast::content(self, event, document);
            }
            context_foundry::PRODUCER => return context_foundry::content(self, event, document),
            openbuilder::PRODUCER => return openbuilder::content(self, event, document),
            reported::PRODUCER => return reported::content(self, event, document),
            _ => {}
        }
        if stream_json::is_digest(document) {
            return stream_json::alone(self, event, document);
        }
        self.ensure_run(event);
        if let Some(run) = &mut self.run {
            unknown_producer::content(run, event, document);
        }
        None
    }

    fn unreadable(&mut self, event: &Event, why: &str) -> Option<Build> {
        self.ensure_run(event);
        let run = self.run.as_mut()?;
        let reason = format!("{} cannot be read: {}", event.file, cut(why, MAX_SENTENCE));
        run.conditions.unreadable.insert(event.file.clone(), reason);
        run.seen(event);
        None
    }

    fn removed(&mut self, event: &Event) {
        let matters = match self.producer.as_str() {
            context_foundry::PRODUCER => context_foundry::is_state_file(event),
            // The worktree goes when it is cleaned up; the main tree's copy stays.
            adw::PRODUCER => adw::is_state_file(&event.file) && !self.has(adw::is_state_file),
            _ => true,
        };
        if let Some(run) = &mut self.run {
            run.conditions.unreadable.remove(&event.file);
        }
        if let Some(run) = self.run.as_mut().filter(|_| matters) {
            run.conditions.removed = Some(format!("{} was removed", event.file));
            self.silences.abandon();
        }
    }

    fn timer(&mut self, fact: &TimerFact) {
        let Some(run) = self.run.as_mut().filter(|run| !run.build.has_ended()) else {
            return;
        };
        match &fact.kind {
            TimerKind::Silent {
                since,
                limit_ms,
                evidence,
            } => {
                run.conditions.silent = Some(format!(
                    "no sign of life since {since}, for more than {}; {evidence}",
                    minutes(*limit_ms)
                ));
            }
            TimerKind::Alive { at } => {
                run.conditions.silent = None;
                run.build.alive_at = run.build.alive_at.max(Some(*at));
            }
            TimerKind::HostGone { reason } => {
                run.conditions.host_gone = Some(cut(reason, MAX_SENTENCE));
            }
            TimerKind::HostBack => run.conditions.host_gone = None,
            TimerKind::RootMissing { reason, .. } => {
                run.conditions.root_missing = Some(cut(reason, MAX_SENTENCE));
            }
            TimerKind::RootBack { .. } => run.conditions.root_missing = None,
        }
        run.settle();
    }

    fn ensure_run(&mut self, event: &Event) {
        if self.run.is_none() {
            self.begin(event);
        }
    }

    /// Begins the next run. One that was still open is closed as unknown and returned.
    pub(super) fn begin(&mut self, event: &Event) -> Option<Build> {
        let before = self.current().map_or(self.runs_before, |build| build.run);
        let number = before + 1;
        let mut unreadable = BTreeMap::new();
        let mut streams = Streams::default();
        let superseded = self.run.take().map(|mut run| {
            streams = run.streams.for_next_run();
            unreadable.append(&mut run.conditions.unreadable);
            if !run.build.has_ended() {
                let reason = format!("run {number} began before this one reported its end");
                run.end(BuildState::Unknown, reason, moment(event), EndedBy::State);
            }
            run.build
        });
        self.silences.abandon();
        let mut run = Run::new(event, self.id_of(number), number);
        // Not the event's own word: two agents may call themselves alike.
        run.build.host.clone_from(&self.host);
        run.conditions.unreadable = unreadable;
        run.streams = streams;
        self.run = Some(run);
        superseded
    }
}
