//! What a workflow cost where only its logs tell, by phase, and never twice.

use protocol::{Build, Money};
use serde_json::{Value, json};

use super::{STATE, fact, fresh, play, write};
use crate::fold::costs;
use crate::fold::tests::play::Play;

const LOG: &str = "logs/structured/workflow_3af4a34d.jsonl";

fn call(play: &mut Play, phase: &str, status: &str, more: Value) {
    let mut call =
        json!({"adw_id":"3af4a34d","issue_number":83,"phase_name":phase,"phase_status":status});
    if let (Value::Object(call), Value::Object(more)) = (&mut call, more) {
        call.extend(more);
    }
    write(play, "http/task-logs", call);
}

/// Rows of phase, status, visits and cost.
fn log(play: &mut Play, rows: &[(&str, &str, u32, Option<&str>)]) {
    let phase = |(name, status, visits, usd): &(&str, &str, u32, Option<&str>)| json!({"phase_name":name,"phase_status":status,"visits":visits,"cost_usd":usd});
    let phases: Vec<Value> = rows.iter().map(phase).collect();
    let digest = json!({"digest":"phase-log","v":1,"phases":phases,"bad_lines":0});
    write(play, LOG, digest);
}

fn agent(play: &mut Play, agent: &str, state: &str, usd: Option<&str>) {
    let model = "claude-sonnet-4-5-20250929";
    let attempt = json!({"session_id":agent,"state":state,"model":model,"total_cost_usd":usd,
        "models":{model:{"input":100_000,"cost_usd":usd}}});
    let digest = json!({"digest":"stream-json","v":1,"attempts":[attempt]});
    let file = format!("agents/3af4a34d/{agent}/raw_output.jsonl");
    write(play, &file, digest);
}

fn usd(text: &str) -> Option<Money> {
    Some(text.parse().unwrap())
}

fn cost(play: &Play) -> (Option<Money>, Option<bool>) {
    (play.build().cost_usd, play.build().cost_estimated)
}

/// The parts as `/api/v1/costs` adds them up; their sum is the build's cost.
fn parts(build: &Build) -> Vec<String> {
    let parts = costs::parts(build).unwrap();
    let sum: Money = parts
        .iter()
        .map(|part| part.usd.parse::<Money>().unwrap())
        .sum();
    assert_eq!(Some(sum), build.cost_usd);
    let word = |name: &Option<String>| name.clone().unwrap_or_else(|| "?".to_owned());
    let guess = |estimated| if estimated { " ~" } else { "" };
    let part = |part: &costs::Part| {
        format!(
            "{} {} {}{}",
            word(&part.phase),
            word(&part.model),
            part.usd,
            guess(part.estimated)
        )
    };
    parts.iter().map(part).collect()
}

#[test]
fn what_only_logs_tell_of_phases_is_what_the_build_cost_digit_for_digit() {
    let mut play = play();
    let mut state = fresh();
    state["estimated_cost_total"] = json!("4.5");
    write(&mut play, STATE, state);
    assert_eq!(cost(&play), (usd("4.5"), Some(true)));
    let plan = ("Plan", "completed", 1, Some("0.1"));
    log(
        &mut play,
        &[
            plan,
            ("doc", "completed", 1, Some("0.2")),
            ("Test", "started", 0, None),
        ],
    );
    assert_eq!(cost(&play), (usd("0.3"), Some(false)));
    assert_eq!(parts(play.build()), ["Document ? 0.2", "Plan ? 0.1"]);
    // The calls say the same of a phase; of another one they are all there is.
    call(&mut play, "Plan", "completed", json!({"cost_usd":"0.1"}));
    call(&mut play, "Review", "completed", json!({"cost_usd":"0.05"}));
    assert_eq!(cost(&play), (usd("0.35"), Some(false)));
    write(&mut play, STATE, fresh());
    assert_eq!(cost(&play), (usd("0.35"), Some(false)));
    let text = serde_json::to_string(&play.track).unwrap();
    play.track = serde_json::from_str(&text).unwrap();
    call(&mut play, "Ship", "completed", json!({"cost_usd":0.65}));
    assert_eq!(cost(&play), (usd("1"), Some(false)));
}

#[test]
fn where_agents_tell_what_a_phase_cost_nothing_is_counted_twice() {
    let mut play = play();
    log(
        &mut play,
        &[
            ("Plan", "completed", 1, Some("0.5")),
            ("Build", "completed", 1, Some("0.7")),
        ],
    );
    agent(&mut play, "sdlc_planner", "success", Some("0.4"));
    assert_eq!(cost(&play), (usd("1.1"), Some(false)));
    assert_eq!(
        parts(play.build()),
        ["Build ? 0.7", "Plan claude-sonnet-4-5-20250929 0.4"]
    );
    // No result line came: what the log says was spent is truer than a guess that is less.
    agent(&mut play, "sdlc_implementor", "running", None);
    assert_eq!(cost(&play), (usd("1.1"), Some(false)));
    agent(&mut play, "sdlc_implementor", "success", Some("0.61"));
    assert_eq!(cost(&play), (usd("1.01"), Some(false)));
    assert_eq!(fact(&play, "phase_cost.Build"), Some("$0.61"));
}

#[test]
fn an_agent_of_no_known_phase_is_within_what_a_log_tells_as_far_as_anybody_knows() {
    let mut play = play();
    agent(&mut play, "pr_creator", "success", Some("0.03"));
    call(&mut play, "Ship", "completed", json!({"cost_usd":"0.03"}));
    assert_eq!(cost(&play), (usd("0.03"), Some(false)));
    call(
        &mut play,
        "Document",
        "completed",
        json!({"cost_usd":"0.1"}),
    );
    assert_eq!(cost(&play), (usd("0.13"), Some(true)));
    assert_eq!(
        parts(play.build()),
        ["? ? 0.1 ~", "? claude-sonnet-4-5-20250929 0.03"]
    );
}

#[test]
fn the_calls_of_a_phase_add_up_and_the_same_call_again_adds_nothing() {
    let mut play = play();
    let visit = |usd: &str, at: &str| json!({"cost_usd":usd,"duration_seconds":60,"tokens_used":500,"completed_at":at});
    for _ in 0..2 {
        call(&mut play, "Test", "started", json!({}));
    }
    for _ in 0..2 {
        call(
            &mut play,
            "Test",
            "completed",
            visit("0.1", "2025-12-10T10:00:00Z"),
        );
    }
    assert_eq!(cost(&play).0, usd("0.1"));
    call(&mut play, "Test", "started", json!({}));
    assert_eq!(cost(&play).0, usd("0.1"), "a start forgets nothing");
    call(
        &mut play,
        "Test",
        "completed",
        visit("0.2", "2025-12-10T10:05:00Z"),
    );
    call(
        &mut play,
        "Test",
        "completed",
        visit("0.1", "2025-12-10T10:00:00Z"),
    );
    assert_eq!(cost(&play), (usd("0.3"), Some(false)));
    let told = &play.build().fields["task_logs"]["Test"];
    assert_eq!(
        (&told["visits"], &told["tokens_used"]),
        (&json!(2), &json!(1000))
    );
    assert_eq!(fact(&play, "phase_cost.Test"), Some("$0.30, 2 min"));
    // Without a time, what follows a start is another visit; what follows itself is it again.
    for _ in 0..2 {
        call(&mut play, "Review", "started", json!({}));
        for _ in 0..2 {
            call(&mut play, "Review", "completed", json!({"cost_usd":"0.25"}));
        }
    }
    assert_eq!(cost(&play).0, usd("0.8"));
    // An id tells an event, whatever else it says.
    for status in ["failed", "failed"] {
        let text = play.now_ms.to_string();
        call(
            &mut play,
            "Ship",
            status,
            json!({"event_id":"evt_1","cost_usd":"0.2","error_message":text}),
        );
    }
    assert_eq!(cost(&play).0, usd("1"));
}

#[test]
fn the_next_run_does_not_pay_for_the_visits_of_the_one_before() {
    let mut play = play();
    let plan = ("Plan", "completed", 1, Some("0.5"));
    log(&mut play, &[plan, ("Test", "failed", 1, Some("0.25"))]);
    assert_eq!((play.build().run, cost(&play).0), (1, usd("0.75")));
    // It goes on where it failed: the log goes on, too.
    log(&mut play, &[plan, ("Test", "started", 1, Some("0.25"))]);
    assert_eq!((play.build().run, cost(&play).0), (2, None));
    log(&mut play, &[plan, ("Test", "failed", 2, Some("0.35"))]);
    assert_eq!(cost(&play), (usd("0.1"), Some(false)));
    // It begins at its first phase: the log forgets what went before.
    log(&mut play, &[("Plan", "started", 0, None)]);
    log(&mut play, &[("Plan", "completed", 1, Some("0.5"))]);
    assert_eq!((play.build().run, cost(&play).0), (3, usd("0.5")));
}

#[test]
fn odd_amounts_cost_nothing() {
    for odd in [
        json!("cheap"),
        json!(-1),
        json!({}),
        json!([1]),
        json!(null),
        json!("inf"),
    ] {
        let mut play = play();
        let more = json!({"cost_usd":odd,"duration_seconds":odd,"tokens_used":odd});
        call(&mut play, "Plan", "completed", more);
        assert_eq!(cost(&play), (None, None), "{odd}");
        call(&mut play, "Build", "completed", json!({"cost_usd":0.5}));
        assert_eq!(cost(&play), (usd("0.5"), Some(false)), "{odd}");
    }
}
