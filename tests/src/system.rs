//! A whole system for one test: its own nats-server, its own database, and as
//! many aggregators and agents as it likes, each a real process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use protocol::Build;

use crate::api::Api;
use crate::nats::Nats;
use crate::postgres::{Database, Postgres};
use crate::process::{Process, clean, program};
use crate::stream::Client;
use crate::writer::Project;
use crate::{ports, scratch, spawner, wait};

/// Name of the host whose agent [`System::start`] runs.
pub const HOST: &str = "host-1";

/// Servers of a test, and what runs on them.
#[derive(Debug)]
pub struct System {
    /// The agents that run; dropped first.
    pub agents: Vec<Agent>,
    /// The aggregators that run.
    pub aggregators: Vec<Aggregator>,
    /// The broker.
    pub nats: Nats,
    /// Postgres, when it is the test's own.
    pub postgres: Option<Postgres>,
    /// The test's database.
    pub database: Database,
    /// The watched root of the first agent.
    pub watch: PathBuf,
}

impl System {
    /// A broker and an empty database; nothing else runs.
    pub async fn bare() -> Self {
        let database = Postgres::shared().await.database().await;
        Self::with(database, None, Nats::start().await)
    }

    /// The same with its broker's store in this directory.
    pub async fn bare_with_nats_in(dir: &Path) -> Self {
        let database = Postgres::shared().await.database().await;
        Self::with(database, None, Nats::start_in(dir).await)
    }

    /// The same with a Postgres of its own in this directory.
    pub async fn bare_with_postgres_in(dir: &Path) -> Self {
        let postgres = Postgres::start_in(dir).await;
        let database = postgres.database().await;
        Self::with(database, Some(postgres), Nats::start().await)
    }

    /// The same with a Postgres of its own, which may be killed.
    pub async fn bare_with_own_postgres() -> Self {
        let postgres = Postgres::start().await;
        let database = postgres.database().await;
        Self::with(database, Some(postgres), Nats::start().await)
    }

    fn with(database: Database, postgres: Option<Postgres>, nats: Nats) -> Self {
        Self {
            agents: Vec::new(),
            aggregators: Vec::new(),
            nats,
            postgres,
            database,
            watch: scratch::directory("watch"),
        }
    }

    /// Broker, database, one aggregator and one agent, ready for a change.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, the agent with further settings.
    pub async fn start_with(settings: &[(&'static str, &str)]) -> Self {
        let mut system = Self::bare().await;
        system.start_parts_with(settings).await;
        system
    }

    /// The same with a Postgres of its own.
    pub async fn start_with_own_postgres() -> Self {
        let mut system = Self::bare_with_own_postgres().await;
        system.start_parts().await;
        system
    }

    /// One aggregator and one agent, ready for a change.
    pub async fn start_parts(&mut self) {
        self.start_parts_with(&[]).await;
    }

    async fn start_parts_with(&mut self, settings: &[(&'static str, &str)]) {
        let aggregator = Aggregator::start(&self.nats, &self.database).await;
        self.aggregators.push(aggregator);
        let watch = self.watch.clone().into_os_string();
        let agent = Agent::start_with(HOST, watch, &self.nats, settings);
        self.agents.push(agent);
        self.host_is(HOST, "up").await;
    }

    /// The first aggregator's API.
    ///
    /// # Panics
    /// When none was started.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(self.aggregators[0].base())
    }

    /// A new connection to the first aggregator's stream, its snapshot received.
    pub async fn client(&self) -> Client {
        self.client_with("").await
    }

    /// The same with a query, e.g. `?full=1`.
    ///
    /// # Panics
    /// When none was started.
    pub async fn client_with(&self, query: &str) -> Client {
        let client = Client::connect(&self.aggregators[0].base(), query).await;
        client
            .until("the first frame", |seen| {
                (!seen.frames.is_empty()).then_some(())
            })
            .await;
        client
    }

    /// A project under the watched root, its producer's directory made.
    #[must_use]
    pub fn project(&self, path: &str) -> Project {
        Project::create(self.watch.join(path))
    }

    /// Waits for a build of a project on [`HOST`] that satisfies `probe`.
    pub async fn build(
        &self,
        project: &Project,
        run: u32,
        probe: impl Fn(&Build) -> bool,
    ) -> Build {
        let id = project.build_id(HOST, run);
        self.build_by_id(&id, probe).await
    }

    /// Waits for a build that satisfies `probe`.
    pub async fn build_by_id(&self, id: &str, probe: impl Fn(&Build) -> bool) -> Build {
        let api = self.api();
        wait::eventually(&format!("build {id} as expected"), async || {
            let build = api.build(id).await?;
            if probe(&build) {
                Ok(build)
            } else {
                Err(format!("{build:#?}"))
            }
        })
        .await
    }

    /// Waits until a host is `up`, `gone` or `stopped`, and, when up, watches all its roots.
    pub async fn host_is(&self, host: &str, state: &str) {
        let api = self.api();
        wait::eventually(&format!("host {host} is {state}"), async || {
            let seen = api.host(host).await?;
            let walked = seen
                .roots
                .iter()
                .all(|root| root.state != protocol::RootState::Starting);
            let fits =
                seen.state.word() == state && (state != "up" || (walked && !seen.roots.is_empty()));
            wait::check(fits, || format!("{seen:?}"))
        })
        .await;
    }
}

/// A running `phaseline-aggregator`.
#[derive(Debug)]
pub struct Aggregator {
    /// Its process.
    pub process: Process,
    settings: Vec<(&'static str, OsString)>,
    port: u16,
}

impl Aggregator {
    /// Starts one and waits until it is ready.
    pub async fn start(nats: &Nats, database: &Database) -> Self {
        let aggregator = Self::start_without_waiting(nats, database);
        aggregator.ready().await;
        aggregator
    }

    /// Starts one.
    #[must_use]
    pub fn start_without_waiting(nats: &Nats, database: &Database) -> Self {
        Self::start_with(nats, database, &[])
    }

    /// Starts one with further settings.
    #[must_use]
    pub fn start_with(nats: &Nats, database: &Database, more: &[(&'static str, &str)]) -> Self {
        let port = ports::free();
        let mut settings: Vec<(&'static str, OsString)> = vec![
            ("PHASELINE_NATS_URL", nats.url().into()),
            ("PHASELINE_NATS_USER", "aggregator".into()),
            (
                "PHASELINE_NATS_PASSWORD_FILE",
                nats.aggregator_password_file().into(),
            ),
            ("PHASELINE_DATABASE_URL", database.url().into()),
            (
                "PHASELINE_DATABASE_PASSWORD_FILE",
                database.password_file().into(),
            ),
            ("PHASELINE_LISTEN", format!("127.0.0.1:{port}").into()),
        ];
        settings.extend(more.iter().map(|(key, value)| (*key, value.into())));
        Self {
            process: launch("phaseline-aggregator", &settings),
            settings,
            port,
        }
    }

    /// Its address.
    #[must_use]
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until `/readyz` says 200.
    pub async fn ready(&self) {
        let api = Api::new(self.base());
        wait::eventually("the aggregator is ready", async || {
            let answer = api.get("/readyz").await?;
            wait::check(answer.status == 200, || answer.body)
        })
        .await;
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, as it was, on its port.
    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// The same with further settings, this time only.
    pub fn restart_with(&mut self, more: &[(&'static str, &str)]) {
        self.process.kill();
        let mut settings = self.settings.clone();
        settings.extend(more.iter().map(|(key, value)| (*key, value.into())));
        self.process = launch("phaseline-aggregator", &settings);
    }
}

/// A running `phaseline-agent`.
#[derive(Debug)]
pub struct Agent {
    /// Its process.
    pub process: Process,
    settings: Vec<(&'static str, OsString)>,
}

impl Agent {
    /// Starts one that watches one root.
    #[must_use]
    pub fn start(host: &str, watch: &Path, nats: &Nats) -> Self {
        Self::start_with(host, watch.as_os_str().to_owned(), nats, &[])
    }

    /// Starts one with further settings; `watch` may name several roots.
    #[must_use]
    pub fn start_with(
        host: &str,
        watch: OsString,
        nats: &Nats,
        more: &[(&'static str, &str)],
    ) -> Self {
        let settings = Self::settings(host, watch, nats, more);
        Self {
            process: launch("phaseline-agent", &settings),
            settings,
        }
    }

    fn settings(
        host: &str,
        watch: OsString,
        nats: &Nats,
        more: &[(&'static str, &str)],
    ) -> Vec<(&'static str, OsString)> {
        let mut settings: Vec<(&'static str, OsString)> = vec![
            ("PHASELINE_NATS_URL", nats.url().into()),
            ("PHASELINE_NATS_USER", "agent".into()),
            (
                "PHASELINE_NATS_PASSWORD_FILE",
                nats.agent_password_file().into(),
            ),
            ("PHASELINE_HOST", host.into()),
            ("PHASELINE_WATCH", watch),
            ("PHASELINE_STATE_DIR", scratch::directory("state").into()),
        ];
        settings.extend(
            more.iter()
                .map(|(key, value)| (*key, OsString::from(value))),
        );
        settings
    }

    /// Starts one with a limit of its own in `/proc/sys/user`; none where the
    /// system gives no user namespace with limits of its own.
    ///
    /// # Panics
    /// When it cannot be tried.
    #[must_use]
    pub fn start_limited(
        host: &str,
        watch: &Path,
        nats: &Nats,
        limit: &str,
        value: u32,
    ) -> Option<Self> {
        let script = format!("echo {value} > /proc/sys/user/{limit}");
        let limited = || {
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "sh", "-c"]);
            command
        };
        let tried = limited().arg(&script).stderr(Stdio::null()).status();
        if !tried.is_ok_and(|status| status.success()) {
            return None;
        }
        let script = format!("{script}; exec \"$0\"");
        let prefix = ["unshare", "--user", "--map-root-user", "sh", "-c", &script];
        Some(Self::start_under(&prefix, host, watch, nats))
    }

    /// Starts one by another program, which is to end as the agent does (`exec`).
    ///
    /// # Panics
    /// When the prefix is empty.
    #[must_use]
    pub fn start_under(prefix: &[&str], host: &str, watch: &Path, nats: &Nats) -> Self {
        let settings = Self::settings(host, watch.as_os_str().to_owned(), nats, &[]);
        let mut command = clean(spawner::command(prefix[0]));
        command.args(&prefix[1..]).arg(program("phaseline-agent"));
        command.envs(settings.iter().map(|(key, value)| (key, value)));
        Self {
            process: Process::start("phaseline-agent", command),
            settings,
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, as it was, on its state directory.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = launch("phaseline-agent", &self.settings);
    }

    /// Its state directory.
    ///
    /// # Panics
    /// Never: every agent has one.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        let setting = self
            .settings
            .iter()
            .rfind(|(key, _)| *key == "PHASELINE_STATE_DIR");
        PathBuf::from(&setting.expect("every agent has one").1)
    }
}

fn launch(name: &str, settings: &[(&'static str, OsString)]) -> Process {
    let mut command: Command = clean(spawner::command(program(name)));
    let log = std::env::var_os("PHASELINE_TEST_LOG").unwrap_or_else(|| "info".into());
    command.env("PHASELINE_LOG", log);
    command.envs(settings.iter().map(|(key, value)| (key, value)));
    Process::start(name, command)
}
