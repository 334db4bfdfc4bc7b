//! What runners ask and tell of processes: of nobody's, and not by everybody.

use super::*;

const ASKED: [(&str, &str, u16); 3] = [
    ("GET", "/api/runner/process/list?runnerId=r", 200),
    ("DELETE", "/api/runner/process/p1", 204),
    ("POST", "/api/runner/process/p1/health", 200),
];

fn ask(method: &str, path: &str, peer: &str, token: Option<&str>) -> Request<Body> {
    let peer: SocketAddr = peer.parse().unwrap();
    let request = Request::builder().method(method).uri(path);
    let request = request.extension(ConnectInfo(peer));
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_runner_may_ask_for_and_delete_processes_that_nobody_knows() {
    let bench = bench(Admission::loopback(), false);
    for (method, path, expected) in ASKED {
        let (status, answer) = bench.send(ask(method, path, "127.0.0.1:9", None)).await;
        assert_eq!(status.as_u16(), expected, "{method} {path}: {answer}");
        if method == "GET" {
            assert_eq!(answer, json!({"processes":[]}));
        }
    }
    assert!(bench.memory.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn who_may_not_call_may_not_ask_for_processes_either() {
    let closed = bench(Admission::token("s3cret"), false);
    let local = bench(Admission::loopback(), false);
    for (method, path, expected) in ASKED {
        for (token, expected) in [
            (None, 401),
            (Some("wrong"), 401),
            (Some("s3cret"), expected),
        ] {
            let request = ask(method, path, "127.0.0.1:9", token);
            let (status, answer) = closed.send(request).await;
            assert_eq!(status.as_u16(), expected, "{method} {token:?}: {answer}");
        }
        let (status, _) = local.send(ask(method, path, "192.0.2.7:9", None)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method}");
        let mut page = ask(method, path, "127.0.0.1:9", None);
        let origin = "https://evil.example".parse().unwrap();
        page.headers_mut().insert("origin", origin);
        assert_eq!(local.send(page).await.0, StatusCode::FORBIDDEN, "{method}");
    }
    let told = closed.status.snapshot().routes;
    let counts: Vec<_> = told
        .iter()
        .map(|route| (route.route.as_str(), route.ignored, route.refused))
        .collect();
    assert_eq!(
        counts,
        [
            ("/api/runner/process/list", 1, 2),
            ("/api/runner/process/{id}", 1, 2),
            ("/api/runner/process/{id}/health", 1, 2),
        ]
    );
}

#[tokio::test]
async fn health_of_a_process_may_have_any_body_or_none() {
    let bench = bench(Admission::loopback(), false);
    for (kind, body) in [
        (None, ""),
        (Some("application/json"), ""),
        (Some("application/json"), "{\"healthy\":true}"),
        (Some("text/plain"), "ok"),
    ] {
        let mut request = ask("POST", "/api/runner/process/p1/health", "127.0.0.1:9", None);
        if let Some(kind) = kind {
            let kind = kind.parse().unwrap();
            request.headers_mut().insert("content-type", kind);
        }
        *request.body_mut() = Body::from(body);
        let (status, answer) = bench.send(request).await;
        assert_eq!(
            (status, &answer["success"]),
            (StatusCode::OK, &json!(true)),
            "{kind:?} {body}"
        );
    }
}
