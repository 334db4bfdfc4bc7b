//! A reader of the stream that costs little, so that there can be thousands:
//! it keeps the newest step of each build, and how long each took to come.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use harness::fixtures;
use harness::publisher::Publisher;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async};

/// The moment from which steps count their time.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What a reader has received.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// The newest `seq`.
    pub(super) seq: u64,
    /// The newest step of each build, by id.
    pub(super) steps: HashMap<String, u64>,
    /// From publishing a step to having it, microseconds.
    pub(super) took_us: Vec<u64>,
    /// Frames whose `seq` came before, and steps that went back.
    pub(super) out_of_order: usize,
    /// How the server closed.
    pub(super) close_code: Option<u16>,
}

#[derive(Deserialize)]
struct Light<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    seq: Option<u64>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct LightBuild {
    id: String,
    detail: Option<String>,
}

#[derive(Deserialize)]
struct LightSnapshot {
    builds: Vec<LightBuild>,
}

impl Noted {
    fn take(&mut self, text: &str) {
        let frame: Light<'_> = serde_json::from_str(text).unwrap();
        let repeats = matches!(frame.kind, "heartbeat" | "snapshot");
        if let Some(seq) = frame.seq {
            self.out_of_order += usize::from(seq < self.seq || (seq == self.seq && !repeats));
            self.seq = self.seq.max(seq);
        }
        match frame.kind {
            "snapshot" => {
                let data: LightSnapshot = serde_json::from_str(frame.data.get()).unwrap();
                for build in data.builds {
                    self.step(build, false);
                }
            }
            "build" | "build_update" => {
                self.step(serde_json::from_str(frame.data.get()).unwrap(), true);
            }
            _ => {}
        }
    }

    fn step(&mut self, build: LightBuild, live: bool) {
        let Some((step, at)) = build.detail.as_deref().and_then(read_step) else {
            return;
        };
        let newest = self.steps.entry(build.id).or_default();
        self.out_of_order += usize::from(step < *newest);
        *newest = step.max(*newest);
        if live {
            let now = u64::try_from(BEGAN.elapsed().as_micros()).unwrap();
            self.took_us.push(now.saturating_sub(at));
        }
    }
}

/// A phase file whose detail says its step and when it was made.
pub(super) fn step(n: u64, filler: usize) -> Value {
    let mut file = fixtures::numbered("crowd", n);
    file["progress_detail"] = json!(format!("step {n} at {}", BEGAN.elapsed().as_micros()));
    file["filler"] = json!(format!("{n} {}", "x".repeat(filler)));
    file
}

fn read_step(detail: &str) -> Option<(u64, u64)> {
    let (step, at) = detail.strip_prefix("step ")?.split_once(" at ")?;
    Some((step.parse().ok()?, at.parse().ok()?))
}

/// Publishes so many steps to each of some projects, at a pace; answers with what each build must show at the end.
pub(super) async fn play(
    publisher: &mut Publisher,
    projects: usize,
    steps: std::ops::RangeInclusive<u64>,
    filler: usize,
    pace: Duration,
) -> HashMap<String, u64> {
    let mut tick = tokio::time::interval(pace);
    let mut acks = Vec::new();
    let last = *steps.end();
    for n in steps {
        for project in 0..projects {
            tick.tick().await;
            let event = publisher.event(&format!("crowd-{project}"), &step(n, filler));
            acks.push(publisher.send_soon(&event).await);
        }
    }
    for ack in acks {
        ack.await.expect("the stream takes the event");
    }
    let id = |project| publisher.build_id(&format!("crowd-{project}"), 1);
    (0..projects).map(|project| (id(project), last)).collect()
}

/// What is shared with a reader's task.
pub(super) type Shared = Arc<Mutex<Noted>>;

pub(super) fn lock(noted: &Shared) -> MutexGuard<'_, Noted> {
    noted.lock().unwrap_or_else(PoisonError::into_inner)
}

fn address(base: &str, since: u64) -> String {
    let query = match since {
        0 => String::new(),
        since => format!("?since={since}"),
    };
    format!("{}/api/v1/stream{query}", base.replacen("http", "ws", 1))
}

/// Opens the stream where the reader ended.
pub(super) async fn open(
    base: &str,
    noted: &Shared,
) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Error> {
    let since = lock(noted).seq;
    let (socket, _) = tokio_tungstenite::connect_async(address(base, since)).await?;
    Ok(socket)
}

/// Opens a stream that nobody reads, with as small a buffer as the kernel gives.
pub(super) async fn open_asleep(base: &str) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let peer = base.trim_start_matches("http://").parse().unwrap();
    let stream = socket.connect(peer).await.unwrap();
    client_async(address(base, 0), stream).await.unwrap().0
}

/// Reads until the connection is over, or until `done`.
pub(super) async fn read<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    noted: &Shared,
    done: impl Fn(&Noted) -> bool,
) {
    while !done(&lock(noted)) {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => lock(noted).take(&text),
            Some(Ok(Message::Close(frame))) => {
                lock(noted).close_code = frame.map(|frame| u16::from(frame.code));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return,
        }
    }
}

/// Whether it shows the last step of each build.
pub(super) fn has(noted: &Noted, last: &HashMap<String, u64>) -> bool {
    last.iter()
        .all(|(id, step)| noted.steps.get(id).is_some_and(|has| has >= step))
}

/// How many of these readers miss the last step of a build.
pub(super) fn missing(readers: &[Shared], last: &HashMap<String, u64>) -> usize {
    let misses = |noted: &&Shared| !has(&lock(noted), last);
    readers.iter().filter(misses).count()
}

/// A percentile of microseconds, in milliseconds.
pub(super) fn percentile_ms(mut took_us: Vec<u64>, percent: usize) -> u64 {
    took_us.sort_unstable();
    let place = (took_us.len() * percent / 100).min(took_us.len().saturating_sub(1));
    took_us.get(place).map_or(0, |us| us / 1000)
}
