//! ADW: `agents/<adw_id>/` in a project, and once more in the worktree
//! `trees/<adw_id>/`: `adw_state.json` (what the workflow works on),
//! `completed_phases.json` (where it stands), `error.log` (it failed), each
//! agent's `raw_output.jsonl` (what it cost), each script's `execution.log` (it
//! runs), and `logs/structured/workflow_<adw_id>.jsonl` (how each phase went), `.claude/logs/hook_events.jsonl` (what its tools did).
//! One build for one id. Newer state files hold no state at all, so it is inferred
//! from the rest, and the reason says from what. What the orchestrator tells by
//! HTTP is of the same build.

mod calls;
mod costs;
mod fields;
mod hooks;
mod infer;
mod phase_log;
mod scripts;
mod task_logs;
mod tokens;
mod words;

use protocol::build::Origin;
use protocol::{Build, BuildState, Event, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Silence;
use super::phases;
use super::run::{EndedBy, Run, moment};
use super::stream_json;
use super::track::Track;
use super::value::{name, names};
use scripts::Scripts;

pub(super) use costs::{Logged, of_logs, phase_of};
pub(super) use hooks::{Hooks, is_file as is_hook_file};

/// As agents name it.
pub(super) const PRODUCER: &str = "adw";

const STATE_FILE: &str = "adw_state.json";
const PHASES_FILE: &str = "completed_phases.json";
const ERROR_FILE: &str = "error.log";
const EXECUTION_LOG: &str = "execution.log";

/// Where `fields` keeps what other files than the state file say.
const PHASES: &str = "completed_phases";
const ERROR: &str = "error_log";

/// What must be remembered of a run beside its build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// Time of the newest state file: an older copy in another tree only adds to it.
    state_at: Option<Timestamp>,
    /// The same for the list of completed phases.
    phases_at: Option<Timestamp>,
    /// When a phase was last seen to begin.
    phase_began_at: Option<Timestamp>,
    /// The agent whose files were written last, and when.
    agent: Option<(Timestamp, String)>,
    /// What its scripts hold open.
    #[serde(default)]
    scripts: Scripts,
    /// Which task logs were counted.
    #[serde(default, skip_serializing_if = "task_logs::Known::is_empty")]
    task_logs: task_logs::Known,
    /// What its log of phases adds up to.
    #[serde(default, skip_serializing_if = "phase_log::Sums::is_empty")]
    phase_log: phase_log::Sums,
}

impl Memory {
    /// How long the workflow may be silent now that none of its scripts runs; none while one may.
    pub(super) fn silence_without_script(&self) -> Option<Silence> {
        self.scripts.silence()
    }

    /// For tracks of other producers, which are stored without it.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One of the workflow's files, and what tells it from the others.
fn file_name(event: &Event) -> &str {
    event.file.rsplit('/').next().unwrap_or_default()
}

/// The file that says what the workflow works on.
pub(super) fn is_state_file(file: &str) -> bool {
    file.rsplit('/').next() == Some(STATE_FILE)
}

/// The workflow's own id: the directory above its files.
fn id(event: &Event) -> Option<&str> {
    let log = file_name(event).strip_prefix("workflow_");
    if let Some(id) = log.and_then(|name| name.strip_suffix(".jsonl")) {
        return Some(id);
    }
    let mut parts = event.file.split('/').skip_while(|part| *part != "agents");
    parts.nth(1)
}

/// The agent that a file is of: its directory beneath the workflow's.
fn agent(event: &Event) -> Option<&str> {
    let mut parts = event.file.split('/').skip_while(|part| *part != "agents");
    let agent = parts.nth(2)?;
    // A script that runs several phases says nothing of the one it is in.
    let tells = parts.next()? != EXECUTION_LOG || words::phase_of_script(agent).is_some();
    tells.then_some(agent)
}

/// Takes over one file. Returns a run that was superseded.
pub(super) fn content(
    track: &mut Track,
    event: &Event,
    document: &Map<String, Value>,
) -> Option<Build> {
    if hooks::is_digest(document) {
        hooks::take(track, event, document);
        track.run.as_ref()?; // it waits for its build
    }
    hooks::called(track, event, document);
    let superseded = match &track.run {
        None => track.begin(event),
        Some(run) if restarts(run, event, document) => begin_again(track, event),
        Some(_) => None,
    };
    let at = moment(event);
    let run = track.run.as_mut()?;
    see(run, event, document, at);
    if let Some(agent) = agent(event) {
        agent_works(run, agent, at);
    }
    match file_name(event) {
        STATE_FILE => state(run, document, at),
        PHASES_FILE => completed_phases(run, document, at),
        ERROR_FILE => error_log(run, event, document, at),
        EXECUTION_LOG => run.adw.scripts.told(event, document, &mut run.build),
        _ if event.is_call() => calls::content(run, event, document, at),
        _ if phase_log::is_digest(document) => phase_log::content(run, document, at),
        _ if stream_json::is_digest(document) => {
            // The main tree and the worktree have files of the same names.
            let file = format!("{}/{}", event.path, event.file);
            stream_json::content(run, &file, document);
        }
        _ => {}
    }
    fields::apply(&mut run.build);
    run.streams.apply(&mut run.build);
    costs::apply(&mut run.build, run.streams.leaves_out());
    tokens::apply(&mut run.build);
    track.hooks.apply(run);
    infer::progress(&mut run.build);
    if run.build.has_ended() {
        track.silences.leave(at);
    } else if let Some(phase) = run.build.phase.clone() {
        track.silences.seen(&phase, at);
    }
    superseded
}

/// The next run of the same id. What belongs to the workflow and not to one
/// try of it stays known: a restart resets the state file to nulls.
fn begin_again(track: &mut Track, event: &Event) -> Option<Build> {
    let known = track.current().map(|build| build.fields.clone());
    let before = track.run.as_ref().map(|run| run.adw.clone());
    let before = before.unwrap_or_default();
    let superseded = track.begin(event);
    hooks::begin_again(track);
    if let Some(run) = &mut track.run {
        run.build.fields = fields::lasting(known.unwrap_or_default());
        // Whoever begins again may have run before: what it holds open it holds still.
        run.adw.scripts = before.scripts;
        run.adw.phase_log = before.phase_log.for_next_run();
    }
    superseded
}

/// Whether a file begins the next run: work after an end, or phases that are
/// forgotten. An orchestrator's last words after a failure begin nothing.
fn restarts(run: &Run, event: &Event, document: &Map<String, Value>) -> bool {
    let known = &run.build.fields;
    match (run.build.ended_at, file_name(event)) {
        (Some(ended), _) if moment(event) <= ended => false,
        (Some(_), _) if event.is_call() => calls::starts(event, document),
        (Some(_), _) if phase_log::is_digest(document) => phase_log::starts(document),
        (Some(_), STATE_FILE) => {
            event.recreated
                || fields::is_reset(known, document)
                || infer::is_set_to_work(known, document)
        }
        (Some(_), PHASES_FILE) => {
            let current = infer::current(document);
            current.is_some() && current != known.get(PHASES).and_then(infer::current_of)
        }
        (None, PHASES_FILE) if is_newest(run.adw.phases_at, moment(event)) => {
            let told = names(document, "completed").map(|names| names.len());
            run.told.is_some_and(|told| told > 0) && told == Some(0)
        }
        _ => false,
    }
}

fn is_newest(known: Option<Timestamp>, at: Timestamp) -> bool {
    known.is_none_or(|known| at >= known)
}

/// Something of the workflow was seen. Only a worktree's git tells of its
/// branch; the main tree stands where people work.
fn see(run: &mut Run, event: &Event, document: &Map<String, Value>, at: Timestamp) {
    run.conditions.silent = None;
    run.conditions.removed = None;
    run.conditions.unreadable.remove(&event.file);
    run.seen_at(event);
    if run.build.session_id.is_none() {
        let told = || name(document, "adw_id");
        run.build.session_id = id(event).map(str::to_owned).or_else(told);
    }
    // A call knows of no project: where the files lie counts.
    if !event.is_call() {
        run.build.project.clone_from(&event.project);
        run.build.root.clone_from(&event.root);
        run.build.path.clone_from(&event.path);
        run.build.origin = Origin::Live;
    }
    // Files found together: the oldest tells most of when it began.
    if event.found && run.build.run == 1 && run.build.started_at > Some(at) {
        run.build.started_at = Some(at);
    }
    if let (true, Some(git)) = (event.file.starts_with("trees/"), &event.git) {
        run.build.commit.clone_from(&git.commit);
        if let Some(branch) = &git.branch {
            run.build.branch = Some(branch.clone());
        }
    }
}

/// An agent's file was written: where nothing says the phase, its name does.
fn agent_works(run: &mut Run, agent: &str, at: Timestamp) {
    let newest = run.adw.agent.as_ref().map(|(at, _)| *at);
    if is_newest(newest, at) {
        run.adw.agent = Some((at, agent.to_owned()));
        judge(run, at);
    }
}

fn state(run: &mut Run, document: &Map<String, Value>, at: Timestamp) {
    let newest = is_newest(run.adw.state_at, at);
    fields::merge(&mut run.build.fields, document, newest);
    if newest {
        run.adw.state_at = Some(at);
    }
    judge(run, at);
}

fn completed_phases(run: &mut Run, document: &Map<String, Value>, at: Timestamp) {
    if !is_newest(run.adw.phases_at, at) {
        return;
    }
    run.adw.phases_at = Some(at);
    run.told = names(document, "completed").map(|names| names.len());
    if infer::current(document).is_some() {
        run.adw.phase_began_at = Some(at);
    }
    let whole = Value::Object(document.clone());
    run.build.fields.insert(PHASES.to_owned(), whole);
    judge(run, at);
}

/// Its presence means that the workflow failed, unless a phase began since.
fn error_log(run: &mut Run, event: &Event, document: &Map<String, Value>, at: Timestamp) {
    let whole = Value::Object(document.clone());
    run.build.fields.insert(ERROR.to_owned(), whole);
    let restarted = run.build.run > 1 && run.build.started_at > Some(at);
    if restarted || run.adw.phase_began_at > Some(at) {
        return;
    }
    let bytes = document.get("bytes").and_then(Value::as_u64);
    let size = bytes.map_or_else(String::new, |bytes| format!(" ({bytes} bytes)"));
    let reason = format!("{} was written{size}", event.file);
    run.build.error.get_or_insert_with(|| {
        format!(
            "{} holds what went wrong; its text stays on the host",
            event.file
        )
    });
    run.end(BuildState::Failed, reason, at, EndedBy::State);
}

/// Where the workflow stands, from all that is known of it.
fn judge(run: &mut Run, at: Timestamp) {
    let agent = run.adw.agent.as_ref().map(|(_, agent)| agent.as_str());
    infer::phases(&mut run.build, agent, at);
    if run.build.has_ended() {
        let last = infer::last_word(run.build.state);
        phases::close(&mut run.build.phases, last, at);
        return;
    }
    match infer::standing(&run.build, agent) {
        infer::Standing::Ended(state, reason) => {
            if state == BuildState::Failed && run.build.error.is_none() {
                run.build.error = infer::error(&run.build.fields);
            }
            run.end(state, reason, at, EndedBy::State);
        }
        infer::Standing::Open(state, reason) => run.say(state, Some(reason)),
    }
}
