//! Whole conversations over a pipe instead of a socket.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;

use super::super::Wishes;
use super::super::session::{End, Session};
use super::super::socket::Socket;
use crate::live::Hub;
use crate::live::testing::{Leader, hub};

type Client = WebSocketStream<DuplexStream>;

/// A session over a pipe of this many bytes, and the client's end of it.
async fn session(
    hub: &Arc<Hub>,
    wishes: Wishes,
    pipe: usize,
    stop: &CancellationToken,
) -> (Client, JoinSet<End>) {
    let (ours, theirs) = tokio::io::duplex(pipe);
    let joined = hub.join(wishes.since, &wishes.filter).unwrap();
    let socket = Socket::new(ours, Arc::new(crate::metrics::Metrics::new())).await;
    let session = Session::new(socket, Arc::clone(hub), wishes, joined);
    let stop = stop.clone();
    let mut task = JoinSet::new();
    task.spawn(async move { session.run(&stop).await });
    let client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
    (client, task)
}

async fn end(mut task: JoinSet<End>) -> End {
    timeout(Duration::from_secs(10), task.join_next())
        .await
        .unwrap()
        .unwrap()
        .unwrap()
}

async fn next(client: &mut Client) -> Value {
    let message = timeout(Duration::from_secs(10), client.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

async fn close_code(client: &mut Client) -> CloseCode {
    loop {
        let message = timeout(Duration::from_secs(10), client.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        if let Message::Close(Some(frame)) = message {
            return frame.code;
        }
    }
}

fn loaded() -> (Arc<Hub>, Leader) {
    let (hub, leader) = (hub(64), Leader::default());
    leader.load(&hub);
    (hub, leader)
}

#[tokio::test]
async fn a_connection_gets_a_snapshot_then_changes_then_a_goodbye() {
    let (hub, mut leader) = loaded();
    let stop = CancellationToken::new();
    let (mut client, task) = session(&hub, Wishes::default(), 4096, &stop).await;
    assert_eq!(next(&mut client).await["type"], "snapshot");
    let frame = leader.set(1, "phase", json!("Scout"));
    leader.deliver(frame, &hub);
    let update = next(&mut client).await;
    assert_eq!(
        (&update["type"], &update["seq"]),
        (&json!("build_update"), &json!(1))
    );
    stop.cancel();
    assert_eq!(close_code(&mut client).await, CloseCode::Away);
    assert_eq!(end(task).await, End::Stopping);
}

#[tokio::test]
async fn a_resumed_connection_gets_what_it_missed_and_a_heartbeat() {
    let (hub, mut leader) = loaded();
    for turn in 0..3 {
        let frame = leader.set(turn, "phase", json!(turn.to_string()));
        leader.deliver(frame, &hub);
    }
    let wishes = Wishes {
        since: Some(2),
        ..Wishes::default()
    };
    let (mut client, _task) = session(&hub, wishes, 4096, &CancellationToken::new()).await;
    let missed = next(&mut client).await;
    assert_eq!(
        (&missed["type"], &missed["seq"], &missed["source"]),
        (&json!("build"), &json!(3), &json!("sync"))
    );
    let heartbeat = next(&mut client).await;
    assert_eq!(
        (&heartbeat["type"], &heartbeat["seq"]),
        (&json!("heartbeat"), &json!(3))
    );
}

#[tokio::test]
async fn a_large_snapshot_arrives_whole() {
    let (hub, mut leader) = loaded();
    let long = "ä".repeat(300_000);
    let frame = leader.set(1, "detail", json!(long));
    leader.deliver(frame, &hub);
    let (mut client, _task) =
        session(&hub, Wishes::default(), 1000, &CancellationToken::new()).await;
    let snapshot = next(&mut client).await;
    assert_eq!(snapshot["data"]["builds"][0]["detail"], json!(long));
}

#[tokio::test]
async fn what_a_client_may_not_send_ends_with_the_fitting_code() {
    let (hub, _) = loaded();
    let cases = [
        (Message::binary(vec![1]), CloseCode::Unsupported),
        (Message::text("{"), CloseCode::Invalid),
        (Message::text(r#"{"type":"dance"}"#), CloseCode::Policy),
        (Message::text("x".repeat(100_000)), CloseCode::Size),
    ];
    for (message, code) in cases {
        let (mut client, task) =
            session(&hub, Wishes::default(), 1 << 20, &CancellationToken::new()).await;
        client.send(message).await.unwrap();
        assert_eq!(close_code(&mut client).await, code);
        drop(client);
        assert!(matches!(end(task).await, End::Refused(..)));
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_let_go() {
    let (hub, _) = loaded();
    let (mut client, task) =
        session(&hub, Wishes::default(), 4096, &CancellationToken::new()).await;
    next(&mut client).await;
    client.close(None).await.unwrap();
    assert_eq!(end(task).await, End::Left);
    let (client, task) = session(&hub, Wishes::default(), 4096, &CancellationToken::new()).await;
    drop(client);
    assert!(matches!(end(task).await, End::Left | End::Failed));
}
