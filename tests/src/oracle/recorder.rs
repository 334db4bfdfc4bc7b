//! What a fault test judges by: the truth log, three browsers that record, and
//! a look at whether the machine lets anybody run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::truth::{Pulse, TruthLog};
use super::verdict::{Verdict, newest_shown, reached, verdict};
use crate::follower::Follower;
use crate::system::{Aggregator, System};
use crate::wait;
use crate::writer::{Manner, Project};

/// So many browsers, one after the other at each aggregator.
const BROWSERS: usize = 3;
/// Until all has arrived: far beyond what is promised, because the figure is
/// printed and a busy machine is no fault of ours.
const CONVERGENCE: Duration = Duration::from_secs(90);

/// Records from its start to the verdict.
#[derive(Debug)]
pub struct Recorder {
    /// What was written.
    pub truth: Arc<TruthLog>,
    followers: Vec<Follower>,
    _pulse: Pulse,
}

impl Recorder {
    /// With three browsers at the aggregators that run.
    #[must_use]
    pub fn start(system: &System) -> Self {
        let bases: Vec<String> = system.aggregators.iter().map(Aggregator::base).collect();
        let at = |number: usize| {
            let (mut bases, count) = (bases.clone(), bases.len());
            bases.rotate_left(number % count);
            Follower::roam(bases)
        };
        Self::with((0..BROWSERS).map(at).collect())
    }

    /// Without browsers, where there are more builds than a snapshot has.
    #[must_use]
    pub fn without_browsers() -> Self {
        Self::with(Vec::new())
    }

    fn with(followers: Vec<Follower>) -> Self {
        let truth: Arc<TruthLog> = Arc::default();
        Self {
            _pulse: Pulse::start(&truth),
            truth,
            followers,
        }
    }

    /// Writes the n-th content of a project's phase file as its producer does.
    pub fn step(&self, project: &Project, n: u64) {
        self.truth.write(project, n, Manner::InPlace);
    }

    /// Waits until everything is committed and shown, then judges.
    ///
    /// # Panics
    /// When Postgres cannot be read.
    pub async fn verdict(&self, system: &System, since: Instant) -> Verdict {
        self.verdict_within(system, since, CONVERGENCE).await
    }

    /// The same with another patience: what has not arrived by then is lost.
    ///
    /// # Panics
    /// When Postgres cannot be read.
    pub async fn verdict_within(
        &self,
        system: &System,
        since: Instant,
        patience: Duration,
    ) -> Verdict {
        let (goal, mut kept) = (self.truth.newest(), None);
        let until = Instant::now() + patience;
        let arrived = loop {
            let arrived = match system.database.shown_counts(&mut kept).await {
                Ok(shown) => reached(&goal, &shown).map_err(|why| format!("builds: {why}")),
                Err(why) => Err(why),
            };
            let shown = self.followers.iter().enumerate().map(|(number, follower)| {
                let shown = reached(&goal, &newest_shown(follower));
                shown.map_err(|why| format!("browser {number}: {why}"))
            });
            let arrived = arrived.and(shown.collect());
            if arrived.is_ok() || Instant::now() > until {
                break arrived;
            }
            tokio::time::sleep(wait::BETWEEN_LOOKS).await;
        };
        let converged = since.elapsed();
        let mut verdict = verdict(&self.truth, &system.database, &self.followers)
            .await
            .expect("Postgres can be read");
        match arrived {
            Ok(()) => verdict.converged.push(converged),
            Err(why) => verdict.lost.push(why),
        }
        verdict
    }

    /// Breaches of the stream's promises that the browsers noticed.
    #[must_use]
    pub fn breaches(&self) -> Vec<String> {
        let of = |follower: &Follower| follower.look(|seen| seen.breaches.clone());
        self.followers.iter().flat_map(of).collect()
    }
}
