//! `/api/v1/event/{event_type}`: whose each event is, and what of it is kept.

use super::*;

fn workflow(id: &str) -> Option<(&'static str, Place)> {
    Some(("adw", Place::Own(format!("adw:{id}"))))
}

fn session(id: &str) -> Option<(&'static str, Place)> {
    Some(("claude-code", Place::Session(id.to_owned())))
}

#[tokio::test]
async fn an_event_is_of_the_workflow_or_the_session_that_it_names_wherever_it_does() {
    for (body, expected) in [
        (json!({"adw_id":"3af4a34d"}), workflow("3af4a34d")),
        (
            json!({"data":{"adw_id":"adw-3af4a34d"}}),
            workflow("adw-3af4a34d"),
        ),
        (json!({"workflow_id":"wf-3af4a34d"}), workflow("3af4a34d")),
        (
            json!({"payload":{"workflow_id":"wf-x"},"session_id":"s"}),
            workflow("x"),
        ),
        (
            json!({"metadata":{"session_id":"3af4a34d"}}),
            workflow("3af4a34d"),
        ),
        (
            json!({"session_id":"adw-3af4a34d"}),
            workflow("adw-3af4a34d"),
        ),
        (json!({"adw_id":12_345_678}), workflow("12345678")),
        (json!({"session_id":"s","workflow_id":"wf-"}), session("s")),
        (
            json!({"data":{"session_id":"5f3c"},"adw_id":null}),
            session("5f3c"),
        ),
        (json!({}), None),
        (
            json!({"adw_id":["x"],"workflow_id":"other","data":"s","payload":{"session_id":" "}}),
            None,
        ),
        (json!({"data":{"data":{"adw_id":"too deep"}}}), None),
    ] {
        let bench = bench(Admission::loopback(), false);
        let (status, answer) = bench.post("/api/v1/event/phase_started", &body).await;
        let calls = bench.memory.calls.lock().unwrap();
        let got = calls.last().map(|call| (call.producer, call.place.clone()));
        assert_eq!(got, expected, "{body}");
        if let Some(("adw", Place::Own(token))) = &got {
            let told: Value = serde_json::from_str(&calls[0].document.text).unwrap();
            let id = token.strip_prefix("adw:").unwrap();
            assert_eq!(told["adw_id"], id, "by which its build is called");
        }
        let told = &bench.status.snapshot().routes[0];
        assert_eq!(told.route, "/api/v1/event/{event_type}");
        match expected {
            Some(_) => {
                assert_eq!((status, &answer["success"]), (StatusCode::OK, &json!(true)));
                assert_eq!((told.received, told.refused), (1, 0));
            }
            None => {
                let code = &answer["error"]["code"];
                assert_eq!((status.as_u16(), code), (400, &json!("missing_key")));
                assert_eq!((told.received, told.refused), (0, 1));
            }
        }
    }
}

#[tokio::test]
async fn the_type_of_an_event_is_what_its_path_says_however_hostile_and_long() {
    let bench = bench(Admission::loopback(), false);
    for (path, expected) in [
        ("phase_started", "phase_started".to_owned()),
        ("%3Cscript%3E%2F..%00", "<script>/..\u{fffd}".to_owned()),
        (&"x".repeat(5_000), format!("{}…", "x".repeat(120))),
    ] {
        let body = json!({"adw_id":"3af4a34d","event_type":"another"});
        let (status, answer) = bench.post(&format!("/api/v1/event/{path}"), &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let told: Value = serde_json::from_str(&bench.last().document.text).unwrap();
        assert_eq!(told["event_type"], json!(expected));
        assert_eq!(bench.last().file, "http/event");
    }
    let large = format!("{{\"adw_id\":\"{}\"}}", "x".repeat(MAX_BODY));
    for (body, expected) in [("[1]", 422), ("", 422), (large.as_str(), 413)] {
        let request = post("/api/v1/event/x", body.to_owned(), "127.0.0.1:9");
        assert_eq!(bench.send(request).await.0.as_u16(), expected);
    }
}

#[tokio::test]
async fn of_an_event_its_words_are_kept_and_what_was_asked_and_what_tools_gave_is_not() {
    let bench = bench(Admission::loopback(), false);
    let body = json!({"adw_id":"3af4a34d","issue_number":83,"message":"halfway","unknown":[{"a":1,"output":"hunter2"}],
        "payload":{"prompt":"hunter2","tool_input":{"command":"hunter2"},"tool_name":"Bash"}});
    bench.post("/api/v1/event/progress", &body).await;
    let call = bench.last();
    assert_eq!(call.project, "issue 83");
    let told: Value = serde_json::from_str(&call.document.text).unwrap();
    assert_eq!(
        told,
        json!({"adw_id":"3af4a34d","issue_number":83,"message":"halfway","unknown":[{"a":1}],
            "payload":{"tool_name":"Bash"},"event_type":"progress"})
    );
}
