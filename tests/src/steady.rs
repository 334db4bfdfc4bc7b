//! A calm writer: files in turn, so slowly that each content stands long
//! enough to be owed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;

use crate::fixtures;
use crate::oracle::TruthLog;
use crate::writer::{Manner, Project};

/// A content stands this long before it is replaced: above the 250 ms from
/// which on it may not be lost.
const STANDS: Duration = Duration::from_millis(400);

/// A running writer; stops when dropped.
#[derive(Debug)]
pub struct Steady {
    stop: Arc<AtomicBool>,
    task: Option<JoinHandle<()>>,
}

impl Steady {
    /// Writes each project's phase file every 400 ms, with `filler` bytes in it.
    #[must_use]
    pub fn start(truth: &Arc<TruthLog>, projects: &Arc<Vec<Project>>, filler: usize) -> Self {
        let (truth, projects) = (Arc::clone(truth), Arc::clone(projects));
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let task = tokio::task::spawn_blocking(move || write(&truth, &projects, filler, &told));
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
fn write(truth: &TruthLog, projects: &[Project], filler: usize, stop: &AtomicBool) {
    let count = u32::try_from(projects.len()).unwrap_or(u32::MAX);
    let mut number = truth.newest().into_values().max().unwrap_or(0);
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        for project in projects {
            let mut document = fixtures::numbered(&project.name(), number);
            document["filler"] = json!(format!("{number}").repeat(filler / 2));
            truth.write_document(project, number, &document, Manner::InPlace);
            std::thread::sleep(STANDS / count);
        }
    }
}
