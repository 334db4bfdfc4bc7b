//! Logs that producers write for people, whose lines go a way of their own
//! ([`crate::logs`]), and the transcripts that the configuration names.

use std::sync::Arc;

use crate::stream_json::Kind;

use super::{Format, Identity, Pattern, Role, Source};

/// A row: producer, identity, pattern, what must be beside it where its name is anybody's.
type Row = (&'static str, Identity, &'static str, Option<&'static str>);

const ROWS: [Row; 7] = [
    (
        "context-foundry",
        Identity::Project,
        ".context-foundry/builder-logs/*.log",
        None,
    ),
    (
        "adw",
        Identity::Id,
        "trees/{id}/agents/{id}/*/execution.log",
        None,
    ),
    (
        "adw",
        Identity::Id,
        "trees/{id}/agents/{id}/execution.log",
        Some("adw_state.json"),
    ),
    (
        "adw",
        Identity::Id,
        "trees/{id}/agents/{id}/error.log",
        Some("adw_state.json"),
    ),
    ("adw", Identity::Id, "agents/{id}/*/execution.log", None),
    (
        "adw",
        Identity::Id,
        "agents/{id}/execution.log",
        Some("adw_state.json"),
    ),
    (
        "adw",
        Identity::Id,
        "agents/{id}/error.log",
        Some("adw_state.json"),
    ),
];

/// The logs that the agent knows without being told.
pub(super) fn built_in() -> Vec<Source> {
    let row = |(producer, identity, pattern, beside): Row| {
        // A row that is no pattern is found by the test below.
        let pattern = Pattern::parse(pattern).ok()?;
        Some(source(producer, identity, pattern, beside))
    };
    ROWS.into_iter().filter_map(row).collect()
}

/// A log named in the configuration. With `{id}` in its pattern it belongs to the build with that id,
/// else to the newest build of its project; `producer` may be empty where there is no id.
pub(super) fn configured(producer: &str, pattern: Pattern) -> Source {
    let identity = match pattern.has_id() {
        true => Identity::Id,
        false => Identity::Project,
    };
    source(producer, identity, pattern, None)
}

/// A transcript of Claude Code: `{id}` in its pattern is the session.
pub(super) fn transcript(pattern: Pattern) -> Source {
    Source {
        format: Format::Lines(Kind::Transcript),
        ..source("claude-code", Identity::Id, pattern, None)
    }
}

fn source(producer: &str, identity: Identity, pattern: Pattern, beside: Option<&str>) -> Source {
    Source {
        producer: Arc::from(producer),
        pattern,
        format: Format::Text,
        role: Role::Part,
        identity,
        volatile: Vec::new(),
        beside: beside.map(str::to_owned),
        tree: 0,
        mapping: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_pattern() {
        assert_eq!(built_in().len(), ROWS.len());
    }
}
