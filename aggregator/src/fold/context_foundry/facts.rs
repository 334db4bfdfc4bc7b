//! What else is known of a build, by name: the keys of its summary, of its
//! state and of its checkpoint that have no member of `Build`. One list; a key
//! that is not in it is kept in `fields` and `summary` all the same.

use protocol::build::Fact;
use serde_json::{Map, Value};

use super::parts::{Kind, Parts, stem};
use crate::fold::limits::MAX_SENTENCE;
use crate::fold::run::Run;
use crate::fold::value::{cut, in_words};

/// Key (and its other names), label, how it is shown.
type Row = (&'static [&'static str], &'static str, As);

/// How a value is shown.
#[derive(Clone, Copy)]
enum As {
    /// In words.
    Words,
    /// A number, or the length of a list.
    Count,
    /// A number of minutes.
    Minutes,
}

/// In the order shown.
#[rustfmt::skip]
const ROWS: [Row; 14] = [
    (&["task", "task_description"], "Task", As::Words),
    (&["project_name"], "Name", As::Words),
    (&["mode"], "Mode", As::Words),
    (&["iterations", "iteration"], "Loops", As::Count),
    (&["failed_attempts"], "Failed attempts", As::Count),
    (&["parallel_execution"], "Parallel", As::Words),
    (&["files_created"], "Files created", As::Count),
    (&["files_modified"], "Files modified", As::Count),
    (&["lines_changed"], "Lines changed", As::Count),
    (&["test_failures"], "Test failures", As::Count),
    (&["issues_fixed"], "Issues fixed", As::Count),
    (&["screenshots_captured"], "Screenshots", As::Count),
    (&["github_url"], "Repository", As::Words),
    (&["start_time"], "Started, by its clock", As::Words),
];

/// Of the summary alone: elsewhere such a key means something else.
#[rustfmt::skip]
const OF_THE_END: [Row; 2] = [
    (&["duration_minutes", "build_duration_minutes"], "Duration, by its clock", As::Minutes),
    (&["end_time", "completed_at", "build_timestamp", "timestamp"], "Ended, by its clock", As::Words),
];

/// What is known, the summary before the state.
pub(super) fn told(run: &Run, parts: &Parts) -> Vec<Fact> {
    let none = Map::new();
    let summary = run.build.summary.as_ref().and_then(Value::as_object);
    let places = [summary.unwrap_or(&none), &run.build.fields];
    let of_all = ROWS.iter().filter_map(|row| fact(row, &places));
    let of_the_end = OF_THE_END.iter().filter_map(|row| fact(row, &places[..1]));
    let mut facts: Vec<Fact> = of_all.chain(of_the_end).collect();
    for (file, part) in parts.of(run, Kind::Output) {
        let bytes = part.told.as_u64();
        facts.push(Fact {
            key: "build_output".to_owned(),
            label: "Output".to_owned(),
            text: match bytes {
                Some(bytes) => format!("{}: {bytes} bytes", stem(file, "build-output-", ".txt")),
                None => stem(file, "build-output-", ".txt").to_owned(),
            },
        });
    }
    if let Some(session) = parts.newest(run, Kind::Session) {
        let figures = [
            ("compactions", "Compactions"),
            ("context_health", "Context health"),
        ];
        facts.extend(figures.into_iter().filter_map(|(key, label)| {
            let text = in_words(&session.told[key])?;
            Some(one(key, label, &text))
        }));
    }
    if parts.left_out > 0 {
        let text = format!("{} files beyond what is kept of a build", parts.left_out);
        facts.push(one("left_out", "Left out", &text));
    }
    facts
}

fn fact((keys, label, shown): &Row, places: &[&Map<String, Value>]) -> Option<Fact> {
    let all = places.iter().flat_map(|place| {
        let of = move |key: &&'static str| Some((*key, place.get(*key)?));
        keys.iter().filter_map(of)
    });
    let mut told = all.filter_map(|(key, value)| Some(one(key, label, &text(value, *shown)?)));
    told.next()
}

fn one(key: &str, label: &str, text: &str) -> Fact {
    Fact {
        key: key.to_owned(),
        label: label.to_owned(),
        text: cut(text, MAX_SENTENCE),
    }
}

/// A list or a number where a number is wanted; producers write either.
fn text(value: &Value, shown: As) -> Option<String> {
    match (shown, value) {
        (As::Words, value) => in_words(value),
        (As::Count, Value::Array(items)) => Some(items.len().to_string()),
        (As::Count, Value::Number(number)) => Some(number.to_string()),
        (As::Minutes, Value::Number(number)) => Some(format!("{number} min")),
        _ => None,
    }
}
