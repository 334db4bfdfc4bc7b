//! What runners' programs print: lines of their build's log, by way of the
//! aggregator and of an agent, and nothing where texts may not leave.

use harness::api::Api;
use harness::ports;
use harness::scratch;
use harness::system::{Agent, System};
use harness::wait::{check, eventually};
use protocol::{LogPage, ProjectToken, subject};
use serde_json::{Value, json};
use std::path::Path;

use crate::ingest_runner::{Runner, aggregator, build_id, runner, say};
use crate::log_lines::log;

fn chunk(project: &str, stream: &str, cursor: &str, data: &str) -> Value {
    json!({"type":"log-chunk","projectId":project,"commandId":"c-1","timestamp":"2026-01-01T00:00:00Z",
           "stream":stream,"cursor":cursor,"data":data})
}

async fn begin(runner: &mut Runner, project: &str) {
    let event = json!({"type":"start","messageId":"m"});
    let frame = json!({"type":"build-stream","projectId":project,"commandId":"c-1","data":format!("data: {event}\n\n")});
    say(runner, &frame).await;
}

/// File and text of each line, in the order of their numbers.
fn told(page: &LogPage) -> Vec<(&str, &str)> {
    let lines = page.lines.iter();
    lines
        .map(|line| (line.file.as_str(), line.text.as_str()))
        .collect()
}

async fn agent_with(system: &mut System, host: &str, texts: &str) -> String {
    let address = format!("127.0.0.1:{}", ports::free());
    let settings = [
        ("PHASELINE_INGEST", address.as_str()),
        ("PHASELINE_TEXTS", texts),
    ];
    let watch = scratch::directory(host).into_os_string();
    let agent = Agent::start_with(host, watch, &system.nats, &settings);
    system.agents.push(agent);
    format!("http://{address}")
}

async fn connected(base: &str) -> Runner {
    eventually("runners are taken", async || {
        runner(base, None).await.map_err(|error| error.to_string())
    })
    .await
}

fn id_on(host: &str, project: &str) -> String {
    let token = ProjectToken::of(Path::new(&format!("openbuilder:{project}")));
    subject::build_id(host, token, 1)
}

#[tokio::test]
async fn output_of_a_runner_is_lines_masked_joined_and_there_once() {
    let mut system = System::bare().await;
    let aggregator = aggregator(&system, &[]).await;
    let base = aggregator.base();
    system.aggregators.push(aggregator);
    let id = build_id("p-1");
    let mut first = runner(&base, None).await.unwrap();
    begin(&mut first, "p-1").await;
    system.build_by_id(&id, |_| true).await;
    let repeated = chunk("p-1", "stdout", "a3", "SWORD=hunter2 listening\nagain\n");
    for frame in [
        chunk("p-1", "stdout", "a1", "\u{1b}[32mready\u{1b}[0m in 5 ms\n"),
        chunk("p-1", "stdout", "a2", "DB_PAS"),
        chunk(
            "p-1",
            "stderr",
            "b1",
            "warning: postgres://app:hunter2@db/shop\n",
        ),
        repeated.clone(),
        repeated.clone(),
        chunk("p-1", "stdout", "a4", "half a li"),
    ] {
        say(&mut first, &frame).await;
    }
    let api = system.api();
    let page = log(&api, &id, "", |page| page.lines.len() == 4).await;
    let mut all = told(&page);
    all.sort_unstable();
    let expected = [
        ("http/stderr", "warning: postgres://app:[masked]@db/shop"),
        ("http/stdout", "DB_PASSWORD=[masked] listening"),
        ("http/stdout", "again"),
        ("http/stdout", "ready in 5 ms"),
    ];
    assert_eq!(all, expected);
    assert_eq!((page.dropped, page.skipped_bytes), (0, 0));

    // Another connection repeats what is known; the end of the first ended its half line.
    first.close(None).await.unwrap();
    let mut second = runner(&base, None).await.unwrap();
    log(&api, &id, "", |page| page.lines.len() == 5).await;
    say(&mut second, &repeated).await;
    say(&mut second, &chunk("p-1", "stdout", "a5", "to the end")).await;
    let exited = json!({"type":"process-exited","projectId":"p-1","exitCode":1});
    say(&mut second, &exited).await;
    let page = log(&api, &id, "?after=4", |page| page.lines.len() == 2).await;
    let rest = [("http/stdout", "half a li"), ("http/stdout", "to the end")];
    assert_eq!(told(&page), rest);

    // The same by HTTP, as from runners that had a broker between.
    let posted = chunk("p-1", "stderr", "b2", "posted\n");
    for _ in 0..2 {
        let request = api.request(reqwest::Method::POST, "/api/runner/events");
        let answer = harness::api::read(request.json(&posted)).await.unwrap();
        assert_eq!((answer.status, answer.json()), (200, json!({"ok":true})));
    }
    log(&api, &id, "?after=6", |page| {
        told(page) == [("http/stderr", "posted")]
    })
    .await;
    let leaked = "SELECT (SELECT count(*) FROM event WHERE document::text LIKE '%hunter2%') \
                  + (SELECT count(*) FROM log_line WHERE text LIKE '%hunter2%')";
    assert_eq!(system.database.number(leaked).await.unwrap(), 0);
}

#[tokio::test]
async fn an_agent_ships_what_its_runner_prints_unless_texts_may_not_leave() {
    let mut system = System::bare().await;
    let aggregator = aggregator(&system, &[]).await;
    system.aggregators.push(aggregator);
    let silent = agent_with(&mut system, "silent", "none").await;
    let open = agent_with(&mut system, "open", "logs").await;
    for (host, base) in [("silent", &silent), ("open", &open)] {
        let mut runner = connected(base).await;
        begin(&mut runner, "p-1").await;
        let id = id_on(host, "p-1");
        system.build_by_id(&id, |_| true).await;
        say(&mut runner, &chunk("p-1", "stdout", "1", "compiled\nhalf")).await;
        let end = json!({"type":"build-completed","projectId":"p-1","payload":{}});
        say(&mut runner, &end).await;
        system
            .build_by_id(&id, |build| build.ended_at.is_some())
            .await;
        runner.close(None).await.unwrap();
    }
    let api: Api = system.api();
    let page = log(&api, &id_on("open", "p-1"), "", |page| {
        page.lines.len() == 2
    })
    .await;
    assert_eq!(
        told(&page),
        [("http/stdout", "compiled"), ("http/stdout", "half")]
    );
    // The silent one's came before: had it left, it would be there.
    let kept = api.log(&id_on("silent", "p-1"), "").await.unwrap();
    assert_eq!(kept.lines, []);
    eventually("the agent says that it did not keep it", async || {
        let host = api.host("silent").await?;
        let routes = host.calls.map(|calls| calls.routes).unwrap_or_default();
        let ignored = routes
            .iter()
            .any(|route| route.route == "/ws/runner" && route.ignored == 1);
        check(ignored, || format!("{routes:?}"))
    })
    .await;
}

#[tokio::test]
async fn output_waits_while_the_broker_is_away_and_builds_do_not_wait_for_it() {
    let mut system = System::bare().await;
    let aggregator = aggregator(&system, &[]).await;
    system.aggregators.push(aggregator);
    let base = agent_with(&mut system, "open", "logs").await;
    let mut runner = connected(&base).await;
    begin(&mut runner, "p-1").await;
    let id = id_on("open", "p-1");
    system.build_by_id(&id, |_| true).await;
    system.nats.kill().await;
    for number in 0..300 {
        let frame = chunk(
            "p-1",
            "stdout",
            &number.to_string(),
            &format!("line {number}\n"),
        );
        say(&mut runner, &frame).await;
    }
    let end = json!({"type":"build-completed","projectId":"p-1","payload":{}});
    say(&mut runner, &end).await;
    system.nats.up().await;
    system
        .build_by_id(&id, |build| build.ended_at.is_some())
        .await;
    let api = system.api();
    let page = log(&api, &id, "?limit=1000", |page| page.lines.len() == 300).await;
    assert_eq!(page.lines[299].text, "line 299");
    assert_eq!(page.skipped_bytes, 0);
}
