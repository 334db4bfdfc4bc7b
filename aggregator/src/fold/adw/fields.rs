//! The fields of a workflow's state file, by the one table that declares them
//! (`protocol::mapping::ADW_STATE`). What stands there is a fact of the build
//! from the database to the page; what does not is kept in `fields` all the
//! same. Here is what no table says: what lasts over a restart with the same
//! id, what is an estimate, what are test results.

use std::collections::BTreeSet;

use protocol::Build;
use protocol::mapping::{ADW_STATE, Pointer};
use serde_json::{Map, Value};

use crate::fold::limits::MAX_FIELDS_BYTES;
use crate::fold::run::Run;
use crate::fold::told;
use crate::fold::value::{count, dollars, name, web_address};

/// Fields of one try of a workflow; any other belongs to the workflow, and a
/// restart forgets nothing of it.
const OF_A_TRY: [&str; 8] = [
    "all_adws",
    "baseline_errors",
    "external_build_results",
    "external_lint_results",
    "external_test_results",
    "review_results",
    "start_time",
    "end_time",
];
/// What its tests gave has a place of its own.
const TESTS: &str = "external_test_results";
/// `Build::cost_usd` until the true cost is known, and as it was named earlier.
const ESTIMATE: [&str; 2] = ["estimated_cost_total", "estimated_cost"];

/// The names of every field of the table that lasts, the newest of each first.
fn lasting_names() -> impl Iterator<Item = Vec<String>> {
    let fields = ADW_STATE.fields.iter().map(|(_, places)| places);
    let facts = ADW_STATE.facts.iter().map(|fact| &fact.places);
    let names = fields.chain(facts).map(|places| {
        let top = places.iter().filter_map(Pointer::first);
        top.map(str::to_owned).collect::<Vec<_>>()
    });
    names.filter(|names| {
        let is_of_try = |name: &String| {
            OF_A_TRY.contains(&name.as_str()) || OF_A_STATE.contains(&name.as_str())
        };
        !names.iter().any(is_of_try)
    })
}

/// Where it stands, which is never lasting.
const OF_A_STATE: [&str; 2] = ["status", "current_phase"];

/// Takes over a state file. What it does not name, and what it says is null,
/// stays as it was known; an older copy only adds what is unknown.
pub(super) fn merge(known: &mut Map<String, Value>, document: &Map<String, Value>, newest: bool) {
    for (key, value) in document {
        let unknown = known.get(key).is_none_or(Value::is_null);
        if unknown || (newest && !value.is_null()) {
            known.insert(key.clone(), value.clone());
        }
    }
    let size = serde_json::to_vec(known).map_or(0, |text| text.len());
    if size > MAX_FIELDS_BYTES {
        known.clone_from(document);
    }
}

/// A state file that says null for what was known of the workflow: it was
/// begun again with the same id.
pub(super) fn is_reset(known: &Map<String, Value>, document: &Map<String, Value>) -> bool {
    let is_null = |key: &String| document.get(key).is_some_and(Value::is_null);
    let is_known = |names: &[String]| {
        let value = |name: &String| known.get(name).is_some_and(|value| !value.is_null());
        names.iter().any(value)
    };
    lasting_names().any(|names| is_known(&names) && names.first().is_some_and(is_null))
}

/// Fields of the workflow that its orchestrator's calls and logs have as well,
/// in their body or in its `metadata`.
const TOLD: [&str; 8] = [
    "issue_number",
    "workflow_template",
    "parent_issue",
    "queue_id",
    "queue_position",
    "queue_status",
    "pr_url",
    "pr_number",
];

/// Takes over what a call or a line of a log tells of the workflow.
pub(super) fn merge_told(run: &mut Run, told: &Map<String, Value>) {
    let metadata = told.get("metadata").and_then(Value::as_object);
    for members in [Some(told), metadata].into_iter().flatten() {
        let known = members
            .iter()
            .filter(|(key, _)| TOLD.contains(&key.as_str()));
        let known = known.map(|(key, value)| (key.clone(), value.clone()));
        merge(&mut run.build.fields, &known.collect(), true);
    }
}

/// What stays known over a restart.
pub(super) fn lasting(mut known: Map<String, Value>) -> Map<String, Value> {
    let names: BTreeSet<String> = lasting_names().flatten().collect();
    known.retain(|key, _| names.contains(key));
    known
}

/// Brings the fields to their places in the build.
pub(super) fn apply(build: &mut Build) {
    let told = ADW_STATE.apply_to(&build.fields).told;
    build.issue = name(&told, "issue").or(build.issue.take());
    build.branch = name(&told, "branch").or(build.branch.take());
    build.model = build.model.take().or_else(|| name(&told, "model"));
    build.pr_url = web_address(&told, &["pr_url"])
        .or_else(|| pull_request(&build.fields))
        .or(build.pr_url.take());
    if let Some(tests) = build.fields.get(TESTS).filter(|value| !value.is_null()) {
        build.tests = Some(tests.clone());
    }
    let estimate = ESTIMATE
        .iter()
        .filter_map(|key| build.fields.get(*key))
        .find(|value| !value.is_null());
    if build.cost_estimated != Some(false)
        && let Some(usd) = estimate.and_then(dollars)
    {
        build.cost_usd = Some(usd);
        build.cost_estimated = Some(true);
    }
    let facts = told.get("facts").and_then(Value::as_array);
    let facts = facts.into_iter().flatten().filter_map(Value::as_object);
    build.facts = facts.filter_map(told::fact_of).collect();
}

/// The pull request's page, where its number and the issue's page are known.
fn pull_request(fields: &Map<String, Value>) -> Option<String> {
    let number = count(fields, "pr_number")?;
    let issue = web_address(fields, &["github_url"])?;
    let (repository, _) = issue.split_once("/issues/")?;
    Some(format!("{repository}/pull/{number}"))
}
