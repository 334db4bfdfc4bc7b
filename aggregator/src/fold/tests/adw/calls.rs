//! What the orchestrator tells by HTTP is of the same build as its files.

use protocol::{BuildState, PhaseState};
use serde_json::{Value, json};

use super::{PHASES, STATE, fact, fresh, phases, play, write};
use crate::fold::tests::play::Play;

fn update(play: &mut Play, phase: &str, status: &str) {
    let call = json!({"adw_id":"3af4a34d","current_phase":phase,"status":status});
    write(play, "http/adw-phase-update", call);
}

fn log(play: &mut Play, phase: &str, status: &str, more: Value) {
    let mut call =
        json!({"adw_id":"3af4a34d","issue_number":83,"phase_name":phase,"phase_status":status});
    if let (Value::Object(call), Value::Object(more)) = (&mut call, more) {
        call.extend(more);
    }
    write(play, "http/task-logs", call);
}

#[test]
fn calls_alone_make_a_build() {
    let mut play = play();
    update(&mut play, "Plan", "running");
    update(&mut play, "Build", "running");
    let build = play.build();
    assert_eq!(build.session_id.as_deref(), Some("3af4a34d"));
    assert_eq!(
        (build.state, build.phase.as_deref()),
        (BuildState::Running, Some("Build"))
    );
    assert_eq!(build.phases[0].state, PhaseState::Completed);
    let reason = build.state_reason.as_deref().unwrap();
    assert_eq!(reason, "its orchestrator says of Build: running");
    update(&mut play, "Completed", "completed");
    assert_eq!(play.build().state, BuildState::Completed);
    assert_eq!(play.build().phases.len(), 2, "the end is no phase");
}

#[test]
fn task_logs_tell_phases_numbers_and_failures() {
    let mut play = play();
    log(&mut play, "Plan", "started", json!({"phase_number":1}));
    log(
        &mut play,
        "Plan",
        "completed",
        json!({"phase_number":1,"cost_usd":0.12,"tool_calls":[{"parameters":"x"}]}),
    );
    assert_eq!(
        play.build().state,
        BuildState::Running,
        "a phase is completed, not the whole"
    );
    assert_eq!(play.build().issue.as_deref(), Some("83"));
    assert_eq!(play.build().phase_number.as_deref(), Some("1"));
    assert_eq!(play.build().fields["task_logs"]["Plan"]["cost_usd"], "0.12");
    assert!(
        play.build().fields["task_logs"]["Plan"]
            .get("tool_calls")
            .is_none()
    );
    log(&mut play, "Validate", "skipped", json!({}));
    log(&mut play, "Build", "started", json!({}));
    log(
        &mut play,
        "Build",
        "failed",
        json!({"error_message":"no space left"}),
    );
    let build = play.build();
    assert_eq!(
        (build.state, build.error.as_deref()),
        (BuildState::Failed, Some("no space left"))
    );
    log(
        &mut play,
        "Build",
        "failed",
        json!({"error_message":"again"}),
    );
    assert_eq!(play.build().run, 1);
    log(&mut play, "Plan", "started", json!({}));
    assert_eq!(
        (play.build().run, play.build().state),
        (2, BuildState::Running)
    );
}

#[test]
fn the_queue_is_shown_where_calls_tell_it() {
    for (word, state) in [
        ("queued", BuildState::Queued),
        ("ready", BuildState::Queued),
        ("blocked", BuildState::Waiting),
        ("paused", BuildState::Waiting),
    ] {
        let mut play = play();
        update(&mut play, "Build", word);
        assert_eq!(play.build().state, state, "{word}");
    }
    let mut play = play();
    update(&mut play, "Build", "running");
    let end = json!({"adw_id":"3af4a34d","status":"completed","queue_id":"q7","parent_issue":80});
    write(&mut play, "http/workflow-complete", end);
    assert_eq!(play.build().state, BuildState::Completed);
    assert_eq!(
        (fact(&play, "queue_id"), fact(&play, "parent_issue")),
        (Some("q7"), Some("80"))
    );
}

#[test]
fn files_and_calls_of_one_workflow_are_one_build_and_the_newer_word_counts() {
    let mut play = play();
    update(&mut play, "Plan", "running");
    write(&mut play, STATE, fresh());
    phases(&mut play, &["Plan", "Validate"], Some("Build"));
    assert_eq!(play.build().phase.as_deref(), Some("Build"));
    update(&mut play, "Lint", "running");
    assert_eq!(
        (play.build().run, play.build().phase.as_deref()),
        (1, Some("Lint"))
    );
    let completed = &play.build().fields["completed_phases"]["completed"];
    assert_eq!(completed, &json!(["Plan", "Validate", "Build"]));
    write(
        &mut play,
        PHASES,
        json!({"completed":["Plan","Validate","Build","Lint"],"current":null}),
    );
    assert_eq!(play.build().phase.as_deref(), Some("Lint"));
    // A hook is a sign of life and nothing more.
    write(
        &mut play,
        "http/hook",
        json!({"event_type":"PreToolUse","tool_name":"Bash"}),
    );
    assert_eq!(play.build().phase.as_deref(), Some("Lint"));
}

#[test]
fn a_hook_alone_is_a_workflow_that_works() {
    let mut play = play();
    write(&mut play, "http/hook", json!({"event_type":"PreToolUse"}));
    assert_eq!(play.build().state, BuildState::Running);
    assert!(play.build().state_reason.is_some());
}

#[test]
fn an_event_is_a_sign_of_life_and_its_phase_counts_wherever_it_tells_it() {
    let mut play = play();
    update(&mut play, "Plan", "running");
    let event = json!({"event_type":"note","message":"halfway","status":"failed","data":{"a":1}});
    write(&mut play, "http/event", event);
    let build = play.build();
    assert_eq!(
        (build.state, build.phase.as_deref()),
        (BuildState::Running, Some("Plan")),
        "nobody says what failed"
    );
    for (event, phase) in [
        (
            json!({"data":{"phase_name":"Build","phase_status":"started","phase_number":3,"issue_number":83}}),
            "Build",
        ),
        (
            json!({"payload":{"current_phase":{"name":"Lint"},"status":"running"},"status":null}),
            "Lint",
        ),
        (
            json!({"metadata":{"current_phase":"Test"},"status":"running"}),
            "Test",
        ),
    ] {
        write(&mut play, "http/event", event);
        assert_eq!(play.build().phase.as_deref(), Some(phase));
    }
    assert_eq!(play.build().issue.as_deref(), Some("83"));
    let failed =
        json!({"data":{"phase_name":"Test","phase_status":"failed","error_message":"2 failed"}});
    write(&mut play, "http/event", failed);
    let build = play.build();
    assert_eq!(
        (build.state, build.error.as_deref()),
        (BuildState::Failed, Some("2 failed"))
    );
    write(&mut play, "http/event", json!({"event_type":"note"}));
    assert_eq!(play.build().run, 1);
    let again = json!({"data":{"phase_name":"Plan","phase_status":"started"}});
    write(&mut play, "http/event", again);
    assert_eq!(play.build().run, 2);
    let end = json!({"current_phase":"Completed","status":"completed"});
    write(&mut play, "http/event", end);
    assert_eq!(play.build().state, BuildState::Completed);
}
