//! Everything that happens to files and directories: trees, manners of
//! writing, limits of the kernel, roots, rights, clocks, and names that two share.

mod clock;
mod limits;
mod names;
mod rights;
mod roots;
mod trees;
mod writing;

use std::fmt;
use std::time::{Duration, Instant};

use harness::fixtures;
use harness::oracle::{Truth, faults};
use harness::system::System;
use harness::wait::{check, eventually_within};
use harness::writer::Project;

/// What the oracle found.
#[derive(Debug)]
struct Verdict {
    lost: usize,
    duplicate: usize,
    disorder: usize,
    torn: usize,
    seconds: f64,
    faults: Vec<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "lost {} / duplicate {} / out of order {} / torn {} / converged in {:.1} s",
            self.lost, self.duplicate, self.disorder, self.torn, self.seconds
        )
    }
}

impl Verdict {
    /// Holds what was written against the database, and prints the counts.
    async fn of(system: &System, name: &str, projects: &[Project], since: Instant) -> Self {
        let seconds = since.elapsed().as_secs_f64();
        let events = system.database.events().await.unwrap();
        let builds = system.database.builds().await.unwrap();
        let truths: Vec<Truth> = projects.iter().map(Truth::from).collect();
        let faults = faults(&truths, &events, &builds);
        let with = |words: &[&str]| {
            let named = |fault: &&String| words.iter().any(|word| fault.contains(word));
            faults.iter().filter(named).count()
        };
        let verdict = Self {
            // Each lost project has one of these.
            lost: with(&["the last row says"]),
            duplicate: with(&["repeats the"]),
            disorder: with(&[" after "]),
            torn: with(&["was never written"]),
            seconds,
            faults,
        };
        eprintln!(
            "{name}: {} files, {} rows: {verdict}",
            projects.len(),
            events.len()
        );
        verdict
    }

    fn assert_faultless(&self) {
        let shown: Vec<&str> = self.faults.iter().take(20).map(String::as_str).collect();
        assert!(shown.is_empty(), "{self}\n{}", shown.join("\n"));
    }
}

/// How many builds show this step.
async fn showing(system: &System, step: u64) -> Result<i64, String> {
    let query = format!("SELECT count(*) FROM build WHERE body::jsonb->>'detail' = 'step {step}'");
    system.database.number(&query).await
}

/// Waits until so many builds show this step, or the time is over: then the oracle says what is missing.
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

/// Writes the phase file of a project with this count.
fn step(project: &Project, count: u64) {
    project.phase(&fixtures::numbered(&project.name(), count));
}
