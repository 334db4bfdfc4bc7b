//! OpenBuilder: no files; its runner posts tool calls (`http/build-events`) and
//! how a build ended (`http/runner-events`). An output may come before its
//! input, an event may come twice and by two ways, and `sessionId` may be missing.

use protocol::build::Fact;
use protocol::{Build, BuildState, Event, Timestamp};
use serde_json::{Map, Value, json};

use super::limits::MAX_NAME;
use super::phases;
use super::run::{EndedBy, Run, moment};
use super::track::Track;
use super::value::{cut, name, names, sentence};

/// As the calls are kept.
pub(super) const PRODUCER: &str = "openbuilder";
/// The runner begins to repair a build by itself.
const AUTOFIX: &str = "autofix-started";
/// Tool calls that a build lists: the newest; how many came before is told.
const MAX_TOOLS: usize = 200;
/// Calls that wrote a list and are remembered: of the two ways none is so far behind.
const MAX_TODO_CALLS: usize = 64;
/// To-dos of one list; real ones have fewer than twenty.
const MAX_TODOS: usize = 200;
/// What a call tells after the end is of the build that ended for this long,
/// milliseconds: it came by the slower of two ways.
const LONGEST_TAIL_MS: i64 = 60_000;
/// Where `fields` keeps the ids of builds before, so that a late call of one begins nothing.
const EARLIER: &str = "earlier_builds";
/// How many of them.
const MAX_EARLIER: usize = 16;

/// Takes over one call. Returns a run that was superseded.
pub(super) fn content(
    track: &mut Track,
    event: &Event,
    document: &Map<String, Value>,
) -> Option<Build> {
    let superseded = match &track.run {
        Some(run) if !begins_next_run(run, event, document) => None,
        _ => begin(track, event),
    };
    let run = track.run.as_mut()?;
    run.believe(event);
    take_over(&mut run.build, document);
    match document.get("event") {
        Some(Value::Object(told)) => build_event(run, told, moment(event)),
        _ => lifecycle(run, event, document),
    }
    run.build.facts = facts(&run.build);
    superseded
}

/// Begins the next run, which knows the ids of those before.
fn begin(track: &mut Track, event: &Event) -> Option<Build> {
    let earlier = track.run.as_ref().map(|run| {
        let mut ids = earlier(run);
        ids.extend(name(&run.build.fields, "buildId"));
        ids.drain(..ids.len().saturating_sub(MAX_EARLIER));
        ids
    });
    let superseded = track.begin(event);
    if let (Some(run), Some(ids)) = (&mut track.run, earlier.filter(|ids| !ids.is_empty())) {
        run.build.fields.insert(EARLIER.to_owned(), json!(ids));
    }
    superseded
}

fn earlier(run: &Run) -> Vec<String> {
    names(&run.build.fields, EARLIER).unwrap_or_default()
}

/// Another build of the project, or work after the end: of what is told beside tool calls only
/// that the runner sets out to repair what it made.
fn begins_next_run(run: &Run, event: &Event, document: &Map<String, Value>) -> bool {
    let another = match (
        name(&run.build.fields, "buildId"),
        name(document, "buildId"),
    ) {
        (Some(old), Some(new)) => old != new && !earlier(run).contains(&new),
        _ => false,
    };
    let Some(ended) = run.build.ended_at else {
        return another;
    };
    let Some(told) = document.get("event") else {
        return another || name(document, "type").as_deref() == Some(AUTOFIX);
    };
    let starts = told.get("type").and_then(Value::as_str) == Some("start");
    another || starts || moment(event).millis_since(ended) > LONGEST_TAIL_MS
}

fn take_over(build: &mut Build, document: &Map<String, Value>) {
    for key in ["projectId", "sessionId", "agentId", "claudeModelId"] {
        if let Some(value) = name(document, key) {
            build.fields.insert(key.to_owned(), json!(value));
        }
    }
    // The first one stays: a late call of the build before has that one's.
    if let (Some(id), false) = (
        name(document, "buildId"),
        build.fields.contains_key("buildId"),
    ) {
        build.fields.insert("buildId".to_owned(), json!(id));
    }
    let keep = |known: &mut Option<String>, key: &str| {
        if let Some(value) = name(document, key) {
            *known = Some(value);
        }
    };
    keep(&mut build.session_id, "sessionId");
    keep(&mut build.coding_agent, "agentId");
    keep(&mut build.model, "claudeModelId");
}

fn build_event(run: &mut Run, told: &Map<String, Value>, at: Timestamp) {
    let kind = name(told, "type").unwrap_or_default();
    if !run.build.has_ended() {
        run.say(BuildState::Running, None);
        if let Some(phase) = phase(told) {
            phases::enter(&mut run.build.phases, &phase, at);
            run.build.phase = Some(phase);
        }
    }
    let state = match kind.as_str() {
        "tool-input-available" => "input-available",
        "tool-output-available" => "output-available",
        "tool-error" => "error",
        _ => return,
    };
    let id = name(told, "toolCallId").map(|id| cut(&id, MAX_NAME));
    let is_list = id.as_ref().is_some_and(|id| run.todo_calls.contains(id));
    if is_list || name(told, "toolName").as_deref() == Some("TodoWrite") {
        // The same list may come by HTTP and by WebSocket, and the second time after the next one.
        if let (Some(Value::Object(input)), false) = (told.get("input"), is_list) {
            todos(&mut run.build, input);
            run.todo_calls.extend(id);
            if run.todo_calls.len() > MAX_TODO_CALLS {
                run.todo_calls.remove(0);
            }
        }
        return;
    }
    tool(&mut run.build, told, state);
}

/// It stands in the event, or in the to-do list that this writes.
fn phase(told: &Map<String, Value>) -> Option<String> {
    let input = || told.get("input").and_then(Value::as_object);
    name(told, "phase").or_else(|| name(input()?, "phase"))
}

/// The whole list comes each time; tool counts of a to-do that is still there are kept. One without
/// a text keeps its place, by which calls name it.
fn todos(build: &mut Build, input: &Map<String, Value>) {
    let Some(Value::Array(items)) = input.get("todos") else {
        return;
    };
    let before = build.todos.take();
    let counted = |place: usize, text: Option<&str>| {
        let list = before.as_ref()?.as_array()?;
        let same = match text {
            Some(text) => list.iter().find(|todo| todo["text"] == text),
            None => list.get(place).filter(|todo| todo["text"].is_null()),
        };
        same?["tools"].as_u64()
    };
    let todos: Vec<Value> = items
        .iter()
        .take(MAX_TODOS)
        .filter_map(Value::as_object)
        .enumerate()
        .map(|(place, todo)| {
            let text = name(todo, "content").or_else(|| name(todo, "activeForm"));
            let tools = counted(place, text.as_deref()).unwrap_or(0);
            json!({ "text": text, "state": name(todo, "status"), "tools": tools })
        })
        .collect();
    let done = todos
        .iter()
        .filter(|todo| todo["state"] == "completed")
        .count();
    #[expect(clippy::cast_precision_loss, reason = "a list has at most 200 entries")]
    let progress = (!todos.is_empty()).then(|| done as f64 / todos.len() as f64);
    if !build.has_ended() {
        build.progress = progress;
        build.detail = todos
            .iter()
            .find(|todo| todo["state"] == "in_progress")
            .and_then(|todo| todo["text"].as_str())
            .map(str::to_owned);
    }
    build.todos = Some(Value::Array(todos));
}

/// A tool call in its order; the same id again changes its state, never adds one.
fn tool(build: &mut Build, told: &Map<String, Value>, state: &str) {
    let Some(id) = name(told, "toolCallId") else {
        return;
    };
    let todo = todo_of(build, told);
    let calls = build.calls.get_or_insert_with(|| json!([]));
    let Value::Array(list) = calls else { return };
    if let Some(known) = list.iter_mut().find(|tool| tool["id"] == *id) {
        // The output came first and did not say to which point it belongs.
        if let (Some(_), Some((place, text))) = (todo_index(told), &todo) {
            let before = std::mem::replace(&mut known["todo"], json!(text));
            known["planning"] = json!(false);
            if before != json!(text) {
                move_count(&mut build.todos, &before, *place);
            }
        }
        let done = known["state"] != "input-available";
        if !done || state != "input-available" {
            known["state"] = json!(state);
            known["is_error"] = json!(state == "error");
        }
        if let Some(tool_name) = name(told, "toolName") {
            known["name"] = json!(tool_name);
        }
        return;
    }
    let planning = todo.is_none();
    list.push(json!({
        "id": cut(&id, MAX_NAME),
        "name": name(told, "toolName"),
        "state": state,
        "todo": todo.as_ref().map(|(_, text)| text),
        "planning": planning,
        "is_error": state == "error",
    }));
    if list.len() > MAX_TOOLS {
        list.remove(0);
        let dropped = build.fields.get("tools_before").and_then(Value::as_u64);
        build
            .fields
            .insert("tools_before".to_owned(), json!(dropped.unwrap_or(0) + 1));
    }
    if let (Some((place, _)), Some(Value::Array(todos))) = (todo, &mut build.todos) {
        let count = todos[place]["tools"].as_u64().unwrap_or(0);
        todos[place]["tools"] = json!(count + 1);
    }
}

/// A tool call is of another to-do than it was counted for.
fn move_count(todos: &mut Option<Value>, from: &Value, to: usize) {
    let Some(Value::Array(todos)) = todos else {
        return;
    };
    let change = |todo: &mut Value, by: i64| {
        let count = todo["tools"].as_i64().unwrap_or(0);
        todo["tools"] = json!((count + by).max(0));
    };
    let is_from = |todo: &&mut Value| !from.is_null() && todo["text"] == *from;
    if let Some(todo) = todos.iter_mut().find(is_from) {
        change(todo, -1);
    }
    if let Some(todo) = todos.get_mut(to) {
        change(todo, 1);
    }
}

/// The place it names; below 0 while it plans. Both spellings are real.
fn todo_index(told: &Map<String, Value>) -> Option<i64> {
    ["todoIndex", "todo_index"]
        .iter()
        .find_map(|key| told.get(*key)?.as_i64())
}

/// A to-do: its place and its text.
type Todo = (usize, Option<String>);

fn todo_at(place: usize, todo: &Value) -> Todo {
    (place, todo["text"].as_str().map(str::to_owned))
}

/// The to-do that a tool call belongs to: the one it names, else the one in progress.
fn todo_of(build: &Build, told: &Map<String, Value>) -> Option<Todo> {
    let Some(index) = todo_index(told) else {
        return current_todo(build);
    };
    let place = usize::try_from(index).ok()?;
    let todos = build.todos.as_ref()?.as_array()?;
    Some(todo_at(place, todos.get(place)?))
}

/// The to-do in progress; none while it still plans.
fn current_todo(build: &Build) -> Option<Todo> {
    let todos = build.todos.as_ref()?.as_array()?;
    let place = todos
        .iter()
        .position(|todo| todo["state"] == "in_progress")?;
    Some(todo_at(place, &todos[place]))
}

fn lifecycle(run: &mut Run, event: &Event, document: &Map<String, Value>) {
    let kind = name(document, "type").unwrap_or_default();
    let has_ended = run.build.has_ended();
    if !has_ended {
        run.build.status = Some(kind.clone());
    }
    let payload = match document.get("payload") {
        Some(Value::Object(payload)) => payload.clone(),
        _ => Map::new(),
    };
    // A runner that knows of no list sends an empty one.
    let list = payload.get("todos").and_then(Value::as_array);
    if list.is_some_and(|list| !list.is_empty()) {
        todos(&mut run.build, &payload);
    }
    if let Some(summary) = sentence(&payload, "summary").or_else(|| sentence(document, "summary")) {
        run.build.summary = Some(json!(summary));
    }
    let at = moment(event);
    match kind.as_str() {
        // It ends once: what goes wrong in the running app, or comes by the other way, changes no verdict.
        "build-completed" | "build-failed" | "error" if has_ended => {}
        "build-completed" => {
            run.build.progress = Some(1.0);
            let reason = "the runner says that the build is completed".to_owned();
            run.end(BuildState::Completed, reason, at, EndedBy::State);
        }
        "build-failed" | "error" => {
            run.build.error = sentence(document, "error");
            let reason = "the runner says that the build failed".to_owned();
            run.end(BuildState::Failed, reason, at, EndedBy::State);
        }
        AUTOFIX => {
            run.say(BuildState::Running, None);
            autofix(&mut run.build, document);
        }
        _ => {}
    }
}

/// How often it was repaired, and what is known of the last time.
fn autofix(build: &mut Build, document: &Map<String, Value>) {
    let before = build.fields.get("autofixes").and_then(Value::as_u64);
    let attempt = name(document, "attempt");
    if attempt.is_some() && attempt == name(&build.fields, "attempt") {
        // It came by the other way already.
        return;
    }
    let count = json!(before.unwrap_or(0) + 1);
    build.fields.insert("autofixes".to_owned(), count);
    let keys = ["errorType", "attempt", "maxAttempts"];
    let told = keys.map(|key| (key, name(document, key)));
    let message = ("errorMessage", sentence(document, "errorMessage"));
    for (key, told) in told.into_iter().chain([message]) {
        match told {
            Some(told) => build.fields.insert(key.to_owned(), json!(told)),
            None => build.fields.remove(key),
        };
    }
}

/// What has no member of its own.
fn facts(build: &Build) -> Vec<Fact> {
    let fact = |key: &str, label: &str, text: String| Fact {
        key: key.to_owned(),
        label: label.to_owned(),
        text,
    };
    let count = |key: &str| build.fields.get(key).and_then(Value::as_u64);
    let mut facts = Vec::new();
    if let Some(times) = count("autofixes") {
        let word = |key: &str| name(&build.fields, key);
        let attempt = match (word("attempt"), word("maxAttempts")) {
            (Some(attempt), Some(most)) => Some(format!("attempt {attempt} of {most}")),
            (attempt, _) => attempt.map(|attempt| format!("attempt {attempt}")),
        };
        let parts = [
            Some(format!("started {times}x")),
            attempt,
            word("errorType").map(|kind| format!("after an error of its {kind}")),
            sentence(&build.fields, "errorMessage"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        facts.push(fact("autofixes", "Auto-fix", parts.join(", ")));
    }
    if let Some(before) = count("tools_before") {
        let text = before.to_string();
        facts.push(fact("tools_before", "Earlier tool calls", text));
    }
    facts
}
