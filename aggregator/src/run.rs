//! Wiring: which tasks there are, what they share, and in which order they end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use ingest::Lines;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::alerts::Alerts;
use crate::budgets::{self, Budget};
use crate::config::Config;
use crate::ingest::{LogWay, StreamSink};
use crate::live::{self, Hub, OwnReader, Servers};
use crate::metrics::Metrics;
use crate::nats::{self, Nats};
use crate::store::{DatabaseTarget, Store};
use crate::web::{self, App, Health, HostPolicy};
use crate::writer::{self, FailPoint, Leadership, WriterParts};

/// What all tasks together have to end; beyond it they are left behind with a warning.
const STOP_WITHIN: Duration = Duration::from_secs(9);
/// What NATS has to take our last words.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);
/// First and longest wait before Postgres is asked again at start.
const RETRY: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_secs(2);

/// The tasks without which there is no aggregator: one that fails ends the rest.
type Parts = JoinSet<anyhow::Result<()>>;

/// Runs the aggregator until `stop`. `ready` fires when `/readyz` answers 200
/// for the first time. NATS or Postgres being away is waited for; `/healthz`
/// answers meanwhile. After `stop`: browsers are told, the batch is finished,
/// NATS is closed, all within 10 s.
///
/// # Errors
/// When a target cannot be used, the database has another program's schema,
/// or a part of the program failed for good.
pub async fn run(
    config: Config,
    listener: TcpListener,
    ready: oneshot::Sender<()>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (store, nats) = targets(&config).await?;
    raise_file_limit();
    let metrics = Arc::new(Metrics::new());
    let hub = Arc::new(Hub::new(Arc::clone(&metrics)));
    let (own, own_reader) = live::own_frames();
    let (leads, leadership) = watch::channel(Leadership::None);
    let alerts = Arc::new(Alerts::default());
    let health = Arc::new(Health {
        alerts: Arc::clone(&alerts),
        hub: Arc::clone(&hub),
        nats: nats.clone(),
        store: store.clone(),
        leadership,
        servers: config.servers.clone(),
    });
    // Everything below ends with it; a part that fails ends the rest.
    let ending = stop.child_token();
    let ip = listener.local_addr().ok().map(|address| address.ip());
    let hosts = HostPolicy::new(config.allowed_hosts, ip);
    let mut app = App::new(
        Arc::clone(&hub),
        store.clone(),
        Arc::clone(&health),
        Arc::clone(&metrics),
        hosts,
        ending.clone(),
    );
    let budgets: Arc<[Budget]> = config.budgets.into();
    app.retention = config.retention;
    app.budgets = Arc::clone(&budgets);
    let connections = app.tasks.clone();
    let mut parts = Parts::new();
    let sink = StreamSink::new(nats.clone(), config.host);
    let lines = config.runner_logs.then(|| Arc::new(sink.lines()));
    parts.spawn(well(ship(lines.clone(), LogWay::new(&nats), &app)));
    let taking = taking(sink, lines, config.ingest_token.as_deref(), &app);
    let serving = ingest::serve(
        listener,
        web::router(app, ingest::router(taking)),
        web::MAX_CONNECTIONS,
        connections.clone(),
        ending.clone(),
    );
    parts.spawn(well(serving));
    let spending = budgets::Watch {
        store: store.clone(),
        hub: Arc::clone(&hub),
        alerts: Arc::clone(&alerts),
        budgets,
    };
    parts.spawn(well(spending.run(ending.clone())));
    parts.spawn(tell_ready(health, ready, ending.clone()));
    parts.spawn(well(look_after(&hub, &nats, config.servers, &ending)));
    let writer = WriterParts {
        store: store.clone(),
        nats: nats.clone(),
        metrics,
        alerts,
        own,
        retention: config.retention,
        log_limits: config.log_limits,
        fail_point: FailPoint::from_environment(),
    };
    parts.spawn(work(writer, hub, own_reader, leads, ending.clone()));

    let outcome = wait(&mut parts, &ending).await;
    ending.cancel();
    let late = finish(parts, connections).await;
    close(&nats).await;
    outcome.and(late)
}

/// Notices what is away or dead.
fn look_after(
    hub: &Arc<Hub>,
    nats: &Nats,
    servers: Servers,
    ending: &CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let freshness = live::watch_freshness(Arc::clone(hub), nats.clone(), servers, ending.clone());
    let proving = nats::keep_proving(nats.clone(), ending.clone());
    async {
        tokio::join!(freshness, proving);
    }
}

/// A part that cannot fail.
async fn well(part: impl Future<Output = ()>) -> anyhow::Result<()> {
    part.await;
    Ok(())
}

/// Where everything goes to. Nothing has to be there yet.
async fn targets(config: &Config) -> anyhow::Result<(Store, Nats)> {
    let store = Store::new(&config.database)
        .map_err(|expected| anyhow!("use the database: expected {expected}"))?;
    let nats = nats::connect(&config.nats, "phaseline-aggregator")
        .await
        .map_err(|expected| anyhow!("use the NATS URL: expected {expected}"))?;
    Ok((store, nats))
}

/// The producers' calls: from holders of the token or, without one, from this machine only.
fn taking(
    sink: StreamSink,
    lines: Option<Arc<Lines>>,
    token: Option<&str>,
    app: &App,
) -> ingest::Ingest<StreamSink> {
    let admission = match token {
        Some(token) => ingest::Admission::token(token),
        None => ingest::Admission::loopback(),
    };
    let taking = ingest::Ingest::new(sink, admission, Arc::clone(&app.calls))
        .on(app.tasks.clone(), app.stop.clone());
    match lines {
        Some(lines) => taking.with_lines(lines),
        None => taking,
    }
}

/// Ships what runners' programs print until all connections have ended.
fn ship(
    lines: Option<Arc<Lines>>,
    way: LogWay,
    app: &App,
) -> impl Future<Output = ()> + Send + use<> {
    let (stop, connections) = (app.stop.clone(), app.tasks.clone());
    async move {
        let Some(lines) = lines else { return };
        let over = async {
            stop.cancelled().await;
            connections.wait().await;
        };
        lines.ship(&way, over).await;
    }
}

/// Waits for everything that was told to end.
async fn finish(mut parts: Parts, connections: TaskTracker) -> anyhow::Result<()> {
    connections.close();
    let rest = async {
        let failed = drain(&mut parts).await;
        connections.wait().await;
        failed
    };
    timeout(STOP_WITHIN, rest).await.unwrap_or_else(|_| {
        tracing::warn!(
            limit_s = STOP_WITHIN.as_secs(),
            "stopped without waiting for the last tasks"
        );
        Ok(())
    })
}

/// Each browser takes a file descriptor, and the usual soft limit of 1,024 is
/// less than we promise; the hard limit is the administrator's word.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, limit = limit.current, "failed to raise the limit of open files");
    }
}

/// Listens on an address.
///
/// # Errors
/// When it cannot be had, e.g. because another program listens there.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrNotAvailable => anyhow!(
            "listen on {address}: this machine has no such address; choose one of its own, or 0.0.0.0 for all it has (PHASELINE_LISTEN)"
        ),
        _ => anyhow::Error::from(error).context(format!("listen on {address}")),
    })?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    Ok(listener)
}

/// Brings the database's schema up to date.
///
/// # Errors
/// When the database cannot be reached or has another program's schema.
pub async fn migrate(database: &DatabaseTarget) -> anyhow::Result<()> {
    let store = Store::new(database)
        .map_err(|expected| anyhow!("use the database: expected {expected}"))?;
    let count = store.migrate().await.context("migrate the database")?;
    tracing::info!(migrations = count, "the database schema is up to date");
    Ok(())
}

/// Prepares the schema, then records and follows.
async fn work(
    writer: WriterParts,
    hub: Arc<Hub>,
    own: OwnReader,
    leads: watch::Sender<Leadership>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    match stop.run_until_cancelled(prepare(&writer.store)).await {
        None => return Ok(()),
        Some(prepared) => prepared?,
    }
    let (nats, store) = (writer.nats.clone(), writer.store.clone());
    tokio::join!(
        writer::run(writer, leads, stop.clone()),
        live::follow_logs(Arc::clone(&hub), nats.clone(), stop.clone()),
        live::follow(hub, nats, store, own, stop)
    );
    Ok(())
}

/// Migrates, as often as it takes while Postgres is away.
async fn prepare(store: &Store) -> anyhow::Result<()> {
    let mut wait = RETRY;
    loop {
        match store.migrate().await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_temporary() => {
                if wait == RETRY {
                    tracing::warn!(%error, "failed to prepare the database, trying again");
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_CAP);
            }
            Err(error) => return Err(error).context("prepare the database"),
        }
    }
}

async fn tell_ready(
    health: Arc<Health>,
    ready: oneshot::Sender<()>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    if stop
        .run_until_cancelled(health.first_ready())
        .await
        .is_some()
    {
        tracing::info!("ready");
        // Nobody has to be waiting for it.
        let _ = ready.send(());
    }
    Ok(())
}

/// Until the stop signal, or until a part failed.
async fn wait(parts: &mut Parts, stop: &CancellationToken) -> anyhow::Result<()> {
    loop {
        let ended = tokio::select! {
            // First, because the parts end by the same signal.
            biased;
            () = stop.cancelled() => return Ok(()),
            ended = parts.join_next() => ended,
        };
        match ended {
            // The part that tells of readiness ends early and well.
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => return Err(error),
            Some(Err(panic)) => return Err(panic).context("run a part of the program"),
            None => return Err(anyhow!("run: all parts ended by themselves")),
        }
    }
}

async fn drain(parts: &mut Parts) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    while let Some(ended) = parts.join_next().await {
        let ended = ended
            .context("run a part of the program")
            .and_then(|ended| ended);
        outcome = outcome.and(ended);
    }
    outcome
}

/// Sends what is still to be sent and closes the connection.
async fn close(nats: &Nats) {
    if nats.is_connected()
        && !matches!(timeout(CLOSE_WITHIN, nats.client.drain()).await, Ok(Ok(())))
    {
        tracing::debug!("failed to close the connection to NATS in time");
    }
}
