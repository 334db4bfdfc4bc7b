//! What each phase of a workflow cost and took, beside what was estimated. The
//! true cost of a phase is that of its agents (their result lines); where they
//! tell none, its log's or its task log's.

use protocol::build::Fact;
use protocol::{Build, Money};
use serde_json::{Map, Value};

use super::{phase_log, words};
use crate::fold::phases;
use crate::fold::silence::minutes;
use crate::fold::value::{dollars, dollars_in_words, name};

/// Where the estimate of each phase stands.
const ESTIMATES: &str = "estimated_cost_breakdown";

/// Adds a fact for each phase of which a cost or a duration is known.
pub(super) fn tell(build: &mut Build) {
    let estimates = build.fields.get(ESTIMATES).and_then(Value::as_object);
    let mut told: Vec<Fact> = Vec::new();
    for phase in &build.phases {
        let of_phase = |known: &str| phases::same(known, &phase.name);
        let figures = || {
            let all = phase_log::figures(&build.fields);
            all.filter(|(known, _)| of_phase(known))
                .map(|(_, told)| told)
        };
        let cost = by_agents(build, &of_phase)
            .or_else(|| figures().find_map(|told| dollars(told.get("cost_usd")?)));
        let took = figures().find_map(millis);
        let estimate = estimates
            .into_iter()
            .flatten()
            .find(|(known, _)| of_phase(known))
            .and_then(|(_, estimate)| dollars_in_words(estimate));
        if cost.is_none() && took.is_none() {
            continue;
        }
        let cost = cost.and_then(|usd| dollars_in_words(&usd.to_string().into()));
        let mut parts = vec![cost.unwrap_or_else(|| "cost unknown".to_owned())];
        parts.extend(estimate.map(|usd| format!("estimated {usd}")));
        parts.extend(took.map(minutes));
        told.push(Fact {
            key: format!("phase_cost.{}", phase.name),
            label: format!("Cost of {}", phase.name),
            text: parts.join(", "),
        });
    }
    build.facts.extend(told);
}

/// What the agents that work in a phase cost together; none when none of them tells.
fn by_agents(build: &Build, of_phase: &impl Fn(&str) -> bool) -> Option<Money> {
    let agents = build.agents.as_ref()?.as_array()?;
    let costs = agents
        .iter()
        .filter_map(Value::as_object)
        .filter_map(|agent| {
            let phase = words::phase_of_agent(&name(agent, "name")?)?;
            let cost = dollars(agent.get("cost_usd")?)?;
            of_phase(phase).then_some(cost)
        });
    let costs: Vec<Money> = costs.collect();
    (!costs.is_empty()).then(|| costs.into_iter().sum())
}

/// Milliseconds that a phase took.
fn millis(told: &Map<String, Value>) -> Option<i64> {
    let seconds = told.get("duration_seconds")?.as_f64()?;
    let plausible = (0.0..1e9).contains(&seconds);
    #[expect(clippy::cast_possible_truncation, reason = "below 1e12")]
    let millis = (seconds * 1_000.0) as i64;
    plausible.then_some(millis)
}
