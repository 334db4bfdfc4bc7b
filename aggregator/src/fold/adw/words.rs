//! The producer's vocabulary. Its programs use one table's words in another's
//! place, in any case; phases have numbers, and the seventh has two names.

use protocol::BuildState;
use protocol::mapping::ADW_STATE;

use crate::fold::phases;

/// Every phase of a whole workflow, in order.
pub(super) const PHASES: [&str; 10] = [
    "Plan", "Validate", "Build", "Lint", "Test", "Review", "Document", "Ship", "Cleanup", "Verify",
];

/// A phase as this list spells it, any other as it is.
pub(super) fn spelled(phase: &str) -> String {
    let known = PHASES.iter().find(|known| phases::same(known, phase));
    (*known.unwrap_or(&phase)).to_owned()
}

/// Scripts by what their names begin with, and the phase that each is.
const SCRIPTS: [(&str, &str); 11] = [
    ("adw_plan", "Plan"),
    ("adw_validate", "Validate"),
    ("adw_build", "Build"),
    ("adw_lint", "Lint"),
    ("adw_test", "Test"),
    ("adw_review", "Review"),
    ("adw_document", "Document"),
    ("adw_ship", "Ship"),
    ("adw_cleanup", "Cleanup"),
    ("adw_verify", "Verify"),
    ("adw_patch", "Build"),
];

/// The phase that a script is; none for those that run several.
pub(super) fn phase_of_script(script: &str) -> Option<&'static str> {
    let (rest, phase) = SCRIPTS
        .iter()
        .find_map(|(name, phase)| Some((script.strip_prefix(name)?, *phase)))?;
    // `adw_plan_iso` is one phase, `adw_plan_build_iso` several.
    matches!(rest, "" | "_iso").then_some(phase)
}

/// Agents by what their names begin with, and the phase in which each works.
/// Those that work in several (`ops`, `pr_creator`, `patch_*`) tell nothing.
const AGENTS: [(&str, &str); 14] = [
    ("sdlc_planner", "Plan"),
    ("planner", "Plan"),
    ("issue_classifier", "Plan"),
    ("adw_classifier", "Plan"),
    ("branch_generator", "Plan"),
    ("sdlc_validator", "Validate"),
    ("sdlc_implementor", "Build"),
    ("test", "Test"),
    ("retry_test", "Test"),
    ("review", "Review"),
    ("documenter", "Document"),
    ("shipper", "Ship"),
    ("cleanup", "Cleanup"),
    ("verifier", "Verify"),
];

/// The phase in which an agent (or a script) of this name works.
pub(in crate::fold) fn phase_of_agent(agent: &str) -> Option<&'static str> {
    let named = AGENTS.iter().find(|(name, _)| agent.starts_with(name));
    named
        .map(|(_, phase)| *phase)
        .or_else(|| phase_of_script(agent))
}

/// A whole workflow runs every phase; of any other it is not known which.
pub(super) fn runs_every_phase(template: &str) -> bool {
    template.starts_with("adw_sdlc_complete")
}

/// What a status word means. Unknown words mean that it works.
pub(super) fn state(word: &str) -> BuildState {
    let meaning = ADW_STATE.words.of(word);
    meaning.map_or(BuildState::Running, |meaning| meaning.state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_names_its_phase_only_if_it_is_one() {
        assert_eq!(phase_of_script("adw_plan_iso"), Some("Plan"));
        assert_eq!(phase_of_script("adw_build"), Some("Build"));
        for several in ["adw_plan_build_iso", "adw_sdlc_complete_iso", "", "plan"] {
            assert_eq!(phase_of_script(several), None, "{several}");
        }
    }

    #[test]
    fn an_agent_works_in_one_phase_or_tells_none() {
        for (agent, phase) in [
            ("sdlc_planner", Some("Plan")),
            ("planner", Some("Plan")),
            ("branch_generator", Some("Plan")),
            ("issue_classifier", Some("Plan")),
            ("adw_classifier", Some("Plan")),
            ("sdlc_validator", Some("Validate")),
            ("sdlc_implementor", Some("Build")),
            ("test_runner", Some("Test")),
            ("test", Some("Test")),
            ("retry_test", Some("Test")),
            ("reviewer", Some("Review")),
            ("review_patch_2", Some("Review")),
            ("documenter", Some("Document")),
            ("shipper", Some("Ship")),
            ("cleanup", Some("Cleanup")),
            ("verifier", Some("Verify")),
            ("adw_lint_iso", Some("Lint")),
            ("ops", None),
            ("pr_creator", None),
            ("patch_1", None),
            ("kpi_tracker", None),
            ("stepwise_analyzer", None),
        ] {
            assert_eq!(phase_of_agent(agent), phase, "{agent}");
        }
    }

    #[test]
    fn every_table_of_status_words_is_understood() {
        for (word, expected) in [
            ("running", BuildState::Running),
            ("in_progress", BuildState::Running),
            ("started", BuildState::Running),
            ("Completed", BuildState::Completed),
            ("failed", BuildState::Failed),
            ("paused", BuildState::Waiting),
            ("blocked", BuildState::Waiting),
            ("queued", BuildState::Queued),
            ("ready", BuildState::Queued),
            ("pending", BuildState::Queued),
            ("planned", BuildState::Queued),
            ("cancelled", BuildState::Cancelled),
            ("unknown", BuildState::Unknown),
            ("never seen before", BuildState::Running),
        ] {
            assert_eq!(state(word), expected, "{word}");
        }
    }
}
