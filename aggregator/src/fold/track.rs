//! What all producers share: identity and order of events, runs of a project,
//! signs of life, and what changed. A producer's module says what its files
//! mean, by the methods of [`Run`] and `Track::begin`.

mod order;
mod runs;
mod sessions;

use std::collections::BTreeMap;

use protocol::{
    AgentId, Build, BuildState, ContentHash, Event, EventKind, ProjectToken, Timestamp, subject,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::order::Positions;
use super::context_foundry::parts::Parts;
use super::limits::{MAX_FILES, MAX_SENTENCE};
use super::run::{Run, moment};
use super::silence::{Silence, Silences, minutes};
use super::stream_json;
use super::value::cut;
use super::{
    Effect, Fact, Outcome, TimerFact, TimerKind, adw, claude_code, context_foundry, openbuilder,
    reported, unknown_producer,
};

/// A producer in a project on a host, over its runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track {
    host: String,
    producer: String,
    project: ProjectToken,
    seen: Positions,
    /// The same of calls: they take another way than the files of their agent, and may overtake them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    called: Positions,
    /// The same of what lies beside the project, by its token.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    beside: BTreeMap<ProjectToken, Positions>,
    newest_agent: Option<AgentId>,
    newest_observed: Option<Timestamp>,
    /// Runs whose events are past retention, so that the next one is numbered after them.
    #[serde(default, skip_serializing_if = "is_zero")]
    runs_before: u32,
    files: BTreeMap<String, Standing>,
    pub(super) silences: Silences,
    /// Context Foundry's files that are of one build or wait for the next.
    #[serde(default, skip_serializing_if = "Parts::is_empty")]
    pub(super) parts: Parts,
    /// What Claude Code's hooks told of a workflow of ADW.
    #[serde(default, skip_serializing_if = "adw::Hooks::is_empty")]
    pub(super) hooks: adw::Hooks,
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
            called: BTreeMap::new(),
            beside: BTreeMap::new(),
            newest_agent: None,
            newest_observed: None,
            runs_before: 0,
            files: BTreeMap::new(),
            silences: Silences::default(),
            parts: Parts::default(),
            hooks: adw::Hooks::default(),
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

    /// The program whose runs these are.
    pub(super) fn producer(&self) -> &str {
        &self.producer
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
        let usual = || self.silences.limit(run.build.phase.as_deref());
        expected.then(|| run.adw.silence_without_script().unwrap_or_else(usual))
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
            Fact::Timer(TimerFact {
                kind: TimerKind::JoinsSession { session },
                at,
            }) => (Effect::Folded, self.join_session(session, *at)),
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
            // One that goes on under another id has not ended.
            let is_end = after.has_ended() && after.same_as.is_none();
            if is_end && !before.is_some_and(Build::has_ended) {
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
        let over = self.current().filter(|build| build.has_ended());
        let over = over.filter(|_| event.gap).map(|build| build.id.clone());
        let mut superseded = self.interpret(event);
        // Whose states they were is not known, but an end that was told before was the last one.
        let misses = |build: &Build| event.gap && over.as_ref() != Some(&build.id);
        if let Some(build) = superseded.as_mut().filter(|build| misses(build)) {
            build.gap_at = Some(event.observed_at);
        }
        if let Some(run) = &mut self.run {
            run.conditions.host_gone = None;
            if misses(&run.build) {
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
        // A call that carries what the file says already tells nothing; the file itself always tells where it is.
        let said = self.files.get(&file) == Some(&now)
            || (event.session.is_some() && self.files.get(&event.file) == Some(&now));
        // After states that nobody saw, it came back to this one.
        let same = said && !event.recreated && !event.gap;
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
            _ if event.session.is_some() => format!("call {}", event.file),
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
            context_foundry::PRODUCER => return context_foundry::content(self, event, document),
            openbuilder::PRODUCER => return openbuilder::content(self, event, document),
            claude_code::PRODUCER if event.is_call() => {
                return claude_code::hook(self, event, document);
            }
            name if reported::tells(name, document) => {
                return reported::content(self, event, document);
            }
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
        let begins = match self.producer.as_str() {
            context_foundry::PRODUCER => context_foundry::unreadable_begins(event),
            adw::PRODUCER => !adw::is_hook_file(&event.file),
            _ => true,
        };
        if begins {
            self.ensure_run(event);
        }
        let run = self.run.as_mut()?;
        let reason = format!("{} cannot be read: {}", event.file, cut(why, MAX_SENTENCE));
        run.conditions.unreadable.insert(event.file.clone(), reason);
        run.seen(event);
        None
    }

    fn removed(&mut self, event: &Event) {
        let matters = match self.producer.as_str() {
            context_foundry::PRODUCER => context_foundry::removed(self, event),
            // The worktree goes when it is cleaned up; the main tree's copy stays.
            adw::PRODUCER => adw::is_state_file(&event.file) && !self.has(adw::is_state_file),
            _ => self.run.iter().all(|run| run.is_told_by(&event.file)),
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
        if self.join(fact) {
            return;
        }
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
            // They were taken before.
            TimerKind::Joins { .. } | TimerKind::Joined { .. } | TimerKind::JoinsSession { .. } => {
            }
        }
        run.settle();
    }
}
