//! A whole system under load, with its truth log and its browsers: two
//! aggregators, one agent, a broker and a Postgres of its own, all of which
//! may be killed. What the fault tests share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::follower::Follower;
use crate::load::{Load, Rate};
use crate::oracle::{TruthLog, Verdict, newest_shown, reached, verdict};
use crate::postgres::Postgres;
use crate::proxy::Proxy;
use crate::system::{Agent, Aggregator, HOST, System};
use crate::wait::{self, check, eventually_within};
use crate::writer::Project;

/// Until all has arrived after the last fault: far beyond what is promised, because the
/// figure is printed and a busy machine is no fault of ours.
const CONVERGENCE: Duration = Duration::from_secs(90);
/// Postgres replays its log and syncs every file, beside the load, at the disk's pace.
const RECOVERY: Duration = Duration::from_secs(150);

/// What can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The agent.
    Agent,
    /// One of the two aggregators.
    Aggregator(usize),
    /// nats-server.
    Nats,
    /// The first process of Postgres.
    Postmaster,
    /// A process of Postgres that serves a connection.
    Backend,
}

/// The system with its truth.
#[derive(Debug)]
pub struct Fleet {
    /// What runs.
    pub system: System,
    /// What was written.
    pub truth: Arc<TruthLog>,
    /// Whose files are written.
    pub projects: Arc<Vec<Project>>,
    /// Three browsers: one at each aggregator, one that takes whichever answers.
    pub followers: Vec<Follower>,
    /// From each return until everything written before was committed.
    pub converged: Vec<(Part, Duration)>,
    /// Redelivered events that changed nothing, as far as it could be read before a kill.
    pub repeated: f64,
    watches: usize,
}

/// The network between the parts.
#[derive(Debug)]
pub struct Wires {
    /// Agent to nats-server.
    pub agent: Proxy,
    /// Both aggregators to nats-server.
    pub aggregators: Proxy,
    /// Both aggregators to Postgres.
    pub postgres: Proxy,
    /// A browser to the first aggregator.
    pub browser: Proxy,
}

impl Fleet {
    /// Starts everything with so many files, none written yet.
    pub async fn start(files: usize) -> Self {
        let mut system = System::start_with_own_postgres().await;
        let second = Aggregator::start(&system.nats, &system.database).await;
        system.aggregators.push(second);
        Self::of(system, files).await
    }

    /// The same with a network between the parts that can be broken. The third
    /// browser goes through it.
    ///
    /// # Panics
    /// When a part does not start.
    pub async fn start_wired(files: usize) -> (Self, Wires) {
        let mut system = System::bare_with_own_postgres().await;
        let broker = system.nats.url().replace("nats://", "");
        let socket = system.postgres.as_ref().map(Postgres::socket);
        let socket = socket.expect("its own Postgres").display().to_string();
        let (agent, aggregators) = (Proxy::start(&broker).await, Proxy::start(&broker).await);
        let postgres = Proxy::start(&socket).await;
        let nats_url = format!("nats://{}", aggregators.address());
        let database_url = system.database.url_over_tcp(postgres.port());
        for _ in 0..2 {
            let settings = [
                ("PHASELINE_NATS_URL", nats_url.as_str()),
                ("PHASELINE_DATABASE_URL", &database_url),
            ];
            let aggregator = Aggregator::start_with(&system.nats, &system.database, &settings);
            aggregator.ready().await;
            system.aggregators.push(aggregator);
        }
        let nats_url = format!("nats://{}", agent.address());
        system.agents.push(Agent::start_with(
            HOST,
            system.watch.clone().into_os_string(),
            &system.nats,
            &[
                ("PHASELINE_NATS_URL", &nats_url),
                // So that a content that is missed can be explained.
                ("PHASELINE_LOG", "info,agent=debug"),
            ],
        ));
        system.host_is(HOST, "up").await;
        let browser = system.aggregators[0].base().replace("http://", "");
        let browser = Proxy::start(&browser).await;
        let mut fleet = Self::of(system, files).await;
        fleet.followers[2] = Follower::roam(vec![format!("http://{}", browser.address())]);
        let wires = Wires {
            agent,
            aggregators,
            postgres,
            browser,
        };
        (fleet, wires)
    }

    async fn of(system: System, files: usize) -> Self {
        let project = |number| system.project(&format!("work/p{number:03}"));
        let projects: Vec<Project> = (0..files).map(project).collect();
        let bases: Vec<String> = system.aggregators.iter().map(Aggregator::base).collect();
        let followers = vec![
            Follower::roam(bases[..1].to_vec()),
            Follower::roam(bases[1..].to_vec()),
            Follower::roam(bases),
        ];
        let mut fleet = Self {
            system,
            truth: Arc::default(),
            projects: Arc::new(projects),
            followers,
            converged: Vec::new(),
            repeated: 0.0,
            watches: 0,
        };
        fleet.watches = fleet.all_are_watched(files).await;
        fleet
    }

    /// Waits until the agent watches at least this much; how much it watches.
    async fn all_are_watched(&self, least: usize) -> usize {
        let agent = &self.system.agents[0].process;
        eventually_within(CONVERGENCE, "the agent watches all projects", async || {
            let watches = agent.watches();
            check(watches >= least, || format!("{watches} of {least}")).map(|()| watches)
        })
        .await
    }

    /// Begins to write.
    #[must_use]
    pub fn load(&self, rate: Rate, seed: u64) -> Load {
        let (truth, projects) = (Arc::clone(&self.truth), Arc::clone(&self.projects));
        Load::start(truth, projects, rate, seed)
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// When it does not run, or the operating system does not tell its end.
    pub async fn kill(&mut self, part: Part) {
        assert!(self.runs(part), "{part:?} is killed while it does not run");
        match part {
            Part::Agent => {
                self.truth.agent_ends();
                self.system.agents[0].kill();
            }
            Part::Aggregator(index) => {
                self.count_repeated(index).await;
                self.system.aggregators[index].kill();
            }
            Part::Nats => self.system.nats.kill().await,
            Part::Postmaster => self.own_postgres().kill().await,
            Part::Backend => {
                wait::eventually("a process of Postgres can be killed", async || {
                    let postgres = self.system.postgres.as_ref().expect("its own Postgres");
                    postgres.kill_backend(&self.system.database).await
                })
                .await;
            }
        }
    }

    /// Asks it to stop in order, and waits for its end; how long that took.
    ///
    /// # Panics
    /// When it does not end, or ends with a failure.
    pub async fn stop(&mut self, part: Part) -> Duration {
        let since = Instant::now();
        let status = match part {
            Part::Agent => {
                self.truth.agent_ends();
                self.system.agents[0].process.stop().await
            }
            Part::Aggregator(index) => {
                self.count_repeated(index).await;
                self.system.aggregators[index].process.stop().await
            }
            Part::Nats => self.system.nats.stop().await,
            Part::Postmaster | Part::Backend => self.own_postgres().stop().await,
        };
        assert!(status.success(), "{part:?} stopped with {status:?}");
        since.elapsed()
    }

    fn runs(&mut self, part: Part) -> bool {
        match part {
            Part::Agent => self.system.agents[0].process.ended().is_none(),
            Part::Aggregator(index) => self.system.aggregators[index].process.ended().is_none(),
            Part::Nats => self.system.nats.pid().is_some(),
            Part::Postmaster | Part::Backend => self.own_postgres().pid().is_some(),
        }
    }

    fn own_postgres(&mut self) -> &mut Postgres {
        self.system.postgres.as_mut().expect("its own Postgres")
    }

    /// Starts it again, and waits until it would work, all else being there.
    pub async fn revive(&mut self, part: Part) {
        match part {
            Part::Agent => {
                self.system.agents[0].restart();
                self.agent_is_back().await;
            }
            Part::Aggregator(index) => self.system.aggregators[index].restart(),
            Part::Nats => self.system.nats.up().await,
            Part::Postmaster => self.own_postgres().up().await,
            // Postgres itself ends the others, recovers and takes connections again.
            Part::Backend => {
                let since = Instant::now();
                wait::eventually_within(RECOVERY, "Postgres recovers", async || {
                    self.system.database.number("SELECT 1::bigint").await
                })
                .await;
                let seconds = since.elapsed().as_secs_f64();
                eprintln!("Postgres itself took {seconds:.1} s to recover");
            }
        }
    }

    /// From here on the agent is held to the promise again.
    pub async fn agent_is_back(&self) {
        self.all_are_watched(self.watches).await;
        self.truth.agent_watches();
    }

    /// Remembers what an aggregator counted, before that is gone.
    pub async fn count_repeated(&mut self, index: usize) {
        let api = Api::new(self.system.aggregators[index].base());
        let name = "phaseline_writer_events_total{kind=\"repeated\"}";
        if let Ok(repeated) = api.metric(name).await {
            self.repeated += repeated;
        }
    }

    /// Waits until what was written so far is committed: `part` is back at work.
    pub async fn converges(&mut self, part: Part) {
        let since = Instant::now();
        self.everything_is_committed().await;
        self.converged.push((part, since.elapsed()));
    }

    /// The numbers of what was written until now, which is now committed.
    async fn everything_is_committed(&self) -> BTreeMap<String, u64> {
        let (goal, database) = (self.truth.newest(), &self.system.database);
        let mut kept = None;
        let what = "all that was written is committed";
        eventually_within(CONVERGENCE, what, async || {
            reached(&goal, &database.shown_counts(&mut kept).await?)
        })
        .await;
        goal
    }

    /// Waits until everything is committed and every browser shows it, then judges.
    ///
    /// # Panics
    /// When it never arrives, or Postgres cannot be read.
    pub async fn verdict(&mut self) -> Verdict {
        let goal = self.everything_is_committed().await;
        let database = &self.system.database;
        for (number, follower) in self.followers.iter().enumerate() {
            let what = format!("browser {number} shows the newest states");
            eventually_within(CONVERGENCE, &what, async || {
                reached(&goal, &newest_shown(follower))
            })
            .await;
        }
        let mut verdict = verdict(&self.truth, database, &self.followers)
            .await
            .expect("Postgres can be read");
        self.explain(&verdict);
        verdict.converged = self.converged.iter().map(|(_, time)| *time).collect();
        for index in 0..self.system.aggregators.len() {
            self.count_repeated(index).await;
        }
        verdict
    }

    /// Prints what the agents said of the projects of which something is lost.
    fn explain(&self, verdict: &Verdict) {
        let is_lost = |project: &&Project| {
            let token = project.token().to_string();
            verdict.lost.iter().any(|lost| lost.starts_with(&token))
        };
        for project in self.projects.iter().filter(is_lost) {
            let path = format!("{}/", project.dir().display());
            for agent in &self.system.agents {
                let output = agent.process.output();
                for line in output.lines().filter(|line| line.contains(&path)) {
                    eprintln!("{line}");
                }
            }
        }
    }

    /// Breaches of the stream's promises that the browsers noticed.
    #[must_use]
    pub fn breaches(&self) -> Vec<String> {
        let of = |follower: &Follower| follower.look(|seen| seen.breaches.clone());
        self.followers.iter().flat_map(of).collect()
    }

    /// The slowest return of each part, for people.
    #[must_use]
    pub fn slowest(&self) -> String {
        let mut slowest: Vec<(String, Duration, usize)> = Vec::new();
        for (part, time) in &self.converged {
            let name = match part {
                Part::Aggregator(_) => "Aggregator".to_owned(),
                part => format!("{part:?}"),
            };
            match slowest.iter_mut().find(|(known, ..)| *known == name) {
                Some((_, longest, count)) => {
                    *longest = (*longest).max(*time);
                    *count += 1;
                }
                None => slowest.push((name, *time, 1)),
            }
        }
        let line = |(name, time, count): &(String, Duration, usize)| {
            format!("{name} {:.1} s of {count}", time.as_secs_f64())
        };
        slowest.iter().map(line).collect::<Vec<_>>().join(", ")
    }
}
