//! Writers that rewrite many files at a steady rate until they are told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinHandle;

use crate::oracle::{Pulse, TruthLog};
use crate::writer::{Manner, Project};

/// How often, over all files.
#[derive(Debug, Clone, Copy)]
pub struct Rate(pub u32);

/// A running writer; stops when dropped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    task: Option<JoinHandle<u64>>,
    _pulse: Pulse,
}

impl Load {
    /// Rewrites these projects' phase files in random order and manner; each first once.
    #[must_use]
    pub fn start(truth: Arc<TruthLog>, projects: Arc<Vec<Project>>, rate: Rate, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, pulse) = (Arc::clone(&stop), Pulse::start(&truth));
        let task = tokio::task::spawn_blocking(move || write(&truth, &projects, rate, seed, &told));
        Self {
            stop,
            task: Some(task),
            _pulse: pulse,
        }
    }

    /// Stops, and says how many contents were written.
    ///
    /// # Panics
    /// When a file could not be written.
    pub async fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let task = self.task.take().expect("it is stopped once");
        task.await.expect("the writer")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a writer's pace, on a thread of its own"
)]
fn write(
    truth: &TruthLog,
    projects: &[Project],
    Rate(rate): Rate,
    seed: u64,
    stop: &AtomicBool,
) -> u64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let start = Instant::now();
    let mut count = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let next = usize::try_from(count - 1).unwrap_or(usize::MAX);
        let index = if next < projects.len() {
            next
        } else {
            rng.random_range(0..projects.len())
        };
        let manner = if rng.random_bool(0.5) {
            Manner::InPlace
        } else {
            Manner::Atomic
        };
        truth.write(&projects[index], count, manner);
        let due = Duration::from_secs(1).mul_f64(count as f64 / f64::from(rate));
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    count
}
