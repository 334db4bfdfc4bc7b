//! What cannot become an event is set aside with its reason and holds up nothing.

use std::collections::{BTreeMap, HashMap};

use async_nats::jetstream::context::PublishAckFuture;
use harness::fixtures;
use harness::publisher::Publisher;
use harness::scale::scale;
use harness::system::System;
use harness::wait::{check, eventually};
use protocol::Event;
use serde_json::Value;

use super::others::meanwhile;
use super::toxins::{Kind, Toxin, toxin, unindexable};

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
        let mut event = publisher.event(&project, &fixtures::numbered(&project, count));
        if count == 30 {
            event.producer = unindexable(count);
        }
        publisher.send(&event).await;
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
    assert_eq!((builds, letters), (59, 1));
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

/// Messages of each kind; six kinds make at least a thousand.
const OF_EACH: usize = 170;

/// What became of the messages: by stream position the dead letter, by identity the row's hash.
async fn accounts(
    system: &System,
) -> Result<(HashMap<i64, Vec<u8>>, HashMap<String, String>), String> {
    let client = system.database.connect().await.map_err(|e| e.to_string())?;
    let letters = client
        .query("SELECT stream_seq, payload FROM dead_letter", &[])
        .await
        .map_err(|e| e.to_string())?;
    let letters = letters.iter().map(|row| (row.get(0), row.get(1))).collect();
    let rows = system.database.events().await?;
    let rows = rows
        .into_iter()
        .filter_map(|row| {
            let (agent, boot, seq) = row.identity?;
            Some((format!("{agent}:{boot}:{seq}"), row.hash?))
        })
        .collect();
    Ok((letters, rows))
}

/// A message is a dead letter with its bytes, or a row that says what it said; never both, never neither.
fn is_accounted_for(
    toxin: &Toxin,
    at: u64,
    letters: &HashMap<i64, Vec<u8>>,
    rows: &HashMap<String, String>,
) -> Result<&'static str, String> {
    let letter = letters.get(&i64::try_from(at).unwrap());
    let event = Event::decode(&toxin.payload).ok();
    let hash = event.as_ref().and_then(|event| event.hash);
    let row = event
        .as_ref()
        .and_then(|event| rows.get(&event.message_id()));
    let stored = row.is_some() && row == hash.map(|hash| hash.to_string()).as_ref();
    match (letter, stored) {
        (Some(bytes), false) if *bytes == toxin.payload => Ok("dead letter"),
        (None, true) => Ok("row"),
        (letter, _) => Err(format!(
            "{:?} at {at}: letter {}, row {row:?}: {}",
            toxin.kind,
            letter.is_some(),
            String::from_utf8_lossy(&toxin.payload)
                .chars()
                .take(300)
                .collect::<String>()
        )),
    }
}

/// Publishes the poison, and waits until each message is accounted for; counts fates by kind.
/// Messages sent before their acknowledgements are awaited: the client holds back the 5,001st.
const IN_FLIGHT: usize = 1_000;

/// Waits until the stream has what was sent, and notes where.
async fn settle(sent: &mut Vec<(Toxin, PublishAckFuture)>, placed: &mut Vec<(Toxin, u64)>) {
    for (toxin, ack) in sent.drain(..) {
        placed.push((toxin, ack.await.expect("the stream takes it").sequence));
    }
}

async fn poisoned(
    system: &System,
    publisher: &mut Publisher,
    known: &Value,
) -> (usize, BTreeMap<(Kind, &'static str), usize>) {
    let mixed = Kind::ALL
        .into_iter()
        .cycle()
        .take(OF_EACH * Kind::ALL.len());
    // Then each kind by itself, so that whole batches are poison.
    let by_kind = Kind::ALL
        .into_iter()
        .flat_map(|kind| std::iter::repeat_n(kind, scale(0, 1_000)));
    let (mut sent, mut placed) = (Vec::new(), Vec::new());
    for (n, kind) in mixed.chain(by_kind).enumerate() {
        let toxin = toxin(kind, n, publisher, known);
        let ack = publisher
            .raw_soon(&toxin.subject, toxin.payload.clone())
            .await;
        sent.push((toxin, ack));
        if sent.len() == IN_FLIGHT {
            settle(&mut sent, &mut placed).await;
        }
    }
    settle(&mut sent, &mut placed).await;
    let fates = eventually("every message is accounted for", async || {
        let (letters, rows) = accounts(system).await?;
        let mut fates: BTreeMap<(Kind, &str), usize> = BTreeMap::new();
        for (toxin, at) in &placed {
            let fate = is_accounted_for(toxin, *at, &letters, &rows)?;
            *fates.entry((toxin.kind, fate)).or_default() += 1;
        }
        Ok(fates)
    })
    .await;
    (placed.len(), fates)
}

#[tokio::test]
async fn a_thousand_poison_messages_are_each_accounted_for_and_hold_up_nobody() {
    let mut system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "toxic").await;
    let known = publisher.event("known", &fixtures::numbered("known", 1));
    publisher.send(&known).await;
    let known = serde_json::to_value(&known).unwrap();
    let work = poisoned(&system, &mut publisher, &known);
    let ((sent, fates), noticed) = meanwhile(&system, work).await;
    let lost = sent - fates.values().sum::<usize>();
    eprintln!(
        "poison: {sent} messages, lost {lost}, {fates:?}; of {} good events meanwhile the slowest took {} ms",
        noticed.events,
        noticed.longest.as_millis()
    );
    // What contradicts never counts, and what it contradicts stands.
    for kind in [Kind::Contradiction, Kind::WrongSubject, Kind::OtherVersion] {
        assert!(!fates.contains_key(&(kind, "row")), "{fates:?}");
    }
    let build = system
        .build_by_id(&publisher.build_id("known", 1), |_| true)
        .await;
    assert_eq!(build.fields["count"], Value::from(1));
    assert!(system.aggregators[0].process.ended().is_none());
    assert!(noticed.events > 0, "the others were held up");
    let api = system.api();
    eventually("the stream is empty", async || {
        let ready: protocol::page::Readiness = api.read("/readyz").await?;
        check(ready.consumer_lag == Some(0), || format!("{ready:?}"))
    })
    .await;
    assert_eq!(api.get("/system").await.unwrap().status, 200);
}

#[tokio::test]
async fn an_identity_stands_for_one_event_only_in_one_batch_and_over_many() {
    let mut system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "twice").await;
    let first = publisher.event("one", &fixtures::numbered("one", 1));
    let mut other_content = publisher.event("one", &fixtures::numbered("one", 2));
    let mut other_project = publisher.event("two", &fixtures::numbered("two", 3));
    other_content.seq = first.seq;
    other_project.seq = first.seq;
    let texts = [&first, &other_content, &other_project, &first].map(|event| {
        (
            protocol::subject::event(event),
            serde_json::to_vec(event).unwrap(),
        )
    });
    for together in [true, false] {
        if together {
            system.aggregators[0].kill();
        }
        for (subject, text) in &texts {
            publisher.raw(subject, text.clone()).await;
        }
        if together {
            system.aggregators[0].restart();
        }
        let letters = set_aside(&system, if together { 2 } else { 4 }).await;
        assert!(
            letters
                .iter()
                .all(|(_, reason, _)| reason.contains("another event has this agent")),
            "{letters:?}"
        );
    }
    let build = system
        .build_by_id(&publisher.build_id("one", 1), |_| true)
        .await;
    assert_eq!(build.detail.as_deref(), Some("step 1"));
    assert_eq!(
        system
            .database
            .number("SELECT count(*) FROM build")
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        system
            .database
            .number("SELECT count(*) FROM event")
            .await
            .unwrap(),
        1
    );
}
