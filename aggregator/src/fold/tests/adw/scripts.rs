//! `execution.log`, held open by its script until that ends, however it ends.

use protocol::BuildState;
use serde_json::json;

use super::{STATE, phases, play, write};
use crate::fold::TimerKind;
use crate::fold::tests::play::Play;

const PLAN: &str = "agents/3af4a34d/adw_plan_iso/execution.log";
const BUILD: &str = "agents/3af4a34d/adw_build_iso/execution.log";

fn held(play: &mut Play, log: &str, held: bool) {
    write(play, log, json!({"bytes": 7, "held": held}));
}

/// How long the build may be silent now, milliseconds.
fn limit(play: &Play) -> i64 {
    play.track.silence().unwrap().limit_ms
}

#[test]
fn a_workflow_whose_process_is_gone_is_stalled_soon_and_says_why() {
    let mut play = play();
    phases(&mut play, &["Plan"], Some("Build"));
    held(&mut play, PLAN, true);
    held(&mut play, BUILD, true);
    assert_eq!(limit(&play), 15 * 60_000);
    held(&mut play, PLAN, false);
    assert_eq!(limit(&play), 15 * 60_000, "the other one runs");
    play.now_ms += 60_000;
    held(&mut play, BUILD, false);
    // The closing is its last sign of life, not the last line before it.
    assert_eq!(play.build().alive_at.unwrap().as_millis(), play.now_ms);
    assert_eq!(
        play.build().state,
        BuildState::Running,
        "the next may begin"
    );
    let silence = play.track.silence().unwrap();
    assert_eq!(silence.limit_ms, 30_000);
    play.timer(TimerKind::Silent {
        since: play.build().alive_at.unwrap(),
        limit_ms: silence.limit_ms,
        evidence: silence.evidence,
    });
    assert_eq!(play.build().state, BuildState::Stalled);
    let reason = play.build().state_reason.clone().unwrap();
    assert!(
        reason.contains("its process is gone: agents/3af4a34d/adw_build_iso/execution.log"),
        "{reason}"
    );
    // The next script is its own sign of life.
    held(&mut play, BUILD, true);
    assert_eq!(play.build().state, BuildState::Running);
    assert_eq!(limit(&play), 15 * 60_000);
}

#[test]
fn of_a_script_that_nobody_saw_running_nothing_is_said() {
    let mut play = play();
    phases(&mut play, &["Plan"], Some("Build"));
    held(&mut play, BUILD, false);
    assert_eq!(limit(&play), 15 * 60_000);
    held(&mut play, BUILD, true);
    // An agent that has just begun does not know who holds what.
    write(&mut play, BUILD, json!({"bytes": 9}));
    held(&mut play, BUILD, false);
    assert_eq!(limit(&play), 15 * 60_000);
}

#[test]
fn a_script_that_goes_on_into_the_next_run_is_still_there() {
    let mut play = play();
    write(
        &mut play,
        STATE,
        json!({"adw_id":"3af4a34d","status":"failed"}),
    );
    held(&mut play, PLAN, true);
    phases(&mut play, &[], Some("Plan"));
    assert_eq!(play.build().run, 2);
    held(&mut play, BUILD, true);
    held(&mut play, BUILD, false);
    assert_eq!(limit(&play), 15 * 60_000);
}
