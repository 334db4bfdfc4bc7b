//! What is told of a stream-JSON file: figures, never its texts (but for the
//! points of the todo list, and those of calls where the settings allow it). Amounts of money are decimal text, because a
//! number of a document is read as a double on its way.

use std::collections::BTreeMap;

use protocol::json::Json;
use protocol::{Money, Timestamp};

use super::attempt::Attempt;
use super::figures::{Figures, Tools};
use super::line::{ModelUse, Todo, Todos, Usage};
use super::texts::{Calls, Told};

/// Top-level members that change without meaning anything by it.
pub(super) const VOLATILE: &[&str] = &["lines"];

/// The digest of a file.
pub(super) fn of(figures: &Figures) -> Json {
    let list = figures.todos.as_ref();
    let transcript = figures.options.transcript;
    let transcript = transcript.then_some(("transcript", Json::Bool(true)));
    let calls = calls(&figures.told);
    let members = [
        ("digest", text("stream-json")),
        ("v", count(1)),
        (
            "attempts",
            Json::Array(figures.attempts.iter().map(attempt).collect()),
        ),
        ("todos", list.map_or(Json::Null, todos)),
        (
            "todos_left_out",
            count(list.map_or(0, |todos| todos.left_out)),
        ),
        ("tools", tools(&figures.tools)),
        ("lines", count(figures.lines)),
        ("bad_lines", count(figures.bad_lines)),
    ];
    object(members.into_iter().chain(transcript).chain(calls))
}

/// The points of a todo list.
pub(super) fn todos(todos: &Todos) -> Json {
    Json::Array(todos.list.iter().map(todo).collect())
}

/// Calls of tools, counted.
pub(super) fn tools(tools: &Tools) -> Json {
    object([
        ("calls", count(tools.calls)),
        ("errors", count(tools.errors)),
        ("last", maybe_text(tools.last.as_deref())),
    ])
}

/// The newest calls of tools, where there are any.
pub(super) fn calls(calls: &Calls) -> Option<(&'static str, Json)> {
    let told: Vec<Json> = calls.seen().map(call).collect();
    (!told.is_empty()).then_some(("calls", Json::Array(told)))
}

/// A call; its texts only where they were kept.
fn call(call: &Told) -> Json {
    let state = match (call.is_done, call.is_error) {
        (false, _) => "input-available",
        (true, false) => "output-available",
        (true, true) => "error",
    };
    let maybe = |key, value: Option<Json>| value.map(|value| (key, value));
    let time = |at: Option<Timestamp>| at.map(|at| Json::String(at.to_string()));
    let known = [
        maybe("todo", call.todo.as_deref().map(text)),
        maybe("input", call.input.as_deref().map(text)),
        maybe("output", call.output.as_deref().map(text)),
        maybe("began_at", time(call.began_at)),
        maybe("ended_at", time(call.ended_at)),
    ];
    let members = [
        ("name", maybe_text(call.name.as_deref())),
        ("state", text(state)),
        ("is_error", Json::Bool(call.is_error)),
    ];
    object(members.into_iter().chain(known.into_iter().flatten()))
}

fn attempt(attempt: &Attempt) -> Json {
    let models = attempt.models.iter();
    let models = models.map(|model| (model.name.clone(), of_model(model)));
    object([
        ("session_id", maybe_text(attempt.session.as_deref())),
        (
            "merged",
            attempt
                .merged
                .checked_sub(1)
                .map_or(Json::Null, |n| count(n + 1)),
        ),
        ("model", maybe_text(attempt.model.as_deref())),
        ("state", text(attempt.state.word())),
        ("is_error", attempt.is_error.map_or(Json::Null, Json::Bool)),
        ("subtype", maybe_text(attempt.subtype.as_deref())),
        ("num_turns", maybe_count(attempt.turns)),
        ("duration_ms", maybe_count(attempt.duration_ms)),
        ("total_cost_usd", money(attempt.cost)),
        ("models", Json::Object(models.collect())),
        ("tokens", object(tokens(attempt.tokens))),
        (
            "context",
            object([
                ("used", maybe_count(attempt.context)),
                ("limit", maybe_count(limit(attempt))),
            ]),
        ),
        ("estimated", Json::Bool(attempt.is_estimated())),
    ])
}

/// The context of the attempt's own model, once a result told it.
fn limit(attempt: &Attempt) -> Option<u64> {
    let name = attempt.model.as_ref()?;
    let model = attempt.models.iter().find(|model| model.name == *name)?;
    model.window
}

fn of_model(model: &ModelUse) -> Json {
    let cost = [("cost_usd", money(model.cost))];
    object(tokens(model.usage).into_iter().chain(cost))
}

fn tokens(usage: Usage) -> [(&'static str, Json); 4] {
    [
        ("input", maybe_count(usage.input)),
        ("output", maybe_count(usage.output)),
        ("cache_read", maybe_count(usage.cache_read)),
        ("cache_write", maybe_count(usage.cache_write)),
    ]
}

fn todo(todo: &Todo) -> Json {
    object([
        ("text", text(&todo.text)),
        ("state", text(&todo.state)),
        ("tools", count(todo.tools)),
    ])
}

fn object(members: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    let members: BTreeMap<String, Json> = members
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    Json::Object(members)
}

fn text(text: &str) -> Json {
    Json::String(text.to_owned())
}

fn maybe_text(value: Option<&str>) -> Json {
    value.map_or(Json::Null, text)
}

fn count(n: u64) -> Json {
    Json::Number(n.to_string())
}

fn maybe_count(n: Option<u64>) -> Json {
    n.map_or(Json::Null, count)
}

fn money(usd: Option<Money>) -> Json {
    usd.map_or(Json::Null, |usd| Json::String(usd.to_string()))
}
