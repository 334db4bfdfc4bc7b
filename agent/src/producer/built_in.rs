//! The producers that the agent knows without being told.

use std::sync::Arc;

use super::{Format, Identity, Pattern, Role, Source};
use crate::stream_json::Kind;

/// A row: producer, identity, pattern, format, role.
type Row = (&'static str, Identity, &'static str, Format, Role);

const FOUNDRY: &str = "context-foundry";
const ADW: &str = "adw";

/// Of one directory's files the first is read first. Context Foundry's older
/// loop has a directory per session. ADW's files lie in the main tree, and once
/// more in the worktree (`trees/{id}`) where most phases run.
const ROWS: [Row; 28] = [
    (
        FOUNDRY,
        Identity::Project,
        ".context-foundry/current-phase.json",
        Format::Json,
        Role::Phase,
    ),
    (
        FOUNDRY,
        Identity::Project,
        ".context-foundry/session-summary.json",
        Format::Json,
        Role::Summary,
    ),
    (
        FOUNDRY,
        Identity::Project,
        ".context-foundry/build-tasks.json",
        Format::Json,
        Role::Part,
    ),
    (
        FOUNDRY,
        Identity::Project,
        ".context-foundry/builder-logs/task-*.done",
        Format::Text,
        Role::Mark,
    ),
    (
        FOUNDRY,
        Identity::Project,
        ".context-foundry/builder-logs/task-*.error",
        Format::Text,
        Role::Mark,
    ),
    (
        FOUNDRY,
        Identity::Project,
        ".context-foundry/test-iteration-count.txt",
        Format::Count,
        Role::Mark,
    ),
    (
        FOUNDRY,
        Identity::Project,
        ".context-foundry/test-results*",
        Format::Report,
        Role::Mark,
    ),
    (
        FOUNDRY,
        Identity::Project,
        ".context-foundry/feedback/build-feedback-*.json",
        Format::Json,
        Role::Part,
    ),
    (
        FOUNDRY,
        Identity::Project,
        ".context-foundry/build-output-*.txt",
        Format::Text,
        Role::Mark,
    ),
    (
        FOUNDRY,
        Identity::Session,
        "checkpoints/ralph/{id}/state.json",
        Format::Json,
        Role::Part,
    ),
    (
        FOUNDRY,
        Identity::Session,
        "checkpoints/ralph/{id}/progress.json",
        Format::Json,
        Role::Part,
    ),
    (
        FOUNDRY,
        Identity::Session,
        "checkpoints/ralph/{id}/COMPLETE",
        Format::Text,
        Role::Mark,
    ),
    (
        FOUNDRY,
        Identity::Session,
        "logs/ralph_{id}/session.jsonl",
        Format::Lines(Kind::FoundrySession),
        Role::Part,
    ),
    (
        FOUNDRY,
        Identity::Session,
        "logs/events/{id}/events.jsonl",
        Format::Lines(Kind::FoundryEvents),
        Role::Part,
    ),
    (
        ADW,
        Identity::Id,
        "trees/{id}/agents/{id}/adw_state.json",
        Format::Json,
        Role::Part,
    ),
    (
        ADW,
        Identity::Id,
        "trees/{id}/agents/{id}/completed_phases.json",
        Format::Json,
        Role::Part,
    ),
    (
        ADW,
        Identity::Id,
        "trees/{id}/agents/{id}/error.log",
        Format::Text,
        Role::Part,
    ),
    (
        ADW,
        Identity::Id,
        "trees/{id}/agents/{id}/*/raw_output.jsonl",
        Format::Lines(Kind::StreamJson),
        Role::Part,
    ),
    (
        ADW,
        Identity::Id,
        "trees/{id}/agents/{id}/*/execution.log",
        Format::Held,
        Role::Part,
    ),
    (
        ADW,
        Identity::Id,
        "trees/{id}/logs/structured/workflow_{id}.jsonl",
        Format::PhaseLog,
        Role::Part,
    ),
    (
        ADW,
        Identity::Id,
        "logs/structured/workflow_{id}.jsonl",
        Format::PhaseLog,
        Role::Part,
    ),
    (
        ADW,
        Identity::Id,
        "trees/{id}/.claude/logs/hook_events.jsonl",
        Format::Lines(Kind::Hooks),
        Role::Part,
    ),
    (
        ADW,
        Identity::Id,
        "agents/{id}/adw_state.json",
        Format::Json,
        Role::Part,
    ),
    (
        ADW,
        Identity::Id,
        "agents/{id}/completed_phases.json",
        Format::Json,
        Role::Part,
    ),
    (
        ADW,
        Identity::Id,
        "agents/{id}/error.log",
        Format::Text,
        Role::Part,
    ),
    (
        ADW,
        Identity::Id,
        "agents/{id}/*/raw_output.jsonl",
        Format::Lines(Kind::StreamJson),
        Role::Part,
    ),
    (
        ADW,
        Identity::Id,
        "agents/{id}/*/execution.log",
        Format::Held,
        Role::Part,
    ),
    (
        ADW,
        Identity::Project,
        ".claude/logs/hook_events.jsonl",
        Format::Lines(Kind::Hooks),
        Role::Part,
    ),
];

/// Rewritten with each state, and no change of it by itself.
const VOLATILE: &str = "last_updated";

/// A log that grows all the time: that it is there is news, its size only a sign of life; and that its writer closes it.
const GROWING_LOG: &str = "execution.log";
/// What is shipped of it.
const SIZE: &str = "bytes";

/// Files whose names are anybody's, and what must be beside them.
const ACCOMPANIED: [(&str, &str); 2] = [
    ("error.log", "adw_state.json"),
    (GROWING_LOG, "../adw_state.json"),
];

/// The table as the agent uses it.
pub(super) fn sources() -> Vec<Source> {
    ROWS.into_iter().filter_map(source).collect()
}

/// The names of these producers, some more than once.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.into_iter().map(|(producer, ..)| producer)
}

fn source((producer, identity, pattern, format, role): Row) -> Option<Source> {
    let beside = ACCOMPANIED
        .into_iter()
        .find(|(file, _)| pattern.ends_with(file));
    let volatile = match pattern.ends_with(GROWING_LOG) {
        true => SIZE,
        false => VOLATILE,
    };
    Some(Source {
        producer: Arc::from(producer),
        // A row that is no pattern is found by the test below.
        pattern: Pattern::parse(pattern).ok()?,
        format,
        role,
        identity,
        volatile: vec![volatile.to_owned()],
        mapping: None,
        beside: beside.map(|(_, beside)| beside.to_owned()),
        tree: if pattern.starts_with("trees/{id}/") {
            2
        } else {
            0
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_pattern() {
        assert_eq!(sources().len(), ROWS.len());
    }
}
