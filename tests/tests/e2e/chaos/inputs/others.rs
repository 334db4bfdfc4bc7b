//! Somebody else, who goes on with good events all the while: how long each of
//! them took from the publisher to a browser.

use std::time::{Duration, Instant};

use harness::fixtures;
use harness::publisher::Publisher;
use harness::system::System;

/// Between two good events.
const PACE: Duration = Duration::from_millis(50);

/// What the others noticed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Noticed {
    /// Good events that reached the browser.
    pub(super) events: u64,
    /// The longest time of one from its publisher to the browser.
    pub(super) longest: Duration,
}

/// Does `work` while others publish good events, and says what they noticed.
pub(super) async fn meanwhile<T>(system: &System, work: impl Future<Output = T>) -> (T, Noticed) {
    let mut noticed = Noticed::default();
    let mut publisher = Publisher::connect(&system.nats, "others").await;
    let client = system.client_with("?host=others").await;
    let good = async {
        loop {
            let count = noticed.events + 1;
            let detail = format!("step {count}");
            let sent = Instant::now();
            publisher
                .tell("good", &fixtures::numbered("good", count))
                .await;
            client
                .until_build("good", |told| told["detail"] == detail.as_str())
                .await;
            noticed.events = count;
            noticed.longest = noticed.longest.max(sent.elapsed());
            tokio::time::sleep(PACE).await;
        }
    };
    let done = tokio::select! {
        done = work => done,
        () = good => unreachable!("it goes on for ever"),
    };
    (done, noticed)
}
