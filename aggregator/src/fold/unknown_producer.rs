//! A producer that this aggregator has no module for: an agent newer than we
//! are. Its fields are shown, its state is not guessed.

use protocol::{BuildState, Event};
use serde_json::{Map, Value};

use super::run::Run;

/// Keeps the fields and says that nothing is known about their meaning.
pub(super) fn content(run: &mut Run, event: &Event, document: &Map<String, Value>) {
    run.believe(event);
    run.merge_fields(document);
    run.say(
        BuildState::Unknown,
        Some(
            "this aggregator does not know the producer: it may be older than the agent".to_owned(),
        ),
    );
}
