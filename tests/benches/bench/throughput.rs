//! (b) Changes per second over 300 files until they are committed rows, beside
//! what the broker alone takes and gives.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, AckKind, consumer, stream};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use harness::fixtures;
use harness::system::{HOST, System};
use harness::writer::{Manner, PHASE, Project};
use serde_json::Value;

use crate::report::Report;

const FILES: usize = 300;
const WARM_UP: Duration = Duration::from_secs(2);
const SPAN: Duration = Duration::from_secs(10);
/// Messages for the bare broker.
const BARE: usize = 15_000;
/// Publishes that wait for their acknowledgement, as in the agent.
const IN_FLIGHT: usize = 256;

/// Each file is changed again as soon as its last change was committed, so
/// that 300 changes are always under way and none is coalesced.
pub(crate) async fn run(report: &mut Report) {
    let system = System::start_with_own_postgres().await;
    let client = system.nats.client().await;
    let mut live = client
        .subscribe(protocol::subject::LIVE)
        .await
        .expect("the live frames");
    client.flush().await.expect("subscribed");
    let projects: HashMap<String, Project> = (0..FILES)
        .map(|n| system.project(&format!("p{n}")))
        .map(|project| (project.build_id(HOST, 1), project))
        .collect();
    let mut count = 0;
    for project in projects.values() {
        next(project, &mut count);
    }
    let start = Instant::now();
    let mut begun = None;
    while start.elapsed() < WARM_UP + SPAN {
        let Ok(Some(message)) = tokio::time::timeout(Duration::from_secs(5), live.next()).await
        else {
            panic!("no change for 5 s");
        };
        let frame: Value = serde_json::from_slice(&message.payload).expect("a frame");
        if frame["type"] != "build_update" {
            continue;
        }
        if begun.is_none() && start.elapsed() > WARM_UP {
            begun = Some((Instant::now(), rows(&system).await));
        }
        if let Some(project) = frame["data"]["id"].as_str().and_then(|id| projects.get(id)) {
            next(project, &mut count);
        }
    }
    let (since, before) = begun.expect("the warm-up ended");
    let rate = (rows(&system).await - before) / since.elapsed().as_secs_f64();
    let bare = bare(&system).await;
    println!(
        "{rate:.0} changes/s to committed rows, {bare:.0}/s bare publish + consume + acknowledge"
    );
    report.at_least("throughput over 300 files", rate, 1_000.0, "changes/s");
    report.at_least("throughput / bare broker", rate / bare, 0.5, "x");
}

fn next(project: &Project, count: &mut u64) {
    *count += 1;
    project.write(PHASE, &fixtures::numbered("p", *count), Manner::InPlace);
}

async fn rows(system: &System) -> f64 {
    let count = system
        .database
        .number("SELECT count(*) FROM event")
        .await
        .expect("Postgres");
    f64::from(i32::try_from(count).unwrap_or(i32::MAX))
}

/// Messages per second through a stream alone, synced as ours.
async fn bare(system: &System) -> f64 {
    let context = jetstream::new(system.nats.client().await);
    let made = context
        .create_stream(stream::Config {
            name: "BARE".to_owned(),
            subjects: vec!["bare.>".to_owned()],
            retention: stream::RetentionPolicy::WorkQueue,
            max_bytes: 256 * 1024 * 1024,
            ..Default::default()
        })
        .await
        .expect("a stream");
    let consumer: consumer::PullConsumer = made
        .create_consumer(consumer::pull::Config {
            durable_name: Some("bare".to_owned()),
            max_ack_pending: 1_000,
            ..Default::default()
        })
        .await
        .expect("a consumer");
    let text = fixtures::numbered("p", 1).to_string().repeat(2);
    let publish = async {
        let mut acks = FuturesUnordered::new();
        for _ in 0..BARE {
            if acks.len() == IN_FLIGHT {
                let _ = acks.next().await;
            }
            let ack = context
                .publish("bare.one", text.clone().into())
                .await
                .expect("a publish");
            acks.push(ack.into_future());
        }
        while acks.next().await.is_some() {}
    };
    let consume = async {
        let mut messages = consumer.messages().await.expect("messages");
        for _ in 0..BARE {
            let message = messages
                .next()
                .await
                .expect("a message")
                .expect("a message");
            message.ack_with(AckKind::Ack).await.expect("acknowledged");
        }
    };
    let start = Instant::now();
    tokio::join!(publish, consume);
    let rate = f64::from(u32::try_from(BARE).unwrap_or(u32::MAX)) / start.elapsed().as_secs_f64();
    context.delete_stream("BARE").await.expect("deleted");
    rate
}
