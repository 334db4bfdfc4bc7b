//! What surprises in Context Foundry's phase file and broadcasts, beyond what
//! `runs`, `contents` and `foundry` show.

use protocol::{BuildState, PhaseState};
use serde_json::{Value, json};

use super::play::Play;

fn names(play: &Play) -> Vec<&str> {
    let phases = play.build().phases.iter();
    phases.map(|phase| phase.name.as_str()).collect()
}

#[test]
fn the_current_phase_that_is_listed_as_completed_too_is_one_phase() {
    let before = ["Codebase Analysis", "Scout", "Architect", "Builder"];
    let with = ["Codebase Analysis", "Scout", "Architect", "Builder", "Test"];
    let mut play = Play::new();
    play.state(json!({"current_phase":"Test","phase_number":"4/7","status":"testing","test_iteration":1,"phases_completed":before}));
    play.state(json!({"current_phase":"Test","phase_number":"4/7","status":"completed","test_iteration":1,"phases_completed":with}));
    let test = play.build().phases.last().unwrap().clone();
    assert_eq!(
        (test.name.as_str(), test.state),
        ("Test", PhaseState::Completed)
    );
    assert!(test.started_at < test.ended_at && test.iterations == Some(1));
    play.state(json!({"current_phase":"Documentation","phase_number":"5/7","status":"documenting","phases_completed":with}));
    assert_eq!(names(&play)[..5], with);
    assert_eq!(names(&play)[5..], ["Documentation"]);
    assert_eq!(
        (play.build().run, play.build().state),
        (1, BuildState::Running)
    );
}

#[test]
fn a_build_may_begin_with_phase_0_and_so_does_the_next() {
    let mut play = Play::new();
    play.phase("Codebase Analysis", "0/7", "analyzing");
    assert_eq!(play.build().progress, Some(0.0));
    play.phase("Scout", "1/7", "researching");
    play.phase("Architect", "2/7", "designing");
    assert_eq!(play.build().run, 1);
    play.phase("Codebase Analysis", "0/7", "analyzing");
    assert_eq!(play.build().run, 2);
}

#[test]
fn a_phase_has_several_names_and_is_drawn_once() {
    for (current, listed) in [
        ("Test", "Tester"),
        ("Test", "Test Loop"),
        ("Deploy", "Deployer"),
        ("GitHub Integration", "GitHub"),
        ("Builder", "builder"),
    ] {
        let mut play = Play::new();
        play.phase(current, "3/8", "in_progress");
        play.state(json!({"current_phase":"Feedback","phase_number":"7/8","status":"capturing","phases_completed":[listed]}));
        assert_eq!(names(&play), [current, "Feedback"], "{listed}");
        assert_eq!(play.build().phases[0].state, PhaseState::Completed);
    }
}

#[test]
fn a_phase_that_nobody_wrote_of_is_told_by_the_next_one_without_times() {
    let mut play = Play::new();
    play.phase("Scout", "1/7", "researching");
    play.state(json!({"current_phase":"Builder","phase_number":"3/7","status":"building","phases_completed":["Scout","Architect"]}));
    assert_eq!(names(&play), ["Scout", "Architect", "Builder"]);
    let skipped = &play.build().phases[1];
    assert_eq!(skipped.state, PhaseState::Completed);
    assert_eq!((skipped.started_at, skipped.ended_at), (None, None));
}

#[test]
fn words_that_only_its_readers_write_are_understood_as_well() {
    for (word, state) in [
        ("started", BuildState::Running),
        ("running", BuildState::Running),
        ("Researching", BuildState::Running),
        ("pending", BuildState::Queued),
    ] {
        let mut play = Play::new();
        play.phase("Scout", "1/7", word);
        assert_eq!(play.build().state, state, "{word}");
    }
}

#[test]
fn a_build_whose_files_tell_no_tokens_has_none_however_long_it_runs() {
    let mut play = Play::new();
    play.phase("Scout", "1/7", "researching");
    play.now_ms += 5 * 3_600_000;
    play.phase("Builder", "3/7", "building");
    play.summary(json!({"status":"completed"}));
    let build = play.build();
    assert_eq!(
        (build.tokens, build.context, build.cost_usd),
        (None, None, None)
    );
}

#[test]
fn a_loop_that_is_complete_tells_its_number_and_the_context() {
    let mut play = Play::new();
    for (sequence, kind, data) in [
        (1, "iteration_start", json!({"iteration":4})),
        (
            2,
            "iteration_complete",
            json!({"iteration":5,"context_percent":55}),
        ),
        (
            3,
            "iteration_complete",
            json!({"iteration":"many","context_percent":null}),
        ),
    ] {
        let body = json!({"type":kind,"session_id":"weather","sequence":sequence,"data":data});
        let mut event = play.content("x", &body);
        event.file = "http/broadcast".to_owned();
        play.fold(event);
    }
    assert_eq!(play.build().fields["iteration"], json!(5));
    assert_eq!(play.build().context.unwrap().used, Some(110_000));
}

#[test]
fn loops_and_test_runs_are_two_counts() {
    let mut play = Play::of("context-foundry", "");
    let mut write = |file: &str, document: &Value| {
        let event = play.content(file, document);
        play.fold(event);
    };
    write(
        "checkpoints/ralph/shop_1/state.json",
        &json!({"session_id":"shop_1","iterations":5,"current_phase":"builder"}),
    );
    write(
        ".context-foundry/current-phase.json",
        &json!({"session_id":"shop_1","current_phase":"Test","phase_number":"4/7","status":"testing","test_iteration":2}),
    );
    let build = play.build();
    assert_eq!(build.test_iteration, Some(2));
    let loops = build.facts.iter().find(|fact| fact.key == "iterations");
    assert_eq!(loops.unwrap().text, "5");
}
