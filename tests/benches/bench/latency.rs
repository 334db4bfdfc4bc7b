//! (a) One file change at a time, until its frame is at a WebSocket client.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use harness::fixtures;
use harness::system::System;
use harness::writer::{Manner, PHASE, Project};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use crate::primitives;
use crate::report::{Report, Spans};

/// Files in turn, so that none is written faster than an agent reports each change.
const FILES: usize = 20;
const WARM_UP: u64 = 60;
const CHANGES: u64 = 1_000;
/// From one change to the next: below 50 a second, beyond which a reader gets them gathered.
const PACE: Duration = Duration::from_millis(25);
/// Changes for the look at where the time goes.
const LOOKS: u64 = 300;
/// A change that takes longer is lost.
const LIMIT: Duration = Duration::from_secs(10);

pub(crate) type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// Measures both manners, then the primitives on the same servers.
pub(crate) async fn run(report: &mut Report) {
    let system = System::start_with_own_postgres().await;
    let mut socket = connect(&system).await;
    let projects: Vec<Project> = (0..FILES)
        .map(|n| system.project(&format!("p{n}")))
        .collect();
    let mut count = 0;
    let mut medians = Vec::new();
    for (manner, name) in [(Manner::Atomic, "atomic"), (Manner::InPlace, "in place")] {
        let mut spans = Spans::new();
        for round in 0..WARM_UP + CHANGES {
            count += 1;
            let span = one(&projects, count, manner, &mut socket).await;
            if round >= WARM_UP {
                spans.add(span);
            }
            tokio::time::sleep(PACE).await;
        }
        spans.line(&format!("file to WebSocket frame, {name}"));
        report.at_most(&format!("latency {name} p50"), spans.ms(0.5), 3.0, "ms");
        report.at_most(&format!("latency {name} p99"), spans.ms(0.99), 10.0, "ms");
        medians.push((name, spans.ms(0.5)));
    }
    hops(&system, &projects, &mut count, &mut socket).await;
    drop(socket);
    let chain = primitives::chain(&system).await;
    println!("{:<38} p50 {chain:>7.3} ms", "chain of primitives (sum)");
    for (name, median) in medians {
        report.at_most(
            &format!("latency {name} p50 / chain p50"),
            median / chain,
            2.5,
            "x",
        );
    }
}

/// A client of the stream.
pub(crate) async fn connect(system: &System) -> Socket {
    let url = system.aggregators[0].base().replacen("http", "ws", 1) + "/api/v1/stream";
    let connected = tokio_tungstenite::connect_async(url).await;
    connected.expect("the stream").0
}

/// Writes one change and waits for its frame.
pub(crate) async fn one(
    projects: &[Project],
    count: u64,
    manner: Manner,
    socket: &mut Socket,
) -> Duration {
    let place = usize::try_from(count).unwrap_or(0) % projects.len();
    let project = &projects[place];
    let document = fixtures::numbered(&project.name(), count);
    let start = Instant::now();
    project.write(PHASE, &document, manner);
    let wait = async {
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else {
                continue;
            };
            if text.contains(&format!("\"count\":{count}")) {
                let span = start.elapsed();
                let frame: Value = serde_json::from_str(&text).expect("a frame");
                assert_eq!(frame["data"]["fields"]["count"], count);
                return span;
            }
        }
        panic!("the stream ended");
    };
    tokio::time::timeout(LIMIT, wait)
        .await
        .expect("the change reaches the stream")
}

/// Where the time goes, as a third party on the broker sees it: the event as
/// the agent publishes it, and the frame as the aggregator publishes it.
async fn hops(system: &System, projects: &[Project], count: &mut u64, socket: &mut Socket) {
    let client = system.nats.client().await;
    let mut events = client
        .subscribe(protocol::subject::EVENTS)
        .await
        .expect("subscribed");
    let mut live = client
        .subscribe(protocol::subject::LIVE)
        .await
        .expect("subscribed");
    client.flush().await.expect("subscribed");
    let (mut to_event, mut to_live, mut to_page) = (Spans::new(), Spans::new(), Spans::new());
    for _ in 0..LOOKS {
        tokio::time::sleep(PACE).await;
        *count += 1;
        let start = Instant::now();
        let observe = async {
            events.next().await.expect("an event");
            let event = start.elapsed();
            live.next().await.expect("a frame");
            (event, start.elapsed())
        };
        let (whole, (event, frame)) =
            tokio::join!(one(projects, *count, Manner::Atomic, socket), observe);
        to_event.add(event);
        to_live.add(frame.saturating_sub(event));
        to_page.add(whole.saturating_sub(frame));
    }
    to_event.line("  of it: file to event published");
    to_live.line("  of it: stored, folded, committed");
    to_page.line("  of it: frame published to client");
}
