//! Claude Code's stream-JSON files, as their digests tell them: what a build
//! cost, its tokens, model, context, todos and agents. A build may have many
//! such files (one per agent of a workflow); each tells its newest state, and
//! the build is their sum. Amounts are added digit for digit.

mod attempt;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use protocol::build::Tokens;
use protocol::{Build, BuildState, Event, Money, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::claude_code;
use super::limits::{MAX_CALLS, MAX_FILES, MAX_SENTENCE, MAX_TODOS};
use super::run::{EndedBy, Run, moment};
use super::track::Track;
use super::value::{count, cut, name};
use attempt::{Attempt, Spent, sum};

/// Version of the digest that is understood.
const VERSION: u64 = 1;

/// Attempts of earlier runs that are remembered: as many as all files of a build can tell.
const MAX_EARLIER: usize = 16 * MAX_FILES;

/// What the files of a build say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Streams {
    files: BTreeMap<String, Stream>,
    /// Attempts that the runs before paid for, which the same files still tell: session and cost.
    earlier: BTreeSet<(String, Option<Money>)>,
    /// Attempts that had not ended when the run before did, by file: what they spent until then is paid for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    open: BTreeMap<String, Vec<Attempt>>,
    /// Files beyond the limit, which are not in the sum.
    #[serde(default)]
    left_out: u64,
}

/// What one file says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Stream {
    /// Place among the digests of the build: the newest todo list is shown.
    order: u64,
    attempts: Vec<Attempt>,
    todos: Option<Value>,
    /// The newest calls of tools, of the file that told some last: those of any other are not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calls: Option<Value>,
    /// A transcript: what another file tells of the same session is more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    transcript: bool,
    tools: Option<u64>,
    tool_errors: Option<u64>,
    bad_lines: u64,
}

/// Whether a document is the digest of such a file.
pub(super) fn is_digest(document: &Map<String, Value>) -> bool {
    document.get("digest").and_then(Value::as_str) == Some("stream-json")
        && count(document, "v") == Some(VERSION)
}

/// Takes over a digest. `file` tells it from the build's others.
pub(super) fn content(run: &mut Run, file: &str, document: &Map<String, Value>) {
    run.streams.take(file, document);
    run.streams.apply(&mut run.build);
}

/// A transcript of a session that works where this build does: its figures are the build's.
pub(super) fn beside(track: &mut Track, event: &Event, document: &Map<String, Value>) {
    let Some(run) = &mut track.run else { return };
    if !run.build.has_ended() {
        run.believe(event);
        content(run, &event.file, document);
    }
}

/// A file that no orchestrator stands behind: its attempts are the builds.
pub(super) fn alone(
    track: &mut Track,
    event: &Event,
    document: &Map<String, Value>,
) -> Option<Build> {
    let told =
        |state: &str| last(document).is_some_and(|last| last.state.as_deref() == Some(state));
    let session = last(document).and_then(|last| last.session);
    let again = track.current().is_some_and(|build| {
        let is_another = build.session_id != session;
        let is_tail = !is_another && claude_code::is_tail(build, event);
        build.has_ended() && !is_tail && (told("running") || is_another)
    });
    let superseded = match &track.run {
        Some(_) if !again => None,
        _ => track.begin(event),
    };
    let run = track.run.as_mut()?;
    run.believe(event);
    claude_code::found(run, event);
    content(run, &event.file, document);
    run.build.session_id = session;
    let at = moment(event);
    if told("success") {
        let reason = "its result line says success".to_owned();
        run.end(BuildState::Completed, reason, at, EndedBy::State);
    } else if told("error") {
        let reason = "its result line says that it failed".to_owned();
        run.end(BuildState::Failed, reason, at, EndedBy::State);
    } else {
        run.say(BuildState::Running, None);
    }
    superseded
}

fn last(document: &Map<String, Value>) -> Option<Attempt> {
    let attempts = document.get("attempts")?.as_array()?;
    attempts.last()?.as_object().map(Attempt::read)
}

impl Streams {
    /// For tracks without such files, which are stored without them.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// For the next run: what this one told is paid for.
    pub(super) fn for_next_run(&self) -> Self {
        let mut open = self.open.clone();
        for (file, stream) in &self.files {
            let goes_on = |attempt: &&Attempt| !attempt.has_ended() && attempt.session.is_some();
            let attempts = stream.attempts.iter().filter(goes_on).cloned();
            open.insert(file.clone(), attempts.collect());
        }
        open.retain(|_, attempts| !attempts.is_empty());
        while open.len() > MAX_FILES {
            open.pop_first();
        }
        let attempts = self.files.values().flat_map(|stream| &stream.attempts);
        let ended = attempts.filter(|attempt| attempt.has_ended());
        Self {
            earlier: ended
                .map(key)
                .chain(self.earlier.iter().cloned())
                .take(MAX_EARLIER)
                .collect(),
            open,
            ..Self::default()
        }
    }

    /// Whether there are more files than are in the sum.
    pub(super) fn leaves_out(&self) -> bool {
        self.left_out > 0
    }

    /// Whether a file has told a todo list.
    pub(super) fn tells_todos(&self) -> bool {
        self.files.values().any(|stream| stream.todos.is_some())
    }

    /// Whether a file has told calls.
    pub(super) fn tells_calls(&self) -> bool {
        self.files.values().any(|stream| stream.calls.is_some())
    }

    fn take(&mut self, file: &str, document: &Map<String, Value>) {
        if self.files.len() >= MAX_FILES && !self.files.contains_key(file) {
            self.left_out += 1;
            return;
        }
        let newest = self.files.values().map(|stream| stream.order).max();
        let stream = Stream::read(document, newest.unwrap_or(0) + 1);
        if stream.calls.is_some() {
            let others = self.files.values_mut();
            for other in others.filter(|other| other.transcript == stream.transcript) {
                other.calls = None;
            }
        }
        self.files.insert(file.to_owned(), stream);
    }

    /// The attempts that this build pays for, by file, the newest file first.
    /// A session that two files tell (a worktree's and its copy) is paid once.
    fn own(&self) -> Vec<(&str, &Stream, Vec<Cow<'_, Attempt>>)> {
        let mut files: Vec<_> = self.files.iter().collect();
        files.sort_by_key(|(_, stream)| (stream.transcript, std::cmp::Reverse(stream.order)));
        let mut elsewhere: BTreeSet<&str> = BTreeSet::new();
        let mut own = Vec::new();
        for (file, stream) in files {
            let is_told = |attempt: &&Attempt| {
                let session = attempt.session();
                session.is_some_and(|name| elsewhere.contains(name))
            };
            let unpaid = stream.attempts.iter();
            let unpaid = unpaid.filter(|attempt| !self.earlier.contains(&key(attempt)));
            let told: Vec<&Attempt> = unpaid.filter(|attempt| !is_told(attempt)).collect();
            elsewhere.extend(told.iter().filter_map(|attempt| attempt.session()));
            let mut open: Vec<&Attempt> = self.open.get(file).into_iter().flatten().collect();
            let since = |attempt| match open.iter().position(|paid| paid.is_same(attempt)) {
                Some(place) => attempt.since(open.remove(place)).map(Cow::Owned),
                None => Some(Cow::Borrowed(attempt)),
            };
            own.push((
                file.as_str(),
                stream,
                told.into_iter().filter_map(since).collect(),
            ));
        }
        own
    }

    /// Brings the sums to their places in the build. What no file tells stays as it was.
    pub(super) fn apply(&self, build: &mut Build) {
        if self.files.is_empty() {
            return;
        }
        let own = self.own();
        let mut whole = Spent::default();
        for attempt in own.iter().flat_map(|(_, _, attempts)| attempts) {
            whole.add(&attempt.spent);
        }
        whole.is_estimate |= self.left_out > 0;
        if whole.cost.is_some() {
            build.cost_usd = whole.cost;
            build.cost_estimated = whole.estimated();
        }
        if whole.tokens != Tokens::default() {
            build.tokens = Some(whole.tokens);
        }
        build.coding_agent = Some("claude-code".to_owned());
        let last = own.iter().find_map(|(_, _, attempts)| {
            attempts
                .iter()
                .rev()
                .find(|attempt| attempt.model.is_some())
        });
        if let Some(last) = last {
            build.model.clone_from(&last.model);
            build.context = last.context;
        }
        if let Some(todos) = own.iter().find_map(|(_, stream, _)| stream.todos.as_ref()) {
            build.todos = Some(todos.clone());
        }
        if let Some(calls) = own.iter().find_map(|(_, stream, _)| stream.calls.as_ref()) {
            build.calls = Some(calls.clone());
        }
        let mut agents: Vec<_> = own
            .iter()
            .filter(|(_, _, attempts)| !attempts.is_empty())
            .map(|(file, stream, attempts)| (*file, agent(file, stream, attempts)))
            .collect();
        agents.sort_by_key(|(file, _)| *file);
        build.agents = Some(agents.into_iter().map(|(_, agent)| agent).collect());
    }
}

impl Stream {
    fn read(document: &Map<String, Value>, order: u64) -> Self {
        let tools = document.get("tools").and_then(Value::as_object);
        let attempts = document.get("attempts").and_then(Value::as_array);
        let attempts = attempts.into_iter().flatten().filter_map(Value::as_object);
        Self {
            order,
            attempts: attempts.map(Attempt::read).collect(),
            todos: todos(document),
            calls: calls(document),
            transcript: document.get("transcript") == Some(&Value::Bool(true)),
            tools: tools.and_then(|tools| count(tools, "calls")),
            tool_errors: tools.and_then(|tools| count(tools, "errors")),
            bad_lines: count(document, "bad_lines").unwrap_or(0),
        }
    }
}

/// What tells an attempt from the others of its session.
fn key(attempt: &Attempt) -> (String, Option<Money>) {
    (
        attempt.session.clone().unwrap_or_default(),
        attempt.spent.cost,
    )
}

/// A file as one of the build's agents.
fn agent(file: &str, stream: &Stream, attempts: &[Cow<Attempt>]) -> Value {
    let mut whole = Spent::default();
    let mut models: BTreeMap<&str, Spent> = BTreeMap::new();
    let (mut turns, mut duration_ms) = (None, None);
    for attempt in attempts {
        whole.add(&attempt.spent);
        turns = sum(turns, attempt.turns);
        duration_ms = sum(duration_ms, attempt.duration_ms);
        for (name, spent) in &attempt.models {
            models.entry(name).or_default().add(spent);
        }
    }
    let models: Map<String, Value> = models
        .into_iter()
        .map(|(name, spent)| (name.to_owned(), amounts(&spent)))
        .collect();
    let last = attempts.last();
    let mut agent = json!({
        "name": agent_name(file), "file": file,
        "state": last.and_then(|last| last.state.as_deref()),
        "model": last.and_then(|last| last.model.as_deref()),
        "attempts": attempts.iter().map(|attempt| attempt.count).sum::<u64>(),
        "turns": turns, "duration_ms": duration_ms,
        "tools": {"calls": stream.tools, "errors": stream.tool_errors},
        "models": models, "bad_lines": stream.bad_lines,
    });
    if let (Value::Object(agent), Value::Object(amounts)) = (&mut agent, amounts(&whole)) {
        agent.extend(amounts);
    }
    agent
}

/// Amounts are decimal text where they stand in a list of any shape: a number there would be a double.
fn amounts(spent: &Spent) -> Value {
    json!({
        "cost_usd": spent.cost.map(|usd| usd.to_string()),
        "cost_estimated": spent.estimated(),
        "tokens": spent.tokens,
    })
}

/// The directory that a file is in, which orchestrators name after the agent.
fn agent_name(file: &str) -> &str {
    let mut parts = file.rsplit('/');
    let name = parts.next().unwrap_or_default();
    parts.next().unwrap_or(name)
}

/// How calls stand, in OpenBuilder's words.
const CALL_STATES: [&str; 3] = ["input-available", "output-available", "error"];

/// Calls of tools, with their texts where those may leave the host; none where no call was seen.
pub(super) fn calls(document: &Map<String, Value>) -> Option<Value> {
    let list = document.get("calls")?.as_array()?;
    let calls = list.iter().filter_map(Value::as_object).take(MAX_CALLS);
    let text = |call: &Map<String, Value>, key| {
        let text = call.get(key).and_then(Value::as_str);
        text.map(|text| cut(text, MAX_SENTENCE))
    };
    let time = |call: &Map<String, Value>, key| {
        let text = call.get(key).and_then(Value::as_str);
        text.and_then(|text| text.parse::<Timestamp>().ok())
    };
    let told = calls.map(|call| {
        let state = name(call, "state").filter(|state| CALL_STATES.contains(&state.as_str()));
        json!({
            "name": name(call, "name"), "todo": text(call, "todo"), "state": state,
            "input": text(call, "input"), "output": text(call, "output"),
            "is_error": call.get("is_error").and_then(Value::as_bool),
            "began_at": time(call, "began_at"), "ended_at": time(call, "ended_at"),
        })
    });
    Some(told.collect())
}

pub(super) fn todos(document: &Map<String, Value>) -> Option<Value> {
    let list = document.get("todos")?.as_array()?;
    let todos = list.iter().filter_map(Value::as_object).take(MAX_TODOS);
    let told = todos.map(|todo| {
        json!({
            "text": todo.get("text").and_then(Value::as_str).map(|text| cut(text, MAX_SENTENCE)),
            "state": name(todo, "state"), "tools": count(todo, "tools"),
        })
    });
    Some(told.collect())
}
