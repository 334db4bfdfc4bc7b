//! What a producer says in the words of a build: the members of a `CloudEvent`,
//! or those that a table mapped (`protocol::mapping`). Each may be missing,
//! null or of another type; a missing one does not erase what is known.

use protocol::Build;
use protocol::build::{Context, Fact, Tokens};
use serde_json::{Map, Value};

use super::value::{count, dollars, dollars_in_words, in_words, name, sentence, web_address};

/// Facts of one build: more than any table of ours has.
const MAX_FACTS: usize = 64;

/// Takes over the members that stand for themselves: all but phases, progress and state.
pub(super) fn take_over(build: &mut Build, told: &Map<String, Value>) {
    let keep = |known: &mut Option<String>, new: Option<String>| {
        if new.is_some() {
            *known = new;
        }
    };
    keep(&mut build.session_id, name(told, "session_id"));
    keep(&mut build.status, name(told, "status"));
    keep(&mut build.phase_number, name(told, "phase_number"));
    keep(&mut build.detail, sentence(told, "detail"));
    keep(&mut build.error, sentence(told, "error"));
    keep(&mut build.branch, name(told, "branch"));
    keep(&mut build.commit, name(told, "commit"));
    keep(&mut build.issue, name(told, "issue"));
    keep(&mut build.coding_agent, name(told, "coding_agent"));
    keep(&mut build.model, name(told, "model"));
    keep(&mut build.pr_url, web_address(told, &["pr_url"]));
    if let Some(project) = name(told, "project") {
        build.project = project;
    }
    if let Some(iteration) = count(told, "test_iteration") {
        build.test_iteration = Some(iteration);
    }
    if let Some(cost) = told.get("cost_usd").and_then(dollars) {
        build.cost_usd = Some(cost);
        let estimated = told.get("cost_estimated").and_then(Value::as_bool);
        build.cost_estimated = Some(estimated.unwrap_or(false));
    }
    if let Some(Value::Object(tokens)) = told.get("tokens") {
        let known = build.tokens.unwrap_or_default();
        let tokens = Tokens {
            input: count(tokens, "input").or(known.input),
            output: count(tokens, "output").or(known.output),
            cache_read: count(tokens, "cache_read").or(known.cache_read),
            cache_write: count(tokens, "cache_write").or(known.cache_write),
            unknown_kind: count(tokens, "unknown_kind").or(known.unknown_kind),
        };
        build.tokens = Some(tokens).filter(|tokens| *tokens != Tokens::default());
    }
    if let Some(Value::Object(context)) = told.get("context") {
        let known = build.context.unwrap_or_default();
        let context = Context {
            used: count(context, "used").or(known.used),
            limit: count(context, "limit").or(known.limit),
        };
        build.context = Some(context).filter(|context| *context != Context::default());
    }
    facts(&mut build.facts, told);
}

/// Facts by their keys: a new value takes the old one's place.
fn facts(known: &mut Vec<Fact>, told: &Map<String, Value>) {
    let told = told.get("facts").and_then(Value::as_array);
    for fact in told.into_iter().flatten().filter_map(Value::as_object) {
        let Some(fact) = fact_of(fact) else { continue };
        match known.iter().position(|other| other.key == fact.key) {
            Some(place) => known[place] = fact,
            None if known.len() < MAX_FACTS => known.push(fact),
            None => {}
        }
    }
}

/// One fact, its value in words; none when it says nothing.
pub(super) fn fact_of(fact: &Map<String, Value>) -> Option<Fact> {
    let value = fact.get("value")?;
    let is_money = fact.get("money").and_then(Value::as_bool) == Some(true);
    let text = match is_money {
        true => dollars_in_words(value),
        false => in_words(value),
    };
    let key = name(fact, "key")?;
    Some(Fact {
        label: name(fact, "label").unwrap_or_else(|| key.clone()),
        key,
        text: text?,
    })
}
