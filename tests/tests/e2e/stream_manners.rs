//! Readers that are slow, picky or rude: they get the newest state or a plain
//! refusal, and nobody else notices.

use futures::{SinkExt as _, StreamExt as _};
use harness::fixtures;
use harness::publisher::Publisher;
use harness::stream::Client;
use harness::system::System;
use protocol::FrameType;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::stream::assert_agrees;

#[tokio::test]
async fn a_burst_is_gathered_and_ends_in_the_newest_state_of_each_build() {
    let system = System::start().await;
    let client = system.client().await;
    let mut publisher = Publisher::connect(&system.nats, "burst").await;
    let mut acks = Vec::new();
    for count in 1..=600_u64 {
        let project = format!("p{}", count % 5);
        let event = publisher.event(&project, &fixtures::numbered(&project, count));
        acks.push(publisher.send_soon(&event).await);
        if acks.len() == 200 {
            for ack in acks.drain(..) {
                ack.await.unwrap();
            }
        }
    }
    for count in 596..=600_u64 {
        let detail = format!("step {count}");
        client
            .until_build(&format!("p{}", count % 5), |told| {
                told["detail"] == detail.as_str()
            })
            .await;
    }
    assert_agrees(&system, &client).await;
    let changes: usize = (0..5)
        .map(|p| {
            client
                .seen()
                .changes_of(&publisher.build_id(&format!("p{p}"), 1))
        })
        .sum();
    assert!(
        changes < 600,
        "600 changes in a moment came as {changes} frames"
    );
}

#[tokio::test]
async fn a_reader_may_ask_to_be_told_less_often_and_failures_still_come() {
    let system = System::start().await;
    let slow = system.client().await;
    let normal = system.client().await;
    slow.send(Message::text(
        json!({"type": "rate", "per_second": 1}).to_string(),
    ))
    .await;
    let mut publisher = Publisher::connect(&system.nats, "rate").await;
    for count in 1..=40 {
        publisher
            .tell("one", &fixtures::numbered("one", count))
            .await;
        let detail = format!("step {count}");
        normal
            .until_build("one", |told| told["detail"] == detail.as_str())
            .await;
    }
    publisher
        .tell("one", &fixtures::phase("one", "Test", "4/7", "failed"))
        .await;
    slow.until_build("one", |told| told["state"] == "failed")
        .await;
    normal
        .until_build("one", |told| told["state"] == "failed")
        .await;
    let id = publisher.build_id("one", 1);
    let (few, all) = (slow.seen().changes_of(&id), normal.seen().changes_of(&id));
    assert_eq!(all, 41);
    assert!(few < all / 2, "{few} of {all}");
    assert_agrees(&system, &slow).await;
    assert_agrees(&system, &normal).await;
}

#[tokio::test]
async fn a_reader_that_stops_reading_holds_up_nobody_and_finds_the_newest_state_when_it_is_back() {
    let system = System::start().await;
    let base = system.aggregators[0].base();
    let url = format!("{}/api/v1/stream", base.replacen("http", "ws", 1));
    let (mut asleep, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let awake = system.client().await;
    let mut publisher = Publisher::connect(&system.nats, "slow").await;
    // Far more than any socket buffer holds, and than a page wants to hear twice.
    let filler = "x".repeat(100_000);
    for count in 1..=200_u64 {
        let mut file = fixtures::numbered("big", count);
        file["filler"] = json!(format!("{count}{filler}"));
        publisher.tell("big", &file).await;
    }
    awake
        .until_build("big", |told| told["detail"] == "step 200")
        .await;
    assert_agrees(&system, &awake).await;

    // It reads again: either it goes on with the newest, or it was let go and comes back.
    let mut received = 0;
    let mut newest = false;
    while let Some(Ok(message)) = asleep.next().await {
        if let Message::Text(text) = message {
            received += text.len();
            newest |= text.contains("step 200");
        }
        if newest {
            break;
        }
    }
    assert!(
        received < 15_000_000,
        "{received} bytes were kept for a reader that slept"
    );
    let back = system.client().await;
    back.until_build("big", |told| told["detail"] == "step 200")
        .await;
}

#[tokio::test]
async fn a_ping_is_answered() {
    let system = System::start().await;
    let url = format!(
        "{}/api/v1/stream",
        system.aggregators[0].base().replacen("http", "ws", 1)
    );
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    socket
        .send(Message::Ping("are you there".into()))
        .await
        .unwrap();
    let answer = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Pong(payload) = message {
                return payload == "are you there".as_bytes();
            }
        }
        false
    };
    assert!(
        tokio::time::timeout(harness::wait::DEADLINE, answer)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn the_end_of_a_build_does_not_wait_for_a_gathered_burst() {
    let system = System::start().await;
    let client: Client = system.client().await;
    let mut publisher = Publisher::connect(&system.nats, "end").await;
    let mut acks = Vec::new();
    for count in 1..=150_u64 {
        let event = publisher.event("busy", &fixtures::numbered("busy", count));
        acks.push(publisher.send_soon(&event).await);
    }
    let end = publisher.event("ends", &fixtures::phase("ends", "Test", "4/7", "failed"));
    acks.push(publisher.send_soon(&end).await);
    for ack in acks {
        ack.await.unwrap();
    }
    client
        .until("the end", |seen| {
            seen.of(FrameType::BuildComplete).next().map(drop)
        })
        .await;
    client
        .until_build("busy", |told| told["detail"] == "step 150")
        .await;
    assert_agrees(&system, &client).await;
}
