//! Producers that send to the agent of their own host: a success means that
//! the call is in its outbox, whoever else is away.

use harness::api::{Answer, Api, read};
use harness::system::{Agent, Aggregator, HOST, System};
use harness::{fixtures, ports, scratch, wait};
use protocol::build::Origin;
use protocol::{ProjectToken, subject};
use serde_json::{Value, json};
use std::path::Path;

/// An agent that takes calls, and a client of them.
struct Taker {
    agent: Agent,
    api: Api,
}

impl Taker {
    async fn start(system: &System, more: &[(&'static str, &str)]) -> Self {
        let address = format!("127.0.0.1:{}", ports::free());
        let mut settings = vec![("PHASELINE_INGEST", address.as_str())];
        settings.extend_from_slice(more);
        let watch = system.watch.as_os_str().to_owned();
        let agent = Agent::start_with(HOST, watch, &system.nats, &settings);
        let api = Api::new(format!("http://{address}"));
        let taker = Self { agent, api };
        taker.listens().await;
        taker
    }

    async fn listens(&self) {
        wait::eventually("the agent takes calls", async || {
            self.api.get("/api/runner/process/list").await.map(|_| ())
        })
        .await;
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.api.request(reqwest::Method::POST, path).json(body);
        read(request).await.unwrap()
    }
}

fn session_build(session: &str, run: u32) -> String {
    let token = format!("http:context-foundry:{session}");
    subject::build_id(HOST, ProjectToken::of(Path::new(&token)), run)
}

/// How many calls of a build are stored.
async fn calls_of(system: &System, build: &str) -> i64 {
    let query =
        format!("SELECT count(*) FROM event WHERE build_id = '{build}' AND kind = 'content'");
    system.database.number(&query).await.unwrap()
}

#[tokio::test]
async fn a_call_to_the_agent_is_a_build_of_its_host() {
    let mut system = System::bare().await;
    let aggregator = Aggregator::start(&system.nats, &system.database).await;
    system.aggregators.push(aggregator);
    let taker = Taker::start(&system, &[]).await;
    system.host_is(HOST, "up").await;
    let body = fixtures::phase("web", "Builder", "3/7", "building");
    let answer = taker.post("/api/phase-update", &body).await;
    assert_eq!(
        (answer.status, &answer.json()["status"]),
        (200, &json!("received"))
    );
    let build = system.build_by_id(&session_build("web", 1), |_| true).await;
    assert_eq!((build.host.as_str(), build.origin), (HOST, Origin::Http));

    let other = taker
        .api
        .request(reqwest::Method::POST, "/api/phase-update")
        .header("phaseline-host", "another")
        .json(&body);
    let refused = read(other).await.unwrap();
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (400, "other_host")
    );

    // What came in reaches the host's record and the system page with the next presence.
    wait::eventually("the host tells of its calls", async || {
        let host = system.api().host(HOST).await?;
        let calls = host.calls.ok_or("no calls")?;
        let route = calls
            .routes
            .iter()
            .find(|route| route.route == "/api/phase-update");
        let told = route.map(|route| (route.received, route.refused));
        wait::check(told == Some((1, 1)), || format!("{calls:?}"))
    })
    .await;
    let page = system.api().get("/system").await.unwrap().body;
    let of_host = page.split("data-listener=\"host-1\"").nth(1).unwrap();
    assert!(
        of_host.contains("/api/phase-update") && of_host.contains("own host only"),
        "{page}"
    );
    drop(taker.agent);
}

#[tokio::test]
async fn an_event_of_any_type_is_told_of_the_workflow_that_it_names() {
    let mut system = System::bare().await;
    let aggregator = Aggregator::start(&system.nats, &system.database).await;
    system.aggregators.push(aggregator);
    let taker = Taker::start(&system, &[]).await;
    system.host_is(HOST, "up").await;
    let path = "/api/v1/event/phase_started";
    let secret = "psql postgres://app:hunter2@db";
    let body = json!({"adw_id":"3af4a34d","data":{"phase_name":"Plan","phase_status":"started","message":secret}});
    let answer = taker.post(path, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let id = subject::build_id(HOST, ProjectToken::of_id("adw", "3af4a34d"), 1);
    let is_in =
        |phase: &'static str| move |build: &protocol::Build| build.phase.as_deref() == Some(phase);
    system.build_by_id(&id, is_in("Plan")).await;
    let to_server = async |body: Value| {
        let request = system.api().request(reqwest::Method::POST, path);
        let request = request.header("phaseline-host", HOST).json(&body);
        read(request).await.unwrap()
    };
    let next =
        json!({"workflow_id":"wf-3af4a34d","payload":{"current_phase":"Build","status":"running"}});
    assert_eq!(to_server(next).await.status, 200);
    system.build_by_id(&id, is_in("Build")).await;
    let nobodys = json!({"data":{"phase_name":"Test"}});
    for refused in [
        taker.post(path, &nobodys).await,
        to_server(nobodys.clone()).await,
    ] {
        assert_eq!(
            (refused.status, refused.error_code().as_str()),
            (400, "missing_key")
        );
    }
    assert_eq!(system.database.builds().await.unwrap().len(), 1);
    for event in system.database.events().await.unwrap() {
        assert!(!format!("{event:?}").contains("hunter2"), "{event:?}");
    }
}

#[tokio::test]
async fn a_call_that_was_answered_survives_a_dead_broker_and_a_killed_agent() {
    let mut system = System::bare().await;
    let mut taker = Taker::start(&system, &[]).await;
    system.nats.kill().await;
    for count in 0..50 {
        let body = fixtures::numbered("kept", count);
        let answer = taker.post("/api/phase-update", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    taker.agent.kill();
    system.nats.up().await;
    taker.agent.restart();
    let aggregator = Aggregator::start(&system.nats, &system.database).await;
    system.aggregators.push(aggregator);
    let id = session_build("kept", 1);
    system
        .build_by_id(&id, |build| build.fields["count"] == 49)
        .await;
    assert_eq!(
        calls_of(&system, &id).await,
        50,
        "none is lost, none is there twice"
    );
}

#[tokio::test]
async fn a_full_outbox_refuses_calls_and_keeps_what_it_has_promised() {
    let mut system = System::bare().await;
    let taker = Taker::start(&system, &[("PHASELINE_OUTBOX_MAX", "1MiB")]).await;
    system.nats.kill().await;
    let mut body = fixtures::numbered("full", 0);
    body["progress_detail"] = json!("x".repeat(40_000));
    let mut kept: i64 = 0;
    let refused = loop {
        body["count"] = json!(kept);
        let answer = taker.post("/api/phase-update", &body).await;
        if answer.status != 200 {
            break answer;
        }
        kept += 1;
        assert!(kept < 1_000, "an outbox of 1 MiB never fills up");
    };
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (503, "not_kept")
    );
    assert!(
        refused.body.contains("PHASELINE_OUTBOX_MAX"),
        "{}",
        refused.body
    );
    system.nats.up().await;
    let aggregator = Aggregator::start(&system.nats, &system.database).await;
    system.aggregators.push(aggregator);
    let id = session_build("full", 1);
    system
        .build_by_id(&id, |build| build.fields["count"] == kept - 1)
        .await;
    assert_eq!(calls_of(&system, &id).await, kept);
    // There is room again.
    wait::eventually("a call is taken", async || {
        let answer = taker.post("/api/phase-update", &body).await;
        wait::check(answer.status == 200, || answer.body)
    })
    .await;
}

#[tokio::test]
async fn with_a_token_only_its_holders_may_call_the_agent() {
    let system = System::bare().await;
    let file = scratch::directory("token").join("token");
    std::fs::write(&file, "s3cret\n").unwrap();
    let setting = [("PHASELINE_INGEST_TOKEN_FILE", file.to_str().unwrap())];
    let taker = Taker::start(&system, &setting).await;
    let body = json!({"session_id":"web"});
    assert_eq!(taker.post("/api/phase-update", &body).await.status, 401);
    let request = taker
        .api
        .request(reqwest::Method::POST, "/api/phase-update")
        .bearer_auth("s3cret")
        .json(&body);
    assert_eq!(read(request).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_taken_port_ends_the_agent_with_a_clear_sentence() {
    let system = System::bare().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let setting = [("PHASELINE_INGEST", address.as_str())];
    let watch = system.watch.as_os_str().to_owned();
    let mut agent = Agent::start_with(HOST, watch, &system.nats, &setting);
    let ended = agent.process.wait().await;
    assert_eq!(ended.code(), Some(1));
    let said = agent.process.output();
    assert!(
        said.contains(&address) && said.contains("PHASELINE_INGEST"),
        "{said}"
    );
    assert!(said.contains("in use"), "{said}");
}

#[tokio::test]
async fn an_agent_that_takes_no_calls_has_no_listener_and_no_thread_for_them() {
    let system = System::bare().await;
    let sockets = |agent: &Agent| {
        let table =
            std::fs::read_to_string(format!("/proc/{}/net/tcp", agent.process.pid())).unwrap();
        let links = std::fs::read_dir(format!("/proc/{}/fd", agent.process.pid())).unwrap();
        let mine: Vec<String> = links
            .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
            .filter_map(|to| {
                Some(
                    to.to_str()?
                        .strip_prefix("socket:[")?
                        .trim_end_matches(']')
                        .to_owned(),
                )
            })
            .collect();
        // `0A` is LISTEN.
        let listening = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        listening
            .filter(|fields| {
                fields.get(3) == Some(&"0A")
                    && mine
                        .iter()
                        .any(|inode| fields.get(9) == Some(&inode.as_str()))
            })
            .count()
    };
    let threads = |agent: &Agent| {
        std::fs::read_dir(format!("/proc/{}/task", agent.process.pid()))
            .unwrap()
            .count()
    };
    let quiet = Agent::start(HOST, &system.watch, &system.nats);
    wait::eventually("the agent is ready", async || {
        wait::check(quiet.process.output().contains("agent is ready"), || {
            quiet.process.output()
        })
    })
    .await;
    let taker = Taker::start(&system, &[]).await;
    wait::eventually("the other agent is ready", async || {
        let said = taker.agent.process.output();
        wait::check(said.contains("agent is ready"), || said)
    })
    .await;
    assert_eq!((sockets(&quiet), sockets(&taker.agent)), (0, 1));
    assert_eq!(
        threads(&quiet),
        threads(&taker.agent),
        "calls need no thread"
    );
}
