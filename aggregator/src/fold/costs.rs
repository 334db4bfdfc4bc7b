//! What a build's cost consists of: by phase and model, as far as its agents tell.
//! The parts add up to the cost to the last digit. What is not told belongs to no
//! phase and no model, and is shown as unknown. Pure: made from the build alone.

use std::collections::BTreeMap;

use protocol::{Build, Money};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::adw;
use super::limits::MAX_NAME;
use super::value::{cut, name};

/// Parts of one build: ten phases with six models each. What is beyond belongs to no phase and no model.
const MAX_PARTS: usize = 64;
/// Producers add doubles: a whole and its parts may differ by so much, US dollars.
const NOISE: &str = "0.000000001";

/// An amount of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// None where it is not known.
    pub(crate) phase: Option<String>,
    /// None where it is not known.
    pub(crate) model: Option<String>,
    /// Decimal text, so that it is exact however it is stored.
    pub(crate) usd: String,
    /// Nobody told it: a guess from list prices or a plan.
    pub(crate) estimated: bool,
}

/// Phase, model, and whether it is an estimate.
type Key = (Option<String>, Option<String>, bool);

/// The parts as they are stored; none while the cost is unknown.
pub(crate) fn stored(build: &Build) -> Option<String> {
    parts(build).and_then(|parts| serde_json::to_string(&parts).ok())
}

/// The parts of a build's cost; none while it is unknown.
pub(crate) fn parts(build: &Build) -> Option<Vec<Part>> {
    let whole = build.cost_usd?;
    let estimated = build.cost_estimated == Some(true);
    let agents = build.agents.as_ref().and_then(Value::as_array);
    let agents = agents.into_iter().flatten().filter_map(Value::as_object);
    let logged = match build.producer.as_str() {
        adw::PRODUCER => adw::of_logs(build),
        _ => adw::Logged::default(),
    };
    let is_logged = |phase: &String| logged.phases.contains_key(phase);
    let agents = agents.filter(|agent| !phase(build, agent).as_ref().is_some_and(is_logged));
    let mut told: Vec<(Key, Money)> = agents.flat_map(|agent| of_agent(build, agent)).collect();
    // Where nothing tells the parts, all of it is the one model's that was named.
    let model = build.model.clone().filter(|_| told.is_empty());
    // What may be within what agents of no phase spent is of no phase either.
    let placed = logged.phases.iter().filter(|_| !logged.overlaps);
    told.extend(placed.map(|(phase, usd)| {
        let key = (Some(phase.clone()), model.clone(), logged.is_cut);
        (key, *usd)
    }));
    let all = complete(told, whole, (None, model, estimated));
    let mut sums: BTreeMap<Key, Money> = BTreeMap::new();
    for (key, usd) in all {
        let known = sums.len() < MAX_PARTS || sums.contains_key(&key);
        let key = if known { key } else { (None, None, key.2) };
        *sums.entry(key).or_default() += usd;
    }
    let part = |((phase, model, estimated), usd): (Key, Money)| Part {
        phase,
        model,
        usd: usd.to_string(),
        estimated,
    };
    Some(sums.into_iter().map(part).collect())
}

/// What an agent spent, by model.
fn of_agent(build: &Build, agent: &Map<String, Value>) -> Vec<(Key, Money)> {
    let Some(whole) = amount(agent) else {
        return Vec::new();
    };
    let is_estimate = |object: &Map<String, Value>, otherwise| {
        let told = object.get("cost_estimated").and_then(Value::as_bool);
        told.unwrap_or(otherwise)
    };
    let estimated = is_estimate(agent, build.cost_estimated == Some(true));
    let phase = phase(build, agent);
    let models = agent.get("models").and_then(Value::as_object);
    let told: Vec<(Key, Money)> = models
        .into_iter()
        .flatten()
        .filter_map(|(model, spent)| {
            let spent = spent.as_object()?;
            let key = (
                phase.clone(),
                Some(cut(model, MAX_NAME)),
                is_estimate(spent, estimated),
            );
            Some((key, amount(spent)?))
        })
        .collect();
    let model = name(agent, "model").filter(|_| told.is_empty());
    complete(told, whole, (phase, model, estimated))
}

/// The phase that an agent names, or that its own name tells.
fn phase(build: &Build, agent: &Map<String, Value>) -> Option<String> {
    let told = name(agent, "phase");
    told.or_else(|| match build.producer.as_str() {
        adw::PRODUCER => adw::phase_of(agent),
        _ => None,
    })
}

/// Makes parts add up to their whole: what is missing is the `rest`'s. Parts that are
/// more than the whole contradict it, and are not believed.
fn complete(mut parts: Vec<(Key, Money)>, whole: Money, rest: Key) -> Vec<(Key, Money)> {
    let sum: Money = parts.iter().map(|(_, usd)| *usd).sum();
    let noise: Money = NOISE.parse().unwrap_or_default();
    let dearest = parts.iter_mut().max_by_key(|(_, usd)| *usd);
    match (whole.minus(sum), sum.minus(whole), dearest) {
        (Some(missing), _, Some((_, usd))) if missing <= noise => *usd += missing,
        (Some(missing), ..) => parts.push((rest, missing)),
        (None, Some(more), Some((_, usd))) if more <= noise && *usd >= more => {
            *usd = usd.minus(more).unwrap_or_default();
        }
        _ => return vec![((rest.0, None, rest.2), whole)],
    }
    parts
}

/// Decimal text, or a number as it is spelled.
fn amount(object: &Map<String, Value>) -> Option<Money> {
    match object.get("cost_usd")? {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}
