//! The enhanced metrics of a build: how full its context is, its test runs,
//! decisions and tasks. Each is there or is not; a figure that nobody told is
//! left out. `static/metrics.js` does the same in the browser.

use protocol::Build;
use protocol::build::Origin;
use serde_json::Value;

use super::facts::{self, Member};
use super::step::Step;
use crate::{format, text};

/// From here on a context is said to be filling (Context Foundry's own limits).
const WARNING: f64 = 0.5;
/// From here on it is said to be as good as full.
const CRITICAL: f64 = 0.75;

/// The panels.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    /// Nothing at all is known: said in one line.
    pub(crate) none: bool,
    pub(crate) window: Window,
    pub(crate) runs: Vec<Step>,
    pub(crate) tests: Vec<Member>,
    pub(crate) decisions: Vec<Step>,
    pub(crate) decisions_note: String,
    pub(crate) tasks: Vec<Step>,
    pub(crate) tasks_note: String,
}

/// The context window.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    /// `83 k of 200 k tokens`; empty when nothing is known.
    pub(crate) text: String,
    /// `safe`, `warning`, `critical`; empty without a limit.
    pub(crate) level: &'static str,
    /// `41 % · safe`; empty without a limit.
    pub(crate) note: String,
    /// 0 to 1, as text.
    pub(crate) value: String,
}

impl Metrics {
    pub(crate) fn new(build: &Build) -> Self {
        let window = window(build);
        let tokens = build.tokens.is_some();
        let runs = list(build.tests.as_ref(), "runs", run);
        let tests = members(build);
        let decisions = list(build.decisions.as_ref(), "list", decision);
        let tasks = list(build.tasks.as_ref(), "list", task);
        let known = tokens
            || !window.text.is_empty()
            || !runs.is_empty()
            || !tests.is_empty()
            || !decisions.is_empty()
            || !tasks.is_empty()
            || build.agents.as_ref().is_some_and(is_filled);
        Self {
            none: !known,
            window,
            runs,
            tests,
            decisions,
            decisions_note: decisions_note(build),
            tasks,
            tasks_note: tasks_note(build),
        }
    }
}

fn is_filled(value: &Value) -> bool {
    value.as_array().is_some_and(|list| !list.is_empty())
}

/// Members of the tests that are told in words; the runs have a list of their own.
fn members(build: &Build) -> Vec<Member> {
    match &build.tests {
        Some(Value::Object(tests)) => {
            let mut told = tests.clone();
            told.retain(|key, value| key != "runs" && !value.is_null());
            facts::object(&told)
        }
        Some(other) => facts::members(other),
        None => Vec::new(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of it is shown")]
fn window(build: &Build) -> Window {
    let Some((used, limit)) = build
        .context
        .and_then(|context| Some((context.used?, context.limit)))
    else {
        return Window::default();
    };
    let Some(limit) = limit.filter(|limit| *limit > 0) else {
        return Window {
            text: format!("{} tokens", format::count(used)),
            ..Window::default()
        };
    };
    let part = used as f64 / limit as f64;
    let level = match part {
        part if part < WARNING => "safe",
        part if part < CRITICAL => "warning",
        _ => "critical",
    };
    Window {
        text: format!("{} of {} tokens", format::count(used), format::count(limit)),
        level,
        note: format!("{:.0} % · {level}", (part * 100.0).floor()),
        value: format!("{:.3}", part.min(1.0)),
    }
}

fn list(value: Option<&Value>, key: &str, step: impl Fn(&Value) -> Option<Step>) -> Vec<Step> {
    let items = value.and_then(|value| value[key].as_array());
    let items = items.into_iter().flatten();
    items.filter_map(step).take(text::MAX_MEMBERS).collect()
}

/// A test run: its number or its file, and its figures.
fn run(told: &Value) -> Option<Step> {
    let name = match told["number"].as_u64() {
        Some(number) => format!("Iteration {number}"),
        None => text::line(told["file"].as_str()?, text::NAME_CHARS),
    };
    let figure = |key: &str, word: &str| {
        told[key]
            .as_u64()
            .map(|n| format!("{} {word}", format::count(n)))
    };
    Some(Step {
        state: outcome(&told["success"]),
        text: name,
        note: joined([
            figure("passed", "passed"),
            figure("failed", "failed"),
            figure("skipped", "skipped"),
            figure("total", "in all"),
        ])
        .unwrap_or_else(|| "no figures told".to_owned()),
    })
}

fn outcome(success: &Value) -> &'static str {
    match success.as_bool() {
        Some(true) => "completed",
        Some(false) => "failed",
        None => "unknown",
    }
}

/// A decision, without a state: it was taken.
fn decision(told: &Value) -> Option<Step> {
    let word = |key: &str| {
        let told = told[key].as_str()?;
        Some(text::line(told, text::NAME_CHARS))
    };
    let quality = told["quality"].as_f64();
    let worked = told["worked"].as_bool();
    Some(Step {
        state: "",
        text: text::line(told["text"].as_str()?, text::VALUE_CHARS),
        note: joined([
            word("kind"),
            word("phase"),
            word("severity").map(|severity| severity.to_lowercase()),
            quality.map(|quality| format!("quality {quality} of 5")),
            worked.map(|worked| {
                if worked {
                    "worked well"
                } else {
                    "did not work"
                }
                .to_owned()
            }),
            (told["lessons_used"] == true).then(|| "lessons used".to_owned()),
        ])
        .map_or_else(String::new, |note| text::attribute(&note)),
    })
}

fn decisions_note(build: &Build) -> String {
    let Some(told) = &build.decisions else {
        return String::new();
    };
    joined([
        told["total"].as_u64().map(format::count),
        told["average_quality"]
            .as_f64()
            .map(|quality| format!("quality {quality} of 5")),
        told["lessons_used"]
            .as_u64()
            .map(|n| format!("{} with lessons", format::count(n))),
    ])
    .unwrap_or_default()
}

/// A task: what it is, how it stands, and after which others it comes.
fn task(told: &Value) -> Option<Step> {
    let id = told["id"].as_str();
    let name = told["text"].as_str().or(id)?;
    let after: Vec<&str> = told["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let after = (!after.is_empty()).then(|| format!("after {}", after.join(", ")));
    let files = told["files"].as_u64().map(|n| match n {
        1 => "1 file".to_owned(),
        n => format!("{} files", format::count(n)),
    });
    let estimate = told["estimate"].as_str();
    let error = told["error_bytes"].as_u64();
    Some(Step {
        state: match told["state"].as_str() {
            Some("completed") => "completed",
            Some("failed") => "failed",
            Some("pending") => "queued",
            _ => "unknown",
        },
        text: text::line(name, text::TITLE_CHARS),
        note: joined([
            id.filter(|id| *id != name).map(str::to_owned),
            told["level"].as_u64().map(|level| format!("level {level}")),
            after,
            files,
            estimate.map(|estimate| format!("estimated {estimate}")),
            error.map(|n| format!("error log of {}", format::bytes(n))),
        ])
        .map_or_else(String::new, |note| text::attribute(&note)),
    })
}

fn tasks_note(build: &Build) -> String {
    let Some(told) = &build.tasks else {
        return String::new();
    };
    let done = told["completed"].as_u64().map(format::count);
    let total = told["total"].as_u64().map(format::count);
    let done = match (done, total) {
        (Some(done), Some(total)) => Some(format!("{done} of {total} done")),
        (Some(done), None) => Some(format!("{done} done")),
        (None, total) => total,
    };
    joined([
        done,
        told["parallel"].as_bool().map(|parallel| {
            if parallel {
                "in parallel"
            } else {
                "one after another"
            }
            .to_owned()
        }),
        told["left_out"]
            .as_u64()
            .filter(|n| *n > 0)
            .map(|n| format!("{} more", format::count(n))),
    ])
    .unwrap_or_default()
}

/// What is known, in one line. Where words of producers are in it, none may
/// turn the others around: see [`text::attribute`].
pub(crate) fn joined(parts: impl IntoIterator<Item = Option<String>>) -> Option<String> {
    let known: Vec<String> = parts.into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(" · "))
}

/// Where the build's data comes from.
pub(crate) fn origin(build: &Build) -> &'static str {
    match build.origin {
        Origin::Live => "a live file",
        Origin::Checkpoint => "a checkpoint",
        Origin::Http => "a call",
    }
}

#[cfg(test)]
mod tests;
