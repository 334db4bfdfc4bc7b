//! The agent: watches the state files of builders on one host and publishes
//! every change to NATS. It says what it saw and never what that means.
//!
//! An event's way through the modules: `hint` (what the file system told) >
//! `pipeline` (walk, read, decide; on its own thread) > `outbox` (on disk) >
//! `publish` (JetStream). `presence` speaks beside it.

mod agenda;
mod alarm;
mod beneath;
mod board;
mod change;
pub mod check;
pub mod config;
mod filesystem;
mod git;
mod hint;
mod ingest;
mod listing;
pub mod logging;
mod logs;
mod mailbox;
mod nats;
mod outbox;
mod phase_log;
mod pipeline;
mod presence;
mod producer;
mod prune;
mod publish;
mod roots;
mod schedule;
pub mod settings;
mod state_dir;
mod stream_json;
mod tail;
mod test_report;
mod watches;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use protocol::{AgentId, Timestamp};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use board::Board;
pub use config::{Config, LogPattern, NatsTarget, Prune, Texts};
pub use ingest::Taking;
use logs::{Lane, Logs, Saved};
use mailbox::Flag;
use nats::Link;
use outbox::Outbox;
use pipeline::{Setup, Walk};
use presence::Herald;
pub use producer::Custom;
use roots::Roots;
use state_dir::StateDir;

/// Without NATS the agent counts as ready after this time: it collects events meanwhile.
const READY_WITHOUT_NATS: Duration = Duration::from_secs(5);
/// A disk that is full at the start is tried again after this time.
const STATE_DIR_RETRY: Duration = Duration::from_secs(1);
/// Told to stop, the watching thread has this long to finish what it reads. A
/// network file system may hang; together with the flush it stays under 10 s.
const WATCH_END: Duration = Duration::from_secs(4);

/// Runs an agent until `stop`, then ends within 10 s. `ready` is sent when
/// every root was looked at (it is watched, or visibly missing or degraded),
/// and NATS was reached or did not answer for a while.
///
/// # Errors
/// When it cannot begin (a bad setting, a state directory that cannot be used
/// or is in use), or can watch no longer. NATS being away is none.
pub async fn run(
    config: Config,
    ready: oneshot::Sender<()>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let config = config.checked()?;
    let started_at = Timestamp::from_system_time(SystemTime::now());
    let Some((state, agent, known)) = take_state_dir(&config, &stop).await? else {
        return Ok(());
    };
    let board = Arc::new(Board::new(config.broker_silent.clone()));
    let (mailbox, inbox) = mailbox::mailbox();
    let outbox = Arc::new(Outbox::open(
        state.path(),
        agent,
        known,
        config.outbox_max,
        mailbox.clone(),
        Arc::clone(&board),
    )?);
    // Before anything is watched: a port that is taken ends the agent at once.
    let listeners = ingest::Listeners::bind(&config.taking).await?;
    let heard = listeners.heard();
    let (logs, lines) = logs_of(&config, state.path());
    let setup = setup(&config, logs);
    let (outbox_in, board_in) = (Arc::clone(&outbox), Arc::clone(&board));
    let mut watching = pipeline::start(setup, mailbox.clone(), inbox, outbox_in, board_in)
        .context("failed to start watching")?;
    let (client, link) = nats::connect(&config.nats, &config.host)
        .await
        .context("failed to use the nats address")?;
    let quiet = CancellationToken::new();
    let way = ingest::LogWay::new(config.texts, &client);
    let taking = listeners.serve(Arc::clone(&outbox), &config.host, way, quiet.clone());
    let herald = Herald {
        host: config.host.clone(),
        heard,
        started_at,
        outbox: Arc::clone(&outbox),
        board: Arc::clone(&board),
        mailbox: mailbox.clone(),
        client: client.clone(),
    };

    let (flush, hush) = (CancellationToken::new(), CancellationToken::new());
    let publishing = publish::publish(outbox, board, client, link.clone(), flush.clone());
    let speaking = herald.run(link.clone(), hush.clone());
    let announcing = announce(watching.looked, link.clone(), ready);
    let shipping = ship(lane(lines, &herald, link.clone()), hush.clone());
    let services = async { tokio::join!(publishing, speaking, announcing, taking, shipping) };
    tokio::pin!(services);

    tokio::select! {
        () = stop.cancelled() => {}
        _ = &mut watching.ended => anyhow::bail!("failed to go on watching: its thread ended"),
        _ = &mut services => anyhow::bail!("failed to go on publishing"),
    }
    quiet.cancel();
    mailbox.raise(Flag::Stop);
    let ended = tokio::time::timeout(WATCH_END, &mut watching.ended);
    let ended = tokio::select! {
        ended = ended => ended.is_ok(),
        _ = &mut services => anyhow::bail!("failed to go on publishing"),
    };
    if ended {
        let _ = watching.thread.join();
    } else {
        tracing::warn!("watching did not end in time, perhaps a file system hangs");
    }
    hush.cancel();
    flush.cancel();
    services.await;
    if link.borrow().up {
        herald.farewell().await;
    }
    Ok(())
}

/// Where logs are told of, and what ships their lines where they may leave the host.
fn logs_of(config: &Config, state: &Path) -> (Logs, Option<(Logs, Arc<Saved>)>) {
    match config.texts {
        Texts::None => (Logs::off(), None),
        Texts::Logs | Texts::All => {
            let logs = Logs::on();
            (logs.clone(), Some((logs, Arc::new(Saved::new(state)))))
        }
    }
}

/// What is watched, and how.
fn setup(config: &Config, logs: Logs) -> Setup {
    if is_switched_off("look_before_opening") {
        beneath::open_anything();
    }
    Setup {
        host: config.host.clone(),
        roots: Roots::new(&config.watch, settings::home().as_deref()),
        producers: config.all_producers(),
        tool_texts: config.texts == Texts::All,
        logs,
        prune: config.prune.clone(),
        max_depth: config.max_depth,
        state_dir: config.state_dir.clone(),
        without: Walk::ALL
            .into_iter()
            .filter_map(|(walk, name)| is_switched_off(name).then_some(walk))
            .collect(),
    }
}

/// Ships log lines, where they may leave the host.
async fn ship(lane: Option<Lane>, stop: CancellationToken) {
    if let Some(lane) = lane {
        logs::run(lane, stop).await;
    }
}

/// Of whom and whereto log lines are shipped.
fn lane(
    way: Option<(Logs, Arc<Saved>)>,
    herald: &Herald,
    link: watch::Receiver<Link>,
) -> Option<Lane> {
    let (logs, saved) = way?;
    Some(Lane {
        logs,
        saved,
        agent: herald.outbox.identity().agent,
        host: herald.host.clone(),
        client: herald.client.clone(),
        link,
    })
}

/// For tests: `PHASELINE_FAIL_POINT=no_<what>` switches a protection off, to show what it protects from; several
/// are separated by commas.
fn is_switched_off(what: &str) -> bool {
    let point = std::env::var("PHASELINE_FAIL_POINT").unwrap_or_default();
    let off = point
        .split(',')
        .any(|point| point.strip_prefix("no_") == Some(what));
    if off {
        tracing::warn!(what, "switched off by PHASELINE_FAIL_POINT");
    }
    off
}

/// The state directory and the identity in it. A full disk is waited for; none
/// when told to stop meanwhile.
async fn take_state_dir(
    config: &Config,
    stop: &CancellationToken,
) -> anyhow::Result<Option<(StateDir, AgentId, bool)>> {
    let mut told = false;
    loop {
        let taken = StateDir::take(&config.state_dir).and_then(|state| {
            let (agent, known) = state.agent_id()?;
            Ok((state, agent, known))
        });
        match taken {
            Err(error) if error.is_full() => {
                if !std::mem::replace(&mut told, true) {
                    tracing::error!("{error:#}; the agent begins when there is room");
                }
            }
            taken => return Ok(Some(taken?)),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(STATE_DIR_RETRY) => {}
        }
    }
}

/// Says that the agent is ready.
async fn announce(
    looked: oneshot::Receiver<()>,
    mut link: watch::Receiver<Link>,
    ready: oneshot::Sender<()>,
) {
    let begun = tokio::time::Instant::now();
    let _ = looked.await;
    let reached = link.wait_for(|link| link.times > 0);
    let _ = tokio::time::timeout_at(begun + READY_WITHOUT_NATS, reached).await;
    // Nobody need be listening.
    let _ = ready.send(());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_can_run_on_any_runtime() {
        fn is_send<T: Send>(_: &T) {}
        let target = NatsTarget {
            url: String::new(),
            user: None,
            password: None,
        };
        let config = Config::new("h", Vec::new(), target, "state".into());
        let (ready, _) = oneshot::channel();
        is_send(&run(config, ready, CancellationToken::new()));
    }
}
