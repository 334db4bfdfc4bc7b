//! `logs/structured/workflow_<adw_id>.jsonl`, as the agent's digest tells it,
//! and what phases cost beside what was estimated.

use protocol::{BuildState, PhaseState};
use serde_json::{Value, json};

use super::{ERROR, PHASES, STATE, fact, fresh, phases, play, write};
use crate::fold::tests::play::Play;

const LOG: &str = "logs/structured/workflow_3af4a34d.jsonl";

fn log(play: &mut Play, told: &[Value]) {
    write(
        play,
        LOG,
        json!({"digest":"phase-log","v":1,"phases":told,"bad_lines":0}),
    );
}

fn phase(name: &str, number: u32, status: &str) -> Value {
    json!({"phase_name":name,"phase_number":number,"phase_status":status,"issue_number":83})
}

fn with(mut phase: Value, more: Value) -> Value {
    if let (Value::Object(phase), Value::Object(more)) = (&mut phase, more) {
        phase.extend(more);
    }
    phase
}

#[test]
fn a_structured_log_tells_the_phases_of_its_workflow() {
    let mut play = play();
    log(
        &mut play,
        &[
            phase("Plan", 1, "completed"),
            phase("Validate", 2, "skipped"),
            phase("Build", 3, "started"),
        ],
    );
    let build = play.build();
    assert_eq!(build.session_id.as_deref(), Some("3af4a34d"));
    assert_eq!(
        (build.state, build.phase.as_deref()),
        (BuildState::Running, Some("Build"))
    );
    assert_eq!(
        (build.issue.as_deref(), build.phase_number.as_deref()),
        (Some("83"), Some("3"))
    );
    assert_eq!(build.phases[0].state, PhaseState::Completed);
    // A newer list of completed phases counts more.
    phases(&mut play, &["Plan", "Validate", "Build"], Some("Lint"));
    assert_eq!(play.build().phase.as_deref(), Some("Lint"));
}

#[test]
fn a_failed_phase_in_the_structured_log_fails_the_workflow_with_its_words() {
    let mut play = play();
    let failed = with(
        phase("Test", 5, "failed"),
        json!({"error_message":"2 tests failed","retry_of":"x"}),
    );
    log(&mut play, &[phase("Plan", 1, "completed"), failed.clone()]);
    let build = play.build();
    assert_eq!(
        (build.state, build.error.as_deref()),
        (BuildState::Failed, Some("2 tests failed"))
    );
    assert_eq!(
        build.state_reason.as_deref(),
        Some("its log says of Test: failed")
    );
    assert_eq!(
        build.fields["phase_log"]["Test"]["retry_of"], "x",
        "unknown members are kept"
    );
    // Its last words begin nothing; a phase that starts does.
    log(
        &mut play,
        &[
            phase("Plan", 1, "completed"),
            with(failed, json!({"visits":2})),
        ],
    );
    assert_eq!(play.build().run, 1);
    log(
        &mut play,
        &[phase("Plan", 1, "completed"), phase("Test", 5, "started")],
    );
    assert_eq!(
        (play.build().run, play.build().state),
        (2, BuildState::Running)
    );
}

#[test]
fn the_end_that_the_structured_log_tells_of_the_whole_is_one() {
    let mut play = play();
    write(
        &mut play,
        LOG,
        json!({"digest":"phase-log","v":1,"phases":[phase("Ship", 8, "completed")],
            "workflow":{"event_type":"workflow","status":"completed"}}),
    );
    assert_eq!(play.build().state, BuildState::Completed);
}

#[test]
fn actual_costs_of_phases_stand_beside_what_was_estimated() {
    let mut play = play();
    let estimated = json!({"estimated_cost_breakdown":{"plan":0.15,"build":"0.3","test":1}});
    write(&mut play, STATE, with(fresh(), estimated));
    log(
        &mut play,
        &[
            with(
                phase("Plan", 1, "completed"),
                json!({"cost_usd":"0.12","duration_seconds":362.5}),
            ),
            with(phase("Lint", 4, "completed"), json!({"duration_seconds":3})),
            phase("Build", 3, "started"),
        ],
    );
    assert_eq!(
        fact(&play, "phase_cost.Plan"),
        Some("$0.12, estimated $0.15, 6 min")
    );
    assert_eq!(fact(&play, "phase_cost.Lint"), Some("cost unknown, 3 s"));
    assert_eq!(
        fact(&play, "phase_cost.Build"),
        None,
        "nothing is known of it yet"
    );
    // What the result lines of a phase's agents say is truer than its log.
    let attempt = |usd: &str| {
        json!({"digest":"stream-json","v":1,
        "attempts":[{"session_id":usd,"state":"success","total_cost_usd":usd}]})
    };
    write(
        &mut play,
        "agents/3af4a34d/sdlc_planner/raw_output.jsonl",
        attempt("0.1"),
    );
    write(
        &mut play,
        "agents/3af4a34d/branch_generator/raw_output.jsonl",
        attempt("0.005"),
    );
    assert_eq!(
        fact(&play, "phase_cost.Plan"),
        Some("$0.105, estimated $0.15, 6 min")
    );
}

#[test]
fn task_logs_tell_what_a_phase_cost_where_there_is_no_file() {
    let mut play = play();
    write(
        &mut play,
        "http/task-logs",
        with(
            phase("Plan", 1, "completed"),
            json!({"adw_id":"3af4a34d","cost_usd":0.5}),
        ),
    );
    assert_eq!(fact(&play, "phase_cost.Plan"), Some("$0.50"));
}

#[test]
fn an_execution_log_says_which_script_runs_and_is_no_failure() {
    let mut play = play();
    write(
        &mut play,
        "agents/3af4a34d/adw_test_iso/execution.log",
        json!({"bytes":7}),
    );
    assert_eq!(
        (play.build().state, play.build().phase.as_deref()),
        (BuildState::Running, Some("Test"))
    );
    write(
        &mut play,
        "agents/3af4a34d/adw_sdlc_complete_iso/execution.log",
        json!({"bytes":9}),
    );
    assert_eq!(
        play.build().phase.as_deref(),
        Some("Test"),
        "it runs several"
    );
    write(&mut play, ERROR, json!({"bytes":1}));
    assert_eq!(play.build().state, BuildState::Failed);
}

#[test]
fn the_place_in_the_queue_is_told_with_its_parent_issue() {
    let mut play = play();
    let queued = json!({"adw_id":"3af4a34d","issue_number":84,
        "metadata":{"parent_issue":80,"queue_position":2,"queue_status":"blocked"}});
    write(&mut play, "http/task-logs", queued);
    assert_eq!(fact(&play, "parent_issue"), Some("80"));
    assert_eq!(
        (fact(&play, "queue_position"), fact(&play, "queue_status")),
        (Some("2"), Some("blocked"))
    );
    assert_eq!(play.build().state, BuildState::Waiting);
    assert_eq!(
        play.build().state_reason.as_deref(),
        Some("its queue says blocked")
    );
    phases(&mut play, &[], Some("Plan"));
    assert_eq!(play.build().state, BuildState::Running, "it works now");
}

#[test]
fn a_pull_request_is_linked_by_its_number_and_the_issues_page() {
    let mut play = play();
    let known = json!({"github_url":"https://github.com/a/b/issues/83"});
    write(&mut play, STATE, with(fresh(), known));
    assert_eq!(play.build().pr_url, None);
    let shipped = with(
        phase("Ship", 8, "completed"),
        json!({"adw_id":"3af4a34d","pr_number":214}),
    );
    write(&mut play, "http/task-logs", shipped);
    assert_eq!(
        play.build().pr_url.as_deref(),
        Some("https://github.com/a/b/pull/214")
    );
    assert_eq!(play.build().branch.as_deref(), Some("feature-issue-83"));
}

#[test]
fn an_issue_number_is_text_number_or_null_and_costs_may_be_text() {
    for (issue, shown) in [
        (json!("83"), Some("83")),
        (json!(83), Some("83")),
        (json!(null), None),
        (json!("999"), Some("999")),
    ] {
        let mut play = play();
        write(
            &mut play,
            STATE,
            json!({"issue_number":issue,"estimated_cost_total":"0.45"}),
        );
        assert_eq!(play.build().issue.as_deref(), shown);
        assert_eq!(play.build().cost_usd.unwrap().to_string(), "0.45");
    }
}

#[test]
fn naive_local_times_are_data_and_never_the_builds_own() {
    let mut play = play();
    write(
        &mut play,
        STATE,
        with(fresh(), json!({"start_time":"2025-12-10T10:33:03.064774"})),
    );
    assert_eq!(
        fact(&play, "start_time"),
        Some("2025-12-10T10:33:03.064774")
    );
    assert_eq!(
        play.build().started_at,
        play.build().changed_at,
        "by the file's time"
    );
    write(
        &mut play,
        PHASES,
        json!({"completed":[],"current":"Plan","last_updated":"2025-12-10T10:33:03"}),
    );
    assert!(play.build().phases[0].started_at >= play.build().started_at);
}

#[test]
fn odd_logs_do_no_harm() {
    for odd in [
        json!({"digest":"phase-log","v":1}),
        json!({"digest":"phase-log","v":1,"phases":[7,{},{"phase_name":[1],"phase_status":{}}],"workflow":[]}),
        json!({"digest":"phase-log","v":2,"phases":[phase("Plan", 1, "failed")]}),
    ] {
        let mut play = play();
        write(&mut play, LOG, odd.clone());
        assert!(!play.build().has_ended(), "{odd}");
    }
}
