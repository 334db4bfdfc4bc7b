//! What several programs that write and call at once do to a workflow.

use protocol::{BuildState, PhaseState};
use serde_json::json;

use super::{STATE, fact, play, write};

#[test]
fn a_call_may_name_its_phase_as_an_object_and_its_end_in_any_case() {
    let mut play = play();
    let phase = json!({"name":"Build","status":"running"});
    write(
        &mut play,
        "http/adw-phase-update",
        json!({"adw_id":"3af4a34d","current_phase":phase,"status":"running"}),
    );
    assert_eq!(play.build().phase.as_deref(), Some("Build"));
    write(
        &mut play,
        "http/adw-phase-update",
        json!({"adw_id":"3af4a34d","current_phase":"completed","status":"Completed"}),
    );
    assert_eq!(play.build().state, BuildState::Completed);
    assert_eq!(play.build().phases.len(), 1, "the end is no phase");
}

#[test]
fn a_program_that_read_before_another_wrote_takes_nothing_back() {
    let mut play = play();
    write(
        &mut play,
        STATE,
        json!({"adw_id":"3af4a34d","issue_number":"83"}),
    );
    write(
        &mut play,
        STATE,
        json!({"adw_id":"3af4a34d","issue_number":"83","branch_name":"feature-83","backend_port":9108}),
    );
    // It had read the first content, and saves that with what it found out itself.
    write(
        &mut play,
        STATE,
        json!({"adw_id":"3af4a34d","issue_number":"83","branch_name":null,"plan_file":"specs/83.md"}),
    );
    assert_eq!(play.build().branch.as_deref(), Some("feature-83"));
    assert_eq!(fact(&play, "backend_port"), Some("9108"));
    assert_eq!(fact(&play, "plan_file"), Some("specs/83.md"));
    assert_eq!(
        (play.build().run, play.build().state),
        (1, BuildState::Running)
    );
}

#[test]
fn a_phase_that_is_skipped_is_neither_the_current_one_nor_completed() {
    let mut play = play();
    for (phase, status) in [("Plan", "completed"), ("Validate", "skipped")] {
        write(
            &mut play,
            "http/task-logs",
            json!({"adw_id":"3af4a34d","phase_name":phase,"phase_status":status}),
        );
    }
    let reason = play.build().state_reason.as_deref();
    assert_eq!(reason, Some("its orchestrator says of Validate: skipped"));
    write(
        &mut play,
        "http/task-logs",
        json!({"adw_id":"3af4a34d","phase_name":"Build","phase_status":"started"}),
    );
    let phases: Vec<_> = play
        .build()
        .phases
        .iter()
        .map(|phase| (phase.name.as_str(), phase.state))
        .collect();
    assert_eq!(
        phases,
        [
            ("Plan", PhaseState::Completed),
            ("Build", PhaseState::Running)
        ]
    );
}
