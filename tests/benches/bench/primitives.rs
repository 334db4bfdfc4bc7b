//! What the parts of the chain cost alone, on the servers of the same run: the
//! least that a change could cost from a file to a WebSocket.

use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, consumer, stream};
use futures::{SinkExt as _, StreamExt as _};
use harness::fixtures;
use harness::system::System;
use harness::writer::{Manner, write};
use notify::Watcher as _;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::report::Spans;

const ROUNDS: u64 = 300;
/// As between the changes of the whole chain: a processor that just worked wakes faster.
const PACE: Duration = Duration::from_millis(25);
/// Events of one rename: more than fit are of no interest.
const QUEUE: usize = 1_024;

/// Measures each, prints it, and gives the sum of the medians, milliseconds.
pub(crate) async fn chain(system: &System) -> f64 {
    let parts = [
        ("inotify wake-up", inotify().await),
        ("JetStream publish to consumer", jetstream_hop(system).await),
        ("Postgres single-row commit", commit(system).await),
        ("core publish to subscriber", core_hop(system).await),
        ("loopback WebSocket", websocket().await),
    ];
    for (name, spans) in &parts {
        spans.line(name);
    }
    parts.iter().map(|(_, spans)| spans.ms(0.5)).sum()
}

/// A payload of the usual size of an event.
fn payload() -> String {
    let document = fixtures::phase("payload", "Builder", "3/7", "building").to_string();
    document.repeat(2)
}

/// From before a rename to the callback of the watcher.
async fn inotify() -> Spans {
    let dir = harness::scratch::directory("inotify");
    let file = dir.join("state.json");
    let (sender, events) = sync_channel(QUEUE);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| {
            matches!(
                event.kind,
                notify::EventKind::Modify(notify::event::ModifyKind::Name(_))
            )
        }) {
            let _ = sender.try_send(Instant::now());
        }
    })
    .expect("a watcher");
    watcher
        .watch(&dir, notify::RecursiveMode::NonRecursive)
        .expect("a watch");
    let text = payload();
    let mut spans = Spans::new();
    for _ in 0..ROUNDS {
        while events.try_recv().is_ok() {}
        let start = Instant::now();
        write(&file, text.as_bytes(), Manner::Atomic).expect("a write");
        let woken = events
            .recv_timeout(Duration::from_secs(5))
            .expect("an event");
        spans.add(woken.duration_since(start));
        tokio::time::sleep(PACE).await;
    }
    spans
}

/// The sending half runs elsewhere, as the other program does in the chain.
fn elsewhere() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let built = builder.worker_threads(1).enable_all().build();
    built.expect("a runtime")
}

/// Measures from each start that a sender elsewhere reports until `receive` is done.
async fn hops(mut starts: mpsc::Receiver<Instant>, mut receive: impl AsyncFnMut()) -> Spans {
    let mut spans = Spans::new();
    for _ in 0..ROUNDS {
        receive().await;
        let end = Instant::now();
        let start = starts.recv().await.expect("the sender lives");
        spans.add(end.saturating_duration_since(start));
    }
    spans
}

/// From publish to the message at a pull consumer; synced to disk in between.
async fn jetstream_hop(system: &System) -> Spans {
    let context = jetstream::new(system.nats.client().await);
    let made = context
        .create_stream(stream::Config {
            name: "BENCH".to_owned(),
            subjects: vec!["bench.stream.>".to_owned()],
            retention: stream::RetentionPolicy::WorkQueue,
            max_bytes: 256 * 1024 * 1024,
            ..Default::default()
        })
        .await
        .expect("a stream");
    let consumer: consumer::PullConsumer = made
        .create_consumer(consumer::pull::Config {
            durable_name: Some("bench".to_owned()),
            ..Default::default()
        })
        .await
        .expect("a consumer");
    let mut messages = consumer.messages().await.expect("messages");
    let (other, (sender, starts)) = (elsewhere(), mpsc::channel(QUEUE));
    let nats = system.nats.connector();
    other.spawn(async move {
        let publisher = jetstream::new(nats.connect().await);
        let text = payload();
        for _ in 0..ROUNDS {
            tokio::time::sleep(PACE).await;
            let _ = sender.send(Instant::now()).await;
            let ack = publisher
                .publish("bench.stream.one", text.clone().into())
                .await;
            ack.expect("a publish").await.expect("stored");
        }
    });
    let spans = hops(starts, async || {
        let message = messages
            .next()
            .await
            .expect("a message")
            .expect("a message");
        message.ack().await.expect("acknowledged");
    })
    .await;
    other.shutdown_background();
    context.delete_stream("BENCH").await.expect("deleted");
    spans
}

/// One row, one commit, over the Unix socket.
async fn commit(system: &System) -> Spans {
    let client = system.database.connect().await.expect("Postgres");
    client
        .batch_execute("CREATE TABLE bench (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body jsonb NOT NULL)")
        .await
        .expect("a table");
    let insert = client
        .prepare("INSERT INTO bench (body) VALUES ($1::text::jsonb)")
        .await
        .expect("a statement");
    let text = fixtures::phase("payload", "Builder", "3/7", "building").to_string();
    let mut spans = Spans::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        client.execute(&insert, &[&text]).await.expect("a row");
        spans.add(start.elapsed());
        tokio::time::sleep(PACE).await;
    }
    client
        .batch_execute("DROP TABLE bench")
        .await
        .expect("dropped");
    spans
}

/// From publish to another connection's subscription, without a stream.
async fn core_hop(system: &System) -> Spans {
    let subscriber = system.nats.client().await;
    let mut messages = subscriber
        .subscribe("bench.core")
        .await
        .expect("a subscription");
    subscriber.flush().await.expect("subscribed");
    let (other, (sender, starts)) = (elsewhere(), mpsc::channel(QUEUE));
    let nats = system.nats.connector();
    other.spawn(async move {
        let publisher = nats.connect().await;
        let text = payload();
        for _ in 0..ROUNDS {
            tokio::time::sleep(PACE).await;
            let _ = sender.send(Instant::now()).await;
            publisher
                .publish("bench.core", text.clone().into())
                .await
                .expect("a publish");
        }
        let _ = publisher.flush().await;
    });
    let spans = hops(starts, async || {
        messages.next().await.expect("a message");
    })
    .await;
    other.shutdown_background();
    spans
}

/// From a server's send to its client's receive.
async fn websocket() -> Spans {
    let (other, (sender, starts)) = (elsewhere(), mpsc::channel(QUEUE));
    let (told, address) = tokio::sync::oneshot::channel();
    other.spawn(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let _ = told.send(listener.local_addr().expect("an address"));
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let mut server = tokio_tungstenite::accept_async(stream)
            .await
            .expect("a handshake");
        let text = payload();
        for _ in 0..ROUNDS {
            tokio::time::sleep(PACE).await;
            let _ = sender.send(Instant::now()).await;
            server
                .send(Message::text(text.as_str()))
                .await
                .expect("sent");
        }
    });
    let address = address.await.expect("a server");
    let connected = tokio_tungstenite::connect_async(format!("ws://{address}")).await;
    let (mut client, _) = connected.expect("a handshake");
    let spans = hops(starts, async || {
        client.next().await.expect("received").expect("received");
    })
    .await;
    other.shutdown_background();
    spans
}
