//! What producers that send are said to have sent, with some hostile words; the pages' tests show it too.

use protocol::{Calls, RouteStatus, RunnerStatus, Timestamp};

pub(crate) fn sample() -> Calls {
    let at = |millis| Some(Timestamp::from_millis(millis));
    Calls {
        routes: vec![RouteStatus {
            route: "/api/phase-update".to_owned(),
            received: 12,
            last_received_at: at(1_790_000_000_000),
            refused: 1,
            last_refused_at: at(1_789_000_000_000),
            last_refusal: Some("<b>The body is not JSON</b>".to_owned()),
            ignored: 3,
        }],
        runners: vec![RunnerStatus {
            runner: "runner-<i>mac</i>".to_owned(),
            connected: true,
            last_seen_at: at(1_790_000_000_000),
            status: Some("idle".to_owned()),
            version: Some("1.4.0".to_owned()),
            hostname: None,
        }],
    }
}
