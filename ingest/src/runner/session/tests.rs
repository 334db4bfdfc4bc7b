//! Who stays connected, and what is left of whoever does not.

use std::sync::Arc;

use serde_json::json;
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::{Admission, Status};

/// Everything here is there within a second or two.
const LIMIT: Duration = Duration::from_secs(60);
/// Short, but long enough for a busy machine to answer in.
const PATIENCE: Patience = Patience {
    ping_every: Duration::from_millis(50),
    silent_after: Duration::from_secs(2),
};

struct Nowhere;

impl Sink for Nowhere {
    async fn keep(&self, _: Call) -> Result<(), NotKept> {
        Ok(())
    }
}

struct Bench {
    status: Arc<Status>,
    ingest: Ingest<Nowhere>,
}

fn bench() -> Bench {
    let status = Arc::new(Status::default());
    let ingest = Ingest::new(Nowhere, Admission::loopback(), Arc::clone(&status));
    Bench { status, ingest }
}

impl Bench {
    /// Runs a session, and `runner` at its other end.
    async fn with<T>(&self, runner: impl AsyncFnOnce(WebSocketStream<DuplexStream>) -> T) -> T {
        let (ours, theirs) = duplex(64 * 1024);
        let server = WebSocketStream::from_raw_socket(ours, Role::Server, None).await;
        let client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
        let session = Session::new(server, &self.ingest, PATIENCE).run("r", Ok(None));
        let both = async { tokio::join!(session, runner(client)).1 };
        timeout(LIMIT, both).await.expect("both ends are done")
    }

    fn is_connected(&self) -> bool {
        self.status.snapshot().runners[0].connected
    }
}

#[tokio::test]
async fn a_runner_that_says_nothing_but_answers_pings_stays_connected() {
    let bench = bench();
    bench
        .with(async |mut client| {
            // Three seconds of pings: longer than silence is borne.
            for _ in 0..60 {
                let heard = client.next().await.unwrap().unwrap();
                assert!(matches!(heard, Message::Ping(_)), "{heard:?}");
            }
            assert!(bench.is_connected());
            let frame = json!({"type":"build-completed","projectId":"p","payload":{}});
            client.send(Message::text(frame.to_string())).await.unwrap();
            client.close(None).await.unwrap();
            while let Some(Ok(_)) = client.next().await {}
        })
        .await;
    assert_eq!(bench.status.snapshot().routes[0].received, 1);
    assert!(!bench.is_connected());
}

#[tokio::test]
async fn a_runner_that_answers_nothing_is_dropped_with_a_reason() {
    let bench = bench();
    let mut pings = 0;
    let frame = bench
        .with(async |mut client| {
            // What does not read does not answer.
            while bench.status.snapshot().runners.is_empty() || bench.is_connected() {
                sleep(Duration::from_millis(20)).await;
            }
            loop {
                match client.next().await.unwrap().unwrap() {
                    Message::Ping(_) => pings += 1,
                    Message::Close(Some(frame)) => return frame,
                    other => panic!("{other:?}"),
                }
            }
        })
        .await;
    assert!(pings > 1, "it was asked");
    assert_eq!(frame.code, CloseCode::Away);
    assert_eq!(frame.reason.as_str(), "nothing was heard for 2 s");
}
