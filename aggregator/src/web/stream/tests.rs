use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use proptest::prelude::*;
use protocol::merge_patch;
use serde_json::{Map, Value, json};
use tokio::io::DuplexStream;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;

use super::session::{End, Session};
use super::socket::Socket;
use super::talk::Talk;
use super::*;
use crate::live::testing::{Leader, hub};
use crate::live::{Hub, OutFrame};

/// A browser: what it holds, and what must not happen to it.
#[derive(Default)]
struct Browser {
    talk: Option<Talk>,
    builds: BTreeMap<String, Map<String, Value>>,
    since: Option<u64>,
    first_seq: Option<u64>,
    snapshots: u32,
    completed: BTreeSet<(String, u64)>,
}

impl Browser {
    fn connect(&mut self, hub: &Arc<Hub>, cut: usize) {
        let wishes = Wishes {
            since: self.since,
            ..Wishes::default()
        };
        let joined = hub.join(self.since, &wishes.filter).unwrap();
        let (talk, frames) = Talk::begin(Arc::clone(hub), wishes, joined, Instant::now());
        self.talk = Some(talk);
        self.receive(&frames, cut);
    }

    /// Takes what has come; the connection may break after `cut` frames.
    fn read(&mut self, cut: usize) {
        let Some(talk) = &mut self.talk else { return };
        let news = match talk.news.try_recv() {
            Ok(news) => Ok(news),
            Err(TryRecvError::Lagged(count)) => Err(RecvError::Lagged(count)),
            Err(_) => return,
        };
        let frames = talk.take(news);
        self.receive(&frames, cut);
    }

    fn flush(&mut self, cut: usize) {
        if let Some(talk) = &mut self.talk {
            let frames = talk.flush();
            self.receive(&frames, cut);
        }
    }

    fn receive(&mut self, frames: &[OutFrame], cut: usize) {
        for frame in frames.iter().take(cut) {
            let text: Value = serde_json::from_str(&frame.text).unwrap();
            self.apply(&text);
        }
        if frames.len() > cut {
            self.talk = None;
        }
    }

    fn apply(&mut self, frame: &Value) {
        let seq = frame["seq"].as_u64().unwrap();
        let data = frame["data"].as_object().unwrap();
        let kind = frame["type"].as_str().unwrap();
        if kind == "snapshot" {
            self.snapshots += 1;
            self.first_seq.get_or_insert(seq);
            let builds = data["builds"].as_array().unwrap();
            let build = |build: &Value| {
                (
                    build["id"].as_str().unwrap().to_owned(),
                    build.as_object().unwrap().clone(),
                )
            };
            self.builds = builds.iter().map(build).collect();
            self.since = Some(seq);
            return;
        }
        let last = self.since.unwrap();
        assert!(
            seq > last || (kind == "heartbeat" && seq == last),
            "{kind} {seq} came after {last}"
        );
        self.since = Some(seq);
        if kind == "heartbeat" {
            return;
        }
        let id = data["id"].as_str().unwrap().to_owned();
        if kind == "build_complete" {
            assert!(self.completed.insert((id, seq)), "a completion came twice");
            return;
        }
        let known = self.builds.get(&id).and_then(|build| build["seq"].as_u64());
        assert!(known < data["seq"].as_u64(), "a change came twice");
        match kind {
            "build" => {
                self.builds.insert(id, data.clone());
            }
            "build_update" => {
                let held = known.is_some() || data.contains_key("run");
                assert!(held, "a patch of a build that this reader does not hold");
                merge_patch::apply(self.builds.entry(id).or_default(), data);
            }
            other => panic!("{other}"),
        }
    }

    /// Nothing that is null was sent for a new build, so nulls are not compared.
    fn assert_holds(&self, leader: &Leader) {
        let plain = |map: &Map<String, Value>| -> Map<String, Value> {
            map.clone()
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .collect()
        };
        assert_eq!(self.builds.len(), leader.builds().count());
        for (id, build) in leader.builds() {
            assert_eq!(plain(&self.builds[id]), plain(build));
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A build changes; its frame may be lost between leader and hub.
    Change {
        build: usize,
        lost: bool,
    },
    End {
        build: usize,
        lost: bool,
    },
    CatchUp,
    Read {
        reader: usize,
        cut: usize,
    },
    Flush {
        reader: usize,
        cut: usize,
    },
    Reconnect {
        reader: usize,
        cut: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let lost = proptest::bool::weighted(0.05);
    let cut = || prop_oneof![4 => Just(usize::MAX), 1 => 0..4_usize];
    let reader = || 0..3_usize;
    prop_oneof![
        20 => (0..5_usize, lost).prop_map(|(build, lost)| Step::Change { build, lost }),
        1 => (0..5_usize, lost).prop_map(|(build, lost)| Step::End { build, lost }),
        1 => Just(Step::CatchUp),
        6 => (reader(), cut()).prop_map(|(reader, cut)| Step::Read { reader, cut }),
        2 => (reader(), cut()).prop_map(|(reader, cut)| Step::Flush { reader, cut }),
        1 => (reader(), cut()).prop_map(|(reader, cut)| Step::Reconnect { reader, cut }),
    ]
}

fn play(steps: Vec<Step>) {
    // A ring of 8: readers are often too slow. Bursts beyond 50 in no time: changes are often gathered.
    let (hub, mut leader) = (hub(8), Leader::default());
    leader.load(&hub);
    let mut readers: [Browser; 3] = Default::default();
    let mut turn = 0;
    for step in steps {
        turn += 1;
        let frames = match step {
            Step::Change { build, lost } => (
                vec![leader.set(build, "detail", json!(turn.to_string()))],
                lost,
            ),
            Step::End { build, lost } => (leader.end(build).into(), lost),
            Step::CatchUp => {
                leader.catch_up(&hub);
                continue;
            }
            Step::Read { reader, cut } => {
                readers[reader].read(cut);
                continue;
            }
            Step::Flush { reader, cut } => {
                readers[reader].flush(cut);
                continue;
            }
            Step::Reconnect { reader, cut } => {
                readers[reader].connect(&hub, cut);
                continue;
            }
        };
        let (frames, lost) = frames;
        for frame in frames.into_iter().filter(|_| !lost) {
            leader.deliver(frame, &hub);
        }
    }
    leader.catch_up(&hub);
    for reader in &mut readers {
        if reader.talk.is_none() {
            reader.connect(&hub, usize::MAX);
        }
        // Each call takes up to 64; the ring holds 8.
        reader.read(usize::MAX);
        reader.read(usize::MAX);
        reader.flush(usize::MAX);
        reader.assert_holds(&leader);
        let last = reader.talk.as_ref().map(|talk| talk.heartbeat().seq);
        assert_eq!(last, Some(leader.seq));
        for (id, seq) in leader.completions() {
            if reader.snapshots == 1 && reader.first_seq < Some(seq) {
                assert!(
                    reader.completed.contains(&(id, seq)),
                    "a completion was lost"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn every_reader_ends_with_the_same_builds_and_sees_nothing_twice(steps in proptest::collection::vec(step(), 0..400)) {
        play(steps);
    }
}

type Client = WebSocketStream<DuplexStream>;

/// A session over a pipe of this many bytes, and the client's end of it.
async fn session(
    hub: &Arc<Hub>,
    wishes: Wishes,
    pipe: usize,
    stop: &CancellationToken,
) -> (Client, tokio::task::JoinHandle<End>) {
    let (ours, theirs) = tokio::io::duplex(pipe);
    let joined = hub.join(wishes.since, &wishes.filter).unwrap();
    let socket = Socket::new(ours, Arc::new(crate::metrics::Metrics::new())).await;
    let session = Session::new(socket, Arc::clone(hub), wishes, joined);
    let stop = stop.clone();
    let mut tasks = tokio::task::JoinSet::new();
    let (done, ended) = tokio::sync::oneshot::channel();
    tasks.spawn(async move {
        let _ = done.send(session.run(&stop).await);
    });
    let handle = tokio::runtime::Handle::current().spawn(async move {
        let _tasks = tasks;
        ended.await.unwrap()
    });
    (
        WebSocketStream::from_raw_socket(theirs, Role::Client, None).await,
        handle,
    )
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
    let (mut client, end) = session(&hub, Wishes::default(), 4096, &stop).await;
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
    assert_eq!(end.await.unwrap(), End::Stopping);
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
    let (mut client, _end) = session(&hub, wishes, 4096, &CancellationToken::new()).await;
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
    let (mut client, _end) =
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
        let (mut client, end) =
            session(&hub, Wishes::default(), 1 << 20, &CancellationToken::new()).await;
        client.send(message).await.unwrap();
        assert_eq!(close_code(&mut client).await, code);
        drop(client);
        assert!(matches!(end.await.unwrap(), End::Refused(..)));
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_let_go() {
    let (hub, _) = loaded();
    let (mut client, end) = session(&hub, Wishes::default(), 4096, &CancellationToken::new()).await;
    next(&mut client).await;
    client.close(None).await.unwrap();
    assert_eq!(end.await.unwrap(), End::Left);
    let (client, end) = session(&hub, Wishes::default(), 4096, &CancellationToken::new()).await;
    drop(client);
    assert!(matches!(end.await.unwrap(), End::Left | End::Failed));
}

#[test]
fn only_a_request_as_rfc_6455_wants_it_is_a_websocket() {
    let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    };
    let good = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let key = websocket_key(&Method::GET, &headers(&good)).unwrap();
    // The example of RFC 6455, section 1.3.
    assert_eq!(
        switching(&key).headers()[header::SEC_WEBSOCKET_ACCEPT],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    assert!(websocket_key(&Method::POST, &headers(&good)).is_none());
    for missing in 0..good.len() {
        let mut rest = good.to_vec();
        rest.remove(missing);
        assert!(
            websocket_key(&Method::GET, &headers(&rest)).is_none(),
            "{rest:?}"
        );
    }
}
