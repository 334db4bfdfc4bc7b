//! What a reader of the stream receives: a snapshot, then each change once, in
//! order, as patches that lead to what the API says; and after a gap exactly
//! what was missed.

use harness::fixtures;
use harness::publisher::Publisher;
use harness::stream::{Client, Seen, agree};
use harness::system::{Aggregator, HOST, System};
use harness::wait::eventually;
use protocol::{FrameType, Source};
use serde_json::json;

/// Waits until a client's builds are those of the API.
pub(crate) async fn assert_agrees(system: &System, client: &Client) {
    let api = system.api();
    eventually("the stream agrees with the API", async || {
        for build in api.builds().await? {
            let raw = api.raw_build(&build.id).await?;
            let told = client
                .seen()
                .builds
                .get(&build.id)
                .cloned()
                .unwrap_or_default();
            agree(&told, &raw)?;
        }
        Ok(())
    })
    .await;
    client.assert_clean();
}

#[tokio::test]
async fn a_reader_gets_a_snapshot_of_builds_and_hosts_first() {
    let system = System::start().await;
    let project = system.project("first");
    project.phase(&fixtures::phase("first", "Scout", "1/7", "researching"));
    let build = system.build(&project, 1, |_| true).await;
    let client = system.client().await;
    {
        let seen = client.seen();
        let frame = &seen.frames[0];
        assert_eq!(frame.kind, FrameType::Snapshot);
        assert_eq!(frame.source, Source::Sync);
        assert!(frame.seq >= Some(build.seq));
        assert_eq!(frame.data["builds"][0]["id"], build.id.as_str());
        assert_eq!(frame.data["hosts"][0]["name"], HOST);
        assert_eq!(frame.data["alerts"], json!([]));
    }
    assert_agrees(&system, &client).await;
}

#[tokio::test]
async fn patches_lead_through_a_whole_build_to_what_the_api_says() {
    let system = System::start().await;
    let client = system.client().await;
    let mut publisher = Publisher::connect(&system.nats, "patches").await;
    let mut files = fixtures::whole_build("patched");
    // Members that come, change their type, become null and go.
    files.insert(
        3,
        json!({"current_phase":"Architect","status":"designing","extra":{"a":{"b":1},"gone":true}}),
    );
    files.insert(4, json!({"current_phase":"Architect","status":"designing","extra":{"a":[1,2]},"progress_detail":null}));
    files.insert(
        5,
        json!({"current_phase":"Architect","status":"designing","extra":"text"}),
    );
    let id = publisher.build_id("patched", 1);
    for file in &files {
        // One after another: what comes in a burst is committed and told together.
        let before = client.seen().changes_of(&id);
        publisher.tell("patched", file).await;
        let more = |seen: &Seen| (seen.changes_of(&id) > before).then_some(());
        client.until("the change", more).await;
    }
    client
        .until("the end", |seen| {
            seen.of(FrameType::BuildComplete).next().map(drop)
        })
        .await;
    assert_agrees(&system, &client).await;
    let seen = client.seen();
    assert_eq!(seen.changes_of(&id), files.len());
    let again = seen.of(FrameType::BuildUpdate).skip(1);
    let unchanged = again.filter(|frame| frame.data.get("project").is_some());
    assert_eq!(unchanged.count(), 0, "a patch holds only what changed");
}

#[tokio::test]
async fn a_reader_that_comes_back_gets_what_it_missed_and_nothing_twice() {
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "resume").await;
    for project in ["one", "two", "three"] {
        publisher
            .tell(project, &fixtures::numbered(project, 1))
            .await;
    }
    let client = system.client().await;
    client
        .until("all three", |seen| (seen.builds.len() == 3).then_some(()))
        .await;
    let before = client.leave();
    let frames = before.frames.len();

    publisher.tell("one", &fixtures::numbered("one", 2)).await;
    publisher.tell("one", &fixtures::numbered("one", 3)).await;
    publisher
        .tell("two", &fixtures::phase("two", "Test", "4/7", "failed"))
        .await;
    publisher.tell("four", &fixtures::numbered("four", 1)).await;
    // Postgres has it a moment before readers do.
    let other = system.client().await;
    other.until_build("four", |_| true).await;

    let client = Client::resume(&system.aggregators[0].base(), before)
        .await
        .unwrap();
    client.until_build("four", |_| true).await;
    assert_agrees(&system, &client).await;
    let seen = client.seen();
    let news: Vec<_> = seen.frames[frames..]
        .iter()
        .filter(|f| f.kind != FrameType::Heartbeat)
        .collect();
    assert!(
        news.iter().all(|frame| frame.source == Source::Sync),
        "{news:?}"
    );
    assert!(
        news.iter().all(|frame| frame.kind != FrameType::Snapshot),
        "{news:?}"
    );
    assert!(
        news.iter().all(|frame| frame.data["project"] != "three"),
        "what did not change is not sent"
    );
    assert_eq!(seen.of(FrameType::BuildComplete).count(), 1);

    // Nothing happened since: nothing comes, until something does.
    let busy = seen.busy();
    let client = Client::resume(&system.aggregators[0].base(), seen)
        .await
        .unwrap();
    publisher
        .tell("three", &fixtures::numbered("three", 2))
        .await;
    client
        .until_build("three", |told| told["detail"] == "step 2")
        .await;
    let seen = client.seen();
    assert_eq!(seen.busy(), busy + 1, "{:?}", &seen.frames[frames..]);
    client.assert_clean();
}

#[tokio::test]
async fn changes_while_a_reader_comes_and_goes_are_each_told_once() {
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "hop-on").await;
    publisher.tell("busy", &fixtures::numbered("busy", 0)).await;
    let mut client = system.client().await;
    client.until_build("busy", |_| true).await;
    for count in 1..=200_u64 {
        publisher
            .tell("busy", &fixtures::numbered("busy", count))
            .await;
        if count % 10 == 0 {
            let seen = client.leave();
            client = Client::resume(&system.aggregators[0].base(), seen)
                .await
                .unwrap();
        }
    }
    client
        .until_build("busy", |told| told["detail"] == "step 200")
        .await;
    assert_agrees(&system, &client).await;
}

#[tokio::test]
async fn a_position_that_the_server_never_gave_is_answered_with_a_snapshot() {
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "future").await;
    publisher.tell("one", &fixtures::numbered("one", 1)).await;
    system
        .build_by_id(&publisher.build_id("one", 1), |_| true)
        .await;
    let client = system.client_with("?since=999999999").await;
    assert_eq!(client.seen().frames[0].kind, FrameType::Snapshot);
    assert_agrees(&system, &client).await;
}

#[tokio::test]
async fn filters_narrow_the_stream_to_a_build_or_a_host() {
    let system = System::start().await;
    let mut here = Publisher::connect(&system.nats, "here").await;
    let mut there = Publisher::connect(&system.nats, "there").await;
    let by_build = system
        .client_with(&format!("?build={}", here.build_id("one", 1)))
        .await;
    let by_host = system.client_with("?host=there").await;
    here.tell("one", &fixtures::numbered("one", 1)).await;
    here.tell("two", &fixtures::numbered("two", 1)).await;
    there.tell("three", &fixtures::numbered("three", 1)).await;
    here.tell("one", &fixtures::numbered("one", 2)).await;
    there.tell("three", &fixtures::numbered("three", 2)).await;
    by_build
        .until_build("one", |told| told["detail"] == "step 2")
        .await;
    by_host
        .until_build("three", |told| told["detail"] == "step 2")
        .await;
    assert_eq!(by_build.seen().builds.len(), 1);
    assert_eq!(by_host.seen().builds.len(), 1);
    by_build.assert_clean();
    by_host.assert_clean();
}

#[tokio::test]
async fn a_reader_may_ask_for_whole_builds() {
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "full").await;
    let client = system.client_with("?full=1").await;
    publisher.tell("one", &fixtures::numbered("one", 1)).await;
    publisher.tell("one", &fixtures::numbered("one", 2)).await;
    client
        .until_build("one", |told| told["detail"] == "step 2")
        .await;
    let seen = client.seen();
    assert_eq!(seen.of(FrameType::BuildUpdate).count(), 0);
    let last = seen.of(FrameType::Build).last().unwrap().clone();
    assert_eq!(last.data["fields"]["count"], 2);
    assert!(
        last.data.get("progress").is_some(),
        "unknown members are null, not missing"
    );
    assert_agrees(&system, &client).await;
}

#[tokio::test]
async fn the_snapshot_leaves_out_what_ended_well_long_ago_and_keeps_old_failures() {
    let mut system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "old").await;
    publisher
        .tell(
            "good",
            &fixtures::phase("good", "Feedback", "7/7", "completed"),
        )
        .await;
    publisher
        .tell("bad", &fixtures::phase("bad", "Test", "4/7", "failed"))
        .await;
    publisher.tell("open", &fixtures::numbered("open", 1)).await;
    system
        .build_by_id(&publisher.build_id("open", 1), |_| true)
        .await;
    system.aggregators[0].kill();
    system
        .database
        .execute(
            "UPDATE build SET ended_at = ended_at - interval '2 days', \
             body = jsonb_set(body, '{ended_at}', '\"2020-01-01T00:00:00.000Z\"') WHERE ended_at IS NOT NULL",
        )
        .await
        .unwrap();
    system.aggregators[0].restart();
    system.aggregators[0].ready().await;
    let client = system.client().await;
    let mut shown: Vec<String> = client
        .seen()
        .builds
        .values()
        .map(|told| told["project"].to_string())
        .collect();
    shown.sort();
    assert_eq!(shown, ["\"bad\"", "\"open\""]);
    // They are still in the API.
    assert_eq!(system.api().builds().await.unwrap().len(), 3);
}

#[tokio::test]
async fn the_end_of_a_build_is_told_once_even_to_a_reader_that_was_away() {
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "end").await;
    publisher
        .tell("ends", &fixtures::phase("ends", "Test", "4/7", "testing"))
        .await;
    let stays = system.client().await;
    let away = system.client().await;
    away.until_build("ends", |_| true).await;
    let seen = away.leave();
    publisher
        .tell("ends", &fixtures::phase("ends", "Test", "4/7", "failed"))
        .await;
    stays
        .until("the end", |seen| {
            seen.of(FrameType::BuildComplete).next().map(drop)
        })
        .await;
    let back = Client::resume(&system.aggregators[0].base(), seen)
        .await
        .unwrap();
    back.until("the end", |seen| {
        seen.of(FrameType::BuildComplete).next().map(drop)
    })
    .await;
    for client in [&stays, &back] {
        assert_eq!(client.seen().of(FrameType::BuildComplete).count(), 1);
        let seen = client.seen();
        let end = seen.of(FrameType::BuildComplete).next().unwrap();
        assert_eq!(end.data["state"], "failed");
        assert!(end.data["ended_at"].is_string());
        client.assert_clean();
    }
    // A summary that comes later corrects the build and does not end it again.
    assert_agrees(&system, &stays).await;
}

#[tokio::test]
async fn every_reader_receives_every_change() {
    let system = System::start().await;
    let mut readers = Vec::new();
    for _ in 0..20 {
        readers.push(system.client().await);
    }
    let mut publisher = Publisher::connect(&system.nats, "many").await;
    for count in 1..=10 {
        publisher
            .tell("one", &fixtures::numbered("one", count))
            .await;
        // One after another, so that none may be gathered with the next.
        let detail = format!("step {count}");
        for reader in &readers {
            reader
                .until_build("one", |told| told["detail"] == detail.as_str())
                .await;
        }
    }
    let id = publisher.build_id("one", 1);
    for reader in &readers {
        assert_eq!(reader.seen().changes_of(&id), 10);
        reader.assert_clean();
    }
    let received = system
        .api()
        .metric("phaseline_live_receivers_sum")
        .await
        .unwrap();
    assert!(
        received >= 200.0,
        "how many received each change is counted: {received}"
    );
}

#[tokio::test]
async fn a_restarted_server_goes_on_where_the_reader_was() {
    let mut system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "restart").await;
    publisher.tell("one", &fixtures::numbered("one", 1)).await;
    let client = system.client().await;
    client.until_build("one", |_| true).await;
    let status = system.aggregators[0].process.stop().await;
    assert!(status.success(), "{status}");
    client
        .until("the close", |seen| seen.over.then_some(()))
        .await;
    assert_eq!(client.seen().close_code, Some(1001), "going away");
    let seen = client.leave();
    publisher.tell("one", &fixtures::numbered("one", 2)).await;
    let aggregator: &mut Aggregator = &mut system.aggregators[0];
    aggregator.restart();
    aggregator.ready().await;
    let client = Client::resume(&aggregator.base(), seen).await.unwrap();
    client
        .until_build("one", |told| told["detail"] == "step 2")
        .await;
    assert_agrees(&system, &client).await;
}
