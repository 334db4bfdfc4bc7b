//! Limits that are reached: said, survived, and nothing lost.

use std::fs;
use std::time::{Duration, SystemTime};

use harness::fixtures;
use harness::publisher::Publisher;
use harness::system::{Agent, Aggregator, System};
use harness::wait::{check, eventually};
use harness::writer::{PHASE, Project};
use protocol::{BuildState, RootState};

#[tokio::test]
async fn an_overflow_of_the_event_queue_loses_nothing() {
    let mut system = System::start().await;
    let known = system.project("known");
    known.phase(&fixtures::numbered("known", 1));
    system.build(&known, 1, |_| true).await;
    let pid = system.agents[0].process.pid();
    let queue: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(16_384);
    // Nobody takes events out of the queue while the agent is frozen.
    system.agents[0].process.freeze();
    let noise = known.dir().join(".context-foundry/noise");
    for _ in 0..queue {
        fs::write(&noise, "x").unwrap();
    }
    fs::remove_file(&noise).unwrap();
    // After the queue is full: a change, a new project and a whole new tree go unseen.
    known.phase(&fixtures::numbered("known", 2));
    let new = system.project("new");
    new.phase(&fixtures::numbered("new", 1));
    let deep = system.project("a/tree/of/its/own");
    deep.phase(&fixtures::numbered("own", 1));
    system.agents[0].process.thaw();
    system
        .build(&known, 1, |build| build.detail.as_deref() == Some("step 2"))
        .await;
    system.build(&new, 1, |_| true).await;
    system.build(&deep, 1, |_| true).await;
    assert_eq!(system.agents[0].process.pid(), pid, "the same process");
    // And what it found is watched from now on.
    deep.phase(&fixtures::numbered("own", 2));
    system
        .build(&deep, 1, |build| build.detail.as_deref() == Some("step 2"))
        .await;
}

#[tokio::test]
async fn with_too_few_watches_the_host_says_so_and_still_sees_every_project() {
    const WATCHES: u32 = 12;
    let mut system = System::start().await;
    let watch = harness::scratch::directory("many");
    let projects: Vec<Project> = (0..20)
        .map(|n| Project::create(watch.join(format!("p{n}"))))
        .collect();
    let agent = Agent::start_with_watches("few-watches", &watch, &system.nats, WATCHES);
    let Some(agent) = agent else {
        eprintln!("skipped: user namespaces with a limit of their own are not to be had here");
        return;
    };
    system.agents.push(agent);
    let api = system.api();
    let host = eventually("the host says that it is degraded", async || {
        let host = api.host("few-watches").await?;
        let degraded = host
            .roots
            .iter()
            .any(|root| root.state == RootState::Degraded);
        if degraded {
            Ok(host)
        } else {
            Err(format!("{host:?}"))
        }
    })
    .await;
    let root = &host.roots[0];
    assert!(
        root.reason
            .as_deref()
            .is_some_and(|reason| reason.contains("watches")),
        "{root:?}"
    );
    assert!(
        root.remedy
            .as_deref()
            .is_some_and(|remedy| remedy.contains("max_user_watches")),
        "{root:?}"
    );
    for project in &projects {
        project.phase(&fixtures::numbered("p", 1));
    }
    for project in &projects {
        system
            .build_by_id(&project.build_id("few-watches", 1), |_| true)
            .await;
    }
}

#[tokio::test]
async fn a_silent_build_stalls_and_an_unchanged_rewrite_wakes_it() {
    let system = System::start().await;
    let project = system.project("silent");
    let file = fixtures::phase("silent", "Builder", "3/7", "building");
    // Written twenty minutes ago, moved here just now.
    let made = system.watch.join("made.json");
    fs::write(&made, file.to_string()).unwrap();
    let ago = SystemTime::now() - Duration::from_secs(20 * 60);
    fs::File::options()
        .write(true)
        .open(&made)
        .unwrap()
        .set_modified(ago)
        .unwrap();
    fs::rename(&made, project.file(PHASE)).unwrap();
    let build = system
        .build(&project, 1, |build| build.state == BuildState::Stalled)
        .await;
    let reason = build.state_reason.unwrap();
    assert!(reason.contains("15 min"), "{reason}");
    assert_eq!(build.ended_at, None);

    // Only its time moves: the next presence carries it.
    fs::File::options()
        .write(true)
        .open(project.file(PHASE))
        .unwrap()
        .set_modified(SystemTime::now())
        .unwrap();
    project.phase(&file);
    let build = system
        .build(&project, 1, |build| build.state == BuildState::Running)
        .await;
    assert_eq!(build.state_reason, None);
    let kinds: Vec<String> = system
        .database
        .events()
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.kind)
        .collect();
    assert_eq!(kinds, ["content", "silent", "alive"]);
}

#[tokio::test]
async fn a_snapshot_of_very_many_builds_says_that_there_are_more() {
    const BUILDS: usize = 1_050;
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "crowd").await;
    let mut acks = Vec::new();
    for number in 0..BUILDS {
        let name = format!("p{number}");
        let event = publisher.event(&name, &fixtures::numbered(&name, 1));
        acks.push(publisher.send_soon(&event).await);
        if acks.len() == 200 {
            for ack in acks.drain(..) {
                ack.await.unwrap();
            }
        }
    }
    let last = publisher.build_id(&format!("p{}", BUILDS - 1), 1);
    system.build_by_id(&last, |_| true).await;
    // The API reads the database; the stream's snapshot comes once the frames have arrived too.
    let api = system.api();
    eventually("the replica has seen every change", async || {
        let ready: protocol::page::Readiness = api.read("/readyz").await?;
        check(ready.seq > BUILDS as u64, || format!("{ready:?}"))
    })
    .await;
    let client = system.client().await;
    let seen = client.seen();
    assert_eq!(seen.frames[0].data["truncated"], true);
    assert_eq!(seen.builds.len(), 1_000);
    assert!(seen.builds.contains_key(&last), "the newest are in it");
    assert_eq!(
        system.api().builds().await.unwrap().len(),
        BUILDS,
        "the API has them all"
    );
    let page = system.api().get("/").await.unwrap();
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn a_stream_with_other_settings_is_used_and_reported() {
    let mut system = System::bare().await;
    let context = async_nats::jetstream::new(system.nats.client().await);
    context
        .create_stream(async_nats::jetstream::stream::Config {
            name: protocol::subject::STREAM.to_owned(),
            subjects: vec![protocol::subject::EVENTS.to_owned()],
            retention: async_nats::jetstream::stream::RetentionPolicy::WorkQueue,
            max_messages: 123_456,
            max_bytes: 64 * 1024 * 1024,
            ..Default::default()
        })
        .await
        .unwrap();
    system
        .aggregators
        .push(Aggregator::start(&system.nats, &system.database).await);
    let drift = system
        .api()
        .metric("phaseline_writer_stream_drift")
        .await
        .unwrap();
    assert!((drift - 1.0).abs() < 0.1, "{drift}");
    let mut stream = context.get_stream(protocol::subject::STREAM).await.unwrap();
    let kept = stream.info().await.unwrap().config.max_messages;
    assert_eq!(kept, 123_456, "it is not changed behind somebody's back");
    let mut publisher = Publisher::connect(&system.nats, "drift").await;
    publisher.tell("one", &fixtures::numbered("one", 1)).await;
    system
        .build_by_id(&publisher.build_id("one", 1), |_| true)
        .await;
}

#[tokio::test]
async fn events_beyond_their_age_are_deleted_and_their_builds_stay() {
    let mut system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "aged").await;
    for count in 1..=3 {
        publisher
            .tell("one", &fixtures::numbered("one", count))
            .await;
    }
    let id = publisher.build_id("one", 1);
    system
        .build_by_id(&id, |build| build.detail.as_deref() == Some("step 3"))
        .await;
    let old = "UPDATE event SET committed_at = now() - interval '91 days' WHERE seq < 3";
    system.database.execute(old).await.unwrap();
    system.aggregators[0].restart();
    system.aggregators[0].ready().await;
    eventually("old events are deleted", async || {
        let left = system.database.number("SELECT count(*) FROM event").await?;
        check(left == 1, || left.to_string())
    })
    .await;
    let build = system.build_by_id(&id, |_| true).await;
    assert_eq!(build.detail.as_deref(), Some("step 3"));
    // What was folded before is still known: nothing is folded anew.
    publisher.tell("one", &fixtures::numbered("one", 4)).await;
    system
        .build_by_id(&id, |build| build.detail.as_deref() == Some("step 4"))
        .await;
}
