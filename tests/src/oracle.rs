//! Holds what was written against what was kept: nothing lost at the end,
//! nothing doubled, nothing torn, nothing out of order. [`faults`] compares a few
//! files document by document; [`TruthLog`] and [`Verdict`] judge load and faults
//! by the promise: what stood for 250 ms is kept, once, in order, and shown.

mod truth;
mod verdict;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::db::{BuildRow, EventRow};
use crate::writer::{DIRECTORY, PHASE, Project};

pub use truth::{Away, Files, STOOD, TruthLog, Written};
pub use verdict::{ContentRow, Shown, Verdict, reached, shown_by, verdict};

/// What was written to one phase file, oldest first; each document holds a
/// growing `count`.
#[derive(Debug, Clone)]
pub struct Truth {
    /// The project's token.
    pub project: String,
    /// Every document, in order.
    pub written: Vec<Value>,
}

impl From<&Project> for Truth {
    fn from(project: &Project) -> Self {
        Self {
            project: project.token().to_string(),
            written: project.written(),
        }
    }
}

/// Everything that is wrong, for people; empty when all is well.
#[must_use]
pub fn faults(truths: &[Truth], events: &[EventRow], builds: &[BuildRow]) -> Vec<String> {
    let mut faults = doubled(events);
    for truth in truths {
        let file = format!("{DIRECTORY}/{PHASE}");
        let rows: Vec<&EventRow> = events
            .iter()
            .filter(|row| row.project == truth.project && row.kind == "content")
            .filter(|row| row.file.as_deref() == Some(file.as_str()))
            .collect();
        faults.extend(against(truth, &rows));
        faults.extend(shown(truth, builds));
    }
    faults
}

/// An identity, or a state right after itself, that stands in two rows.
fn doubled(events: &[EventRow]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut identities = HashSet::new();
    let mut last: HashMap<(&str, Option<&str>), &EventRow> = HashMap::new();
    for row in events {
        if let Some(identity) = &row.identity
            && !identities.insert(identity)
        {
            faults.push(format!("row {} repeats the identity {identity:?}", row.id));
        }
        if row.identity.is_none() || row.late {
            continue;
        }
        let place = (row.project.as_str(), row.file.as_deref());
        if let Some(before) = last.insert(place, row)
            && before.kind == "content"
            && row.kind == "content"
            && before.hash == row.hash
        {
            faults.push(format!(
                "row {} repeats the state of row {}",
                row.id, before.id
            ));
        }
    }
    faults
}

fn against(truth: &Truth, rows: &[&EventRow]) -> Vec<String> {
    let mut faults = Vec::new();
    let project = &truth.project;
    let wrote: HashMap<Option<u64>, &Value> = truth
        .written
        .iter()
        .map(|document| (document["count"].as_u64(), document))
        .collect();
    let mut newest = None;
    for row in rows {
        let document = row.document.clone().unwrap_or(Value::Null);
        let count = document["count"].as_u64();
        if wrote.get(&count) != Some(&&document) {
            faults.push(format!(
                "{project}: row {} was never written: {document}",
                row.id
            ));
        }
        if !row.late {
            if count <= newest {
                faults.push(format!(
                    "{project}: row {} has {count:?} after {newest:?}",
                    row.id
                ));
            }
            newest = newest.max(count);
        }
    }
    let last = truth
        .written
        .last()
        .and_then(|document| document["count"].as_u64());
    if newest != last {
        faults.push(format!(
            "{project}: the last row says {newest:?}, the file {last:?}"
        ));
    }
    faults
}

fn shown(truth: &Truth, builds: &[BuildRow]) -> Vec<String> {
    let of_project = |row: &&BuildRow| row.build.id.contains(&truth.project);
    let Some(newest) = builds.iter().rfind(of_project) else {
        return vec![format!("{}: no build", truth.project)];
    };
    let fields = Value::Object(newest.build.fields.clone());
    match truth.written.last() {
        Some(last) if *last != fields => {
            vec![format!(
                "{}: the build shows {fields}, the file {last}",
                truth.project
            )]
        }
        _ => Vec::new(),
    }
}
