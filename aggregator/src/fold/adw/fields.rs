//! The one list of the fields that a workflow's state file has. What stands
//! here is a fact of the build from the database to the page; what does not is
//! kept in `fields` all the same.

use protocol::Build;
use protocol::build::Fact;
use serde_json::{Map, Value};

use crate::fold::limits::MAX_FIELDS_BYTES;
use crate::fold::value::{dollars, dollars_in_words, in_words, name, web_address};

/// One field.
struct Field {
    /// As the producer names it.
    key: &'static str,
    /// As it named it earlier.
    older: Option<&'static str>,
    /// As people name it.
    label: &'static str,
    goes: Goes,
    /// It belongs to the workflow, not to one try of it: a restart forgets nothing of it.
    lasts: bool,
}

/// Where a field goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goes {
    /// Into the list of facts.
    Fact,
    /// The same, as US dollars.
    Money,
    /// The same, and `Build::cost_usd` until the true cost is known.
    Estimate,
    /// `Build::issue`.
    Issue,
    /// `Build::branch`.
    Branch,
    /// `Build::model`.
    Model,
    /// `Build::tests`.
    Tests,
    /// `Build::pr_url`.
    PullRequest,
}

const LASTS: bool = true;
const OF_A_TRY: bool = false;

const fn field(
    key: &'static str,
    older: Option<&'static str>,
    label: &'static str,
    goes: Goes,
    lasts: bool,
) -> Field {
    Field {
        key,
        older,
        label,
        goes,
        lasts,
    }
}

/// In the order shown.
#[rustfmt::skip]
const FIELDS: [Field; 25] = [
    field("issue_number", None, "Issue", Goes::Issue, LASTS),
    field("branch_name", None, "Branch", Goes::Branch, LASTS),
    field("pr_url", Some("pull_request_url"), "Pull request", Goes::PullRequest, LASTS),
    field("model_used", Some("model"), "Model", Goes::Model, LASTS),
    field("parent_issue", None, "Parent issue", Goes::Fact, LASTS),
    field("queue_id", None, "Queue entry", Goes::Fact, LASTS),
    field("issue_class", Some("classification"), "Class", Goes::Fact, LASTS),
    field("nl_input", None, "Request", Goes::Fact, LASTS),
    field("github_url", None, "Issue page", Goes::Fact, LASTS),
    field("workflow_template", Some("workflow"), "Workflow", Goes::Fact, LASTS),
    field("all_adws", None, "Scripts run", Goes::Fact, OF_A_TRY),
    field("plan_file", None, "Plan", Goes::Fact, LASTS),
    field("worktree_path", None, "Worktree", Goes::Fact, LASTS),
    field("backend_port", None, "Backend port", Goes::Fact, LASTS),
    field("frontend_port", None, "Frontend port", Goes::Fact, LASTS),
    field("model_set", None, "Model set", Goes::Fact, LASTS),
    field("estimated_cost_total", Some("estimated_cost"), "Estimated cost", Goes::Estimate, LASTS),
    field("estimated_cost_breakdown", None, "Estimated cost by phase", Goes::Money, LASTS),
    field("baseline_errors", None, "Errors before the work", Goes::Fact, OF_A_TRY),
    field("external_build_results", None, "Build result", Goes::Fact, OF_A_TRY),
    field("external_lint_results", None, "Lint result", Goes::Fact, OF_A_TRY),
    field("external_test_results", None, "Test result", Goes::Tests, OF_A_TRY),
    field("review_results", None, "Review", Goes::Fact, OF_A_TRY),
    field("integration_checklist_markdown", None, "Integration checklist", Goes::Fact, LASTS),
    field("end_time", None, "Ended, by its clock", Goes::Fact, OF_A_TRY),
];

impl Field {
    /// Its value; null is none.
    fn of<'a>(&self, fields: &'a Map<String, Value>) -> Option<(&'static str, &'a Value)> {
        let keys = [Some(self.key), self.older];
        keys.into_iter().flatten().find_map(|key| {
            let value = fields.get(key).filter(|value| !value.is_null())?;
            Some((key, value))
        })
    }
}

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
    let is_null = |key: &str| document.get(key).is_some_and(Value::is_null);
    FIELDS
        .iter()
        .filter(|field| field.lasts && field.of(known).is_some())
        .any(|field| is_null(field.key))
}

/// Fields of the workflow that its orchestrator's calls have as well.
const TOLD_BY_CALLS: [&str; 4] = [
    "issue_number",
    "workflow_template",
    "parent_issue",
    "queue_id",
];

/// Whether a member of a call is such a field.
pub(super) fn is_told_by_calls(key: &str) -> bool {
    TOLD_BY_CALLS.contains(&key)
}

/// What stays known over a restart.
pub(super) fn lasting(mut known: Map<String, Value>) -> Map<String, Value> {
    known.retain(|key, _| {
        let named = |field: &Field| field.key == key || field.older == Some(key);
        FIELDS.iter().any(|field| field.lasts && named(field))
    });
    known
}

/// Brings the fields to their places in the build.
pub(super) fn apply(build: &mut Build) {
    let fields = std::mem::take(&mut build.fields);
    build.facts.clear();
    for field in &FIELDS {
        let Some((key, value)) = field.of(&fields) else {
            continue;
        };
        place(build, field.goes, &fields, key, value);
        let text = match field.goes {
            Goes::Money | Goes::Estimate => dollars_in_words(value),
            Goes::Fact => in_words(value),
            // They have places of their own on every page.
            Goes::Issue | Goes::Branch | Goes::Model | Goes::Tests | Goes::PullRequest => None,
        };
        if let Some(text) = text {
            build.facts.push(Fact {
                key: field.key.to_owned(),
                label: field.label.to_owned(),
                text,
            });
        }
    }
    build.fields = fields;
}

fn place(build: &mut Build, goes: Goes, fields: &Map<String, Value>, key: &str, value: &Value) {
    match goes {
        Goes::Fact | Goes::Money => {}
        Goes::Issue => build.issue = name(fields, key),
        Goes::Branch => build.branch = name(fields, key),
        Goes::Model => build.model = build.model.take().or_else(|| name(fields, key)),
        Goes::PullRequest => build.pr_url = web_address(fields, &[key]),
        Goes::Tests => build.tests = Some(value.clone()),
        Goes::Estimate if build.cost_estimated != Some(false) => {
            build.cost_usd = dollars(value);
            build.cost_estimated = build.cost_usd.map(|_| true);
        }
        Goes::Estimate => {}
    }
}
