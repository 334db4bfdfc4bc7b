//! The router without services: what is answered before anything is asked,
//! and what when nothing can be reached.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::live::testing::{Leader, hub};
use crate::nats::{self, NatsTarget};
use crate::store::DatabaseTarget;
use crate::writer::Leadership;

/// An app whose Postgres and NATS are not there, and whose memory has one build.
async fn app() -> App {
    // Port 9 (discard) refuses at once on any sane machine.
    let database = DatabaseTarget {
        url: "postgres://nobody@127.0.0.1:9/x".to_owned(),
        password: None,
    };
    let store = Store::new(&database).unwrap();
    let target = NatsTarget {
        url: "nats://127.0.0.1:9".to_owned(),
        user: None,
        password: None,
    };
    let nats = nats::connect(&target, "test").await.unwrap();
    let hub = hub(64);
    let mut leader = Leader::default();
    leader.load(&hub);
    let frame = leader.set(1, "phase", json!("Scout"));
    leader.deliver(frame, &hub);
    let (_, leadership) = watch::channel(Leadership::None);
    let health = Arc::new(Health {
        alerts: Arc::default(),
        servers: Vec::new(),
        hub: Arc::clone(&hub),
        nats,
        store: store.clone(),
        leadership,
    });
    let hosts = HostPolicy::new(Vec::new(), "127.0.0.1".parse().ok());
    App::new(
        hub,
        store,
        health,
        Arc::new(Metrics::new()),
        hosts,
        CancellationToken::new(),
    )
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn code(&self) -> String {
        let body = self.json();
        assert!(
            body["error"]["message"]
                .as_str()
                .is_some_and(|message| message.ends_with('.')),
            "{body}"
        );
        body["error"]["code"].as_str().unwrap().to_owned()
    }
}

async fn ask(app: &App, request: Request<Body>) -> Answer {
    let service = TowerToHyperService::new(router(app.clone(), axum::Router::new()));
    let response = service.call(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 20).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

async fn get(app: &App, path: &str) -> Answer {
    let request = Request::builder()
        .uri(path)
        .header("host", "localhost:8080");
    ask(app, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let app = app().await;
    for (path, status, code) in [
        ("/api/v1/nonsense", 404, "route_not_found"),
        ("/api/v1", 404, "route_not_found"),
        ("/api/v2/builds", 404, "route_not_found"),
        ("/api", 404, "route_not_found"),
        ("/api/v1/builds?limit=0", 400, "bad_parameter"),
        ("/api/v1/builds?at=2999-01-01T00:00", 400, "moment_to_come"),
        (
            "/api/v1/builds/x-1?at=2999-01-01T00:00",
            400,
            "moment_to_come",
        ),
        ("/api/v1/hosts?at=2999-01-01T00:00", 400, "moment_to_come"),
        ("/api/v1/builds?limit=201", 400, "bad_parameter"),
        ("/api/v1/builds?limit=abc", 400, "bad_parameter"),
        ("/api/v1/builds?state=done", 400, "bad_parameter"),
        ("/api/v1/builds?cursor=x%00", 400, "bad_parameter"),
        ("/api/v1/builds?q=%00", 400, "bad_parameter"),
        ("/api/v1/builds?sate=failed", 400, "unknown_parameter"),
        ("/api/v1/builds/a?at=yesterday", 400, "bad_parameter"),
        ("/api/v1/builds/a%00b", 404, "build_not_found"),
        ("/api/v1/builds/%ff", 404, "build_not_found"),
        ("/api/v1/builds/a%2Fb/events", 404, "build_not_found"),
        ("/api/v1/builds/a/events?after=-1", 400, "bad_parameter"),
        ("/api/v1/builds/a/logs?limit=9999", 400, "bad_parameter"),
        ("/api/v1/stream", 426, "websocket_required"),
        ("/api/v1/stream?since=-1", 400, "bad_parameter"),
        ("/api/v1/stream?full=maybe", 400, "bad_parameter"),
    ] {
        let answer = get(&app, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_so_on_every_route() {
    let app = app().await;
    for path in [
        "/api/v1/builds",
        "/healthz",
        "/metrics",
        "/",
        "/builds/x-1",
        "/history",
        "/costs",
        "/hosts",
        "/hosts/x",
        "/system",
        "/clock",
        "/assets/0/main.js",
    ] {
        for method in [Method::POST, Method::DELETE] {
            let request = Request::builder()
                .method(&method)
                .uri(path)
                .header("host", "localhost");
            let answer = ask(&app, request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status.as_u16(), 405, "{method} {path}");
            assert_eq!(answer.code(), "method_not_allowed", "{method} {path}");
            assert_eq!(answer.headers["allow"], "GET,HEAD", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn metrics_are_text_and_open_metrics_for_those_who_ask() {
    let app = app().await;
    let text = get(&app, "/metrics").await;
    assert_eq!(
        text.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert!(
        text.text.contains(
            "# TYPE phaseline_live_changes_total counter\nphaseline_live_changes_total 0\n"
        ),
        "{}",
        text.text
    );
    assert!(!text.text.contains("# EOF"), "{}", text.text);
    let request = Request::builder()
        .uri("/metrics")
        .header("host", "localhost")
        .header(
            "accept",
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3",
        );
    let open = ask(&app, request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        open.headers["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(
        open.text
            .contains("# TYPE phaseline_live_changes counter\nphaseline_live_changes_total 0\n"),
        "{}",
        open.text
    );
    assert!(open.text.ends_with("# EOF\n"), "{}", open.text);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let app = app().await;
    for path in [
        "/",
        "/healthz",
        "/api/v1/nonsense",
        "/nonsense",
        "/api/v1/hosts",
    ] {
        let answer = get(&app, path).await;
        let csp = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(
            csp.starts_with("default-src 'none'; script-src 'self'"),
            "{path}"
        );
        assert_eq!(
            answer.headers["x-content-type-options"], "nosniff",
            "{path}"
        );
        assert!(answer.headers.contains_key("cache-control"), "{path}");
    }
    assert_eq!(
        get(&app, "/api/v1/hosts").await.headers["cache-control"],
        "no-store"
    );
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_refused() {
    let app = app().await;
    for hosts in [&["evil.example"][..], &[], &["localhost", "localhost"]] {
        let mut request = Request::builder().uri("/api/v1/hosts");
        for host in hosts {
            request = request.header("host", *host);
        }
        let answer = ask(&app, request.body(Body::empty()).unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (421, "host_not_allowed"),
            "{hosts:?}"
        );
    }
}

#[tokio::test]
async fn a_page_from_elsewhere_may_not_open_the_stream() {
    let app = app().await;
    let request = Request::builder()
        .uri("/api/v1/stream")
        .header("host", "localhost:8080")
        .header("origin", "https://evil.example");
    let answer = ask(&app, request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (403, "origin_not_allowed")
    );
}

#[tokio::test]
async fn a_large_body_is_refused_unread() {
    let app = app().await;
    let request = Request::builder()
        .method(Method::POST)
        .uri("/api/v1/builds")
        .header("host", "localhost");
    let answer = ask(&app, request.body(Body::from(vec![0; 100_000])).unwrap()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (413, "body_too_large")
    );
}

#[tokio::test]
async fn without_postgres_the_api_says_so_and_the_pages_still_come() {
    let app = app().await;
    for path in [
        "/api/v1/builds",
        "/api/v1/builds/a",
        "/api/v1/builds/a/events",
        "/api/v1/hosts",
        "/api/v1/hosts/a",
    ] {
        let answer = get(&app, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (503, "database_unavailable"),
            "{path}"
        );
        assert!(
            !answer.text.contains("127.0.0.1"),
            "the cause is for the log"
        );
    }
    let ready = get(&app, "/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let body = ready.json();
    assert_eq!(
        (
            &body["ready"],
            &body["nats"],
            &body["postgres"],
            &body["leadership"],
            &body["seq"]
        ),
        (
            &json!(false),
            &json!("disconnected"),
            &json!("disconnected"),
            &json!("none"),
            &json!(1)
        )
    );
    assert_eq!(get(&app, "/healthz").await.status, StatusCode::OK);
    assert!(
        get(&app, "/metrics")
            .await
            .text
            .contains("phaseline_live_seq")
    );
    assert_eq!(get(&app, "/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_described_is_what_there_is() {
    let app = app().await;
    assert_eq!(
        get(&app, "/api/v1/alerts").await.json(),
        json!({ "alerts": [] })
    );
    let document = get(&app, "/api/v1/openapi.json").await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let (taken, own): (Vec<&str>, Vec<&str>) = paths.iter().partition(|path| {
        let mut routes = ingest::described().iter();
        routes.any(|route| route.path == **path)
    });
    assert_eq!(taken.len(), ingest::described().len());
    assert_eq!(
        own,
        [
            "/api/v1/alerts",
            "/api/v1/budgets",
            "/api/v1/builds",
            "/api/v1/builds/{id}",
            "/api/v1/builds/{id}/events",
            "/api/v1/builds/{id}/logs",
            "/api/v1/calls",
            "/api/v1/costs",
            "/api/v1/hosts",
            "/api/v1/hosts/{host}",
            "/api/v1/openapi.json",
            "/api/v1/stream",
            "/healthz",
            "/metrics",
            "/readyz",
        ]
    );
}

#[tokio::test]
async fn every_reference_in_the_description_leads_somewhere() {
    let document = openapi::described();
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 10);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}
