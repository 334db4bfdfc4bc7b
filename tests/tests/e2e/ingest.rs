//! Producers that send: their calls to the aggregator's port become builds.

use harness::api::read;
use harness::fixtures;
use harness::system::{HOST, System};
use protocol::build::Origin;
use protocol::{BuildState, ProjectToken, subject};
use serde_json::{Value, json};
use std::path::Path;

pub(crate) async fn post(system: &System, path: &str, body: &Value) -> (u16, Value) {
    let request = system
        .api()
        .request(reqwest::Method::POST, path)
        .header("phaseline-host", HOST)
        .json(body);
    let answer = read(request).await.unwrap();
    (answer.status, answer.json())
}

fn own_id(id: &str, run: u32) -> String {
    subject::build_id(HOST, ProjectToken::of(Path::new(id)), run)
}

#[tokio::test]
async fn a_phase_file_that_is_also_posted_is_one_build() {
    let system = System::start().await;
    let project = system.project("web");
    let files = fixtures::whole_build("web");
    for file in &files {
        project.phase(file);
        let phase = file["current_phase"].as_str();
        system
            .build(&project, 1, |build| build.phase.as_deref() == phase)
            .await;
        let (status, answer) = post(&system, "/api/phase-update", file).await;
        assert_eq!((status, &answer["status"]), (200, &json!("received")));
    }
    system.build(&project, 1, protocol::Build::has_ended).await;
    // One more that no file says, so that everything before it has arrived.
    let next = fixtures::phase("web", "Scout", "1/7", "researching");
    post(&system, "/api/phase-update", &next).await;
    let build = system
        .build_by_id(&own_id("http:context-foundry:web", 1), |_| true)
        .await;
    assert_eq!(
        build.origin,
        Origin::Http,
        "no file says that the next build begins"
    );
    let builds = system.database.builds().await.unwrap();
    assert_eq!(builds.len(), 2, "the posts belong to the file's builds");
    let first = &builds[0].build;
    assert_eq!(
        (first.origin, first.state),
        (Origin::Live, BuildState::Completed)
    );
}

#[tokio::test]
async fn a_build_that_is_only_posted_is_shown_too() {
    let system = System::start().await;
    let (status, _) = post(
        &system,
        "/api/phase-update",
        &fixtures::phase("only-http", "Builder", "3/7", "building"),
    )
    .await;
    assert_eq!(status, 200);
    let id = own_id("http:context-foundry:only-http", 1);
    let build = system.build_by_id(&id, |_| true).await;
    assert_eq!(build.origin, Origin::Http);
    assert_eq!(build.session_id.as_deref(), Some("only-http"));
    assert_eq!(build.phase.as_deref(), Some("Builder"));

    let agent = json!({"session_id":"only-http","agent_id":"builder-1","agent_type":"builder",
                       "status":"active","progress_percent":40});
    post(&system, "/api/agent-update", &agent).await;
    let usage = json!({"type":"context_update","session_id":"only-http","sequence":2,
                       "data":{"percent":41.5,"tokens_used":83_000}});
    post(&system, "/api/broadcast/only-http", &usage).await;
    let build = system
        .build_by_id(&id, |build| {
            build.agents.is_some() && build.context.is_some()
        })
        .await;
    assert_eq!(build.agents.unwrap()[0]["progress"], 0.4);
    assert_eq!(build.context.unwrap().used, Some(83_000));
}

#[tokio::test]
async fn a_host_that_is_known_only_from_calls_has_a_page_and_an_answer() {
    let system = System::start().await;
    let body = fixtures::phase("ci", "Test", "4/7", "testing");
    let request = system
        .api()
        .request(reqwest::Method::POST, "/api/phase-update")
        .header("phaseline-host", "ci runner/7")
        .json(&body);
    assert_eq!(read(request).await.unwrap().status, 200);
    let token = ProjectToken::of(Path::new("http:context-foundry:ci"));
    let id = subject::build_id("ci runner/7", token, 1);
    system.build_by_id(&id, |_| true).await;
    let page = system.api().get("/hosts/ci_20runner_2f7").await.unwrap();
    assert_eq!(page.status, 200);
    let told = ["ci runner/7", "no agent", id.as_str()];
    assert!(
        told.iter().all(|text| page.body.contains(text)),
        "{}",
        page.body
    );
    let api = system.api();
    let path = "/api/v1/hosts/ci%20runner%2F7";
    let host = api.get(path).await.unwrap().json();
    assert_eq!(host["name"], "ci runner/7");
    assert!(host["state_reason"].as_str().unwrap().contains("calls"));
    assert!(host["last_updated"].is_string(), "{host}");
    assert_eq!(host["roots"], json!([]));
    let with_agent = api
        .get(&format!("/api/v1/hosts/{HOST}"))
        .await
        .unwrap()
        .json();
    for (member, value) in with_agent.as_object().unwrap() {
        let told = ["name", "state_reason", "last_updated", "roots"].contains(&member.as_str());
        assert!(
            told || host.get(member) == Some(&Value::Null),
            "{member}: {value}"
        );
    }
    let before = api
        .get(&format!("{path}?at=2026-01-01T00:00:00Z"))
        .await
        .unwrap();
    assert!(
        before.status >= 400,
        "it was not known then: {}",
        before.body
    );
    // A host of the list is a machine with an agent.
    let listed: protocol::page::HostPage = api.read("/api/v1/hosts").await.unwrap();
    let names: Vec<&str> = listed.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, [HOST]);
    for nobody in ["/hosts/nobody", "/api/v1/hosts/nobody"] {
        assert_eq!(api.get(nobody).await.unwrap().status, 404, "{nobody}");
    }
}

#[tokio::test]
async fn an_openbuilder_run_has_its_todos_its_tools_in_order_and_its_end() {
    let system = System::start().await;
    let send = async |event: Value| {
        let body = json!({"projectId":"p-1","buildId":"b-1","sessionId":"s-1","agentId":"claude-code",
                          "claudeModelId":"claude-haiku-4-5","event":event});
        assert_eq!(
            post(&system, "/api/build-events", &body).await.1,
            json!({"ok":true})
        );
    };
    send(json!({"type":"start","messageId":"m"})).await;
    send(json!({"type":"tool-input-available","toolCallId":"t1","toolName":"Grep","input":{}}))
        .await;
    let todos = json!([{"content":"Scaffold","status":"in_progress"},{"activeForm":"Testing","status":"pending"}]);
    send(json!({"type":"tool-input-available","toolCallId":"t2","toolName":"TodoWrite","input":{"todos":todos}})).await;
    // The output before the input, and the input twice.
    send(json!({"type":"tool-output-available","toolCallId":"t3","output":"x"})).await;
    for _ in 0..2 {
        send(
            json!({"type":"tool-input-available","toolCallId":"t3","toolName":"Write","input":{}}),
        )
        .await;
    }
    let done = json!({"type":"build-completed","projectId":"p-1","payload":{"todos":[],"summary":"All done"}});
    post(&system, "/api/runner/events", &done).await;
    let id = own_id("openbuilder:p-1", 1);
    let build = system
        .build_by_id(&id, |build| build.ended_at.is_some())
        .await;
    assert_eq!(build.state, BuildState::Completed);
    assert_eq!(build.model.as_deref(), Some("claude-haiku-4-5"));
    assert_eq!(build.coding_agent.as_deref(), Some("claude-code"));
    assert_eq!(build.summary, Some(json!("All done")));
    let tools: Vec<(&Value, &Value, &Value)> = build
        .calls
        .as_ref()
        .unwrap()
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| (&tool["name"], &tool["state"], &tool["todo"]))
        .collect();
    let grep = (&json!("Grep"), &json!("input-available"), &Value::Null);
    let write = (
        &json!("Write"),
        &json!("output-available"),
        &json!("Scaffold"),
    );
    assert_eq!(tools, [grep, write]);
}

#[tokio::test]
async fn any_program_reports_its_builds_as_cloud_events() {
    let system = System::start().await;
    let send_of = async |project: &str, mut data: Value| {
        data["project"] = json!(project);
        let event = json!({"specversion":"1.0","id":"1","type":"build","source":"//ci/nightly",
                           "subject":"all","data":data});
        post(&system, "/api/v1/events", &event).await
    };
    let send = async |data: Value| send_of("docs", data).await;
    let (status, _) =
        send(json!({"phase":"Test","phase_number":"2/4","branch":"main","progress":40})).await;
    assert_eq!(status, 200);
    let token = "http://ci/nightly\nall\ndocs";
    let id = own_id(token, 1);
    let build = system.build_by_id(&id, |_| true).await;
    assert_eq!(
        (build.project.as_str(), build.progress),
        ("docs", Some(0.25))
    );
    send(json!({"state":"failed","error":"2 tests failed"})).await;
    let build = system
        .build_by_id(&id, |build| build.ended_at.is_some())
        .await;
    assert_eq!(build.state, BuildState::Failed);
    assert_eq!(build.error.as_deref(), Some("2 tests failed"));
    assert_eq!(
        build.phase.as_deref(),
        Some("Test"),
        "a missing key erases nothing"
    );
    send(json!({"state":"running","phase":"Build"})).await;
    system.build_by_id(&own_id(token, 2), |_| true).await;
    send(json!({"session_id":"a"})).await;
    send(json!({"session_id":"b","state":"flying"})).await;
    let build = system.build_by_id(&own_id(token, 3), |_| true).await;
    assert_eq!(build.state, BuildState::Unknown);
    let reason = build.state_reason.unwrap_or_default();
    assert!(reason.contains("\"flying\""), "{reason}");
    // Another project of the same source is another build.
    send_of("shop", json!({"phase":"Plan"})).await;
    let other = own_id("http://ci/nightly\nall\nshop", 1);
    let build = system.build_by_id(&other, |_| true).await;
    assert_eq!(build.project, "shop");
    assert_eq!(system.database.builds().await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_call_is_refused_while_the_broker_cannot_keep_it() {
    let mut system = System::start().await;
    let body = fixtures::phase("web", "Builder", "3/7", "building");
    system.nats.freeze();
    let (status, answer) = post(&system, "/api/phase-update", &body).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (503, &json!("not_kept"))
    );
    system.nats.thaw();
    system.nats.kill().await;
    let (status, answer) = post(&system, "/api/phase-update", &body).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (503, &json!("not_kept"))
    );
}
