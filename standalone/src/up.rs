//! `phaseline up`: starts the private servers, then the aggregator and the
//! agent in this process, and stops all of it in order: the agent says
//! good-bye, the aggregator records that, the servers end last.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::account;
use crate::kept_nats::KeptNats;
use crate::lock::DirLock;
use crate::nats_server;
use crate::private_dir::create_private_dir;
use crate::runtime_file::RuntimeFile;
use crate::settings::UpConfig;
use crate::supervise::{started, supervise};
use crate::{NatsOptions, NatsServer, PostgresOptions, PostgresServer, postgres_bin};

/// The agent has at most one message to send; together with the next two all ends within 10 s.
const AGENT_GRACE: Duration = Duration::from_secs(2);
/// It finishes its batch, and closes browsers.
const AGGREGATOR_GRACE: Duration = Duration::from_secs(4);
/// Above the servers' own grace times, after which they are killed.
const SERVERS_GRACE: Duration = Duration::from_millis(3_500);

/// Runs everything until `stop`. `ready` gets the address of the dashboard
/// when a change of a build file would reach a browser.
///
/// # Errors
/// When a part does not start, or ends by itself.
pub async fn run(
    config: UpConfig,
    ready: oneshot::Sender<String>,
    stop: CancellationToken,
) -> Result<()> {
    // Looked for before anything is made: a start that is refused leaves nothing behind.
    let mut config = config;
    config.nats_server = Some(nats_server::find(config.nats_server).await?);
    postgres_bin::find(config.postgres_bin.as_deref(), None).await?;
    let (listener, _lock) = take(&config).await?;
    let page = page_url(listener.local_addr()?);
    let Some(servers) = stop.run_until_cancelled(start_servers(&config)).await else {
        return Ok(());
    };
    let (nats, postgres) = servers?;
    let runtime_file = RuntimeFile {
        page: page.clone(),
        nats_url: nats.url(),
        nats_user: NatsServer::AGENT_USER.to_owned(),
        nats_password_file: nats.agent_password_file(),
    };
    let agent_config = agent_config(&config, &nats);
    let silent = agent_config.broker_silent.subscribe();
    let result = Parts::start(&config, listener, nats, postgres, silent)
        .run(agent_config, &config.state_dir, &runtime_file, ready, &stop)
        .await;
    RuntimeFile::remove(&config.state_dir);
    result
}

/// The address and the state directory. Where the address is taken, a directory
/// that is ours already says best by whom; none is made for that.
async fn take(config: &UpConfig) -> Result<(TcpListener, DirLock)> {
    match bind(config.listen).await {
        Err(error) if !is_ours(&config.state_dir) => Err(error),
        listener => {
            let lock = claim(&config.state_dir).await?;
            Ok((listener?, lock))
        }
    }
}

/// An agent or an earlier start made it.
fn is_ours(state_dir: &Path) -> bool {
    let marks = ["lock", "agent.lock"];
    marks.iter().any(|mark| state_dir.join(mark).exists())
}

/// Makes the state directory ours.
async fn claim(state_dir: &Path) -> Result<DirLock> {
    // Any other directory is somebody's, and stays as it is.
    let is_new = !state_dir.exists();
    if is_new || is_ours(state_dir) {
        // As root, Postgres' user must pass through it to its own directory.
        let account = account::choose(state_dir).await?;
        if is_new {
            account::check_way(state_dir, account).await?;
        }
        create_private_dir(state_dir)?;
        account::let_through(state_dir, account).await?;
    }
    match DirLock::take(state_dir) {
        Ok(lock) => Ok(lock),
        Err(error) => match RuntimeFile::read(state_dir) {
            Ok(Some(running)) => bail!(
                "phaseline already runs with this state directory: open {}, or choose another directory with --state-dir ({error:#})",
                running.page
            ),
            _ => Err(error.context(
                "failed to take the state directory; is another phaseline starting or stopping?",
            )),
        },
    }
}

async fn bind(listen: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "port {} on {} is in use by another program: stop that one, or choose another address, e.g. --listen {} (PHASELINE_LISTEN)",
            listen.port(),
            listen.ip(),
            SocketAddr::new(listen.ip(), listen.port().wrapping_add(1).max(1024)),
        ),
        std::io::ErrorKind::AddrNotAvailable => anyhow!(
            "this machine has no address {}: listen on one of its own, e.g. --listen 127.0.0.1:{port} for itself or 0.0.0.0:{port} for its networks (PHASELINE_LISTEN)",
            listen.ip(),
            port = listen.port(),
        ),
        _ => anyhow!("failed to listen on {listen}: {error}"),
    })
}

/// An address that a browser on this machine can open.
fn page_url(mut local: SocketAddr) -> String {
    if local.ip().is_unspecified() {
        local.set_ip(match local {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{local}")
}

async fn start_servers(config: &UpConfig) -> Result<(NatsServer, PostgresServer)> {
    let mut nats = NatsOptions::new(config.state_dir.join("nats"));
    nats.binary.clone_from(&config.nats_server);
    let mut postgres = PostgresOptions::new(config.state_dir.join("postgres"));
    postgres.bin_dir.clone_from(&config.postgres_bin);
    let servers = tokio::try_join!(NatsServer::start(nats), PostgresServer::start(postgres))?;
    tracing::info!(
        nats.port = servers.0.port(),
        postgres.socket = %servers.1.socket_dir().display(),
        "the private servers run"
    );
    Ok(servers)
}

/// Everything that runs, each with its own stop so that they end in order.
struct Parts {
    tasks: TaskTracker,
    aggregator: Part,
    agent: Option<Part>,
    servers_stop: CancellationToken,
    servers: [AbortHandle; 2],
}

struct Part {
    name: &'static str,
    stop: CancellationToken,
    ready: oneshot::Receiver<()>,
    task: JoinHandle<Result<()>>,
}

impl Parts {
    /// The servers get their keepers, and the aggregator starts.
    fn start(
        config: &UpConfig,
        listener: TcpListener,
        nats: NatsServer,
        postgres: PostgresServer,
        broker_silent: watch::Receiver<bool>,
    ) -> Self {
        let tasks = TaskTracker::new();
        let mut aggregator_config = aggregator_config(config, &nats, &postgres);
        let nats = KeptNats::new(nats, broker_silent);
        let (nats_told, postgres_told) = (started::<KeptNats>(), started::<PostgresServer>());
        aggregator_config.servers = vec![nats_told.subscribe(), postgres_told.subscribe()];
        let servers_stop = CancellationToken::new();
        Self {
            aggregator: Part::start(&tasks, "aggregator", |ready, stop| {
                aggregator::run(aggregator_config, listener, ready, stop)
            }),
            agent: None,
            servers: [
                tasks
                    .spawn(supervise(nats, nats_told, servers_stop.clone()))
                    .abort_handle(),
                tasks
                    .spawn(supervise(postgres, postgres_told, servers_stop.clone()))
                    .abort_handle(),
            ],
            servers_stop,
            tasks,
        }
    }

    /// Until `stop`, or until a part ends by itself; then everything else is stopped.
    async fn run(
        mut self,
        agent_config: agent::Config,
        state_dir: &Path,
        runtime_file: &RuntimeFile,
        ready: oneshot::Sender<String>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let life = async {
            self.aggregator.until_ready().await?;
            // Only now, so that somebody hears its first presence: the host is on the page from the beginning.
            let agent = self
                .agent
                .insert(Part::start(&self.tasks, "agent", |ready, stop| {
                    agent::run(agent_config, ready, stop)
                }));
            agent.until_ready().await?;
            runtime_file.write(state_dir)?;
            // Whoever started us may not care.
            let _ = ready.send(runtime_file.page.clone());
            tokio::select! {
                end = agent.end() => end,
                end = self.aggregator.end() => end,
            }
        };
        let result = stop.run_until_cancelled(life).await.unwrap_or(Ok(()));
        tracing::info!("stopping");
        self.stop().await;
        result
    }

    async fn stop(mut self) {
        if let Some(agent) = &mut self.agent {
            agent.stop(AGENT_GRACE).await;
        }
        self.aggregator.stop(AGGREGATOR_GRACE).await;
        self.servers_stop.cancel();
        self.tasks.close();
        let ended = tokio::time::timeout(SERVERS_GRACE, self.tasks.wait());
        if ended.await.is_err() {
            tracing::warn!("the private servers did not end in time and are killed");
            for server in &self.servers {
                server.abort();
            }
        }
    }
}

impl Part {
    fn start<F>(
        tasks: &TaskTracker,
        name: &'static str,
        run: impl FnOnce(oneshot::Sender<()>, CancellationToken) -> F,
    ) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (sender, ready) = oneshot::channel();
        let stop = CancellationToken::new();
        let task = tasks.spawn(run(sender, stop.clone()));
        Self {
            name,
            stop,
            ready,
            task,
        }
    }

    async fn until_ready(&mut self) -> Result<()> {
        if (&mut self.ready).await.is_ok() {
            return Ok(());
        }
        // It ended without a word; its result says why.
        self.end().await
    }

    /// Its end, which before a stop is always a failure.
    async fn end(&mut self) -> Result<()> {
        match (&mut self.task).await {
            Ok(Ok(())) => Err(anyhow!("the {} ended by itself", self.name)),
            Ok(Err(error)) => Err(error.context(format!("the {} failed", self.name))),
            Err(error) => Err(anyhow!("the {} failed: {error}", self.name)),
        }
    }

    async fn stop(&mut self, grace: Duration) {
        self.stop.cancel();
        // One that has ended already was reported by `end`, and must not be polled again.
        if self.task.is_finished() {
            return;
        }
        match tokio::time::timeout(grace, &mut self.task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!("the {} stopped with: {error:#}", self.name),
            Ok(Err(error)) => tracing::error!("the {} failed: {error}", self.name),
            Err(_) => {
                tracing::warn!("the {} did not stop in time and is cut off", self.name);
                self.task.abort();
            }
        }
    }
}

/// The private Postgres, as the aggregator is told of it.
pub(crate) fn database(postgres: &PostgresServer) -> aggregator::DatabaseTarget {
    aggregator::DatabaseTarget {
        url: postgres.url(),
        password: Some(postgres.password().reveal().to_owned()),
    }
}

fn aggregator_config(
    config: &UpConfig,
    nats: &NatsServer,
    postgres: &PostgresServer,
) -> aggregator::Config {
    let mut aggregator = aggregator::Config::new(
        aggregator::NatsTarget {
            url: nats.url(),
            user: Some(NatsServer::AGGREGATOR_USER.to_owned()),
            password: Some(nats.aggregator_password().reveal().to_owned()),
        },
        database(postgres),
    );
    aggregator.retention = config.retention;
    aggregator.budgets.clone_from(&config.budgets);
    aggregator.log_limits = config.log_limits;
    aggregator.allowed_hosts.clone_from(&config.allowed_hosts);
    // A call to its port is about the host whose files are watched.
    aggregator.host.clone_from(&config.host);
    // Its texts stay where the agent's stay.
    aggregator.runner_logs = config.texts != agent::Texts::None;
    aggregator
}

fn agent_config(config: &UpConfig, nats: &NatsServer) -> agent::Config {
    let nats = agent::NatsTarget {
        url: nats.url(),
        user: Some(NatsServer::AGENT_USER.to_owned()),
        password: Some(nats.agent_password().reveal().to_owned()),
    };
    // The whole state directory is the agent's own, which it does not watch:
    // the servers' data beneath changes all the time.
    let mut agent = agent::Config::new(
        &config.host,
        config.watch.clone(),
        nats,
        config.state_dir.clone(),
    );
    agent.outbox_max = config.outbox_max;
    agent.prune = config.prune.clone();
    agent.max_depth = config.max_depth;
    agent.producers = config.producers.clone();
    agent.texts = config.texts;
    agent.logs.clone_from(&config.log_files);
    agent.transcripts.clone_from(&config.transcripts);
    agent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_can_be_opened_where_everything_is_listened_on() {
        let url = |text: &str| page_url(text.parse().unwrap());
        assert_eq!(url("127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(url("0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(url("[::]:80"), "http://[::1]:80");
    }

    #[tokio::test]
    async fn a_port_in_use_is_one_sentence_with_a_way_out() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind(address).await.unwrap_err().to_string();
        assert!(
            error.contains("in use") && error.contains("--listen"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_one_sentence_with_a_way_out() {
        // Of the block for documentation (RFC 5737): nobody's.
        let error = bind("192.0.2.1:18082".parse().unwrap()).await.unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("no address 192.0.2.1") && error.contains("--listen 127.0.0.1:18082"),
            "{error}"
        );
    }
}
