//! Tokens of which only logs tell: how many, and not of which kind.

use protocol::build::Tokens;
use serde_json::{Value, json};

use super::{play, write};
use crate::fold::tests::play::Play;

const LOG: &str = "logs/structured/workflow_3af4a34d.jsonl";

fn call(play: &mut Play, phase: &str, more: Value) {
    let mut call = json!({"adw_id":"3af4a34d","issue_number":83,"phase_name":phase,"phase_status":"completed"});
    if let (Value::Object(call), Value::Object(more)) = (&mut call, more) {
        call.extend(more);
    }
    write(play, "http/task-logs", call);
}

/// Rows of phase, status, visits and tokens.
fn log(play: &mut Play, rows: &[(&str, &str, u32, u64)]) {
    let phase = |(name, status, visits, tokens): &(&str, &str, u32, u64)| json!({"phase_name":name,"phase_status":status,"visits":visits,"tokens_used":tokens});
    let phases: Vec<Value> = rows.iter().map(phase).collect();
    write(
        play,
        LOG,
        json!({"digest":"phase-log","v":1,"phases":phases,"bad_lines":0}),
    );
}

fn agent(play: &mut Play, agent: &str) {
    let attempt = json!({"session_id":agent,"state":"success","total_cost_usd":"0.1",
        "tokens":{"input":2,"output":10,"cache_read":100,"cache_write":20}});
    let digest = json!({"digest":"stream-json","v":1,"attempts":[attempt]});
    write(
        play,
        &format!("agents/3af4a34d/{agent}/raw_output.jsonl"),
        digest,
    );
}

fn of_unknown_kind(tokens: u64) -> Option<Tokens> {
    Some(Tokens {
        unknown_kind: Some(tokens),
        ..Tokens::default()
    })
}

fn by_kind(unknown_kind: Option<u64>) -> Option<Tokens> {
    Some(Tokens {
        input: Some(2),
        output: Some(10),
        cache_read: Some(100),
        cache_write: Some(20),
        unknown_kind,
    })
}

#[test]
fn tokens_used_of_the_phases_add_up_and_their_kinds_stay_unknown() {
    let mut play = play();
    call(&mut play, "Plan", json!({"cost_usd":"0.1"}));
    assert_eq!(play.build().tokens, None, "none were told");
    for _ in 0..2 {
        let more = json!({"tokens_used":9000,"completed_at":"2025-12-10T10:00:00Z"});
        call(&mut play, "Plan", more);
    }
    call(&mut play, "Test", json!({"tokens_used":"500"}));
    assert_eq!(play.build().tokens, of_unknown_kind(9_500));
    // The log says the same of a phase; of another one it is all there is.
    log(
        &mut play,
        &[("Plan", "completed", 1, 9_000), ("doc", "completed", 2, 70)],
    );
    assert_eq!(play.build().tokens, of_unknown_kind(9_570));
    let text = serde_json::to_string(&play.track).unwrap();
    play.track = serde_json::from_str(&text).unwrap();
    call(&mut play, "Ship", json!({"tokens_used":30}));
    assert_eq!(play.build().tokens, of_unknown_kind(9_600));
}

#[test]
fn where_an_agent_tells_the_tokens_of_a_phase_by_kind_its_log_adds_none() {
    let mut play = play();
    call(&mut play, "Plan", json!({"tokens_used":9000}));
    call(&mut play, "Test", json!({"tokens_used":500}));
    agent(&mut play, "sdlc_planner");
    assert_eq!(play.build().tokens, by_kind(Some(500)));
    agent(&mut play, "test_runner");
    let tokens = play.build().tokens.unwrap();
    assert_eq!((tokens.input, tokens.unknown_kind), (Some(4), None));
}

#[test]
fn where_an_agent_of_no_known_phase_told_tokens_those_of_logs_may_be_the_same_ones() {
    let mut play = play();
    call(&mut play, "Ship", json!({"tokens_used":9000}));
    agent(&mut play, "pr_creator");
    assert_eq!(play.build().tokens, by_kind(None));
}

#[test]
fn the_next_run_does_not_count_the_tokens_of_the_one_before() {
    let mut play = play();
    let plan = ("Plan", "completed", 1, 9_000);
    log(&mut play, &[plan, ("Test", "failed", 1, 500)]);
    assert_eq!(
        (play.build().run, play.build().tokens),
        (1, of_unknown_kind(9_500))
    );
    log(&mut play, &[plan, ("Test", "started", 1, 500)]);
    assert_eq!((play.build().run, play.build().tokens), (2, None));
    log(&mut play, &[plan, ("Test", "failed", 2, 620)]);
    assert_eq!(play.build().tokens, of_unknown_kind(120));
}

#[test]
fn tokens_that_are_no_count_are_unknown() {
    for odd in [json!("many"), json!(-1), json!(0.5), json!({}), json!(null)] {
        let mut play = play();
        call(&mut play, "Plan", json!({"tokens_used":odd}));
        assert_eq!(play.build().tokens, None, "{odd}");
    }
}
