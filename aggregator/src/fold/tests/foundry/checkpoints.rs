//! The older loop: checkpoints, their progress and flag, its logs.

use protocol::build::Origin;
use protocol::{BuildState, PhaseState};
use serde_json::{Value, json};

use super::super::play::Play;
use super::{fact, file, found};
use crate::fold::Track;

const STATE: &str = "checkpoints/ralph/shop_1/state.json";
const PROGRESS: &str = "checkpoints/ralph/shop_1/progress.json";
const COMPLETE: &str = "checkpoints/ralph/shop_1/COMPLETE";
const SESSION: &str = "logs/ralph_shop_1/session.jsonl";
const EVENTS: &str = "logs/events/shop_1/events.jsonl";
const LIVE: &str = ".context-foundry/current-phase.json";

fn play() -> Play {
    Play::of("context-foundry", "")
}

fn state(phase: &str, iterations: u64) -> Value {
    json!({"project_name":"shop","task_description":"Build a shop","session_id":"shop_1","start_time":"2025-10-01T22:00:00.123456",
        "iterations":iterations,"completed_tasks":[],"failed_attempts":["x"],"current_phase":phase,
        "artifacts":{"scout-report":"# a long text"},"last_iteration_time":"2025-10-01T22:05:00.5","last_phase":"scout"})
}

/// The digest of a log with these events, of which some came before.
fn log(first: u64, events: &[(&str, Option<u64>, Value)]) -> Value {
    let told: Vec<Value> = (first..).zip(events).map(|(number, (kind, sequence, data))| {
        json!({"number": number, "type": kind, "sequence": sequence, "data": data})
    }).collect();
    json!({"digest":"foundry-events","v":1,"events":told,"next":first + events.len() as u64,"lines":9,"bad_lines":0})
}

#[test]
fn a_checkpoint_is_a_build_and_its_artifacts_stay_out_of_it() {
    let mut play = play();
    file(&mut play, STATE, &state("scout", 1));
    file(&mut play, STATE, &state("builder", 3));
    let build = play.build();
    assert_eq!(
        (build.origin, build.state, build.run),
        (Origin::Checkpoint, BuildState::Running, 1)
    );
    assert_eq!(
        (build.project.as_str(), build.session_id.as_deref()),
        ("shop", Some("shop_1"))
    );
    assert_eq!(build.detail.as_deref(), Some("Build a shop"));
    assert_eq!(fact(&play, "iterations"), Some("3"));
    assert_eq!(fact(&play, "failed_attempts"), Some("1"));
    assert_eq!(build.fields["artifacts"], json!(["scout-report"]));
    assert_eq!(build.phases[0].state, PhaseState::Completed);
    assert_eq!(build.phase.as_deref(), Some("builder"));
}

#[test]
fn a_checkpoint_without_last_iteration_time_or_with_wrong_types_breaks_nothing() {
    let mut play = play();
    for odd in [
        json!({}),
        json!({"iterations":"many","current_phase":7,"artifacts":[1],"completed_tasks":{},"session_id":[]}),
        json!({"current_phase":"builder"}),
    ] {
        file(&mut play, STATE, &odd);
        assert_eq!(play.build().state, BuildState::Running, "{odd}");
    }
    assert_eq!(play.build().run, 1);
    assert_eq!(fact(&play, "iterations"), None);
}

#[test]
fn progress_and_the_flag_are_of_the_checkpoint_whichever_comes_first() {
    let mut play = play();
    file(
        &mut play,
        PROGRESS,
        &json!({"completed":["Plan"],"remaining":["Write","Test","Plan"],"notes":["n"]}),
    );
    assert!(play.track.current().is_none());
    file(&mut play, STATE, &state("builder", 1));
    let tasks = play.build().tasks.clone().unwrap();
    assert_eq!(
        (
            &tasks["completed"],
            &tasks["total"],
            tasks["list"].as_array().unwrap().len()
        ),
        (&json!(1), &json!(3), 3)
    );
    assert_eq!(play.build().progress, Some(1.0 / 3.0));
    file(&mut play, COMPLETE, &json!({"bytes": 0}));
    let build = play.build();
    assert_eq!(
        (build.state, build.progress),
        (BuildState::Completed, Some(1.0))
    );
    assert!(build.state_reason.as_ref().unwrap().contains("COMPLETE"));
    // The last checkpoint is written after the flag.
    file(&mut play, STATE, &state("complete", 2));
    assert_eq!(
        (play.build().run, play.build().state),
        (1, BuildState::Completed)
    );
}

#[test]
fn the_flag_ends_a_build_whose_newest_state_is_live_too() {
    let mut play = play();
    file(&mut play, STATE, &state("builder", 1));
    let event = ("phase_change", Some(1), json!({"phase":"builder"}));
    file(&mut play, EVENTS, &log(0, &[event]));
    assert_eq!(play.build().origin, Origin::Live);
    file(&mut play, COMPLETE, &json!({"bytes": 0}));
    assert_eq!(play.build().state, BuildState::Completed);
}

#[test]
fn the_phase_complete_ends_a_checkpoint_and_another_start_is_the_next_run() {
    let mut play = play();
    file(&mut play, STATE, &state("complete", 5));
    assert_eq!(play.build().state, BuildState::Completed);
    let mut again = state("scout", 1);
    again["start_time"] = json!("2025-10-02T22:00:00");
    file(&mut play, STATE, &again);
    assert_eq!(
        (play.build().run, play.build().state),
        (2, BuildState::Running)
    );
}

#[test]
fn found_files_of_a_loop_are_one_build_in_any_order() {
    let session = json!({"digest":"foundry-session","v":1,"tokens":{"input":7,"output":null},"context_percent":41.5,"model":"m","compactions":2,"lines":3});
    let files = [
        (STATE, state("builder", 3)),
        (PROGRESS, json!({"completed":["a"],"remaining":[]})),
        (SESSION, session),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let mut play = play();
        for place in order {
            let (name, document) = &files[place];
            found(
                &mut play,
                name,
                document,
                86_400_000 - 1_000 * i64::try_from(place).unwrap(),
            );
        }
        let build = play.build();
        assert!(build.found && build.tasks.is_some(), "{order:?}");
        assert_eq!(build.tokens.unwrap().input, Some(7), "{order:?}");
        assert_eq!(build.tokens.unwrap().output, None, "never 0");
        assert_eq!(build.context.unwrap().used, Some(83_000));
        assert_eq!(
            (build.model.as_deref(), fact(&play, "compactions")),
            (Some("m"), Some("2"))
        );
    }
}

#[test]
fn a_context_of_341_percent_is_told_as_it_is() {
    let mut play = play();
    file(&mut play, STATE, &state("builder", 3));
    file(
        &mut play,
        SESSION,
        &json!({"digest":"foundry-session","v":1,"context_percent":341,"tokens":{}}),
    );
    let context = play.build().context.unwrap();
    assert_eq!(
        (context.used, context.limit),
        (Some(682_000), Some(200_000))
    );
    assert_eq!(play.build().tokens, None);
}

#[test]
fn the_newest_file_wins_and_a_live_one_over_a_checkpoint_of_the_same_age() {
    let live = |phase: &str| json!({"session_id":"shop_1","current_phase":phase,"phase_number":"3/7","status":"building"});
    let at = |play: &mut Play, name: &str, document: &Value, at_ms: i64| {
        let mut event = play.content(name, document);
        event.changed_at = protocol::Timestamp::from_millis(at_ms);
        play.fold(event);
    };
    // (live at, checkpoint at) and who wins, whichever is read first.
    for (live_at, checkpoint_at, origin) in [
        (500_000, 500_000, Origin::Live),
        (500_000, 500_900, Origin::Live),
        (500_000, 800_000, Origin::Checkpoint),
        (800_000, 500_000, Origin::Live),
    ] {
        for live_first in [true, false] {
            let mut play = play();
            if live_first {
                at(&mut play, LIVE, &live("Builder"), live_at);
                at(&mut play, STATE, &state("architect", 2), checkpoint_at);
            } else {
                at(&mut play, STATE, &state("architect", 2), checkpoint_at);
                at(&mut play, LIVE, &live("Builder"), live_at);
            }
            let phase = if origin == Origin::Live {
                "Builder"
            } else {
                "architect"
            };
            let build = play.build();
            assert_eq!(
                (build.origin, build.phase.as_deref(), build.run),
                (origin, Some(phase), 1),
                "{live_at} {checkpoint_at} {live_first}"
            );
            let newest = live_at.max(checkpoint_at);
            let shown = build.changed_at.unwrap().as_millis();
            assert!(
                shown == newest || origin == Origin::Live,
                "the age of its data: {shown}"
            );
            assert_eq!(
                fact(&play, "task_description"),
                Some("Build a shop"),
                "the other one adds what is not known"
            );
        }
    }
}

#[test]
fn the_log_of_broadcasts_says_what_the_broadcasts_say_each_event_once() {
    let mut play = play();
    let first = log(
        0,
        &[
            (
                "phase_change",
                Some(1),
                json!({"phase":"scout","context_percent":12}),
            ),
            ("iteration_start", Some(2), json!({"iteration":1})),
            ("task_complete", Some(3), json!({"task":"Plan"})),
        ],
    );
    file(&mut play, EVENTS, &first);
    let build = play.build();
    assert_eq!(
        (
            build.origin,
            build.phase.as_deref(),
            build.session_id.as_deref()
        ),
        (Origin::Live, Some("scout"), Some("shop_1"))
    );
    assert_eq!(build.context.unwrap().used, Some(24_000));
    assert_eq!(
        build.tasks.as_ref().unwrap()["list"],
        json!([{"id":null,"text":"Plan","state":"completed"}])
    );
    // The next digest tells the last ones again.
    let second = log(
        2,
        &[
            ("task_complete", Some(3), json!({"task":"Plan"})),
            ("phase_change", Some(4), json!({"phase":"builder"})),
            ("error", Some(5), json!({"message":"no disk"})),
            ("unheard_of", Some(6), json!({})),
        ],
    );
    file(&mut play, EVENTS, &second);
    let text = serde_json::to_string(&play.track).unwrap();
    play.track = serde_json::from_str::<Track>(&text).unwrap();
    file(
        &mut play,
        EVENTS,
        &log(
            4,
            &[
                ("error", Some(5), json!({"message":"old"})),
                ("unheard_of", None, json!(7)),
                (
                    "completion",
                    Some(7),
                    json!({"success":true,"summary":"done"}),
                ),
            ],
        ),
    );
    let build = play.build();
    assert_eq!(build.error.as_deref(), Some("no disk"));
    assert_eq!((build.state, build.run), (BuildState::Completed, 1));
    let visits: Vec<_> = build.phases.iter().map(|phase| phase.iterations).collect();
    assert_eq!(visits, [Some(1), Some(1)]);
    // A process that begins counts from one again: the next run.
    file(
        &mut play,
        EVENTS,
        &log(7, &[("phase_change", Some(1), json!({"phase":"scout"}))]),
    );
    assert_eq!(
        (play.build().run, play.build().state),
        (2, BuildState::Running)
    );
}

#[test]
fn broadcasts_that_came_and_went_unseen_are_marked_on_the_build() {
    let mut play = play();
    file(
        &mut play,
        EVENTS,
        &log(0, &[("iteration_start", Some(1), json!({"iteration":1}))]),
    );
    assert_eq!(play.build().gap_at, None);
    file(
        &mut play,
        EVENTS,
        &log(60, &[("iteration_start", Some(60), json!({"iteration":9}))]),
    );
    assert!(play.build().gap_at.is_some());
    assert_eq!(fact(&play, "iteration"), Some("9"));
}
