//! Everything that happens to files and directories: trees, manners of
//! writing, limits of the kernel, roots, rights, clocks, and names that two share.

mod clock;
mod limits;
mod names;
mod rights;
mod roots;
mod trees;
mod writing;

use std::time::{Duration, Instant};

use harness::fixtures;
use harness::system::System;
use harness::wait::{check, eventually_within};
use harness::writer::Project;

/// How many builds show this step.
async fn showing(system: &System, step: u64) -> Result<i64, String> {
    let query = format!("SELECT count(*) FROM build WHERE body::jsonb->>'detail' = 'step {step}'");
    system.database.number(&query).await
}

/// Waits until so many builds show this step, or the time is over: then the recorder says what is missing.
async fn until_shown(system: &System, step: u64, count: usize, at_most: Duration) {
    let wanted = i64::try_from(count).unwrap();
    let start = Instant::now();
    eventually_within(at_most * 2, "every file is shown", async || {
        let seen = showing(system, step).await?;
        check(seen >= wanted || start.elapsed() > at_most, || {
            format!("{seen} of {wanted}")
        })
    })
    .await;
}

/// Writes the phase file of a project with this count, where nobody records.
fn step(project: &Project, count: u64) {
    project.phase(&fixtures::numbered(&project.name(), count));
}
