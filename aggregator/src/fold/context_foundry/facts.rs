//! What else is known of a build, by name: the keys of its summary, of its
//! state and of its checkpoint that have no member of `Build`. The list is the
//! summary's table; a key that is not in it is kept in `fields` and `summary` all the same.

use protocol::build::Fact;
use protocol::mapping::{FOUNDRY_SUMMARY, FactRow, OF_THE_SUMMARY, Pointer, Shown};
use serde_json::{Map, Value};

use super::parts::{Kind, Parts, stem};
use crate::fold::limits::MAX_SENTENCE;
use crate::fold::run::Run;
use crate::fold::value::{cut, dollars_in_words, in_words};

/// What is known, the summary before the state.
pub(super) fn told(run: &Run, parts: &Parts) -> Vec<Fact> {
    let none = Map::new();
    let summary = run.build.summary.as_ref().and_then(Value::as_object);
    let places = [summary.unwrap_or(&none), &run.build.fields];
    let of_rows = FOUNDRY_SUMMARY.facts.iter().filter_map(|row| {
        let places = match OF_THE_SUMMARY.contains(&row.key.as_str()) {
            true => &places[..1],
            false => &places,
        };
        fact(row, places)
    });
    let mut facts: Vec<Fact> = of_rows.collect();
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

fn fact(row: &FactRow, places: &[&Map<String, Value>]) -> Option<Fact> {
    let all = places.iter().flat_map(|place| {
        let keys = row.places.iter().filter_map(Pointer::first);
        keys.filter_map(|key| Some((key, place.get(key)?)))
    });
    let mut told =
        all.filter_map(|(key, value)| Some(one(key, &row.label, &text(value, row.shown)?)));
    told.next()
}

fn one(key: &str, label: &str, text: &str) -> Fact {
    Fact {
        key: key.to_owned(),
        label: label.to_owned(),
        text: cut(text, MAX_SENTENCE),
    }
}

/// In words, where it is what is wanted.
fn text(value: &Value, shown: Shown) -> Option<String> {
    match (shown, value) {
        (Shown::Words, value) => in_words(value),
        (Shown::Money, value) => dollars_in_words(value),
        (Shown::Count, Value::Array(items)) => Some(items.len().to_string()),
        (Shown::Count, Value::Number(number)) => Some(number.to_string()),
        (Shown::Minutes, Value::Number(number)) => Some(format!("{number} min")),
        _ => None,
    }
}
