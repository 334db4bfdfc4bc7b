//! What ends a workflow, and what only looks like it.

use protocol::{BuildState, Timestamp};
use serde_json::{Value, json};

use super::{ERROR, PHASES, STATE, play, write};
use crate::fold::TimerKind;

const UPDATE: &str = "http/adw-phase-update";
const LOG: &str = "http/task-logs";
const DONE: &str = "http/workflow-complete";

fn end_time() -> (&'static str, Value) {
    (STATE, json!({"end_time":"2025-12-10T11:00:00.1"}))
}

fn list(completed: &[&str], current: Option<&str>) -> (&'static str, Value) {
    let list = json!({"completed": completed, "current": current});
    (PHASES, list)
}

fn error_log() -> (&'static str, Value) {
    (ERROR, json!({"bytes": 5}))
}

/// A call of the workflow.
fn call(route: &'static str, phase: &str, status: &str) -> (&'static str, Value) {
    let key = if route == LOG {
        "phase_status"
    } else {
        "status"
    };
    let mut call = json!({"adw_id":"3af4a34d","phase_name":phase,"current_phase":phase});
    call[key] = json!(status);
    (route, call)
}

const COMPLETED: Option<BuildState> = Some(BuildState::Completed);
const FAILED: Option<BuildState> = Some(BuildState::Failed);
const UNKNOWN: Option<BuildState> = Some(BuildState::Unknown);

#[test]
#[rustfmt::skip]
fn what_ends_a_workflow_and_what_does_not() {
    for (name, writes, state) in [
        ("error.log", vec![error_log()], FAILED),
        ("a failed task log", vec![call(LOG, "Build", "failed")], FAILED),
        ("a completed task log", vec![call(LOG, "Build", "completed")], None),
        ("the phase Completed", vec![call(UPDATE, "Completed", "completed")], COMPLETED),
        ("workflow-complete", vec![call(DONE, "Plan", "completed")], COMPLETED),
        ("workflow-complete of a failure", vec![call(DONE, "Plan", "failed")], FAILED),
        ("workflow-complete without a word", vec![call(UPDATE, "Plan", "running"), (DONE, json!({"adw_id":"3af4a34d"}))], UNKNOWN),
        ("an older file's word", vec![(STATE, json!({"status":"failed"}))], FAILED),
        ("the last of all phases", vec![list(&["Plan", "Verify"], None)], COMPLETED),
        ("another phase", vec![list(&["Plan", "Ship"], None)], None),
        ("an end_time alone", vec![end_time()], None),
        ("an end_time after a phase", vec![list(&["Plan"], None), end_time()], None),
        ("an end_time and the next program", vec![end_time(), list(&["Plan"], Some("Build"))], None),
        ("an end_time and the last phase", vec![end_time(), list(&["Verify"], None)], COMPLETED),
        ("an end_time and a failure", vec![end_time(), error_log()], FAILED),
    ] {
        let mut play = play();
        for (file, document) in writes {
            write(&mut play, file, document);
        }
        let build = play.build();
        assert_eq!(build.has_ended().then_some(build.state), state, "{name}");
        assert_eq!(build.run, 1, "{name}");
        if state.is_none() {
            assert_eq!(build.state, BuildState::Running, "{name}");
        }
    }
}

#[test]
fn a_workflow_of_which_only_an_end_time_is_known_does_not_run_for_ever_and_may_go_on() {
    let mut play = play();
    let (file, document) = end_time();
    write(&mut play, file, document);
    let reason = play.build().state_reason.clone().unwrap();
    assert!(reason.contains("its end_time does not say"), "{reason}");
    assert_eq!(
        super::fact(&play, "end_time"),
        Some("2025-12-10T11:00:00.1")
    );
    play.timer(TimerKind::Silent {
        since: Timestamp::from_millis(0),
        limit_ms: 900_000,
        evidence: "as ever".into(),
    });
    assert_eq!(play.build().state, BuildState::Stalled);
    super::phases(&mut play, &["Plan"], Some("Build"));
    let build = play.build();
    assert_eq!((build.run, build.state), (1, BuildState::Running));
    assert_eq!(build.phase.as_deref(), Some("Build"));
}
