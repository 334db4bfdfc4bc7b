//! Decisions of a build: those it tells as such, and what its feedback files
//! say that it learned: each issue was resolved by one. A quality that nobody
//! rated stays unknown; upstream makes up a 3.

use serde_json::{Map, Value, json};

use super::parts::{Kind, Parts, text};
use crate::fold::run::Run;
use crate::fold::value::name;

/// Decisions that are shown: five times what the longest real feedback has.
const MAX_DECISIONS: usize = 100;
/// Characters of a decision: a few lines on a page.
const MAX_TEXT: usize = 500;
/// Best quality (the producer's own scale begins at 1).
const BEST: f64 = 5.0;

/// What is kept of a feedback file.
pub(super) fn reduced(document: &Map<String, Value>) -> Value {
    let list = |key: &str| {
        let items = document.get(key).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_object)
    };
    let decisions = list("decisions").map(decision);
    let issues = list("issues_found").map(issue);
    let patterns = list("successful_patterns").map(pattern);
    let advice = list("recommendations").map(recommendation);
    let all = decisions.chain(issues).chain(patterns).chain(advice);
    all.filter(|told| told["text"].is_string())
        .take(MAX_DECISIONS)
        .collect()
}

/// A decision as the producer tells it.
pub(in crate::fold) fn decision(told: &Map<String, Value>) -> Value {
    let first = |keys: &[&str]| keys.iter().find_map(|key| text(told, key, MAX_TEXT));
    json!({
        "kind": first(&["decision_type", "type"]),
        "text": first(&["decision_description", "description", "decision", "decision_type", "type"]),
        "phase": name(told, "phase"),
        "quality": quality(told),
        "lessons_used": told.get("used_lessons_learned").and_then(Value::as_bool),
    })
}

/// 1 to 5; anything else is no rating.
fn quality(told: &Map<String, Value>) -> Option<f64> {
    let keys = ["quality_rating", "quality"];
    let rating = keys.iter().find_map(|key| told.get(*key)?.as_f64())?;
    (1.0..=BEST).contains(&rating).then_some(rating)
}

fn issue(told: &Map<String, Value>) -> Value {
    let applies = told.get("applies_to_phases").and_then(Value::as_array);
    json!({
        "kind": "issue resolution",
        "text": text(told, "issue", MAX_TEXT).or_else(|| text(told, "description", MAX_TEXT)),
        "phase": name(told, "detected_in_phase"),
        "quality": quality(told),
        "lessons_used": applies.map(|phases| !phases.is_empty()),
        "severity": text(told, "severity", MAX_TEXT),
    })
}

fn pattern(told: &Map<String, Value>) -> Value {
    json!({
        "kind": "pattern",
        "text": text(told, "pattern", MAX_TEXT),
        "phase": name(told, "category"),
        "quality": quality(told),
        "worked": told.get("worked_well").and_then(Value::as_bool),
    })
}

fn recommendation(told: &Map<String, Value>) -> Value {
    json!({
        "kind": "recommendation",
        "text": text(told, "recommendation", MAX_TEXT),
        "phase": name(told, "for_phase"),
        "quality": null,
        "severity": text(told, "priority", MAX_TEXT),
    })
}

/// What is known of the decisions.
pub(super) fn told(run: &Run, parts: &Parts) -> Option<Value> {
    let fed_back = parts.of(run, Kind::Feedback);
    let fed_back = fed_back.flat_map(|(_, part)| part.told.as_array().into_iter().flatten());
    let all: Vec<&Value> = run.foundry.decisions.iter().chain(fed_back).collect();
    if all.is_empty() {
        return None;
    }
    let rated: Vec<f64> = all
        .iter()
        .filter_map(|told| told["quality"].as_f64())
        .collect();
    let of_lessons = all.iter().filter_map(|told| told["lessons_used"].as_bool());
    let lessons: Vec<bool> = of_lessons.collect();
    Some(json!({
        "total": all.len(),
        "average_quality": average(&rated),
        "lessons_used": (!lessons.is_empty()).then(|| lessons.iter().filter(|used| **used).count()),
        "list": all.into_iter().take(MAX_DECISIONS).collect::<Vec<_>>(),
    }))
}

/// To one digit, as the original shows it.
#[expect(clippy::cast_precision_loss, reason = "at most some hundred ratings")]
fn average(ratings: &[f64]) -> Option<f64> {
    let sum: f64 = ratings.iter().sum();
    (!ratings.is_empty()).then(|| (sum / ratings.len() as f64 * 10.0).round() / 10.0)
}
