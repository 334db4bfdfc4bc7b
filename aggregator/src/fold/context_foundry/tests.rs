//! The test runs of a build: the count that its producer keeps, a report of
//! each run, and what the summary says of them.

use serde_json::{Map, Value, json};

use super::parts::{Kind, Parts};
use crate::fold::run::Run;
use crate::fold::value::count;

/// Reports that are shown: five times the most iterations that a prompt allows.
const MAX_REPORTS: usize = 50;

/// What is kept of a report's figures.
pub(super) fn report(document: &Map<String, Value>) -> Value {
    let figure = |key: &str| count(document, key);
    let told = document.get("success").and_then(Value::as_bool);
    let (passed, failed) = (figure("passed"), figure("failed"));
    // No failure among tests that passed is a success, also where nobody says so.
    let success = match (told, passed, failed) {
        (_, _, Some(1..)) => Some(false),
        (Some(told), ..) => Some(told),
        (None, Some(1..), Some(0)) => Some(true),
        _ => None,
    };
    json!({
        "passed": passed, "failed": failed, "skipped": figure("skipped"), "total": figure("total"),
        "success": success,
    })
}

/// The newest iteration that is known.
pub(super) fn iteration(run: &Run, parts: &Parts) -> Option<u64> {
    run.build.test_iteration.max(counted(run, parts))
}

fn counted(run: &Run, parts: &Parts) -> Option<u64> {
    parts.newest(run, Kind::Count)?.told.as_u64()
}

/// What is known of the tests.
pub(super) fn told(run: &Run, parts: &Parts) -> Option<Value> {
    let summary = run.build.summary.as_ref().and_then(Value::as_object);
    let member = |key: &str| summary.filter(|summary| summary.contains_key(key));
    let passed = member("tests_passed").and_then(|summary| summary["tests_passed"].as_bool());
    let told = member("test_iterations").and_then(|summary| count(summary, "test_iterations"));
    let counted = counted(run, parts);
    let runs = runs(run, parts);
    let in_summary = member("tests_passed")
        .or(member("test_iterations"))
        .is_some();
    if !in_summary && counted.is_none() && runs.is_empty() {
        return None;
    }
    let mut tests = json!({"passed": passed, "iterations": told.or(counted)});
    if !runs.is_empty() {
        tests["runs"] = Value::Array(runs);
    }
    Some(tests)
}

/// The reports, by the number of their iteration; those without one last.
fn runs(run: &Run, parts: &Parts) -> Vec<Value> {
    let mut runs: Vec<(u64, &str, Value)> = parts
        .of(run, Kind::Report)
        .map(|(file, part)| {
            let number = number(file);
            let mut told = part.told.clone();
            told["number"] = json!(number);
            told["file"] = json!(file);
            (number.unwrap_or(u64::MAX), file, told)
        })
        .collect();
    runs.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    runs.truncate(MAX_REPORTS);
    runs.into_iter().map(|(_, _, told)| told).collect()
}

/// The number in `test-results-iteration-3.md`.
fn number(file: &str) -> Option<u64> {
    let rest = file.split_once("iteration-")?.1;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}
