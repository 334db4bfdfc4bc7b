//! What each phase of a workflow cost and took, beside what was estimated, and
//! with it what the whole cost. The true cost of a phase is that of its agents
//! (their result lines); where they tell none, or only a guess that is less,
//! it is what its log or its task logs say that it spent.

use std::collections::BTreeMap;

use protocol::build::Fact;
use protocol::{Build, Money};
use serde_json::{Map, Value};

use super::{phase_log, task_logs, words};
use crate::fold::limits::MAX_NAME;
use crate::fold::phases;
use crate::fold::silence::minutes;
use crate::fold::value::{cut, dollars, dollars_in_words, name};

/// Where the estimate of each phase stands.
const ESTIMATES: &str = "estimated_cost_breakdown";

/// What the agents of a phase, or of none that is known, cost together.
#[derive(Default)]
struct Spent {
    usd: Option<Money>,
    /// Of some nothing is known, or only a guess.
    is_estimate: bool,
}

/// What logs tell where agents do not: see [`of_logs`].
#[derive(Default)]
pub(in crate::fold) struct Logged {
    /// By phase.
    pub(in crate::fold) phases: BTreeMap<String, Money>,
    /// Agents of no known phase have spent something, which may be within these amounts.
    pub(in crate::fold) overlaps: bool,
    /// The log's beginning is not read: it may have been more.
    pub(in crate::fold) is_cut: bool,
}

/// The phases whose cost only their logs tell.
pub(in crate::fold) fn of_logs(build: &Build) -> Logged {
    let spent = by_phase(build);
    let mut told: BTreeMap<String, Money> = BTreeMap::new();
    // The file and the calls tell the same: of each phase one of them counts.
    for source in [phase_log::LOG, task_logs::LOGS] {
        let mut of_source: BTreeMap<String, Money> = BTreeMap::new();
        for (phase, figures) in phase_log::figures_at(&build.fields, source) {
            let Some(usd) = figures.get("cost_usd").and_then(dollars) else {
                continue;
            };
            let sum = of_source
                .entry(words::spelled(&cut(phase, MAX_NAME)))
                .or_default();
            *sum = sum.plus(usd);
        }
        for (phase, usd) in of_source {
            told.entry(phase).or_insert(usd);
        }
    }
    told.retain(|phase, usd| {
        let Some(spent) = spent.get(&Some(phase.clone())) else {
            return true;
        };
        let known = spent.usd.unwrap_or_default();
        spent.is_estimate && known < *usd || spent.usd.is_none()
    });
    let overlaps = spent.get(&None).is_some_and(|spent| spent.usd.is_some());
    Logged {
        phases: told,
        overlaps,
        is_cut: build.fields.get(phase_log::CUT) == Some(&Value::Bool(true)),
    }
}

/// The phase that an agent worked in, as its name tells it.
pub(in crate::fold) fn phase_of(agent: &Map<String, Value>) -> Option<String> {
    words::phase_of_agent(&name(agent, "name")?).map(str::to_owned)
}

fn by_phase(build: &Build) -> BTreeMap<Option<String>, Spent> {
    let agents = build.agents.as_ref().and_then(Value::as_array);
    let mut sums: BTreeMap<Option<String>, Spent> = BTreeMap::new();
    for agent in agents.into_iter().flatten().filter_map(Value::as_object) {
        let sum = sums.entry(phase_of(agent)).or_default();
        let usd = agent.get("cost_usd").and_then(dollars);
        sum.usd = match (sum.usd, usd) {
            (Some(a), Some(b)) => Some(a.plus(b)),
            (a, b) => a.or(b),
        };
        sum.is_estimate |= agent.get("cost_estimated") != Some(&Value::Bool(false));
    }
    sums
}

/// Adds what only logs tell to the build's cost, and a fact for each phase of
/// which a cost or a duration is known. `is_cut`: agents were left out.
pub(super) fn apply(build: &mut Build, is_cut: bool) {
    let logged = of_logs(build);
    if !logged.phases.is_empty() {
        add(build, &logged, is_cut);
    }
    tell(build, &logged);
}

fn add(build: &mut Build, logged: &Logged, is_cut: bool) {
    let spent = by_phase(build);
    let others = || {
        let is_logged = |phase: &Option<String>| {
            let phase = phase.as_ref();
            phase.is_some_and(|phase| logged.phases.contains_key(phase))
        };
        spent.iter().filter(move |(phase, _)| !is_logged(phase))
    };
    let agents: Money = others().filter_map(|(_, spent)| spent.usd).sum();
    let unplaced = spent.get(&None).and_then(|spent| spent.usd);
    let logs: Money = logged.phases.values().copied().sum();
    // An agent of no known phase worked in one of these, as far as anybody knows: it is paid once.
    let more = logs.minus(unplaced.unwrap_or_default()).unwrap_or_default();
    let is_guess = logged.is_cut || (logged.overlaps && more > Money::ZERO);
    build.cost_usd = Some(agents.plus(more));
    build.cost_estimated = Some(is_cut || is_guess || others().any(|(_, spent)| spent.is_estimate));
}

fn tell(build: &mut Build, logged: &Logged) {
    let estimates = build.fields.get(ESTIMATES).and_then(Value::as_object);
    let spent = by_phase(build);
    let mut told: Vec<Fact> = Vec::new();
    for phase in &build.phases {
        let spelled = words::spelled(&phase.name);
        let cost = logged.phases.get(&spelled).copied();
        let cost = cost.or_else(|| spent.get(&Some(spelled))?.usd);
        let of_phase = |known: &str| phases::same(known, &phase.name);
        let took = phase_log::figures(&build.fields)
            .filter(|(known, _)| of_phase(known))
            .find_map(|(_, told)| task_logs::seconds(told))
            .and_then(|seconds| i64::try_from(phase_log::millis(seconds)).ok());
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
