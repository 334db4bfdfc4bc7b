//! OpenBuilder's runner on its WebSocket, at the aggregator and at an agent.

use futures::{SinkExt as _, StreamExt as _};
use harness::api::Api;
use harness::system::{Agent, Aggregator, HOST, System};
use harness::{ports, scratch, wait};
use protocol::{BuildState, ProjectToken, subject};
use serde_json::{Value, json};
use std::path::Path;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub(crate) type Runner = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects as the runner does.
pub(crate) async fn runner(base: &str, token: Option<&str>) -> Result<Runner, Error> {
    let address = base.replace("http://", "ws://");
    let url = format!("{address}/ws/runner?runnerId=runner-mac");
    let mut request = url.into_client_request().unwrap();
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
    }
    connect_async(request).await.map(|(runner, _)| runner)
}

pub(crate) async fn say(runner: &mut Runner, frame: &Value) {
    runner.send(Message::text(frame.to_string())).await.unwrap();
}

/// The code and reason of the Close that comes.
async fn closed(runner: &mut Runner) -> (CloseCode, String) {
    loop {
        match runner.next().await {
            Some(Ok(Message::Close(Some(frame)))) => return (frame.code, frame.reason.to_string()),
            Some(Ok(_)) => {}
            other => panic!("no Close: {other:?}"),
        }
    }
}

/// Frames of a small build, as the runner sends them.
async fn build(runner: &mut Runner, project: &str) {
    let stream = |event: Value| json!({"type":"build-stream","projectId":project,"commandId":"c-1","data":format!("data: {event}\n\n")});
    let todos = json!([{"content":"Scaffold","status":"in_progress"},{"activeForm":"Testing","status":"pending"}]);
    for event in [
        json!({"type":"start","messageId":"m"}),
        json!({"type":"text-delta","delta":"the password is hunter2"}),
        json!({"type":"tool-input-available","toolCallId":"t1","toolName":"TodoWrite","input":{"todos":todos}}),
        json!({"type":"tool-output-available","toolCallId":"t2","output":"hunter2"}),
        json!({"type":"tool-input-available","toolCallId":"t2","toolName":"Write","input":{"content":"hunter2"},"todo_index":1}),
    ] {
        say(runner, &stream(event)).await;
    }
    say(
        runner,
        &json!({"type":"build-stream","projectId":project,"data":"data: [DONE]\n\n"}),
    )
    .await;
    say(runner, &json!({"type":"log-chunk","projectId":project,"stream":"stdout","data":"hunter2","cursor":1})).await;
    say(runner, &json!({"type":"build-completed","projectId":project,"payload":{"todos":[],"summary":"All done"}})).await;
}

pub(crate) fn build_id(project: &str) -> String {
    let token = format!("openbuilder:{project}");
    subject::build_id(HOST, ProjectToken::of(Path::new(&token)), 1)
}

pub(crate) async fn aggregator(system: &System, more: &[(&'static str, &str)]) -> Aggregator {
    let mut settings = vec![("PHASELINE_HOST", HOST)];
    settings.extend_from_slice(more);
    let aggregator = Aggregator::start_with(&system.nats, &system.database, &settings);
    aggregator.ready().await;
    aggregator
}

#[tokio::test]
async fn a_runners_frames_are_builds_and_its_status_is_none() {
    let mut system = System::bare().await;
    let aggregator = aggregator(&system, &[]).await;
    let base = aggregator.base();
    system.aggregators.push(aggregator);
    let mut runner = runner(&base, None).await.unwrap();
    let status = json!({"type":"runner-status","payload":{"status":"idle","version":"1.4.0","hostname":"mac","uptimeSeconds":5,"load":[0.1]}});
    say(&mut runner, &status).await;
    build(&mut runner, "p-1").await;
    say(
        &mut runner,
        &json!({"type":"never-heard-of","projectId":"p-1"}),
    )
    .await;
    runner.send(Message::text("no JSON")).await.unwrap();

    let id = build_id("p-1");
    let done = system
        .build_by_id(&id, |build| build.ended_at.is_some())
        .await;
    assert_eq!(
        (done.state, &done.summary),
        (BuildState::Completed, &Some(json!("All done")))
    );
    let tool = &done.calls.as_ref().unwrap()[0];
    let told = (&tool["name"], &tool["state"], &tool["todo"]);
    assert_eq!(
        told,
        (
            &json!("Write"),
            &json!("output-available"),
            &json!("Testing")
        )
    );
    assert_eq!(system.database.builds().await.unwrap().len(), 1);
    let leaked = "SELECT count(*) FROM event WHERE document::text LIKE '%hunter2%'";
    assert_eq!(system.database.number(leaked).await.unwrap(), 0);

    let api = Api::new(base);
    wait::eventually("the system page tells of the runner", async || {
        let page = api.get("/system").await?.body;
        let all = [
            "data-route=\"/ws/runner\"",
            "6, 2 ignored",
            "not JSON",
            "data-runner=\"runner-mac\"",
            "1.4.0",
            "idle",
        ];
        wait::check(all.iter().all(|text| page.contains(text)), || page.clone())
    })
    .await;
    runner.close(None).await.unwrap();
    wait::eventually("the runner is not connected", async || {
        let page = api.get("/system").await?.body;
        wait::check(page.contains("not connected"), || page)
    })
    .await;
}

#[tokio::test]
async fn a_runner_is_taken_by_the_agent_too() {
    let mut system = System::start().await;
    let address = format!("127.0.0.1:{}", ports::free());
    let setting = [("PHASELINE_INGEST", address.as_str())];
    let other = scratch::directory("other").into_os_string();
    system
        .agents
        .push(Agent::start_with("host-2", other, &system.nats, &setting));
    let base = format!("http://{address}");
    let mut runner = wait::eventually("the agent takes runners", async || {
        runner(&base, None).await.map_err(|error| error.to_string())
    })
    .await;
    build(&mut runner, "p-2").await;
    let token = ProjectToken::of(Path::new("openbuilder:p-2"));
    let id = subject::build_id("host-2", token, 1);
    system
        .build_by_id(&id, |build| build.ended_at.is_some())
        .await;
    // Its ping is answered.
    runner.send(Message::Ping(vec![7].into())).await.unwrap();
    let pong = runner.next().await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong(vec![7].into()));
    // An agent that stops says so.
    system.agents[1].process.terminate();
    assert_eq!(closed(&mut runner).await.0, CloseCode::Away);
}

#[tokio::test]
async fn a_runner_without_the_token_is_refused_with_1008() {
    let mut system = System::bare().await;
    let file = scratch::directory("token").join("token");
    std::fs::write(&file, "s3cret").unwrap();
    let token_file = file.to_str().unwrap();
    let aggregator = aggregator(&system, &[("PHASELINE_INGEST_TOKEN_FILE", token_file)]).await;
    let base = aggregator.base();
    system.aggregators.push(aggregator);
    for wrong in [None, Some("wrong")] {
        let mut refused = runner(&base, wrong).await.unwrap();
        let (code, reason) = closed(&mut refused).await;
        assert_eq!(code, CloseCode::Policy);
        assert!(reason.starts_with("Unauthorized"), "{reason}");
    }
    let mut taken = runner(&base, Some("s3cret")).await.unwrap();
    build(&mut taken, "p-3").await;
    system
        .build_by_id(&build_id("p-3"), |build| build.ended_at.is_some())
        .await;
    let large = json!({"type":"build-stream","data":"x".repeat(1024 * 1024)});
    let _ = taken.send(Message::text(large.to_string())).await;
    assert_eq!(closed(&mut taken).await.0, CloseCode::Size);
}

#[tokio::test]
async fn a_frame_that_cannot_be_kept_is_counted_and_told() {
    let mut system = System::bare().await;
    let aggregator = aggregator(&system, &[]).await;
    let base = aggregator.base();
    system.aggregators.push(aggregator);
    let mut runner = runner(&base, None).await.unwrap();
    let end = |project: &str| json!({"type":"build-completed","projectId":project,"payload":{}});
    say(&mut runner, &end("p-4")).await;
    system.build_by_id(&build_id("p-4"), |_| true).await;
    system.nats.kill().await;
    say(&mut runner, &end("p-5")).await;
    let api = Api::new(base);
    wait::eventually("the loss is told", async || {
        let page = api.get("/system").await?.body;
        wait::check(page.contains("lost: the broker did not take it"), || page)
    })
    .await;
    // One that comes while the broker is away for a moment is kept.
    say(&mut runner, &end("p-6")).await;
    system.nats.up().await;
    system.build_by_id(&build_id("p-6"), |_| true).await;
}
