//! A calm writer: files in turn, so slowly that each content stands long
//! enough to be owed, and what became of it.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::fixtures;
use crate::oracle::{Truth, faults};
use crate::system::{HOST, System};
use crate::wait::{check, eventually_within};
use crate::writer::Project;

/// A content stands this long before it is replaced: above the 250 ms from
/// which on it may not be lost.
const STANDS: Duration = Duration::from_millis(400);
/// Until all has arrived; the figure that it took is printed.
const CONVERGENCE: Duration = Duration::from_secs(90);

/// A running writer; stops when dropped.
#[derive(Debug)]
pub struct Steady {
    stop: Arc<AtomicBool>,
    task: Option<JoinHandle<()>>,
}

impl Steady {
    /// Writes each project's phase file every 400 ms, with `filler` bytes in it.
    #[must_use]
    pub fn start(projects: &Arc<Vec<Project>>, filler: usize) -> Self {
        let (stop, projects) = (Arc::new(AtomicBool::new(false)), Arc::clone(projects));
        let told = Arc::clone(&stop);
        let task = tokio::task::spawn_blocking(move || write(&projects, filler, &told));
        Self {
            stop,
            task: Some(task),
        }
    }

    /// Stops after the file at hand.
    ///
    /// # Panics
    /// When a file could not be written.
    pub async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let task = self.task.take().expect("it is stopped once");
        task.await.expect("the writer");
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a writer's pace, on a thread of its own"
)]
fn write(projects: &[Project], filler: usize, stop: &AtomicBool) {
    let count = u32::try_from(projects.len()).unwrap_or(u32::MAX);
    let begun = projects.iter().map(|project| project.written().len());
    let mut number = begun.max().unwrap_or(0) as u64;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        for project in projects {
            let mut document = fixtures::numbered(&project.name(), number);
            document["filler"] = json!(format!("{number}").repeat(filler / 2));
            project.phase(&document);
            std::thread::sleep(STANDS / count);
        }
    }
}

/// What became of everything that was written.
#[derive(Debug)]
pub struct Outcome {
    /// Contents written.
    pub written: usize,
    /// Of them those without a row.
    pub lost: usize,
    /// Everything else that is wrong: doubled, out of order, a last content that is not shown.
    pub faults: Vec<String>,
    /// From the call until the last content of every file was shown.
    pub converged: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} written, {} lost / {} duplicate or out of order / {:.1} s to converge",
            self.written,
            self.lost,
            self.faults.len(),
            self.converged.as_secs_f64()
        )
    }
}

/// Waits until the last content of every file is shown, and judges what stands in Postgres.
///
/// # Panics
/// When that does not come true, or Postgres cannot be read.
pub async fn outcome(system: &System, projects: &[Project]) -> Outcome {
    let since = Instant::now();
    let api = system.api();
    eventually_within(CONVERGENCE, "the last content of every file", async || {
        for project in projects {
            let last = project.written().pop().unwrap_or_default();
            let build = api.build(&project.build_id(HOST, 1)).await?;
            let shown = build.fields.get("count");
            check(shown == last.get("count"), || {
                format!("{}: {shown:?} and not {}", build.id, last["count"])
            })?;
        }
        Ok(())
    })
    .await;
    let converged = since.elapsed();
    let events = system.database.events().await.expect("Postgres");
    let builds = system.database.builds().await.expect("Postgres");
    let kept: HashSet<(String, u64)> = events
        .iter()
        .filter_map(|row| {
            Some((
                row.project.clone(),
                row.document.as_ref()?["count"].as_u64()?,
            ))
        })
        .collect();
    let truths: Vec<Truth> = projects.iter().map(Truth::from).collect();
    let written = truths.iter().map(|truth| truth.written.len()).sum();
    let lost = truths.iter().map(|truth| {
        let is_lost = |document: &&serde_json::Value| {
            let count = document["count"].as_u64().unwrap_or_default();
            !kept.contains(&(truth.project.clone(), count))
        };
        truth.written.iter().filter(is_lost).count()
    });
    Outcome {
        written,
        lost: lost.sum(),
        faults: faults(&truths, &events, &builds),
        converged,
    }
}
