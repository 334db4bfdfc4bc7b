//! Parts that are away for a moment: nothing is lost, all catches up by itself.

use std::time::Duration;

use harness::fixtures;
use harness::oracle::{TruthLog, verdict};
use harness::proxy::{Network, Proxy};
use harness::stream::Client;
use harness::system::{Agent, Aggregator, HOST, System};
use harness::wait::{check, eventually, stays};
use harness::writer::{Manner, Project};

async fn assert_faultless(system: &System, truth: &TruthLog, test: &str) {
    let verdict = verdict(truth, &system.database, &[]).await.unwrap();
    verdict.assert_faultless(test);
}

#[tokio::test]
async fn an_aggregator_that_was_down_catches_up_with_every_change() {
    let mut system = System::start().await;
    let (project, truth) = (system.project("catch-up"), TruthLog::default());
    truth.write(&project, 0, Manner::InPlace);
    system.build(&project, 1, |_| true).await;
    system.aggregators[0].kill();
    for count in 1..=5 {
        truth.write(&project, count, Manner::InPlace);
        // Each change reaches the stream before the next: seen by the message count of the broker.
        wait_for_messages(&system, count).await;
    }
    system.aggregators[0].restart();
    system
        .build(&project, 1, |build| {
            build.detail.as_deref() == Some("step 5")
        })
        .await;
    assert_eq!(system.database.events().await.unwrap().len(), 6);
    assert_faultless(&system, &truth, "aggregator down").await;
}

async fn wait_for_messages(system: &System, count: u64) {
    let stream = async_nats::jetstream::new(system.nats.client().await);
    eventually("the stream holds the event", async || {
        let mut info = stream
            .get_stream("PHASELINE")
            .await
            .map_err(|e| e.to_string())?;
        let messages = info.info().await.map_err(|e| e.to_string())?.state.messages;
        check(messages == count, || format!("{messages} of {count}"))
    })
    .await;
}

#[tokio::test]
async fn an_agent_keeps_what_changes_while_the_broker_is_away_and_sends_it_in_order() {
    let mut system = System::start().await;
    let (project, truth) = (system.project("kept"), TruthLog::default());
    truth.write(&project, 0, Manner::InPlace);
    system.build(&project, 1, |_| true).await;
    system.nats.kill().await;
    let api = system.api();
    eventually("the loss of the broker shows", async || {
        let answer = api.get("/readyz").await?;
        check(answer.status == 503, || answer.body)
    })
    .await;
    for count in 1..=3 {
        truth.write(&project, count, Manner::InPlace);
        // Longer than the agent coalesces, so that each is an event of its own.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    // Also through a restart of the agent: the outbox is on disk.
    system.agents[0].restart();
    system.nats.up().await;
    system
        .build(&project, 1, |build| {
            build.detail.as_deref() == Some("step 3")
        })
        .await;
    assert_eq!(
        system.database.events().await.unwrap().len(),
        4,
        "every change was kept"
    );
    assert_faultless(&system, &truth, "broker away").await;
}

#[tokio::test]
async fn an_agent_that_starts_without_a_broker_delivers_later() {
    let mut system = System::bare().await;
    system.nats.kill().await;
    system
        .agents
        .push(Agent::start(HOST, &system.watch, &system.nats));
    let project = system.project("early");
    project.phase(&fixtures::numbered("early", 1));
    system.aggregators.push(Aggregator::start_without_waiting(
        &system.nats,
        &system.database,
    ));
    let api = system.api();
    eventually("the aggregator lives without a broker", async || {
        let answer = api.get("/healthz").await?;
        check(answer.status == 200, || answer.body)
    })
    .await;
    system.nats.up().await;
    system.build(&project, 1, |_| true).await;
}

#[tokio::test]
async fn with_postgres_away_the_last_state_stays_visible_and_events_wait() {
    let mut system = System::start_with_own_postgres().await;
    let (project, truth) = (system.project("waits"), TruthLog::default());
    truth.write(&project, 0, Manner::InPlace);
    let client = system.client().await;
    client.until_build("waits", |_| true).await;
    system.postgres.as_mut().unwrap().kill().await;
    truth.write(&project, 1, Manner::InPlace);
    let api = system.api();
    eventually("the loss of Postgres shows", async || {
        let answer = api.get("/readyz").await?;
        check(answer.status == 503, || answer.body)
    })
    .await;
    // What is not committed is not shown; what was committed still is.
    stays(
        Duration::from_secs(2),
        "nothing uncommitted is shown",
        async || {
            let seen = client.seen();
            let told = seen.builds.values().next().ok_or("the build vanished")?;
            check(told["detail"] == "step 0", || format!("{told:?}"))
        },
    )
    .await;
    let page = api.get("/").await.unwrap();
    assert_eq!(page.status, 200, "the live page is served from memory");
    let id = project.build_id(HOST, 1);
    assert!(page.body.contains(&id));
    let listing = api.get("/api/v1/builds").await.unwrap();
    assert!(matches!(listing.status, 200 | 503), "{}", listing.status);
    if listing.status == 503 {
        assert!(!listing.error_code().is_empty());
    }
    system.postgres.as_mut().unwrap().up().await;
    client
        .until_build("waits", |told| told["detail"] == "step 1")
        .await;
    client.assert_clean();
    assert_faultless(&system, &truth, "Postgres away").await;
}

#[tokio::test]
async fn a_restarted_broker_that_forgot_nothing_causes_no_doubles() {
    let mut system = System::start().await;
    let (project, truth) = (system.project("forgets"), TruthLog::default());
    for count in 0..6 {
        truth.write(&project, count, Manner::InPlace);
        // The duplicate window does not survive this; the key in Postgres does.
        system.nats.kill().await;
        system.nats.up().await;
        let detail = format!("step {count}");
        system
            .build(&project, 1, |build| {
                build.detail.as_deref() == Some(&detail)
            })
            .await;
    }
    assert_eq!(system.database.events().await.unwrap().len(), 6);
    assert_faultless(&system, &truth, "broker restarted").await;
}

#[tokio::test]
async fn the_same_event_sent_again_changes_nothing() {
    let system = System::start().await;
    let mut publisher = harness::publisher::Publisher::connect(&system.nats, "again").await;
    let client = system.client().await;
    let event = publisher.event("one", &fixtures::numbered("one", 1));
    publisher.send(&event).await;
    client.until_build("one", |_| true).await;
    let seq = client.seen().seq;
    // Without its message id, so that only Postgres and the fold can tell.
    let bytes = serde_json::to_vec(&event).unwrap();
    for _ in 0..5 {
        publisher
            .raw(&protocol::subject::event(&event), bytes.clone())
            .await;
    }
    publisher
        .tell("marker", &fixtures::numbered("marker", 1))
        .await;
    client.until_build("marker", |_| true).await;
    assert_eq!(
        client.seen().seq,
        seq + 1,
        "only the marker took a position"
    );
    assert_eq!(system.database.events().await.unwrap().len(), 2);
    client.assert_clean();
}

#[tokio::test]
async fn an_event_older_than_the_last_is_kept_and_changes_nothing() {
    let system = System::start().await;
    let mut publisher = harness::publisher::Publisher::connect(&system.nats, "late").await;
    let old = publisher.event("one", &fixtures::numbered("one", 1));
    publisher.tell("one", &fixtures::numbered("one", 2)).await;
    let id = publisher.build_id("one", 1);
    system
        .build_by_id(&id, |build| build.detail.as_deref() == Some("step 2"))
        .await;
    publisher.send(&old).await;
    eventually("the late event is kept", async || {
        let events = system.database.events().await?;
        check(events.iter().any(|event| event.late), || {
            format!("{events:?}")
        })
    })
    .await;
    let build = system.build_by_id(&id, |_| true).await;
    assert_eq!(build.detail.as_deref(), Some("step 2"));
}

#[tokio::test]
async fn a_stalled_network_between_agent_and_broker_is_survived() {
    let mut system = System::start().await;
    let broker = system.nats.url().replace("nats://", "");
    let cable = Proxy::start(&broker).await;
    let watch = harness::scratch::directory("far");
    let url = format!("nats://{}", cable.address());
    system.agents.push(Agent::start_with(
        "far",
        watch.as_os_str().to_owned(),
        &system.nats,
        &[("PHASELINE_NATS_URL", &url)],
    ));
    let (project, truth) = (Project::create(watch.join("one")), TruthLog::default());
    truth.write(&project, 1, Manner::InPlace);
    let id = project.build_id("far", 1);
    system.build_by_id(&id, |_| true).await;
    cable.set(Network::Stalled);
    truth.write(&project, 2, Manner::InPlace);
    tokio::time::sleep(Duration::from_millis(300)).await;
    cable.set(Network::Cut);
    truth.write(&project, 3, Manner::InPlace);
    tokio::time::sleep(Duration::from_millis(300)).await;
    cable.set(Network::Up);
    system
        .build_by_id(&id, |build| build.detail.as_deref() == Some("step 3"))
        .await;
    assert_faultless(&system, &truth, "stalled network").await;
}

#[tokio::test]
async fn a_reader_behind_a_cut_network_resumes_where_it_was() {
    let system = System::start().await;
    let server = system.aggregators[0].base().replace("http://", "");
    let cable = Proxy::start(&server).await;
    let project = system.project("tunnel");
    project.phase(&fixtures::numbered("tunnel", 1));
    let client = Client::connect(&format!("http://{}", cable.address()), "").await;
    client.until_build("tunnel", |_| true).await;
    cable.set(Network::Cut);
    client
        .until("the connection is over", |seen| seen.over.then_some(()))
        .await;
    let seen = client.leave();
    project.phase(&fixtures::numbered("tunnel", 2));
    system
        .build(&project, 1, |build| {
            build.detail.as_deref() == Some("step 2")
        })
        .await;
    cable.set(Network::Up);
    let client = Client::resume(&format!("http://{}", cable.address()), seen)
        .await
        .unwrap();
    client
        .until_build("tunnel", |told| told["detail"] == "step 2")
        .await;
    client.assert_clean();
}
