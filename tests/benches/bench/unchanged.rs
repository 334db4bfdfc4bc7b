//! (d) A thousand rewrites that change nothing.

use harness::fixtures;
use harness::system::System;
use harness::writer::{Manner, PHASE};
use protocol::FrameType;
use serde_json::json;

use crate::report::Report;

const REWRITES: u32 = 1_000;

pub(crate) async fn run(report: &mut Report) {
    let system = System::start().await;
    let client = system.client().await;
    let project = system.project("unchanged");
    let mut file = fixtures::phase("unchanged", "Builder", "3/7", "building");
    project.phase(&file);
    client.until_build("unchanged", |_| true).await;
    let frames = client.seen().of(FrameType::BuildUpdate).count();
    let rows = system
        .database
        .number("SELECT count(*) FROM event")
        .await
        .expect("Postgres");
    for count in 0..REWRITES {
        file["last_updated"] = json!(format!("2025-01-14T00:25:{:02}.{count}Z", count % 60));
        let manner = if count % 2 == 0 {
            Manner::InPlace
        } else {
            Manner::Atomic
        };
        project.write(PHASE, &file, manner);
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    // The next real change marks the end: everything before it would have come by now.
    project.phase(&fixtures::phase("unchanged", "Test", "4/7", "testing"));
    client
        .until_build("unchanged", |told| told["phase"] == "Test")
        .await;
    let frames = client.seen().of(FrameType::BuildUpdate).count() - frames - 1;
    let more = system
        .database
        .number("SELECT count(*) FROM event")
        .await
        .expect("Postgres")
        - rows
        - 1;
    println!("{REWRITES} rewrites: {frames} build_update frames, {more} event rows");
    report.at_most(
        "frames of 1,000 unchanged rewrites",
        f64::from(u32::try_from(frames).unwrap_or(u32::MAX)),
        0.0,
        "frames",
    );
    report.at_most(
        "rows of 1,000 unchanged rewrites",
        f64::from(i32::try_from(more).unwrap_or(i32::MAX)),
        0.0,
        "rows",
    );
}
