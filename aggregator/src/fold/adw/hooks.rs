//! Claude Code's hook events of a workflow, as their digest tells them: how many
//! of which kind, calls of tools, the todo list. They never begin a build: the
//! main tree's file has the lines of years. What stream-JSON files tell of the same agents is more.

use std::collections::BTreeMap;

use protocol::Event;
use protocol::build::Fact;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fold::run::{Run, moment};
use crate::fold::stream_json;
use crate::fold::track::Track;
use crate::fold::value::{count, cut};

/// As agents name the file.
const FILE: &str = "hook_events.jsonl";
/// As the hooks come by a call, one by one.
const CALL: &str = "http/hook";
/// Version of the digest that is understood.
const VERSION: u64 = 1;
/// Files of one workflow: the main tree's and its worktree's, and a few that were moved.
const MAX_FILES: usize = 4;
/// Characters of a notification.
const MAX_NOTICE: usize = 400;

/// Kinds of events that are told one by one, and how.
const KINDS: [(&str, &str, &str); 6] = [
    ("Notification", "hook_notifications", "Notifications"),
    ("UserPromptSubmit", "hook_prompts", "Prompts"),
    ("Stop", "hook_stops", "Answers that ended"),
    (
        "SubagentStop",
        "hook_subagent_stops",
        "Sub-agents that ended",
    ),
    (
        "PreCompact",
        "hook_compactions",
        "Contexts that were compacted",
    ),
    ("SessionEnd", "hook_session_ends", "Sessions that ended"),
];

/// What the hooks' files of a workflow say, over its runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::fold) struct Hooks {
    files: BTreeMap<String, Counts>,
    /// What they had counted when the current run began.
    before: Counts,
    /// The newest lists and texts.
    todos: Option<Value>,
    calls: Option<Value>,
    notice: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    kinds: BTreeMap<String, u64>,
    calls: u64,
    errors: u64,
}

/// Whether a document is the digest of such a file.
pub(super) fn is_digest(document: &Map<String, Value>) -> bool {
    document.get("digest").and_then(Value::as_str) == Some("claude-hooks")
        && count(document, "v") == Some(VERSION)
}

/// Whether this is such a file, whatever could be read of it.
pub(in crate::fold) fn is_file(file: &str) -> bool {
    file.rsplit('/').next() == Some(FILE)
}

/// Keeps what a digest says until there is a build for it.
pub(super) fn take(track: &mut Track, event: &Event, document: &Map<String, Value>) {
    let hooks = &mut track.hooks;
    let file = format!("{}/{}", event.path, event.file);
    if hooks.files.len() >= MAX_FILES && !hooks.files.contains_key(&file) {
        return;
    }
    hooks.files.insert(file, Counts::of(document));
    let told = track.run.as_ref().and_then(|run| run.build.ended_at);
    // After the end it is a tail, which has no plans.
    if told.is_some_and(|ended| moment(event) > ended) {
        return;
    }
    hooks.todos = stream_json::todos(document).or(hooks.todos.take());
    hooks.calls = stream_json::calls(document).or(hooks.calls.take());
    let notice = document.get("notice").and_then(Value::as_str);
    hooks.notice = notice
        .map(|text| cut(text, MAX_NOTICE))
        .or(hooks.notice.take());
}

/// A hook that came by a call: of it only the list counts, which is whole each time.
pub(super) fn called(track: &mut Track, event: &Event, document: &Map<String, Value>) {
    let told = track.run.as_ref().and_then(|run| run.build.ended_at);
    let is_tail = told.is_some_and(|ended| moment(event) > ended);
    let list = stream_json::todos(document).filter(|_| !is_tail && event.file == CALL);
    track.hooks.todos = list.or(track.hooks.todos.take());
}

/// The next run begins: what was counted is of the one before.
pub(super) fn begin_again(track: &mut Track) {
    let hooks = &mut track.hooks;
    hooks.before = hooks.sum();
    (hooks.todos, hooks.calls, hooks.notice) = (None, None, None);
}

impl Hooks {
    /// For tracks without any, which are stored without them.
    pub(in crate::fold) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn sum(&self) -> Counts {
        let mut sum = Counts::default();
        for told in self.files.values() {
            for (kind, n) in &told.kinds {
                *sum.kinds.entry(kind.clone()).or_default() += n;
            }
            sum.calls += told.calls;
            sum.errors += told.errors;
        }
        sum
    }

    /// Brings it to the build, after what the stream-JSON files tell.
    pub(super) fn apply(&self, run: &mut Run) {
        if self.is_empty() {
            return;
        }
        let (sum, before) = (self.sum(), &self.before);
        let since = |now: u64, before: u64| now.saturating_sub(before);
        let calls = since(sum.calls, before.calls);
        let build = &mut run.build;
        if !run.streams.tells_todos() {
            build.todos = self.todos.clone().or(build.todos.take());
        }
        if !run.streams.tells_calls() {
            build.calls = self.calls.clone().or(build.calls.take());
        }
        let mut facts = Vec::new();
        let mut fact = |key: &str, label: &str, text: String| {
            facts.push(Fact {
                key: key.to_owned(),
                label: label.to_owned(),
                text,
            });
        };
        if calls > 0 {
            let text = match since(sum.errors, before.errors) {
                0 => calls.to_string(),
                errors => format!("{calls}, {errors} failed"),
            };
            fact("hook_tools", "Tools called, by hooks", text);
        }
        for (kind, key, label) in KINDS {
            let of = |counts: &Counts| counts.kinds.get(kind).copied().unwrap_or(0);
            let n = since(of(&sum), of(before));
            let notice = self.notice.as_ref().filter(|_| kind == "Notification");
            match notice {
                _ if n == 0 => {}
                Some(notice) => fact(key, label, format!("{n}, the newest: {notice}")),
                None => fact(key, label, n.to_string()),
            }
        }
        build.facts.extend(facts);
    }
}

impl Counts {
    fn of(document: &Map<String, Value>) -> Self {
        let object = |key: &str| document.get(key).and_then(Value::as_object);
        let none = Map::new();
        let tools = object("tools").unwrap_or(&none);
        let kinds = object("kinds").unwrap_or(&none);
        let known = KINDS.iter().map(|(kind, ..)| *kind);
        Self {
            kinds: known
                .filter_map(|kind| Some((kind.to_owned(), count(kinds, kind)?)))
                .collect(),
            calls: count(tools, "calls").unwrap_or(0),
            errors: count(tools, "errors").unwrap_or(0),
        }
    }
}
