//! What of a body is taken, whatever it holds, and what stays where it is.

use super::*;

#[tokio::test]
async fn what_curl_sends_of_a_phase_file_is_that_file_without_its_line_breaks() {
    let bench = bench(Admission::loopback(), false);
    let file = "{\n  \"session_id\": \"web\",\r\n  \"current_phase\": \"Builder\",\n  \"last_updated\": \"a\"\n}\n";
    let sent = file.replace(['\r', '\n'], "");
    let request = post("/api/phase-update", sent.clone(), "127.0.0.1:9");
    assert_eq!(bench.send(request).await.0, StatusCode::OK);
    let read = protocol::Document::parse(file.as_bytes(), &["last_updated"]).unwrap();
    assert_eq!(
        bench.last().document,
        read,
        "one content, by file and by call"
    );
    // It was sent while it was being written, or before.
    for half in [&sent[..20], ""] {
        let request = post("/api/phase-update", half.to_owned(), "127.0.0.1:9");
        let (status, _) = bench.send(request).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{half}");
    }
    assert_eq!(bench.memory.calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_body_may_hold_all_that_a_file_may() {
    let bench = bench(Admission::loopback(), false);
    for body in [
        "\u{feff}{\"session_id\":\"web\"}",
        "{\"session_id\":\"web\",\"progress_detail\":\"half an emoji \\ud83d\"}",
        "{\"session_id\":\"web\",\"progress_detail\":\"\\u0000\"}",
        "{\"session_id\":\"web\",\"test_iteration\":1e400,\"session_id\":\"web\"}",
    ] {
        let request = post("/api/phase-update", body.to_owned(), "127.0.0.1:9");
        let (status, answer) = bench.send(request).await;
        assert_eq!(
            (status, &answer["session_id"]),
            (StatusCode::OK, &json!("web")),
            "{body}"
        );
    }
    let deep = format!("{{\"a\":{}", "[".repeat(100));
    let (status, answer) = bench
        .send(post("/api/phase-update", deep, "127.0.0.1:9"))
        .await;
    assert_eq!(
        (status.as_u16(), &answer["error"]["code"]),
        (422, &json!("bad_body"))
    );
}

#[tokio::test]
async fn of_a_tools_call_in_a_task_log_only_that_it_was_called_is_kept() {
    let bench = bench(Admission::loopback(), false);
    let path = "/api/v1/observability/task-logs";
    let call = json!({"tool_name":"Bash","duration_ms":5,"success":false,"error_message":"hunter2",
        "parameters":{"command":"hunter2"},"result_summary":"hunter2"});
    let row = json!({"adw_id":"3af4a34d","phase_name":"Build","phase_status":"started","cost_usd":0.1,
        "tool_calls":[call, "hunter2"],"another":[1]});
    let (status, answer) = bench.post(path, &row).await;
    assert_eq!(
        (status, &answer),
        (StatusCode::OK, &row),
        "as its caller knows it"
    );
    let kept: Value = serde_json::from_str(&bench.last().document.text).unwrap();
    let call = json!({"tool_name":"Bash","duration_ms":5,"success":false});
    assert_eq!(kept["tool_calls"], json!([call]));
    assert_eq!(
        (&kept["another"], &kept["cost_usd"]),
        (&json!([1]), &json!(0.1))
    );
    let odd = json!({"adw_id":"3af4a34d","phase_name":"Build","tool_calls":"hunter2"});
    bench.post(path, &odd).await;
    assert!(!bench.last().document.text.contains("hunter2"));
}

#[tokio::test]
async fn of_a_broadcast_lines_of_logs_and_details_of_errors_stay_out() {
    let bench = bench(Admission::loopback(), false);
    for (kind, data) in [
        ("log_line", json!({"line":"hunter2","level":"info"})),
        (
            "error",
            json!({"message":"no disk","details":{"env":"hunter2"}}),
        ),
        ("error", json!("hunter2")),
    ] {
        let event = json!({"type":kind,"session_id":"ralph-1","sequence":3,"data":data});
        let (status, _) = bench.post("/api/broadcast/ralph-1", &event).await;
        let text = bench.last().document.text;
        assert!(
            status == StatusCode::OK && !text.contains("hunter2"),
            "{text}"
        );
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&told["type"], &told["sequence"]),
            (&json!(kind), &json!(3))
        );
        assert_eq!(&told["data"]["message"], &data["message"]);
    }
}

#[tokio::test]
async fn of_a_runners_event_the_stack_and_the_rest_of_its_payload_stay_out() {
    let bench = bench(Admission::loopback(), false);
    for (payload, kept) in [
        (
            json!({"todos":[],"summary":"Done","env":{"DATABASE_URL":"hunter2"}}),
            json!({"todos":[],"summary":"Done"}),
        ),
        (json!(["hunter2"]), Value::Null),
    ] {
        let event = json!({"type":"build-failed","projectId":"p","error":"no disk","stack":"hunter2","payload":payload});
        let (_, answer) = bench.post("/api/runner/events", &event).await;
        assert_eq!(answer, json!({"ok":true}));
        let text = bench.last().document.text;
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&told["payload"], &told["error"]),
            (&kept, &json!("no disk"))
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn a_hook_of_an_empty_workflow_is_of_its_session() {
    let bench = bench(Admission::loopback(), false);
    for workflow in [json!("wf-"), json!("wf- "), Value::Null, json!("other")] {
        let hook = json!({"event_id":"e","event_type":"Stop","session_id":"s","workflow_id":workflow,"chat_history":null});
        assert_eq!(bench.post("/api/events", &hook).await.0, StatusCode::OK);
        let call = bench.last();
        assert_eq!(
            (call.producer, call.place),
            ("claude-code", Place::Session("s".to_owned())),
            "{workflow}"
        );
    }
}

#[tokio::test]
async fn events_of_builds_are_taken_at_the_runners_route_too() {
    let bench = bench(Admission::loopback(), false);
    let event = json!({"projectId":"p","buildId":"b","event":{"type":"start","messageId":"m"}});
    bench.post("/api/build-events", &event).await;
    let known = bench.last();
    let (status, answer) = bench.post("/api/runner/events", &event).await;
    assert_eq!((status, answer), (StatusCode::OK, json!({"ok":true})));
    assert_eq!(bench.last(), known);
    assert_eq!(bench.memory.calls.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn of_a_hook_that_writes_a_list_its_points_are_kept_and_of_other_tools_nothing() {
    let bench = bench(Admission::loopback(), false);
    let list = json!([{"content":"Write it","activeForm":"Writing","status":"pending","more":"hunter2"},
        {"activeForm":"Testing","status":7}, {"status":"pending"}, "hunter2"]);
    for (tool, kept) in [
        (
            "TodoWrite",
            json!([{"text":"Write it","state":"pending","tools":null},{"text":"Testing","state":"7","tools":null}]),
        ),
        ("Bash", Value::Null),
    ] {
        let hook = json!({"event_type":"PreToolUse","workflow_id":"wf-3af4a34d","tool_name":tool,
            "payload":{"tool_input":{"todos":list,"command":"hunter2"}}});
        bench.post("/api/events", &hook).await;
        let text = bench.last().document.text;
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(told["todos"], kept, "{tool}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
