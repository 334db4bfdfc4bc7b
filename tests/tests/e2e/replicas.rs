//! Two aggregators: one writes, both serve; when the writer dies the other takes over.

use futures::StreamExt as _;
use harness::api::Api;
use harness::fixtures;
use harness::oracle::{TruthLog, verdict};
use harness::publisher::Publisher;
use harness::stream::Client;
use harness::system::{Aggregator, System};
use harness::wait::{DEADLINE, check, eventually};
use harness::writer::Manner;
use protocol::Frame;
use protocol::page::Readiness;

async fn leadership(aggregator: &Aggregator) -> Result<String, String> {
    let answer = Api::new(aggregator.base()).get("/readyz").await?;
    let json = answer.json();
    Ok(json["leadership"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn one_leads_both_serve_and_the_other_takes_over_when_the_leader_is_killed() {
    let mut system = System::start().await;
    let second = Aggregator::start(&system.nats, &system.database).await;
    system.aggregators.push(second);
    assert_eq!(leadership(&system.aggregators[0]).await.unwrap(), "leader");
    assert_eq!(
        leadership(&system.aggregators[1]).await.unwrap(),
        "follower"
    );

    let of_leader = Client::connect(&system.aggregators[0].base(), "").await;
    let of_follower = Client::connect(&system.aggregators[1].base(), "").await;
    let (project, truth) = (system.project("replicated"), TruthLog::default());
    for count in 0..10 {
        truth.write(&project, count, Manner::InPlace);
        let detail = format!("step {count}");
        for client in [&of_leader, &of_follower] {
            client
                .until_build("replicated", |told| told["detail"] == detail.as_str())
                .await;
        }
    }
    // The leader's readers do not wait for NATS.
    let mut handed = Vec::new();
    for aggregator in &system.aggregators {
        let api = Api::new(aggregator.base());
        handed.push(
            api.metric("phaseline_live_own_changes_total")
                .await
                .unwrap(),
        );
    }
    assert!(
        handed[0] > 0.0 && handed[1] == 0.0,
        "handed over on the leader and on the follower: {handed:?}"
    );
    system.aggregators[0].kill();
    truth.write(&project, 10, Manner::InPlace);
    of_follower
        .until_build("replicated", |told| told["detail"] == "step 10")
        .await;
    eventually("the other leads", async || {
        let word = leadership(&system.aggregators[1]).await?;
        check(word == "leader", || word)
    })
    .await;

    // The old leader comes back as a follower, and its reader resumes there.
    system.aggregators[0].restart();
    system.aggregators[0].ready().await;
    assert_eq!(
        leadership(&system.aggregators[0]).await.unwrap(),
        "follower"
    );
    let seen = of_leader.leave();
    let resumed = Client::resume(&system.aggregators[0].base(), seen)
        .await
        .unwrap();
    truth.write(&project, 11, Manner::InPlace);
    for client in [&resumed, &of_follower] {
        client
            .until_build("replicated", |told| told["detail"] == "step 11")
            .await;
        client.assert_clean();
    }
    let verdict = verdict(&truth, &system.database, &[]).await.unwrap();
    verdict.assert_faultless("replicas");
}

#[tokio::test]
async fn a_frozen_leader_is_replaced_and_writes_nothing_when_it_wakes() {
    let mut system = System::start().await;
    let second = Aggregator::start(&system.nats, &system.database).await;
    system.aggregators.push(second);
    let (project, truth) = (system.project("frozen"), TruthLog::default());
    truth.write(&project, 0, Manner::InPlace);
    let client = Client::connect(&system.aggregators[1].base(), "").await;
    client.until_build("frozen", |_| true).await;
    // Its connection to Postgres stays open and holds the lock: its session is ended for it,
    // as the keep-alives of a real network would.
    system.aggregators[0].process.freeze();
    let ended = system
        .database
        .number(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_locks \
             WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await
        .unwrap();
    assert!(ended >= 1);
    truth.write(&project, 1, Manner::InPlace);
    client
        .until_build("frozen", |told| told["detail"] == "step 1")
        .await;
    system.aggregators[0].process.thaw();
    for count in 2..6 {
        truth.write(&project, count, Manner::InPlace);
        let detail = format!("step {count}");
        client
            .until_build("frozen", |told| told["detail"] == detail.as_str())
            .await;
    }
    system.aggregators[0].ready().await;
    client.assert_clean();
    let verdict = verdict(&truth, &system.database, &[]).await.unwrap();
    verdict.assert_faultless("replicas");
}

#[tokio::test]
async fn replicas_that_start_together_on_an_empty_database_both_come_up() {
    let mut system = System::bare().await;
    for _ in 0..3 {
        let aggregator = Aggregator::start_without_waiting(&system.nats, &system.database);
        system.aggregators.push(aggregator);
    }
    let mut words = Vec::new();
    for aggregator in &system.aggregators {
        aggregator.ready().await;
        words.push(leadership(aggregator).await.unwrap());
    }
    words.sort();
    assert_eq!(words, ["follower", "follower", "leader"]);
}

#[tokio::test]
async fn committed_changes_are_on_the_broker_for_anyone_in_order_and_without_a_gap() {
    let system = System::start().await;
    let client = system.nats.client().await;
    let mut live = client.subscribe(protocol::subject::LIVE).await.unwrap();
    client.flush().await.unwrap();
    let mut publisher = Publisher::connect(&system.nats, "gapless").await;
    let first = system.api().read::<Readiness>("/readyz").await.unwrap().seq;
    for count in 0..40_u64 {
        let project = format!("p{}", count % 7);
        let ends = count % 10 == 9;
        let mut file = fixtures::numbered(&project, count);
        if ends {
            file["status"] = serde_json::json!("failed");
        }
        publisher.tell(&project, &file).await;
    }
    publisher.tell("last", &fixtures::numbered("last", 1)).await;
    let last = publisher.build_id("last", 1);
    let mut seqs = Vec::new();
    let read = async {
        while let Some(message) = live.next().await {
            let frame: Frame<serde_json::Value> = serde_json::from_slice(&message.payload).unwrap();
            seqs.extend(frame.seq);
            if frame.data["id"] == last.as_str() {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    let expected: Vec<u64> = (first + 1..).take(seqs.len()).collect();
    assert_eq!(seqs, expected);
    assert!(seqs.len() > 10, "{} changes", seqs.len());
}
