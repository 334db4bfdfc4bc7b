//! The HTTP side: routes, paging, errors, health, and who may ask.

use harness::api::read;
use harness::fixtures;
use harness::publisher::Publisher;
use harness::system::{HOST, System};
use harness::wait::{check, eventually};
use protocol::BuildState;
use reqwest::Method;
use serde_json::Value;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

#[tokio::test]
async fn listings_are_newest_first_paged_and_filtered() {
    let system = System::start().await;
    let mut here = Publisher::connect(&system.nats, "here").await;
    let mut there = Publisher::connect(&system.nats, "there").await;
    for number in 0..23 {
        let project = format!("shop-{number:02}");
        let publisher = if number % 2 == 0 {
            &mut here
        } else {
            &mut there
        };
        let status = if number % 5 == 0 { "failed" } else { "testing" };
        publisher
            .tell(&project, &fixtures::phase(&project, "Test", "4/7", status))
            .await;
        let id = publisher.build_id(&project, 1);
        system.build_by_id(&id, |_| true).await;
    }
    let api = system.api();
    let mut seen = Vec::new();
    let mut path = "/api/v1/builds?limit=5".to_owned();
    loop {
        let page: protocol::page::BuildPage = api.read(&path).await.unwrap();
        assert!(page.builds.len() <= 5 && !page.builds.is_empty());
        seen.extend(page.builds.into_iter().map(|build| build.project));
        let Some(next) = page.next else { break };
        path = format!("/api/v1/builds?limit=5&cursor={next}");
    }
    let expected: Vec<String> = (0..23)
        .rev()
        .map(|number| format!("shop-{number:02}"))
        .collect();
    assert_eq!(seen, expected);

    let count = async |query: &str| {
        let page: protocol::page::BuildPage = api
            .read(&format!("/api/v1/builds?limit=200&{query}"))
            .await
            .unwrap();
        page.builds.len()
    };
    assert_eq!(count("host=here").await, 12);
    assert_eq!(count("state=failed").await, 5);
    assert_eq!(count("state=failed&host=there").await, 2);
    assert_eq!(count("producer=context-foundry").await, 23);
    assert_eq!(count("producer=nobody").await, 0);
    assert_eq!(count("q=shop-1").await, 10);
    assert_eq!(count("q=SHOP-22").await, 1, "a search is not about case");
    assert_eq!(count("q=%25").await, 0, "a percent sign is a percent sign");
}

#[tokio::test]
async fn a_builds_events_are_paged_oldest_first() {
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "pages").await;
    for count in 1..=25 {
        publisher
            .tell("one", &fixtures::numbered("one", count))
            .await;
    }
    let id = publisher.build_id("one", 1);
    system
        .build_by_id(&id, |build| build.detail.as_deref() == Some("step 25"))
        .await;
    let api = system.api();
    let mut counts = Vec::new();
    let mut path = format!("/api/v1/builds/{id}/events?limit=10");
    loop {
        let page: protocol::page::EventPage = api.read(&path).await.unwrap();
        for event in &page.events {
            let document: Value =
                serde_json::from_str(event.document.as_ref().unwrap().get()).unwrap();
            counts.push(document["count"].as_u64().unwrap());
        }
        let Some(next) = page.next else { break };
        path = format!("/api/v1/builds/{id}/events?limit=10&after={next}");
    }
    assert_eq!(counts, (1..=25).collect::<Vec<u64>>());
}

#[tokio::test]
async fn errors_have_one_envelope_and_fitting_codes() {
    let system = System::start().await;
    let api = system.api();
    let missing = api.get("/api/v1/builds/no-such-build").await.unwrap();
    assert_eq!(
        (missing.status, missing.error_code().as_str()),
        (404, "build_not_found")
    );
    let missing = api.get("/api/v1/hosts/no-such-host").await.unwrap();
    assert_eq!(
        (missing.status, missing.error_code().as_str()),
        (404, "host_not_found")
    );
    for bad in [
        "/api/v1/builds?limit=9999",
        "/api/v1/builds?state=sleepy",
        "/api/v1/builds?cursor=x",
        "/api/v1/builds/x/events?limit=0",
    ] {
        let answer = api.get(bad).await.unwrap();
        assert_eq!(answer.status, 400, "{bad}: {}", answer.body);
        assert!(!answer.error_code().is_empty());
    }
    let unknown = api.get("/api/v1/nothing").await.unwrap();
    assert_eq!(unknown.status, 404);
    assert!(!unknown.error_code().is_empty());
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = read(api.request(method.clone(), "/api/v1/builds"))
            .await
            .unwrap();
        assert_eq!(answer.status, 405, "{method}");
    }
    // A person who follows an old link gets a page and a way onward.
    let page = api.get("/builds/no-such-build").await.unwrap();
    assert_eq!(page.status, 404);
    assert!(
        page.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    assert!(page.body.contains("href=\"/\""), "{}", page.body);
}

/// Routes that must be described, whatever else is.
const DESCRIBED: &[&str] = &[
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/v1/builds",
    "/api/v1/builds/{id}",
    "/api/v1/builds/{id}/events",
    "/api/v1/builds/{id}/logs",
    "/api/v1/alerts",
    "/api/v1/costs",
    "/api/v1/budgets",
    "/api/v1/hosts",
    "/api/v1/hosts/{host}",
    "/api/v1/calls",
    "/api/v1/stream",
    "/api/phase-update",
    "/api/runner/events",
    "/ws/runner",
];

#[tokio::test]
async fn the_description_names_every_route_and_each_answers() {
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "described").await;
    publisher.tell("one", &fixtures::numbered("one", 1)).await;
    let id = publisher.build_id("one", 1);
    system.build_by_id(&id, |_| true).await;
    let api = system.api();
    let document = api.get("/api/v1/openapi.json").await.unwrap().json();
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1"),
        "{}",
        document["openapi"]
    );
    let paths = document["paths"].as_object().unwrap();
    for path in DESCRIBED {
        assert!(
            paths.contains_key(*path),
            "{path} is not described, {:?} are",
            paths.keys()
        );
    }
    for (path, item) in paths {
        let filled = path.replace("{session_id}", "s").replace("{number}", "7");
        let url = filled.replace("{id}", &id).replace("{host}", HOST);
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {url}");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let mut request = api.request(method, &url);
            let body = &operation["requestBody"]["content"]["application/json"]["example"];
            if body.is_object() {
                request = request.json(body);
            }
            let answer = read(request).await.unwrap();
            // What becomes a WebSocket asks a plain request to upgrade.
            let expected = match path.as_str() {
                "/api/v1/stream" | "/ws/runner" => vec![400, 426],
                _ => vec![200, 204],
            };
            let status = answer.status;
            assert!(
                expected.contains(&status),
                "{place}: {status} {}",
                answer.body
            );
            let told = &operation["responses"][status.to_string()];
            assert!(
                told["description"].is_string(),
                "{place}: {status} is not described"
            );
            let example = &told["content"]["application/json"]["example"];
            if example.is_object() {
                assert_eq!(&answer.json(), example, "{place}");
            }
        }
    }
}

#[tokio::test]
async fn what_the_description_promises_of_a_build_is_what_is_served() {
    let system = System::start().await;
    let project = system.project("described");
    project.phase(&fixtures::phase("described", "Test", "4/7", "testing"));
    let build = system.build(&project, 1, |_| true).await;
    let api = system.api();
    let document = api.get("/api/v1/openapi.json").await.unwrap().json();
    let described = document["components"]["schemas"]["Build"]["properties"]
        .as_object()
        .unwrap();
    let served = api.raw_build(&build.id).await.unwrap();
    let mut described: Vec<&String> = described.keys().collect();
    let mut served: Vec<&String> = served.as_object().unwrap().keys().collect();
    described.sort();
    served.sort();
    assert_eq!(described, served);
}

#[tokio::test]
async fn health_readiness_and_metrics_tell_how_the_parts_are() {
    let system = System::start().await;
    let api = system.api();
    assert_eq!(api.get("/healthz").await.unwrap().status, 200);
    let ready: protocol::page::Readiness = api.read("/readyz").await.unwrap();
    assert!(ready.ready);
    assert_eq!(
        (
            ready.nats.as_str(),
            ready.postgres.as_str(),
            ready.leadership.as_str()
        ),
        ("connected", "connected", "leader")
    );
    let project = system.project("counted");
    project.phase(&fixtures::phase("counted", "Scout", "1/7", "researching"));
    system
        .build(&project, 1, |build| build.state == BuildState::Running)
        .await;
    eventually("the event is counted", async || {
        let changes = api.metric("phaseline_writer_changes_total").await?;
        check(changes >= 2.0, || changes.to_string())
    })
    .await;
    let answer = api.get("/metrics").await.unwrap();
    let kind = answer.headers["content-type"].to_str().unwrap();
    assert!(
        kind.contains("text/plain") || kind.contains("openmetrics"),
        "{kind}"
    );
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let system = System::start().await;
    let api = system.api();
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                  img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    for path in [
        "/",
        "/history",
        "/hosts",
        "/system",
        "/builds/none",
        "/api/v1/builds",
        "/api/v1/nothing",
        "/healthz",
        "/metrics",
    ] {
        let answer = api.get(path).await.unwrap();
        let header = |name: &str| {
            answer
                .headers
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(
            header("content-security-policy").as_deref(),
            Some(policy),
            "{path}"
        );
        assert_eq!(
            header("x-content-type-options").as_deref(),
            Some("nosniff"),
            "{path}"
        );
        assert!(header("referrer-policy").is_some(), "{path}");
        assert_eq!(header("access-control-allow-origin"), None, "{path}");
        assert_eq!(header("server"), None, "{path}");
    }
}

#[tokio::test]
async fn pages_load_nothing_from_elsewhere_and_hold_no_inline_script_or_style() {
    let system = System::start().await;
    let api = system.api();
    for path in ["/", "/history", "/hosts", "/system"] {
        let page = api.get(path).await.unwrap().body;
        for mark in [
            "src=\"http",
            "href=\"http",
            "src=\"//",
            " style=\"",
            "<style",
            " onclick=",
            "javascript:",
        ] {
            assert!(!page.contains(mark), "{path} holds {mark}");
        }
        for script in page.split("<script").skip(1) {
            assert!(
                script.starts_with(" src=\"") || script.contains(" src=\""),
                "{path}: an inline script"
            );
        }
        // What it loads is there, typed and cached for good.
        for asset in page.split('"').filter(|text| text.starts_with("/assets/")) {
            let answer = api.get(asset).await.unwrap();
            assert_eq!(answer.status, 200, "{asset}");
            assert!(
                answer.headers["cache-control"]
                    .to_str()
                    .unwrap()
                    .contains("immutable"),
                "{asset}"
            );
        }
    }
}

#[tokio::test]
async fn a_foreign_host_name_or_origin_is_refused() {
    let system = System::start().await;
    let api = system.api();
    for path in ["/", "/api/v1/builds", "/metrics"] {
        let answer = read(
            api.request(Method::GET, path)
                .header("host", "evil.example:8080"),
        )
        .await
        .unwrap();
        assert!(
            (400..500).contains(&answer.status),
            "{path}: {}",
            answer.status
        );
    }
    let localhost = read(
        api.request(Method::GET, "/api/v1/builds")
            .header("host", "localhost:8080"),
    )
    .await
    .unwrap();
    assert_eq!(localhost.status, 200);

    let url = format!("{}/api/v1/stream", api.base().replacen("http", "ws", 1));
    let open = async |origin: &str| {
        let mut request = url.as_str().into_client_request().unwrap();
        request
            .headers_mut()
            .insert("origin", origin.parse().unwrap());
        tokio_tungstenite::connect_async(request).await.map(drop)
    };
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        assert!(open(origin).await.is_err(), "{origin} may read the stream");
    }
    open(api.base()).await.expect("the dashboard's own origin");
}

#[tokio::test]
async fn there_are_no_alerts_while_all_is_well() {
    let system = System::start().await;
    let alerts = system.api().get("/api/v1/alerts").await.unwrap();
    assert_eq!(
        (alerts.status, alerts.json()),
        (200, serde_json::json!({"alerts": []}))
    );
}
