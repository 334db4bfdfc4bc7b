//! Lists of what a build does: the points of its todo list and its agents. One
//! line each: how it stands, its name, and what is known of it.

use protocol::{Build, Money};
use serde_json::Value;

use crate::{format, text};

/// A line of such a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Step {
    /// One of our states: icon and colour.
    pub(crate) state: &'static str,
    pub(crate) text: String,
    pub(crate) note: String,
}

impl Step {
    /// Without data, for the script to fill.
    pub(crate) fn blank() -> Self {
        Self {
            state: "unknown",
            ..Self::default()
        }
    }
}

/// What stands for a point that has no text: it has its place and its state.
const NO_TEXT: &str = "(no text)";

/// The points of its todo list.
pub(crate) fn todos(build: &Build) -> Vec<Step> {
    list(build.todos.as_ref(), |todo| {
        let text = todo["text"].as_str();
        todo.is_object().then(|| Step {
            state: state(todo),
            text: text::line(text.unwrap_or(NO_TEXT), text::TITLE_CHARS),
            note: counted(&todo["tools"], "tool").unwrap_or_default(),
        })
    })
}

/// How many of them are done: `3 of 5 done`; empty without a list.
pub(crate) fn done(build: &Build) -> String {
    let steps = todos(build);
    let done = steps
        .iter()
        .filter(|step| step.state == "completed")
        .count();
    match steps.len() {
        0 => String::new(),
        all => format!("{done} of {all} done"),
    }
}

/// Its agents.
pub(crate) fn agents(build: &Build) -> Vec<Step> {
    list(build.agents.as_ref(), |agent| {
        let output = agent["tokens"]["output"].as_u64();
        let word = |key: &str| Some(text::line(agent[key].as_str()?, text::NAME_CHARS));
        let used = agent["tokens_used"].as_u64();
        let took = agent["duration_ms"].as_i64().filter(|took| *took >= 0);
        let known = [
            word("phase"),
            cost(agent),
            output.map(|n| format!("{} out", format::count(n))),
            counted(&agent["tools"]["calls"], "tool"),
            counted(&agent["attempts"], "attempt").filter(|_| agent["attempts"] != 1),
            took.map(format::precise),
            issues(agent),
            used.map(|n| format!("{} tokens", format::count(n))),
            word("error"),
        ];
        let name = word("name")
            .or_else(|| word("type"))
            .or_else(|| word("id"))?;
        Some(Step {
            state: agent_state(agent),
            text: name,
            note: text::attribute(&known.into_iter().flatten().collect::<Vec<_>>().join(" · ")),
        })
    })
}

/// `3 issues found, 2 fixed`, as far as it is told.
fn issues(agent: &Value) -> Option<String> {
    let found = agent["issues_found"].as_u64().map(|n| match n {
        1 => "1 issue found".to_owned(),
        n => format!("{} issues found", format::count(n)),
    });
    let fixed = agent["issues_fixed"].as_u64();
    let fixed = fixed.map(|n| format!("{} fixed", format::count(n)));
    let told: Vec<String> = [found, fixed].into_iter().flatten().collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// Whether it succeeded says more than its own word.
fn agent_state(agent: &Value) -> &'static str {
    match agent["success"].as_bool() {
        Some(true) => "completed",
        Some(false) => "failed",
        None => state(agent),
    }
}

fn list(value: Option<&Value>, step: impl Fn(&Value) -> Option<Step>) -> Vec<Step> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(step).take(text::MAX_MEMBERS).collect()
}

/// The producer's word for how something stands, in ours.
fn state(value: &Value) -> &'static str {
    match value["state"].as_str() {
        Some("in_progress" | "running" | "active") => "running",
        Some("completed" | "success") => "completed",
        Some("error" | "failed") => "failed",
        Some("pending" | "spawning") => "queued",
        Some("idle") => "waiting",
        _ => "unknown",
    }
}

/// An amount, as text or as a number; `~` marks an estimate.
fn cost(agent: &Value) -> Option<String> {
    let usd: Money = match &agent["cost_usd"] {
        Value::String(text) => text.parse().ok()?,
        Value::Number(number) => number.to_string().parse().ok()?,
        _ => return None,
    };
    let estimated = agent["cost_estimated"] == true;
    Some(format::money(usd, estimated))
}

/// `1 tool`, `3 tools`; nothing of nothing.
fn counted(value: &Value, what: &str) -> Option<String> {
    match value.as_u64()? {
        0 => None,
        1 => Some(format!("1 {what}")),
        n => Some(format!("{} {what}s", format::count(n))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::view::samples;

    #[test]
    fn todos_say_how_they_stand_and_how_many_tools_they_took() {
        let mut build = samples::build(1, "x");
        build.todos = Some(json!([
            {"text":"plan","state":"completed","tools":1}, {"text":"write\nit","state":"in_progress","tools":3},
            {"text":"test","state":"pending","tools":0}, {"text":null}, {"text":7}, "x"
        ]));
        let lines: Vec<_> = todos(&build)
            .into_iter()
            .map(|step| (step.state, step.text, step.note))
            .collect();
        let line = |state, text: &str, note: &str| (state, text.to_owned(), note.to_owned());
        assert_eq!(
            lines,
            [
                line("completed", "plan", "1 tool"),
                line("running", "write it", "3 tools"),
                line("queued", "test", ""),
                line("unknown", "(no text)", ""),
                line("unknown", "(no text)", "")
            ]
        );
        assert_eq!(done(&build), "1 of 5 done");
        build.todos = None;
        assert_eq!(done(&build), "");
    }

    #[test]
    fn agents_say_what_they_cost_and_unknown_is_left_out() {
        let mut build = samples::build(1, "x");
        build.agents = Some(json!([
            {"name":"planner","state":"success","cost_usd":"0.24176750000000002","cost_estimated":false,
             "tokens":{"output":1832},"attempts":2,"tools":{"calls":4}},
            {"name":"builder","state":"running","cost_usd":"0.5","cost_estimated":true,"attempts":1},
            {"name":"odd","cost_usd":"free","tokens":7,"tools":[]}
        ]));
        let lines: Vec<_> = agents(&build)
            .into_iter()
            .map(|step| (step.state, step.note))
            .collect();
        let line = |state, note: &str| (state, note.to_owned());
        assert_eq!(
            lines,
            [
                line("completed", "$0.24 · 1.8 k out · 4 tools · 2 attempts"),
                line("running", "~$0.50"),
                line("unknown", "")
            ]
        );
    }
}
