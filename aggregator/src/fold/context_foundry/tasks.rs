//! The tasks of a build: planned in `build-tasks.json`, marked by parallel
//! builders with one file each, or told one by one by the older loop.

use std::collections::BTreeMap;

use protocol::{Build, Timestamp};
use serde_json::{Map, Value, json};

use super::parts::{Kind, Part, Parts, stem, text};
use crate::fold::run::Run;
use crate::fold::value::{count, name, names};

/// Tasks that are shown: ten times what any real plan has.
const MAX_TASKS: usize = 200;
/// Characters of a task's description: it is one line on a page.
const MAX_TEXT: usize = 400;
/// Tasks that one depends on: more than any real one does.
const MAX_DEPENDENCIES: usize = 20;

/// What is kept of `build-tasks.json`.
pub(super) fn plan(document: &Map<String, Value>) -> Value {
    let tasks = document.get("tasks").and_then(Value::as_array);
    let tasks: Vec<Value> = tasks
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .map(task)
        .collect();
    let left_out = tasks.len().saturating_sub(MAX_TASKS);
    json!({
        "parallel": document.get("parallel_mode").and_then(Value::as_bool),
        "total": count(document, "total_tasks"),
        "left_out": left_out,
        "list": tasks.into_iter().take(MAX_TASKS).collect::<Vec<_>>(),
    })
}

fn task(task: &Map<String, Value>) -> Value {
    let mut dependencies = names(task, "dependencies").unwrap_or_default();
    dependencies.truncate(MAX_DEPENDENCIES);
    json!({
        "id": name(task, "id"),
        "text": text(task, "description", MAX_TEXT).or_else(|| text(task, "name", MAX_TEXT)),
        "level": count(task, "level"),
        "dependencies": dependencies,
        "files": names(task, "files").map(|files| files.len()),
        "estimate": text(task, "estimated_time", MAX_TEXT),
    })
}

/// What is kept of the older loop's `progress.json`.
pub(super) fn progress(document: &Map<String, Value>) -> Value {
    let list = |key: &str| {
        let mut names = names(document, key)?;
        names.truncate(MAX_TASKS);
        Some(names)
    };
    json!({"completed": list("completed"), "remaining": list("remaining")})
}

/// What is known of the tasks.
pub(super) fn told(run: &Run, parts: &Parts) -> Option<Value> {
    planned(run, parts).or_else(|| of_the_loop(run, parts))
}

/// The plan with its marks; marks alone where there is no plan.
fn planned(run: &Run, parts: &Parts) -> Option<Value> {
    let plan = parts.newest(run, Kind::Plan).map(|part| &part.told);
    let marks = marks(run, parts);
    if plan.is_none() && marks.is_empty() {
        return None;
    }
    let member = |key: &str| plan.map_or(&Value::Null, |plan| &plan[key]);
    let listed = member("list").as_array().cloned().unwrap_or_default();
    let levels = levels(&listed);
    let mut list = Vec::new();
    let mut unplanned = marks.clone();
    for (mut task, level) in listed.into_iter().zip(levels) {
        let id = task["id"].as_str().unwrap_or_default().to_owned();
        let known = [id.clone(), format!("task-{id}")];
        let mark = known.iter().find_map(|id| unplanned.remove(id.as_str()));
        // Without marks nobody tells how far a task is: builders that work one after another leave none.
        let waits = member("parallel") == &Value::Bool(true) && !run.build.has_ended();
        task["state"] = mark.map_or(if waits { json!("pending") } else { Value::Null }, |mark| {
            json!(mark.state())
        });
        task["error_bytes"] = mark.map_or(Value::Null, |mark| mark.error_bytes());
        task["level"] = json!(level);
        list.push(task);
    }
    for (id, mark) in unplanned.iter().take(MAX_TASKS.saturating_sub(list.len())) {
        list.push(json!({"id": id, "text": null, "state": mark.state(), "error_bytes": mark.error_bytes()}));
    }
    let marked = marks.values().filter(|mark| mark.state() == "completed");
    let marked = (!marks.is_empty()).then(|| marked.count() as u64);
    Some(json!({
        "parallel": member("parallel"),
        "total": member("total"),
        "completed": marked.or_else(|| count(&run.build.fields, "tasks_completed")),
        "left_out": member("left_out").as_u64().unwrap_or(0),
        "list": list,
    }))
}

/// How a task was marked.
#[derive(Debug, Clone, Copy, Default)]
struct Mark<'a> {
    done: Option<Timestamp>,
    failed: Option<&'a Part>,
}

impl Mark<'_> {
    /// The newer of both files counts: a task that failed may be done again.
    fn state(&self) -> &'static str {
        match (self.done, self.failed) {
            (Some(done), Some(failed)) if failed.at > done => "failed",
            (None, Some(_)) => "failed",
            _ => "completed",
        }
    }

    fn error_bytes(&self) -> Value {
        self.failed.map_or(Value::Null, |part| part.told.clone())
    }
}

fn marks<'a>(run: &'a Run, parts: &'a Parts) -> BTreeMap<&'a str, Mark<'a>> {
    let mut marks: BTreeMap<&str, Mark<'_>> = BTreeMap::new();
    for (file, part) in parts.of(run, Kind::Done) {
        marks.entry(stem(file, "", ".done")).or_default().done = Some(part.at);
    }
    for (file, part) in parts.of(run, Kind::Failed) {
        marks.entry(stem(file, "", ".error")).or_default().failed = Some(part);
    }
    marks
}

/// The level of each task: what it says itself, else one above those it
/// depends on. Unknown where they are not planned, or depend on each other.
fn levels(tasks: &[Value]) -> Vec<Option<u64>> {
    let mut levels: Vec<Option<u64>> = tasks.iter().map(|task| task["level"].as_u64()).collect();
    let places: BTreeMap<&str, usize> = tasks
        .iter()
        .enumerate()
        .filter_map(|(place, task)| Some((task["id"].as_str()?, place)))
        .collect();
    // Each round settles at least one more, or none is left that can be.
    for _ in 0..tasks.len() {
        let mut moved = false;
        for (place, task) in tasks.iter().enumerate() {
            if levels[place].is_some() {
                continue;
            }
            let below = task["dependencies"].as_array().into_iter().flatten();
            let below: Option<Vec<u64>> =
                below.map(|id| levels[*places.get(id.as_str()?)?]).collect();
            let Some(below) = below else { continue };
            levels[place] = Some(
                below
                    .into_iter()
                    .max()
                    .map_or(0, |level| level.saturating_add(1)),
            );
            moved = true;
        }
        if !moved {
            break;
        }
    }
    levels
}

/// What the older loop tells: its progress file, else the tasks that it broadcast as completed.
fn of_the_loop(run: &Run, parts: &Parts) -> Option<Value> {
    let progress = parts.newest(run, Kind::Progress).map(|part| &part.told);
    let told = |key: &str| progress.and_then(|told| told[key].as_array());
    let mut completed: Vec<&str> = texts(told("completed"));
    let from_state = names(&run.build.fields, "completed_tasks").unwrap_or_default();
    for task in run.foundry.tasks_done.iter().chain(&from_state) {
        if !completed.contains(&task.as_str()) {
            completed.push(task);
        }
    }
    let remaining: Vec<&str> = texts(told("remaining"))
        .into_iter()
        .filter(|task| !completed.contains(task))
        .collect();
    if completed.is_empty() && remaining.is_empty() {
        return None;
    }
    let task = |text: &&str, state: &str| json!({"id": null, "text": text, "state": state});
    let done = completed.iter().map(|text| task(text, "completed"));
    let open = remaining.iter().map(|text| task(text, "pending"));
    let all = completed.len() + remaining.len();
    Some(json!({
        "parallel": null,
        "total": told("remaining").map(|_| all),
        "completed": completed.len(),
        "left_out": all.saturating_sub(MAX_TASKS),
        "list": done.chain(open).take(MAX_TASKS).collect::<Vec<_>>(),
    }))
}

fn texts(list: Option<&Vec<Value>>) -> Vec<&str> {
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// How far the older loop is, by its own list.
#[expect(clippy::cast_precision_loss, reason = "at most some hundred tasks")]
pub(super) fn part_done(build: &Build) -> Option<f64> {
    let tasks = build.tasks.as_ref()?;
    let (completed, total) = (tasks["completed"].as_u64()?, tasks["total"].as_u64()?);
    (total > 0).then(|| (completed as f64 / total as f64).clamp(0.0, 1.0))
}
