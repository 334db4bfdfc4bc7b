//! Somebody else, who goes on with good events all the while: how long each of
//! them took from where it was said to a browser.

use std::cell::Cell;
use std::time::{Duration, Instant};

use harness::fixtures;
use harness::publisher::Publisher;
use harness::system::System;
use harness::writer::Project;

/// Between two good events.
const PACE: Duration = Duration::from_millis(50);
/// The project whose events are good.
const GOOD: &str = "good";

/// What the others noticed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Noticed {
    /// Good events that reached the browser before the work was done.
    pub(super) events: u64,
    /// The longest time of one from where it was said to the browser, of the one that was
    /// on its way when the work was done too: it may be the one that is held up.
    pub(super) longest: Duration,
}

/// Does `work` while others publish good events, and says what they noticed.
pub(super) async fn meanwhile<T>(system: &System, work: impl Future<Output = T>) -> (T, Noticed) {
    let mut publisher = Publisher::connect(&system.nats, "others").await;
    let tell = async |count| publisher.tell(GOOD, &fixtures::numbered(GOOD, count)).await;
    noticing(system, "?host=others", tell, work).await
}

/// The same with good files of the agent that has to do with `work`: what holds that up is noticed.
pub(super) async fn meanwhile_beside<T>(
    system: &System,
    work: impl Future<Output = T>,
) -> (T, Noticed) {
    let project: Project = system.project(GOOD);
    let tell = async |count| project.phase(&fixtures::numbered(GOOD, count));
    noticing(system, "", tell, work).await
}

/// Tells one good event after the other, each when the last one was shown.
async fn noticing<T>(
    system: &System,
    query: &str,
    mut tell: impl AsyncFnMut(u64),
    work: impl Future<Output = T>,
) -> (T, Noticed) {
    let client = system.client_with(query).await;
    let (noticed, over) = (Cell::new(Noticed::default()), Cell::new(false));
    let good = async {
        while !over.get() {
            let before = noticed.get();
            let count = before.events + 1;
            let detail = format!("step {count}");
            let sent = Instant::now();
            tell(count).await;
            client
                .until_build(GOOD, |told| told["detail"] == detail.as_str())
                .await;
            noticed.set(Noticed {
                events: if over.get() { before.events } else { count },
                longest: before.longest.max(sent.elapsed()),
            });
            tokio::time::sleep(PACE).await;
        }
    };
    let work = async {
        let done = work.await;
        over.set(true);
        done
    };
    let (done, ()) = tokio::join!(work, good);
    (done, noticed.get())
}
