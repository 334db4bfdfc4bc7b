//! Tokens that only the log of phases or the task logs tell (`tokens_used`): how
//! many a phase used, and not of which kind. Where agents told tokens of the
//! phase by kind, theirs are the same ones and count alone; where agents of no
//! known phase told some, nobody knows which are the same, and the logs' are left out.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Build;
use protocol::build::Tokens;
use serde_json::Value;

use super::{costs, phase_log, task_logs, words};
use crate::fold::value::count;

/// Brings them to the build, after what its agents told.
pub(super) fn apply(build: &mut Build) {
    let mut tokens = build.tokens.unwrap_or_default();
    tokens.unknown_kind = of_logs(build);
    build.tokens = Some(tokens).filter(|tokens| *tokens != Tokens::default());
}

fn of_logs(build: &Build) -> Option<u64> {
    let agents = build.agents.as_ref().and_then(Value::as_array);
    let agents = agents.into_iter().flatten().filter_map(Value::as_object);
    let tells = |value: &Value| {
        let kinds = value.as_object().into_iter().flatten();
        kinds.into_iter().any(|(_, tokens)| tokens.is_u64())
    };
    let by_kind: BTreeSet<Option<String>> = agents
        .filter(|agent| agent.get("tokens").is_some_and(tells))
        .map(costs::phase_of)
        .collect();
    if by_kind.contains(&None) {
        return None;
    }
    // The file and the calls tell the same: of each phase one of them counts.
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for source in [phase_log::LOG, task_logs::LOGS] {
        let mut of_source: BTreeMap<String, u64> = BTreeMap::new();
        for (phase, figures) in phase_log::figures_at(&build.fields, source) {
            if let Some(tokens) = count(figures, task_logs::TOKENS) {
                let sum = of_source.entry(words::spelled(phase)).or_default();
                *sum = sum.saturating_add(tokens);
            }
        }
        for (phase, tokens) in of_source {
            told.entry(phase).or_insert(tokens);
        }
    }
    told.retain(|phase, _| !by_kind.contains(&Some(phase.clone())));
    let sum = |sum: Option<u64>, more| Some(sum.unwrap_or(0).saturating_add(more));
    told.into_values().fold(None, sum)
}
