//! Every route, as its callers call it, against a sink that remembers.

mod cloud_events;
mod described;
mod events;
mod oddities;
mod processes;
mod taken;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{Admission, Call, Ingest, MAX_BODY, NotKept, Place, Sink, Status, router};

#[derive(Clone, Default)]
struct Memory {
    calls: Arc<Mutex<Vec<Call>>>,
    full: bool,
}

impl Sink for Memory {
    async fn keep(&self, call: Call) -> Result<(), NotKept> {
        if self.full {
            return Err(NotKept("the outbox is full".to_owned()));
        }
        self.calls.lock().unwrap().push(call);
        Ok(())
    }
}

struct Bench {
    memory: Memory,
    status: Arc<Status>,
    router: Router,
}

fn bench(admission: Admission, full: bool) -> Bench {
    let memory = Memory {
        full,
        ..Memory::default()
    };
    let status = Arc::new(Status::default());
    let router = router(Ingest::new(memory.clone(), admission, Arc::clone(&status)));
    Bench {
        memory,
        status,
        router,
    }
}

impl Bench {
    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), MAX_BODY).await;
        let body = serde_json::from_slice(&bytes.unwrap()).unwrap_or(Value::Null);
        (status, body)
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(post(path, body.to_string(), "127.0.0.1:999"))
            .await
    }

    fn last(&self) -> Call {
        self.memory.calls.lock().unwrap().last().unwrap().clone()
    }
}

fn post(path: &str, body: String, peer: &str) -> Request<Body> {
    let peer: SocketAddr = peer.parse().unwrap();
    Request::post(path)
        .header("content-type", "application/json")
        .extension(ConnectInfo(peer))
        .body(Body::from(body))
        .unwrap()
}

#[tokio::test]
async fn callers_get_the_answers_they_know() {
    let bench = bench(Admission::loopback(), false);
    let (status, body) = bench
        .post(
            "/api/phase-update",
            &json!({"session_id":"web","current_phase":"Builder","last_updated":"x"}),
        )
        .await;
    assert_eq!(
        (status, &body["status"], &body["phase"]),
        (StatusCode::OK, &json!("received"), &json!("Builder"))
    );
    let call = bench.last();
    assert_eq!(call.place, Place::Session("web".to_owned()));
    assert_eq!(call.file, ".context-foundry/current-phase.json");

    bench
        .post("/api/phase-update", &json!({"current_phase":"Scout"}))
        .await;
    assert_eq!(
        bench.last().place,
        Place::Session("autonomous-build".to_owned())
    );

    for prefix in ["/api/v1", "/api/v1/api/v1"] {
        let path = format!("{prefix}/adw-phase-update");
        let (status, body) = bench
            .post(
                &path,
                &json!({"adw_id":"3af4a34d","current_phase":"Build","status":"running"}),
            )
            .await;
        assert_eq!(
            (status, &body["success"]),
            (StatusCode::OK, &json!(true)),
            "{path}"
        );
        assert_eq!(bench.last().place, Place::Own("adw:3af4a34d".to_owned()));
    }
    let row = json!({"adw_id":"3af4a34d","issue_number":83,"phase_name":"Plan","phase_status":"completed"});
    assert_eq!(
        bench.post("/api/v1/observability/task-logs", &row).await.1,
        row
    );
    let (_, body) = bench
        .post(
            "/api/build-events",
            &json!({"projectId":"p","buildId":"b","event":{"type":"start","messageId":"m"}}),
        )
        .await;
    assert_eq!(body, json!({"ok":true}));
    let (_, body) = bench
        .post(
            "/api/broadcast/ralph-1",
            &json!({"type":"iteration_start","data":{"iteration":1}}),
        )
        .await;
    assert_eq!(body, json!({"broadcasted":null}));
    assert_eq!(bench.last().place, Place::Session("ralph-1".to_owned()));
}

#[tokio::test]
async fn calls_that_tell_nothing_of_a_build_are_answered_and_kept_nowhere() {
    let bench = bench(Admission::loopback(), false);
    for path in [
        "/api/workflow-history/resync",
        "/api/issue/83/complete",
        "/api/roi-tracking/executions",
    ] {
        let (status, body) = bench.post(path, &json!({})).await;
        assert_eq!(
            (status, &body["success"]),
            (StatusCode::OK, &json!(true)),
            "{path}"
        );
    }
    assert!(bench.memory.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn texts_of_tools_and_prompts_stay_where_they_are() {
    let bench = bench(Admission::loopback(), false);
    let secret = "postgres://user:hunter2@db";
    bench
        .post("/api/build-events", &json!({"projectId":"p","event":{"type":"tool-output-available","toolCallId":"t","toolName":"Bash","output":secret}}))
        .await;
    assert!(!bench.last().document.text.contains("hunter2"));
    bench
        .post("/api/build-events", &json!({"projectId":"p","event":{"type":"tool-input-available","toolCallId":"t","toolName":"Bash","input":{"command":secret}}}))
        .await;
    assert!(!bench.last().document.text.contains("hunter2"));
    bench
        .post("/api/events", &json!({"event_id":"e","event_type":"PreToolUse","session_id":"s","tool_name":"Bash","payload":{"command":secret},"chat_history":[secret]}))
        .await;
    let text = bench.last().document.text;
    assert!(
        !text.contains("hunter2") && text.contains("PreToolUse"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_not_safe_is_never_answered_with_success() {
    let bench = bench(Admission::loopback(), true);
    let (status, body) = bench
        .post("/api/phase-update", &json!({"session_id":"web"}))
        .await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body["error"]["code"], "not_kept");
    let told = &bench.status.snapshot().routes[0];
    assert_eq!(told.route, "/api/phase-update");
    assert_eq!((told.received, told.refused), (0, 1));
    assert_eq!(told.last_refusal.as_deref(), Some("the outbox is full"));
}

#[tokio::test]
async fn bodies_that_cannot_be_meant_are_refused_with_a_reason() {
    let bench = bench(Admission::loopback(), false);
    for (path, body, status, code) in [
        ("/api/phase-update", "nonsense", 422, "bad_body"),
        ("/api/phase-update", "[1]", 422, "bad_body"),
        (
            "/api/agent-update",
            "{\"session_id\":\"s\"}",
            400,
            "missing_key",
        ),
        (
            "/api/v1/adw-phase-update",
            "{\"adw_id\":null}",
            400,
            "missing_key",
        ),
        (
            "/api/build-events",
            "{\"projectId\":\"p\"}",
            400,
            "missing_key",
        ),
        (
            "/api/v1/events",
            "{\"specversion\":\"0.3\"}",
            422,
            "bad_body",
        ),
    ] {
        let (got, answer) = bench.send(post(path, body.to_owned(), "127.0.0.1:9")).await;
        assert_eq!(
            (got.as_u16(), &answer["error"]["code"]),
            (status, &json!(code)),
            "{path} {body}"
        );
    }
    let large = format!("{{\"session_id\":\"{}\"}}", "x".repeat(MAX_BODY));
    let (status, _) = bench
        .send(post("/api/phase-update", large, "127.0.0.1:9"))
        .await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(bench.memory.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn other_machines_need_the_token_and_name_their_host() {
    let closed = bench(Admission::loopback(), false);
    let body = || json!({"session_id":"web"}).to_string();
    let (status, _) = closed
        .send(post("/api/phase-update", body(), "192.0.2.7:9"))
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    let open = bench(Admission::token("s3cret"), false);
    let with = |token: &str, host: Option<&str>, peer: &str| {
        let mut request = post("/api/phase-update", body(), peer);
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        if let Some(host) = host {
            headers.insert("phaseline-host", host.parse().unwrap());
        }
        request
    };
    let code = |answer: (StatusCode, Value)| answer.0.as_u16();
    assert_eq!(
        code(open.send(with("wrong", Some("h"), "192.0.2.7:9")).await),
        401
    );
    assert_eq!(
        code(
            open.send(post("/api/phase-update", body(), "127.0.0.1:9"))
                .await
        ),
        401
    );
    assert_eq!(
        code(open.send(with("s3cret", None, "192.0.2.7:9")).await),
        400
    );
    assert_eq!(
        code(open.send(with("s3cret", Some("h"), "192.0.2.7:9")).await),
        200
    );
    assert_eq!(open.last().host.as_deref(), Some("h"));
    assert_eq!(
        code(open.send(with("s3cret", None, "127.0.0.1:9")).await),
        200
    );
    assert_eq!(open.last().host, None);
}

#[tokio::test]
async fn a_page_in_a_browser_cannot_send_builds() {
    let bench = bench(Admission::loopback(), false);
    let mut request = post("/api/phase-update", "{}".to_owned(), "127.0.0.1:9");
    request
        .headers_mut()
        .insert("origin", "https://evil.example".parse().unwrap());
    assert_eq!(bench.send(request).await.0, StatusCode::FORBIDDEN);
    let mut request = post("/api/phase-update", "{}".to_owned(), "127.0.0.1:9");
    request
        .headers_mut()
        .insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(
        bench.send(request).await.0,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
}
