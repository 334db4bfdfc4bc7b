//! What real producers send that nobody would have thought of.

use super::*;

#[tokio::test]
async fn ids_that_are_numbers_are_taken_as_their_text() {
    let bench = bench(Admission::loopback(), false);
    let (status, body) = bench
        .post("/api/phase-update", &json!({"session_id":7}))
        .await;
    assert_eq!((status, &body["session_id"]), (StatusCode::OK, &json!("7")));
    assert_eq!(bench.last().place, Place::Session("7".to_owned()));
    let hook = json!({"event_id":"e","event_type":"Stop","session_id":5,"timestamp":"2025-11-02T10:00:00.5"});
    assert_eq!(bench.post("/api/events", &hook).await.0, StatusCode::OK);
    assert_eq!(bench.last().place, Place::Session("5".to_owned()));
}

#[tokio::test]
async fn issue_numbers_are_text_numbers_or_null_and_ids_have_two_forms() {
    let bench = bench(Admission::loopback(), false);
    for (id, issue, project) in [
        ("3af4a34d", json!("83"), "issue 83"),
        ("adw-3af4a34d", json!(83), "issue 83"),
        ("3af4a34d", Value::Null, "3af4a34d"),
    ] {
        let body =
            json!({"adw_id":id,"issue_number":issue,"phase_name":"Plan","phase_status":"started"});
        let (status, _) = bench.post("/api/v1/observability/task-logs", &body).await;
        assert_eq!(status, StatusCode::OK);
        let call = bench.last();
        assert_eq!(
            (call.place, call.project.as_str()),
            (Place::Own(format!("adw:{id}")), project)
        );
    }
}

#[tokio::test]
async fn a_phase_that_ends_never_starts_the_next_one() {
    let bench = bench(Admission::loopback(), false);
    let body = json!({"adw_id":"3af4a34d","status":"completed","trigger_next":true,"current_phase":"Completed"});
    for path in ["/api/v1/workflow-complete", "/api/v1/adw-phase-update"] {
        let (_, answer) = bench.post(path, &body).await;
        assert_eq!(answer["next_phase_triggered"], json!(false), "{path}");
    }
}

#[tokio::test]
async fn hooks_of_a_workflow_belong_to_its_build() {
    let bench = bench(Admission::loopback(), false);
    let hook =
        json!({"event_id":"e","event_type":"Stop","session_id":"s","workflow_id":"wf-3af4a34d"});
    bench.post("/api/events", &hook).await;
    let call = bench.last();
    assert_eq!(
        (call.producer, call.place),
        ("adw", Place::Own("adw:3af4a34d".to_owned()))
    );
}

#[tokio::test]
async fn a_hook_of_nothing_is_answered_and_counted_and_is_of_no_build() {
    let bench = bench(Admission::loopback(), false);
    for hook in [
        json!({}),
        json!({"event_id":"e","event_type":"Stop","session_id":null,"workflow_id":"other"}),
        json!({"anything":[1]}),
    ] {
        let (status, answer) = bench.post("/api/events", &hook).await;
        assert_eq!(
            (status, &answer["status"]),
            (StatusCode::OK, &json!("ignored")),
            "{hook}"
        );
    }
    let (status, _) = bench.post("/api/events", &json!([1])).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "no object");
    assert!(bench.memory.calls.lock().unwrap().is_empty());
    let told = &bench.status.snapshot().routes[0];
    assert_eq!((told.received, told.ignored, told.refused), (0, 3, 1));
}

#[tokio::test]
async fn of_a_sessions_end_its_reason_is_kept_where_it_is_a_word() {
    let bench = bench(Admission::loopback(), false);
    for (kind, reason, kept) in [
        ("SessionEnd", json!("logout"), json!("logout")),
        ("SessionEnd", json!("it said hunter2"), Value::Null),
        ("SessionEnd", json!("x".repeat(200)), Value::Null),
        ("PreToolUse", json!("hunter2"), Value::Null),
    ] {
        let hook = json!({"event_type":kind,"session_id":"s","payload":{"reason":reason,"prompt":"hunter2"}});
        bench.post("/api/events", &hook).await;
        let told: Value = serde_json::from_str(&bench.last().document.text).unwrap();
        assert_eq!(told["reason"], kept, "{hook}");
    }
}

#[tokio::test]
async fn lifecycle_events_of_other_kinds_or_without_a_project_are_answered_and_ignored() {
    let bench = bench(Admission::loopback(), false);
    for body in [
        json!({"type":"tunnel-created","projectId":"p"}),
        json!({"type":"build-completed"}),
        json!({"type":"log-chunk","projectId":"p","data":"x"}),
    ] {
        let (status, answer) = bench.post("/api/runner/events", &body).await;
        assert_eq!((status, answer), (StatusCode::OK, json!({"ok":true})));
    }
    let text = json!({"projectId":"p","event":{"type":"text-delta","delta":"secret"}});
    assert_eq!(
        bench.post("/api/build-events", &text).await.1,
        json!({"ok":true})
    );
    assert!(bench.memory.calls.lock().unwrap().is_empty());
    let told = bench.status.snapshot().routes;
    let counts: Vec<(u64, u64)> = told
        .iter()
        .map(|route| (route.received, route.ignored))
        .collect();
    assert_eq!(counts, [(0, 1), (0, 3)]);
}

#[tokio::test]
async fn what_a_runner_says_in_sentences_is_masked() {
    let bench = bench(Admission::loopback(), false);
    let secret = "DATABASE_URL=postgres://app:hunter2@db/shop is wrong";
    for body in [
        json!({"type":"build-failed","projectId":"p","error":secret}),
        json!({"type":"autofix-started","projectId":"p","errorMessage":secret,"attempt":1}),
        json!({"type":"build-completed","projectId":"p","payload":{"summary":secret,"todos":[{"content":secret}]}}),
    ] {
        bench.post("/api/runner/events", &body).await;
        let text = bench.last().document.text;
        assert!(
            !text.contains("hunter2") && text.contains("is wrong"),
            "{text}"
        );
    }
}

/// A call of each route that keeps something, with this text in it.
fn saying(secret: &str) -> Vec<(&'static str, Value)> {
    vec![
        (
            "/api/phase-update",
            json!({"session_id":"s","progress_detail":secret}),
        ),
        (
            "/api/agent-update",
            json!({"session_id":"s","agent_id":"a","error_message":secret,"metadata":{"a":[secret]}}),
        ),
        (
            "/api/broadcast/s",
            json!({"type":"error","data":{"message":secret}}),
        ),
        (
            "/api/v1/adw-phase-update",
            json!({"adw_id":"3af4a34d","metadata":{"note":secret}}),
        ),
        (
            "/api/v1/api/v1/adw-phase-update",
            json!({"adw_id":"3af4a34d","metadata":{"note":secret}}),
        ),
        (
            "/api/v1/observability/task-logs",
            json!({"adw_id":"3af4a34d","log_message":secret,"error_message":secret}),
        ),
        (
            "/api/v1/workflow-complete",
            json!({"adw_id":"3af4a34d","metadata":{"note":secret}}),
        ),
        (
            "/api/v1/event/error",
            json!({"adw_id":"3af4a34d","data":{"message":secret}}),
        ),
        (
            "/api/events",
            json!({"session_id":"s","event_type":secret,"tool_name":secret}),
        ),
        (
            "/api/build-events",
            json!({"projectId":"p","event":{"type":"tool-input-available","toolName":"TodoWrite","input":{"todos":[{"content":secret}]}}}),
        ),
        (
            "/api/runner/events",
            json!({"type":"build-failed","projectId":"p","error":secret}),
        ),
        (
            "/api/v1/events",
            json!({"specversion":"1.0","id":"1","type":"t","source":"s","data":{"detail":secret,"session_id":"sk-learn-experiments-2025"}}),
        ),
    ]
}

#[tokio::test]
async fn secrets_in_texts_are_masked_whatever_route_they_come_by() {
    let bench = bench(Admission::loopback(), false);
    let secret = "DATABASE_URL=postgres://app:hunter2@db/shop is wrong";
    let mut tried = Vec::new();
    for (path, body) in saying(secret) {
        let (status, answer) = bench.post(path, &body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        let text = bench.last().document.text;
        assert!(
            !text.contains("hunter2") && text.contains("is wrong"),
            "{path}: {text}"
        );
        tried.push(path);
    }
    assert!(
        bench
            .last()
            .document
            .text
            .contains("sk-learn-experiments-2025")
    );
    let kept_nowhere = [
        "/api/workflow-history/resync",
        "/api/roi-tracking/executions",
    ];
    let plain = crate::router::PLAIN.iter().map(|(path, _)| *path);
    let left_out: Vec<&str> = plain.filter(|path| !tried.contains(path)).collect();
    assert_eq!(left_out, kept_nowhere, "every route that keeps something");
}

#[tokio::test]
async fn an_agent_takes_calls_of_its_own_host_only() {
    let memory = Memory::default();
    let ingest =
        Ingest::new(memory.clone(), Admission::token("s3cret"), Arc::default()).of_host("mine");
    let router = router(ingest);
    let send = async |host: Option<&str>| {
        let mut request = post("/api/phase-update", "{}".to_owned(), "127.0.0.1:9");
        let headers = request.headers_mut();
        headers.insert("authorization", "Bearer s3cret".parse().unwrap());
        if let Some(host) = host {
            headers.insert("phaseline-host", host.parse().unwrap());
        }
        router.clone().oneshot(request).await.unwrap().status()
    };
    assert_eq!(send(None).await, StatusCode::OK);
    assert_eq!(send(Some("mine")).await, StatusCode::OK);
    assert_eq!(send(Some("other")).await, StatusCode::BAD_REQUEST);
    assert_eq!(memory.calls.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_refusal_is_told_in_few_words_however_long_the_cause() {
    let bench = bench(Admission::loopback(), false);
    let event = json!({"specversion":"9".repeat(100_000)});
    bench.post("/api/v1/events", &event).await;
    let told = bench.status.snapshot().routes[0]
        .last_refusal
        .clone()
        .unwrap();
    assert!(told.chars().count() <= protocol::calls::MAX_SAID + 1);
}
