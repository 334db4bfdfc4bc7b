//! Context Foundry's files beside its state: each test is named after what
//! real builds leave behind.

mod checkpoints;
mod metrics;
mod parts;
mod sessions;
mod summaries;

use protocol::EventKind;
use serde_json::{Value, json};

use super::play::Play;
use crate::fold::Outcome;

/// Writes any file of the project.
fn file(play: &mut Play, file: &str, document: &Value) -> Outcome {
    let event = play.content(file, document);
    play.fold(event)
}

/// The same, by one that was there before the agent and was written so long before now.
fn found(play: &mut Play, file: &str, document: &Value, ago_ms: i64) -> Outcome {
    let mut event = play.content(file, document);
    event.found = true;
    event.changed_at = event.changed_at.plus_millis(-ago_ms);
    play.fold(event)
}

fn remove(play: &mut Play, file: &str) -> Outcome {
    let event = play.event(file, EventKind::Removed);
    play.fold(event)
}

fn plan() -> Value {
    json!({"parallel_mode": true, "total_tasks": 3, "tasks": [
        {"id":"task-1","description":"Engine","files":["a.rs"],"dependencies":[],"estimated_time":"2 minutes"},
        {"id":"task-2","description":"Server","files":["b.rs","c.rs"],"dependencies":["task-1"]},
        {"id":"task-3","description":"Docs","files":[],"dependencies":[],"level":4}]})
}

/// Text of a fact by its key.
fn fact<'a>(play: &'a Play, key: &str) -> Option<&'a str> {
    let facts = &play.build().facts;
    let fact = facts.iter().find(|fact| fact.key == key);
    fact.map(|fact| fact.text.as_str())
}
