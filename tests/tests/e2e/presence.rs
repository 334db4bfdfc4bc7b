//! Hosts come, go and are said to be gone; their builds say why nothing is known.

use std::time::Duration;

use harness::fixtures;
use harness::nats::Nats;
use harness::scratch;
use harness::system::{Agent, HOST, System};
use harness::wait::{check, eventually, stays};
use harness::writer::Project;
use protocol::{BuildState, HostState};

#[tokio::test]
async fn an_agent_that_nats_does_not_know_says_once_what_to_look_at() {
    let (nats, watch) = (Nats::start().await, scratch::directory("watched"));
    let stranger = [("PHASELINE_NATS_USER", "stranger")];
    let mut agent = Agent::start_with(HOST, watch.into(), &nats, &stranger);
    let told = |output: &str| output.matches("PHASELINE_NATS_PASSWORD_FILE").count();
    eventually("it says where to look", async || {
        let said = agent.process.output();
        check(told(&said) > 0, || said)
    })
    .await;
    agent.process.stop().await;
    let said = agent.process.output();
    assert!(
        told(&said) == 1 && said.contains("PHASELINE_NATS_USER"),
        "{said}"
    );
}

#[tokio::test]
async fn a_stopped_agent_says_so_and_its_builds_become_unknown_until_it_is_back() {
    let mut system = System::start().await;
    let client = system.client().await;
    let open = system.project("open");
    open.phase(&fixtures::phase("open", "Builder", "3/7", "building"));
    let ended = system.project("ended");
    ended.phase(&fixtures::phase("ended", "Test", "4/7", "failed"));
    system.build(&open, 1, |_| true).await;
    system
        .build(&ended, 1, |build| build.ended_at.is_some())
        .await;

    let status = system.agents[0].process.stop().await;
    assert!(status.success(), "{status}");
    system.host_is(HOST, "stopped").await;
    let build = system
        .build(&open, 1, |build| build.state == BuildState::Unknown)
        .await;
    let reason = build.state_reason.unwrap();
    assert!(reason.contains("stopped"), "{reason}");
    assert_eq!(build.ended_at, None, "not ended: only unknown");
    let build = system.build(&ended, 1, |_| true).await;
    assert_eq!(build.state, BuildState::Failed, "a finished build is final");

    system.agents[0].restart();
    system.host_is(HOST, "up").await;
    let build = system
        .build(&open, 1, |build| build.state == BuildState::Running)
        .await;
    assert_eq!(build.state_reason, None);
    client
        .until_build("open", |told| told["state"] == "running")
        .await;
    client.assert_clean();
    let kinds: Vec<String> = system
        .database
        .events()
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.kind)
        .collect();
    assert!(
        kinds.contains(&"host_gone".to_owned()) && kinds.contains(&"host_back".to_owned()),
        "{kinds:?}"
    );
}

#[tokio::test]
async fn a_killed_agent_is_gone_after_two_missed_presences_and_not_before() {
    let mut system = System::start().await;
    let project = system.project("open");
    project.phase(&fixtures::phase("open", "Builder", "3/7", "building"));
    system.build(&project, 1, |_| true).await;
    let api = system.api();
    system.agents[0].kill();
    stays(
        Duration::from_secs(8),
        "not gone after less than a presence",
        async || {
            let host = api.host(HOST).await?;
            check(host.state == HostState::Up, || format!("{host:?}"))
        },
    )
    .await;
    system.host_is(HOST, "gone").await;
    let build = system
        .build(&project, 1, |build| build.state == BuildState::Unknown)
        .await;
    assert!(build.state_reason.is_some());
    system.agents[0].restart();
    system.host_is(HOST, "up").await;
    system
        .build(&project, 1, |build| build.state == BuildState::Running)
        .await;
}

#[tokio::test]
async fn what_is_watched_and_what_is_missing_shows_on_the_host() {
    let mut system = System::start().await;
    let roots = [system.watch.clone(), system.watch.join("missing")];
    let watch = std::env::join_paths(&roots).unwrap();
    system
        .agents
        .push(Agent::start_with("two-roots", watch, &system.nats, &[]));
    let api = system.api();
    let host = eventually("both roots show", async || {
        let host = api.host("two-roots").await?;
        if host.roots.len() == 2
            && host
                .roots
                .iter()
                .all(|root| root.state != protocol::RootState::Starting)
        {
            Ok(host)
        } else {
            Err(format!("{host:?}"))
        }
    })
    .await;
    assert_eq!(host.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(host.outbox.map(|outbox| outbox.events), Some(0));
    assert!(
        host.clock_offset_ms
            .is_some_and(|offset| offset.abs() < 5_000),
        "{host:?}"
    );
    let missing = host
        .roots
        .iter()
        .find(|root| root.state == protocol::RootState::Missing);
    assert!(
        missing.is_some_and(|root| root.reason.is_some()),
        "{host:?}"
    );
}

#[tokio::test]
async fn events_that_wait_on_a_host_show_there() {
    let mut system = System::start().await;
    // An agent whose broker takes presences and no events cannot be had; but the outbox of one
    // that comes back after an outage is empty again, and says so.
    let project = system.project("queued");
    project.phase(&fixtures::numbered("queued", 1));
    system.build(&project, 1, |_| true).await;
    system.nats.kill().await;
    project.phase(&fixtures::numbered("queued", 2));
    system.nats.up().await;
    system
        .build(&project, 1, |build| {
            build.detail.as_deref() == Some("step 2")
        })
        .await;
    let api = system.api();
    eventually("the outbox is empty", async || {
        let host = api.host(HOST).await?;
        check(host.outbox.is_some_and(|outbox| outbox.events == 0), || {
            format!("{host:?}")
        })
    })
    .await;
}

#[tokio::test]
async fn two_hosts_with_the_same_project_path_have_builds_of_their_own() {
    let mut system = System::start().await;
    system
        .agents
        .push(Agent::start("host-2", &system.watch, &system.nats));
    system.host_is("host-2", "up").await;
    let project = system.project("shared");
    project.phase(&fixtures::phase("shared", "Scout", "1/7", "researching"));
    let first = system
        .build_by_id(&project.build_id(HOST, 1), |_| true)
        .await;
    let second = system
        .build_by_id(&project.build_id("host-2", 1), |_| true)
        .await;
    assert_ne!(first.id, second.id);
    assert_eq!(first.fields, second.fields);
    let page: protocol::page::HostPage = system.api().read("/api/v1/hosts").await.unwrap();
    let names: Vec<&str> = page.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, [HOST, "host-2"]);
}

#[tokio::test]
async fn the_same_project_under_two_roots_is_one_build() {
    let mut system = System::start().await;
    let inner = harness::scratch::directory("outer").join("inner");
    let project = Project::create(inner.join("one"));
    let roots = [inner.parent().unwrap().to_owned(), inner.clone()];
    let watch = std::env::join_paths(&roots).unwrap();
    system
        .agents
        .push(Agent::start_with("nested", watch, &system.nats, &[]));
    system.host_is("nested", "up").await;
    project.phase(&fixtures::phase("one", "Scout", "1/7", "researching"));
    let id = project.build_id("nested", 1);
    system.build_by_id(&id, |_| true).await;
    project.phase(&fixtures::phase("one", "Architect", "2/7", "designing"));
    system
        .build_by_id(&id, |build| build.phase.as_deref() == Some("Architect"))
        .await;
    assert_eq!(system.database.events().await.unwrap().len(), 2);
}

/// An outage of ours says nothing about the hosts.
async fn nobody_is_said_to_be_gone(system: &System, project: &Project) {
    system.host_is(HOST, "up").await;
    let api = system.api();
    stays(Duration::from_secs(4), "the host is up", async || {
        let host = api.host(HOST).await?;
        check(host.state == HostState::Up, || format!("{host:?}"))
    })
    .await;
    let events = system.database.events().await.unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["content"]);
    system
        .build(project, 1, |build| build.state == BuildState::Running)
        .await;
}

/// Longer than two presences and the margin.
const OUTAGE: Duration = Duration::from_secs(24);

#[tokio::test]
async fn an_outage_of_the_aggregator_makes_no_host_gone() {
    let mut system = System::start().await;
    let project = system.project("open");
    project.phase(&fixtures::phase("open", "Builder", "3/7", "building"));
    system.build(&project, 1, |_| true).await;
    system.aggregators[0].kill();
    tokio::time::sleep(OUTAGE).await;
    system.aggregators[0].restart();
    system.aggregators[0].ready().await;
    nobody_is_said_to_be_gone(&system, &project).await;
}

#[tokio::test]
async fn an_outage_of_the_broker_makes_no_host_gone() {
    let mut system = System::start().await;
    let project = system.project("open");
    project.phase(&fixtures::phase("open", "Builder", "3/7", "building"));
    system.build(&project, 1, |_| true).await;
    system.nats.kill().await;
    tokio::time::sleep(OUTAGE).await;
    system.nats.up().await;
    system.aggregators[0].ready().await;
    nobody_is_said_to_be_gone(&system, &project).await;
}
