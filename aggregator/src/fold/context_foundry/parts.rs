//! Files that belong to a build and are none of their own: its tasks and their
//! marks, its test runs, its feedback, what the older loop has beside its
//! checkpoint. They may come before the build does, and stay on disk after
//! it: which build each is of is decided here, and only here.

use std::collections::BTreeMap;

use protocol::{Event, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{LONGEST_TAIL_MS, feedback, file_name, tasks, tests};
use crate::fold::run::{Run, moment};
use crate::fold::value::{count, cut};

/// Parts that are remembered: a parallel build of a hundred tasks has two
/// hundred marks. What is beyond it is counted and told as a fact.
const MAX_PARTS: usize = 400;
/// Bytes of all that parts say: thirty times what the largest real build has.
/// They are stored with each change of the build.
const MAX_PARTS_BYTES: usize = 512 * 1024;
/// Characters of a part's name: what a file system allows.
const MAX_FILE: usize = 600;

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `build-tasks.json`.
    Plan,
    /// `builder-logs/task-*.done`.
    Done,
    /// `builder-logs/task-*.error`.
    Failed,
    /// `test-iteration-count.txt`.
    Count,
    /// `test-results*`.
    Report,
    /// `feedback/build-feedback-*.json`.
    Feedback,
    /// `build-output-*.txt`.
    Output,
    /// `checkpoints/ralph/*/progress.json`.
    Progress,
    /// `checkpoints/ralph/*/COMPLETE`.
    Complete,
    /// `logs/ralph_*/session.jsonl`.
    Session,
}

/// What a file is, if it is a part.
pub(super) fn kind(file: &str) -> Option<Kind> {
    let mut upwards = file.rsplit('/');
    let (name, dir) = (upwards.next()?, upwards.next().unwrap_or_default());
    let is = |before: &str, after: &str| name.starts_with(before) && name.ends_with(after);
    match dir {
        "builder-logs" if is("task-", ".done") => Some(Kind::Done),
        "builder-logs" if is("task-", ".error") => Some(Kind::Failed),
        "feedback" if is("build-feedback-", ".json") => Some(Kind::Feedback),
        ".context-foundry" if name == "build-tasks.json" => Some(Kind::Plan),
        ".context-foundry" if name == "test-iteration-count.txt" => Some(Kind::Count),
        ".context-foundry" if is("test-results", "") => Some(Kind::Report),
        ".context-foundry" if is("build-output-", ".txt") => Some(Kind::Output),
        _ if name == "progress.json" => Some(Kind::Progress),
        _ if name == "COMPLETE" => Some(Kind::Complete),
        _ if name == "session.jsonl" => Some(Kind::Session),
        _ => None,
    }
}

/// The parts of a project, over its builds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::fold) struct Parts {
    files: BTreeMap<String, Part>,
    /// Parts beyond the limit.
    #[serde(default)]
    pub(super) left_out: u64,
    /// How many events of the broadcasts' log were taken over.
    #[serde(default)]
    pub(in crate::fold) events: u64,
}

/// One part as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) at: Timestamp,
    /// It was there before the agent came.
    found: bool,
    /// The build it is of; none yet while it waits for the next.
    run: Option<u32>,
    /// How long that is, spelled.
    bytes: usize,
    /// What it says, as far as it is shown.
    pub(super) told: Value,
}

impl Parts {
    /// For tracks without any, which are stored without them.
    pub(in crate::fold) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes over how far the broadcasts' log was read: its first events may be past retention.
    pub(in crate::fold) fn catch_up(&mut self, other: &Self) {
        self.events = self.events.max(other.events);
    }

    /// Takes over a part. False: it is of an earlier build.
    pub(super) fn take(
        &mut self,
        kind: Kind,
        run: Option<&Run>,
        event: &Event,
        document: &Map<String, Value>,
    ) -> bool {
        let told = reduced(kind, document);
        let mut part = Part {
            at: moment(event),
            found: event.found,
            run: None,
            bytes: told.to_string().len(),
            told,
        };
        if let Some(run) = run {
            if part.is_of(run, false) {
                part.run = Some(run.build.run);
            } else if run.build.ended_at.is_none_or(|ended| part.at <= ended) {
                self.files.remove(&event.file);
                return false;
            }
        }
        self.files.remove(&event.file);
        let bytes: usize = self.files.values().map(|part| part.bytes).sum();
        let has_room = self.files.len() < MAX_PARTS && bytes + part.bytes <= MAX_PARTS_BYTES;
        if has_room && event.file.len() <= MAX_FILE {
            self.files.insert(event.file.clone(), part);
        } else {
            self.left_out += 1;
        }
        true
    }

    /// A part's file is gone. What an ended build had stays known of it.
    pub(super) fn remove(&mut self, file: &str, run: Option<&Run>) {
        let ended = run.filter(|run| run.build.has_ended());
        let of_ended = |part: &Part| ended.is_some_and(|run| part.run == Some(run.build.run));
        if !self.files.get(file).is_some_and(of_ended) {
            self.files.remove(file);
        }
    }

    /// A build begins: what waited for one is of it, what was of an earlier one is done with.
    pub(in crate::fold) fn claim(&mut self, run: &Run) {
        self.left_out = 0;
        self.files
            .retain(|_, part| part.run.is_none() && part.is_of(run, true));
        for part in self.files.values_mut() {
            part.run = Some(run.build.run);
        }
    }

    /// Takes over the parts of a session's run (none: they waited for one), which goes on as this one.
    pub(in crate::fold) fn take_over(&mut self, theirs: &Self, from: Option<u32>, to: u32) {
        for (file, part) in &theirs.files {
            let has_room = self.files.len() < MAX_PARTS;
            let is_its = part.run.is_none() || part.run == from;
            if has_room && is_its && !self.files.contains_key(file) {
                let run = (part.run == from).then_some(to);
                self.files.insert(
                    file.clone(),
                    Part {
                        run,
                        ..part.clone()
                    },
                );
            }
        }
        self.left_out += theirs.left_out;
        self.events = self.events.max(theirs.events);
    }

    /// Whether an equal content of this file is news: it was written again, for another build.
    pub(super) fn is_news(&self, event: &Event) -> bool {
        let part = self.files.get(&event.file);
        part.is_none_or(|part| part.at < moment(event))
    }

    /// The build's parts of one kind, by file name.
    pub(super) fn of<'a>(
        &'a self,
        run: &'a Run,
        wanted: Kind,
    ) -> impl Iterator<Item = (&'a str, &'a Part)> {
        self.files
            .iter()
            .filter(move |(file, part)| part.counts_for(run) && kind(file) == Some(wanted))
            .map(|(file, part)| (file_name(file), part))
    }

    /// The newest of them.
    pub(super) fn newest<'a>(&'a self, run: &'a Run, wanted: Kind) -> Option<&'a Part> {
        let parts = self.of(run, wanted).map(|(_, part)| part);
        parts.max_by_key(|part| part.at)
    }
}

impl Part {
    /// Whether it is of this build. `waited`: it came before the build.
    fn is_of(&self, run: &Run, waited: bool) -> bool {
        let Some(started) = run.build.started_at else {
            return true; // only the end of the build is known
        };
        if self.at >= started {
            let ended = run.build.ended_at;
            return ended.is_none_or(|ended| self.at.millis_since(ended) <= LONGEST_TAIL_MS);
        }
        if self.found {
            // Both were there before the agent, which does not know when the build began.
            return run.build.found && run.foundry.is_under_way;
        }
        waited
    }

    fn counts_for(&self, run: &Run) -> bool {
        let before = run.foundry.older_summary_at;
        let of_the_build_before = self.found && before.is_some_and(|before| self.at <= before);
        self.run == Some(run.build.run) && !of_the_build_before
    }
}

/// What of a part is kept.
fn reduced(kind: Kind, document: &Map<String, Value>) -> Value {
    match kind {
        Kind::Plan => tasks::plan(document),
        Kind::Progress => tasks::progress(document),
        Kind::Report => tests::report(document),
        Kind::Feedback => feedback::reduced(document),
        Kind::Count => count(document, "count").map_or(Value::Null, Value::from),
        Kind::Done | Kind::Failed | Kind::Output | Kind::Complete => {
            count(document, "bytes").map_or(Value::Null, Value::from)
        }
        Kind::Session => Value::Object(document.clone()),
    }
}

/// What a mark or an output is of: `task-3` of `task-3.done`.
pub(super) fn stem<'a>(name: &'a str, before: &str, after: &str) -> &'a str {
    let name = name.strip_prefix(before).unwrap_or(name);
    name.strip_suffix(after).unwrap_or(name)
}

/// A text member of at most so many characters.
pub(super) fn text(object: &Map<String, Value>, key: &str, max: usize) -> Option<String> {
    let text = object.get(key)?.as_str()?.trim();
    (!text.is_empty()).then(|| cut(text, max))
}
