//! Limits that are reached: said, survived, and nothing lost.

use std::fs;
use std::time::{Duration, SystemTime};

use harness::fixtures;
use harness::publisher::Publisher;
use harness::system::{Aggregator, System};
use harness::wait::{check, eventually};
use harness::writer::PHASE;
use protocol::BuildState;

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
    let old = "UPDATE event SET committed_at = now() - interval '91 days' WHERE seq < 3;
        INSERT INTO snapshot VALUES ('old', now(), now() - interval '91 days', 0, 0, now(), '{}');
        INSERT INTO host_past SELECT 'old', n, now() - interval '92 days' + n * interval '1 hour', NULL, '{}'
        FROM generate_series(1, 2) n";
    system.database.execute(old).await.unwrap();
    system.aggregators[0].restart();
    system.aggregators[0].ready().await;
    eventually("old events are deleted", async || {
        let left = system.database.number("SELECT count(*) FROM event").await?;
        check(left == 1, || left.to_string())
    })
    .await;
    // So are snapshots, and of a host's changes all but the newest.
    eventually("the old past is deleted", async || {
        let old = "SELECT (SELECT count(*) FROM snapshot WHERE build_id = 'old') * 10
            + (SELECT count(*) FROM host_past WHERE name = 'old')";
        let left = system.database.number(old).await?;
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
