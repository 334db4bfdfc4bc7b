//! What cannot become an event is set aside with its reason and holds up nothing.

use harness::fixtures;
use harness::publisher::Publisher;
use harness::system::System;
use harness::wait::{check, eventually};

/// Waits until so many messages are set aside, and gives subject, reason and size of each.
async fn set_aside(system: &System, count: usize) -> Vec<(String, String, Vec<u8>)> {
    eventually("the messages are set aside", async || {
        let client = system.database.connect().await.map_err(|e| e.to_string())?;
        let rows = client
            .query(
                "SELECT subject, reason, payload FROM dead_letter ORDER BY id",
                &[],
            )
            .await
            .map_err(|e| e.to_string())?;
        check(rows.len() == count, || format!("{} of {count}", rows.len()))?;
        Ok(rows
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect())
    })
    .await
}

#[tokio::test]
async fn undecodable_messages_are_set_aside_and_later_good_ones_arrive() {
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "poison").await;
    let subject = "phaseline.v1.event.poison.context-foundry.00000000000000aa";
    let good =
        serde_json::to_string(&publisher.event("good", &fixtures::numbered("good", 1))).unwrap();
    let poison: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\0\xff\xfe not text".to_vec(),
        b"{}".to_vec(),
        b"[1,2".to_vec(),
        b"{\"v\":99}".to_vec(),
        good.replace("\"host\":\"poison\"", "\"host\":\"po\\u0000ison\"")
            .into_bytes(),
        good.replace("\"seq\":1", "\"seq\":-1").into_bytes(),
        good.replace("\"context-foundry\"", "7").into_bytes(),
        format!("{}{}", "[".repeat(200_000), "]".repeat(200_000)).into_bytes(),
    ];
    for bytes in &poison {
        publisher.raw(subject, bytes.clone()).await;
    }
    publisher.tell("good", &fixtures::numbered("good", 2)).await;
    system
        .build_by_id(&publisher.build_id("good", 1), |build| {
            build.detail.as_deref() == Some("step 2")
        })
        .await;

    let letters = set_aside(&system, poison.len()).await;
    for ((of, reason, payload), sent) in letters.iter().zip(&poison) {
        assert_eq!(of, subject);
        assert_eq!(payload, sent, "the raw bytes are kept");
        assert!(!reason.is_empty());
    }
    // Each once, acknowledged: nothing waits in the stream.
    let api = system.api();
    eventually("the stream is empty", async || {
        let ready: protocol::page::Readiness = api.read("/readyz").await?;
        check(
            ready.consumer_lag == Some(0) && ready.dead_letters == Some(poison.len() as u64),
            || format!("{ready:?}"),
        )
    })
    .await;
    let metrics = api.get("/metrics").await.unwrap().body;
    let counted = metrics
        .lines()
        .find(|line| line.starts_with("phaseline_writer_dead_letters_total"));
    assert!(
        counted.is_some_and(|line| line.ends_with(&format!(" {}", poison.len()))),
        "{counted:?}"
    );
    let page = api.get("/system").await.unwrap().body;
    assert_eq!(page.matches("data-letter=").count(), poison.len());
}

#[tokio::test]
async fn an_event_on_a_foreign_subject_is_set_aside() {
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "honest").await;
    let event = publisher.event("one", &fixtures::numbered("one", 1));
    let foreign = protocol::subject::event(&event).replace("honest", "other");
    publisher
        .raw(&foreign, serde_json::to_vec(&event).unwrap())
        .await;
    let letters = set_aside(&system, 1).await;
    assert_eq!(letters[0].0, foreign);
    publisher.tell("one", &fixtures::numbered("one", 2)).await;
    system
        .build_by_id(&publisher.build_id("one", 1), |_| true)
        .await;
}

#[tokio::test]
async fn what_postgres_refuses_is_set_aside_alone_out_of_a_full_batch() {
    let mut system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "refused").await;
    // One batch: the aggregator comes up to 60 waiting events with one bad among them.
    system.aggregators[0].kill();
    for count in 1..=60_u64 {
        let project = format!("p{count}");
        let event = publisher.event(&project, &fixtures::numbered(&project, count));
        let mut text = serde_json::to_string(&event).unwrap();
        if count == 30 {
            // Canonical documents never hold this: only Postgres sees what is wrong with it.
            text = text.replace("\"count\":30", "\"count\":\"\\u0000\"");
        }
        publisher.raw(&protocol::subject::event(&event), text).await;
    }
    system.aggregators[0].restart();
    for count in [1, 29, 31, 60] {
        system
            .build_by_id(&publisher.build_id(&format!("p{count}"), 1), |_| true)
            .await;
    }
    let builds = system
        .database
        .number("SELECT count(*) FROM build")
        .await
        .unwrap();
    let letters = system
        .database
        .number("SELECT count(*) FROM dead_letter")
        .await
        .unwrap();
    // Decoding it in a way that Postgres takes is as good as setting it aside.
    assert!(
        (builds, letters) == (59, 1) || (builds, letters) == (60, 0),
        "{builds} builds, {letters} letters"
    );
}

#[tokio::test]
async fn an_agent_cannot_read_or_remove_what_others_sent() {
    let system = System::start().await;
    let agent = system.nats.agent_client().await;
    let stream = async_nats::jetstream::new(agent.clone());
    let purged = tokio::time::timeout(std::time::Duration::from_secs(7), async {
        stream.get_stream("PHASELINE").await.map(drop)
    })
    .await;
    assert!(
        !matches!(purged, Ok(Ok(()))),
        "an agent may ask for the stream"
    );
    // It still may do what it must.
    let mut publisher = Publisher::connect(&system.nats, "rights").await;
    publisher.tell("one", &fixtures::numbered("one", 1)).await;
    system
        .build_by_id(&publisher.build_id("one", 1), |_| true)
        .await;
}
