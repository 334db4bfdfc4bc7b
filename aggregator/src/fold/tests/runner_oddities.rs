//! What breaks those who listen to OpenBuilder's runner: two ways, ids of two
//! sides, ends that are lost or told twice, coding agents without lists.

use protocol::{BuildState, Timestamp};
use serde_json::{Value, json};

use super::play::Play;
use crate::fold::TimerKind;

fn play() -> Play {
    Play::of("openbuilder", "http/")
}

fn post(play: &mut Play, body: &Value) {
    let event = play.content("build-events", body);
    play.fold(event);
}

fn told(play: &mut Play, event: &Value) {
    post(play, &json!({"projectId":"p","buildId":"b","event":event}));
}

/// A lifecycle event.
fn life(play: &mut Play, kind: &str, more: &Value) {
    let mut body = json!({"type":kind,"projectId":"p"});
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more.clone());
    }
    let event = play.content("runner-events", &body);
    play.fold(event);
}

fn list(id: &str, first: &str, second: &str) -> Value {
    json!({"type":"tool-input-available","toolCallId":id,"toolName":"TodoWrite",
        "input":{"todos":[{"content":"A","status":first},{"content":"B","status":second}]}})
}

fn used(id: &str) -> Value {
    json!({"type":"tool-input-available","toolCallId":id,"toolName":"Write"})
}

fn tools(play: &Play) -> Vec<Value> {
    let tools = play.build().fields.get("tools");
    tools.and_then(Value::as_array).cloned().unwrap_or_default()
}

fn of(play: &Play) -> (u32, BuildState) {
    (play.build().run, play.build().state)
}

#[test]
fn a_runners_build_stalls_by_inactivity_and_never_by_age() {
    let mut play = play();
    told(&mut play, &json!({"type":"start","messageId":"m"}));
    let began = play.now_ms;
    for hour in 0..10 {
        play.now_ms += 3_600_000;
        told(&mut play, &used(&format!("t{hour}")));
    }
    let alive = play.track.alive_at().unwrap();
    assert_eq!(alive, Timestamp::from_millis(play.now_ms));
    assert!(alive.as_millis() - began > 36_000_000, "it is old");
    let silence = play.track.silence().unwrap();
    assert_eq!(silence.limit_ms, 15 * 60_000);
    // Its end was sent while the runner was not connected, and is lost.
    play.timer(TimerKind::Silent {
        since: alive,
        limit_ms: silence.limit_ms,
        evidence: silence.evidence,
    });
    assert_eq!(of(&play), (1, BuildState::Stalled));
    told(&mut play, &used("later"));
    assert_eq!(of(&play), (1, BuildState::Running));
}

#[test]
fn a_build_that_ended_is_not_ended_again_by_what_comes_after() {
    for (first, state, later) in [
        ("build-completed", BuildState::Completed, "error"),
        ("build-completed", BuildState::Completed, "build-failed"),
        ("build-failed", BuildState::Failed, "build-completed"),
    ] {
        let mut play = play();
        told(&mut play, &json!({"type":"start","messageId":"m"}));
        life(&mut play, first, &json!({"error":"the first"}));
        let before = play.build().clone();
        life(
            &mut play,
            later,
            &json!({"error":"the dev server did not start"}),
        );
        let build = play.build();
        assert_eq!(of(&play), (1, state), "{first}, then {later}");
        assert_eq!(
            (&build.error, &build.status),
            (&before.error, &before.status)
        );
        assert_eq!(
            (build.ended_at, build.progress),
            (before.ended_at, before.progress)
        );
    }
    // What is told of the whole after its end is of it all the same.
    let mut play = play();
    life(&mut play, "build-completed", &json!({}));
    life(
        &mut play,
        "build-summary",
        &json!({"payload":{"summary":"All done"}}),
    );
    assert_eq!(play.build().summary, Some(json!("All done")));
}

#[test]
fn what_comes_by_the_slower_way_after_the_end_begins_no_other_build() {
    let mut play = play();
    told(&mut play, &list("l1", "in_progress", "pending"));
    life(&mut play, "build-completed", &json!({}));
    told(&mut play, &used("t"));
    told(&mut play, &list("l2", "completed", "in_progress"));
    assert_eq!(of(&play), (1, BuildState::Completed));
    assert_eq!(play.build().progress, Some(1.0), "the end says more");
    assert_eq!(
        play.build().todos.as_ref().unwrap()[0]["state"],
        "completed"
    );
    // Much later it is work.
    play.now_ms += 120_000;
    told(&mut play, &used("u"));
    assert_eq!(of(&play), (2, BuildState::Running));
}

#[test]
fn two_ids_of_one_build_begin_at_most_one_run_each() {
    let mut play = play();
    for (n, id) in ["client", "server", "client", "server", "client"]
        .iter()
        .enumerate()
    {
        post(
            &mut play,
            &json!({"projectId":"p","buildId":id,"event":used(&n.to_string())}),
        );
    }
    assert_eq!(of(&play), (2, BuildState::Running));
    assert_eq!(tools(&play).len(), 4);
    let text = serde_json::to_string(&play.track).unwrap();
    play.track = serde_json::from_str(&text).unwrap();
    post(
        &mut play,
        &json!({"projectId":"p","buildId":"another","event":used("x")}),
    );
    assert_eq!(play.build().run, 3, "a third one is another build");
}

#[test]
fn a_build_id_that_is_null_a_number_or_missing_begins_no_other_build() {
    let mut play = play();
    for (n, id) in [json!(7), json!(null), json!("7"), json!(7)]
        .iter()
        .enumerate()
    {
        post(
            &mut play,
            &json!({"projectId":"p","buildId":id,"event":used(&n.to_string())}),
        );
    }
    post(
        &mut play,
        &json!({"projectId":"p","event":used("by its socket")}),
    );
    assert_eq!((play.build().run, tools(&play).len()), (1, 5));
}

#[test]
fn todos_of_a_coding_agent_without_lists_come_with_the_end() {
    let mut play = play();
    let body = json!({"projectId":"p","agentId":"openai-codex","event":used("t")});
    post(&mut play, &body);
    assert_eq!(play.build().todos, None);
    let todos = json!([{"content":"A","status":"completed"},{"activeForm":"Testing"}]);
    life(
        &mut play,
        "build-completed",
        &json!({"payload":{"todos":todos}}),
    );
    let todos = play.build().todos.as_ref().unwrap().as_array().unwrap();
    assert_eq!((todos.len(), &todos[1]["text"]), (2, &json!("Testing")));
    assert_eq!(play.build().progress, Some(1.0));
    assert_eq!(play.build().coding_agent.as_deref(), Some("openai-codex"));
}

#[test]
fn an_empty_list_at_the_end_does_not_erase_the_known_one() {
    let mut play = play();
    told(&mut play, &list("l", "completed", "in_progress"));
    life(
        &mut play,
        "build-completed",
        &json!({"payload":{"todos":[],"summary":"Done"}}),
    );
    assert_eq!(
        play.build()
            .todos
            .as_ref()
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn calls_with_random_ids_are_each_listed_and_keep_their_order() {
    let mut play = play();
    told(&mut play, &used("r1"));
    told(
        &mut play,
        &json!({"type":"tool-output-available","toolCallId":"r2","toolName":"Write"}),
    );
    told(
        &mut play,
        &json!({"type":"tool-output-available","toolCallId":"r3"}),
    );
    told(&mut play, &json!({"type":"tool-error"}));
    let states: Vec<Value> = tools(&play)
        .iter()
        .map(|tool| tool["state"].clone())
        .collect();
    assert_eq!(
        states,
        ["input-available", "output-available", "output-available"]
    );
    assert_eq!(tools(&play)[2]["name"], Value::Null, "nobody told it");
}

#[test]
fn what_is_remembered_of_a_runners_calls_is_bounded() {
    let mut play = play();
    for n in 0..500 {
        told(&mut play, &used(&format!("{n} {}", "x".repeat(2_000))));
        told(
            &mut play,
            &list(
                &format!("l{n} {}", "x".repeat(2_000)),
                "completed",
                "pending",
            ),
        );
        let body = json!({"projectId":"p","buildId":format!("b{n}"),"event":{"type":"start"}});
        if n % 10 == 0 {
            post(&mut play, &body);
        }
    }
    assert!(
        play.build().fields["earlier_builds"]
            .as_array()
            .unwrap()
            .len()
            <= 16
    );
    for n in 0..500 {
        told(&mut play, &used(&format!("again {n}")));
    }
    assert_eq!(tools(&play).len(), 200);
    assert!(play.build().fields["tools_before"].as_u64().unwrap() >= 300);
    let memory = serde_json::to_string(&play.track).unwrap().len();
    assert!(memory < 512 * 1024, "{memory}");
}

#[test]
fn the_phase_of_a_list_stands_in_its_event_or_in_its_input() {
    let mut play = play();
    let mut by_event = list("l1", "in_progress", "pending");
    by_event["phase"] = json!("template");
    told(&mut play, &by_event);
    assert_eq!(play.build().phase.as_deref(), Some("template"));
    let mut by_input = list("l2", "in_progress", "pending");
    by_input["input"]["phase"] = json!("build");
    told(&mut play, &by_input);
    told(&mut play, &used("t"));
    life(&mut play, "build-completed", &json!({}));
    let build = play.build();
    assert_eq!(build.phase.as_deref(), Some("build"));
    let phases: Vec<&str> = build
        .phases
        .iter()
        .map(|phase| phase.name.as_str())
        .collect();
    assert_eq!(phases, ["template", "build"]);
    assert!(build.phases.iter().all(|phase| phase.ended_at.is_some()));
}

#[test]
fn a_runner_tells_no_tokens_and_no_cost_and_none_are_made_up() {
    let mut play = play();
    told(&mut play, &list("l", "completed", "completed"));
    let model = json!({"projectId":"p","claudeModelId":"claude-haiku-4-5","event":used("t")});
    post(&mut play, &model);
    life(&mut play, "build-completed", &json!({}));
    let build = play.build();
    assert_eq!(build.model.as_deref(), Some("claude-haiku-4-5"));
    assert_eq!(
        (build.tokens, build.context, build.cost_usd),
        (None, None, None)
    );
}
