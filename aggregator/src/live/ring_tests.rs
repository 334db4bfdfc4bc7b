//! What a browser that does not read costs: no more than the ring holds. The
//! control has a ring that is as good as none: then everything is kept for it.

use serde_json::json;
use tokio::sync::broadcast::error::TryRecvError;

use super::News;
use super::testing::{Leader, hub};

const CHANGES: usize = 4_000;

/// So many changes are kept for a reader that takes none, and whether it is told to begin anew.
fn kept_for_a_sleeper(ring: usize) -> (usize, bool) {
    let (hub, mut leader) = (hub(ring), Leader::default());
    leader.load(&hub);
    let mut sleeper = hub.news();
    for count in 0..CHANGES {
        let frame = leader.set(count % 7, "detail", json!(format!("step {count}")));
        leader.deliver(frame, &hub);
    }
    let kept = hub.news.len();
    let lagged = matches!(sleeper.try_recv(), Err(TryRecvError::Lagged(_)));
    let mut newest = 0;
    while let Ok(News::Change(change)) = sleeper.try_recv() {
        newest = change.seq;
    }
    assert_eq!(newest, leader.seq, "what is kept is the newest");
    (kept, lagged)
}

#[test]
fn for_a_reader_that_sleeps_no_more_is_kept_than_the_ring_holds() {
    assert_eq!(kept_for_a_sleeper(super::RING), (super::RING, true));
}

#[test]
fn control_without_a_bound_everything_is_kept_for_a_reader_that_sleeps() {
    assert_eq!(kept_for_a_sleeper(2 * CHANGES), (CHANGES, false));
}
