//! What OpenBuilder's runner sends, with its oddities.

use protocol::BuildState;
use serde_json::{Value, json};

use super::play::Play;

fn play() -> Play {
    Play::of("openbuilder", "http/")
}

fn told(play: &mut Play, event: &Value) {
    let body = json!({"projectId":"p","buildId":"b","agentId":"claude-code","event":event});
    let event = play.content("build-events", &body);
    play.fold(event);
}

fn list(play: &mut Play, id: &str, todos: &Value) {
    let event = json!({"type":"tool-input-available","toolCallId":id,"toolName":"TodoWrite","input":{"todos":todos}});
    told(play, &event);
}

fn used(id: &str) -> Value {
    json!({"type":"tool-input-available","toolCallId":id,"toolName":"Write"})
}

fn tools(play: &Play) -> Vec<Value> {
    let calls = play.build().calls.as_ref();
    calls.and_then(Value::as_array).cloned().unwrap_or_default()
}

#[test]
fn a_missing_session_and_a_start_once_per_message_are_one_build() {
    let mut play = play();
    for message in ["m1", "m2", "m2"] {
        told(&mut play, &json!({"type":"start","messageId":message}));
    }
    let build = play.build();
    assert_eq!((build.run, build.session_id.as_deref()), (1, None));
    assert_eq!(build.coding_agent.as_deref(), Some("claude-code"));
}

#[test]
fn todo_index_and_todo_index_in_camel_case_are_the_same() {
    for key in ["todoIndex", "todo_index"] {
        let mut play = play();
        list(
            &mut play,
            "l",
            &json!([{"content":"A","status":"in_progress"},{"content":"B"}]),
        );
        for (id, index, text) in [
            ("t1", json!(1), json!("B")),
            ("t2", json!(-1), Value::Null),
            ("t3", json!("x"), json!("A")),
            ("t4", json!(9), Value::Null),
        ] {
            let mut event = used(id);
            event[key] = index;
            told(&mut play, &event);
            let tool = tools(&play).pop().unwrap();
            assert_eq!((&tool["id"], &tool["todo"]), (&json!(id), &text), "{key}");
        }
    }
}

#[test]
fn an_output_before_its_input_is_one_finished_call() {
    let mut play = play();
    list(
        &mut play,
        "l",
        &json!([{"content":"A","status":"in_progress"},{"content":"B"}]),
    );
    told(
        &mut play,
        &json!({"type":"tool-output-available","toolCallId":"t"}),
    );
    let mut input = used("t");
    input["todoIndex"] = json!(1);
    told(&mut play, &input);
    let all = tools(&play);
    assert_eq!(all.len(), 1);
    assert_eq!(
        (&all[0]["name"], &all[0]["state"], &all[0]["todo"]),
        (&json!("Write"), &json!("output-available"), &json!("B"))
    );
    let counts: Vec<&Value> = play
        .build()
        .todos
        .as_ref()
        .unwrap()
        .as_array()
        .unwrap()
        .iter()
        .map(|todo| &todo["tools"])
        .collect();
    assert_eq!(counts, [&json!(0), &json!(1)]);
}

#[test]
fn todos_may_lack_content_active_form_status_or_be_no_objects() {
    let mut play = play();
    list(
        &mut play,
        "l",
        &json!([{"activeForm":"Testing","status":"completed"},{"content":"B"},{"status":"pending"},7,null]),
    );
    let todos = play.build().todos.clone().unwrap();
    let texts: Vec<&Value> = todos
        .as_array()
        .unwrap()
        .iter()
        .map(|todo| &todo["text"])
        .collect();
    assert_eq!(texts, [&json!("Testing"), &json!("B"), &Value::Null]);
    for wrong in [json!("A"), Value::Null, json!({})] {
        list(&mut play, &wrong.to_string(), &wrong);
    }
    assert_eq!(
        play.build().todos.as_ref(),
        Some(&todos),
        "what is no list changes nothing"
    );
}

#[test]
fn a_todo_without_a_text_keeps_its_place_and_nobody_makes_a_text_up() {
    let mut play = play();
    let points = json!([{"status":"completed"},{"status":"in_progress"},{"content":"B"}]);
    list(&mut play, "l1", &points);
    assert_eq!(play.build().detail, None);
    let mut first = used("t1");
    first["todoIndex"] = json!(0);
    for event in [first, used("t2"), used("t3")] {
        told(&mut play, &event);
    }
    list(&mut play, "l2", &points);
    let todos = play.build().todos.clone().unwrap();
    let counts: Vec<&Value> = todos.as_array().unwrap().iter().collect();
    assert_eq!(
        counts,
        [
            &json!({"text":null,"state":"completed","tools":1}),
            &json!({"text":null,"state":"in_progress","tools":2}),
            &json!({"text":"B","state":null,"tools":0}),
        ]
    );
    let told: Vec<_> = tools(&play)
        .iter()
        .map(|tool| (tool["todo"].clone(), tool["planning"].clone()))
        .collect();
    assert_eq!(told, [(); 3].map(|()| (Value::Null, json!(false))));
}

#[test]
fn an_older_list_that_comes_again_by_the_other_way_changes_nothing() {
    let mut play = play();
    list(
        &mut play,
        "v2",
        &json!([{"content":"A","status":"in_progress"}]),
    );
    list(
        &mut play,
        "v3",
        &json!([{"content":"A","status":"completed"}]),
    );
    let by_the_other_way = json!({"projectId":"p","event":{"type":"tool-input-available","toolCallId":"v2","toolName":"TodoWrite",
        "input":{"todos":[{"content":"A","status":"in_progress"}]}}});
    let event = play.content("build-events", &by_the_other_way);
    play.fold(event);
    assert_eq!(
        play.build().todos.as_ref().unwrap()[0]["state"],
        "completed"
    );
    // Its output has no name, and is no tool of its own.
    told(
        &mut play,
        &json!({"type":"tool-output-available","toolCallId":"v3"}),
    );
    assert!(tools(&play).is_empty());
}

#[test]
fn a_tool_that_came_twice_or_failed_is_one_call() {
    let mut play = play();
    told(&mut play, &used("t"));
    told(&mut play, &json!({"type":"tool-error","toolCallId":"t"}));
    told(&mut play, &used("t"));
    let all = tools(&play);
    assert_eq!((all.len(), &all[0]["state"]), (1, &json!("error")));
    assert_eq!(all[0]["is_error"], true);
}

#[test]
fn tools_are_in_their_order_planning_ones_marked_and_the_oldest_counted() {
    let mut play = play();
    told(&mut play, &used("plan"));
    list(
        &mut play,
        "l",
        &json!([{"content":"A","status":"in_progress"}]),
    );
    told(&mut play, &used("work"));
    let marks: Vec<(Value, Value)> = tools(&play)
        .into_iter()
        .map(|tool| (tool["id"].clone(), tool["planning"].clone()))
        .collect();
    assert_eq!(
        marks,
        [(json!("plan"), json!(true)), (json!("work"), json!(false))]
    );
    for number in 0..200 {
        told(&mut play, &used(&format!("t{number}")));
    }
    let all = tools(&play);
    assert_eq!((all.len(), &all[199]["id"]), (200, &json!("t199")));
    let facts = &play.build().facts;
    assert_eq!(
        (facts[0].label.as_str(), facts[0].text.as_str()),
        ("Earlier tool calls", "2")
    );
}

#[test]
fn a_repair_marks_the_build_that_it_is_and_after_an_end_the_next_one() {
    let mut play = play();
    let repair = |play: &mut Play, attempt: u32| {
        let body = json!({"type":"autofix-started","projectId":"p","errorType":"startup",
                          "errorMessage":"port 3000 is taken","attempt":attempt,"maxAttempts":3});
        let event = play.content("runner-events", &body);
        play.fold(event);
    };
    told(&mut play, &json!({"type":"start","messageId":"m"}));
    assert!(play.build().facts.is_empty());
    // Once by each of two ways.
    repair(&mut play, 1);
    repair(&mut play, 1);
    let fact = play.build().facts[0].clone();
    assert_eq!(
        (play.build().run, fact.label.as_str(), fact.text.as_str()),
        (
            1,
            "Auto-fix",
            "started 1x, attempt 1 of 3, after an error of its startup, port 3000 is taken"
        )
    );
    let end = json!({"type":"build-completed","projectId":"p","payload":{}});
    let event = play.content("runner-events", &end);
    play.fold(event);
    repair(&mut play, 2);
    told(&mut play, &json!({"type":"start","messageId":"m2"}));
    let build = play.build();
    assert_eq!((build.run, build.state), (2, BuildState::Running));
    assert!(
        build.facts[0]
            .text
            .starts_with("started 1x, attempt 2 of 3")
    );
}

#[test]
fn the_end_fills_the_progress_although_the_last_list_was_missed() {
    let mut play = play();
    list(
        &mut play,
        "l",
        &json!([{"content":"A","status":"completed"},{"content":"B","status":"in_progress"}]),
    );
    let end = json!({"type":"build-completed","projectId":"p","payload":{"summary":"Done"}});
    let event = play.content("runner-events", &end);
    play.fold(event);
    let build = play.build();
    assert_eq!(
        (build.state, build.progress),
        (BuildState::Completed, Some(1.0))
    );
    // Work after the end is the next build.
    told(&mut play, &json!({"type":"start","messageId":"m"}));
    assert_eq!(play.build().run, 2);
}
