//! A disk that answers late, as disks do where several programs sync. Shown
//! with the database's own lock: whoever writes to the outbox waits for it.

use std::time::Duration;

use harness::fixtures;
use harness::system::System;

/// Shorter than what the agent takes for a failure of its disk (2 s).
const LATE: Duration = Duration::from_millis(1_500);
/// What is promised to be kept, and a little for a busy machine.
const STANDS: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_disk_that_answers_late_costs_no_content() {
    let system = System::start().await;
    let project = system.project("late");
    project.phase(&fixtures::numbered("late", 0));
    system.build(&project, 1, |_| true).await;

    let outbox = system.agents[0].state_dir().join("outbox.db");
    let disk = rusqlite::Connection::open(outbox).unwrap();
    disk.execute_batch("BEGIN IMMEDIATE").unwrap();
    let contents = u64::try_from(LATE.as_millis() / STANDS.as_millis()).unwrap();
    for count in 1..=contents {
        project.phase(&fixtures::numbered("late", count));
        tokio::time::sleep(STANDS).await;
    }
    disk.execute_batch("ROLLBACK").unwrap();
    drop(disk);

    let last = format!("step {contents}");
    let is_last = |build: &protocol::Build| build.detail.as_deref() == Some(last.as_str());
    system.build(&project, 1, is_last).await;
    let counts: Vec<u64> = system
        .database
        .events()
        .await
        .unwrap()
        .iter()
        .filter_map(|row| row.document.as_ref()?.get("count")?.as_u64())
        .collect();
    assert_eq!(
        counts,
        (0..=contents).collect::<Vec<_>>(),
        "each once and in order"
    );
}
