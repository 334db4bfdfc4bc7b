//! Whether what this replica shows is up to date. It is while the leader is
//! heard; when NATS is away, or nobody writes because Postgres is, every page
//! is told at once: stale, why, and until when it was right. Nothing polls.

use std::sync::Arc;

use futures::future::select_all;
use protocol::Timestamp;
use protocol::page::{PrivateServer, Stale};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::LEADER_SILENT;
use super::hub::{Hub, now};
use crate::nats::Nats;

/// The servers that a launcher runs for us.
pub(crate) type Servers = Vec<watch::Receiver<PrivateServer>>;

/// Keeps the hub's word on freshness until `stop`.
pub(crate) async fn watch_freshness(
    hub: Arc<Hub>,
    nats: Nats,
    servers: Servers,
    stop: CancellationToken,
) {
    let watching = Watching {
        beacon: hub.beacon(),
        connected: nats.connected.clone(),
        servers,
        began: Instant::now(),
        hub,
    };
    stop.run_until_cancelled(watching.run()).await;
}

struct Watching {
    hub: Arc<Hub>,
    beacon: watch::Receiver<Option<Instant>>,
    connected: watch::Receiver<bool>,
    servers: Servers,
    /// Nothing was promised before.
    began: Instant,
}

impl Watching {
    async fn run(mut self) {
        loop {
            let heard = self.beacon.borrow_and_update().unwrap_or(self.began);
            let connected = *self.connected.borrow_and_update();
            let down = self.servers.iter_mut().find_map(|server| {
                let server = server.borrow_and_update();
                (!server.running).then(|| sentence(&server))
            });
            let silent_at = heard + LEADER_SILENT;
            let silent = silent_at <= Instant::now();
            let reason = match (connected, silent) {
                (false, _) => Some("NATS cannot be reached"),
                (true, true) => Some("nobody writes to Postgres"),
                (true, false) => None,
            };
            let reason = reason.map(|reason| down.unwrap_or_else(|| reason.to_owned()));
            self.tell(reason, heard);
            // The leader's next word ends this wait too.
            let wake = if silent { None } else { Some(silent_at) };
            tokio::select! {
                changed = self.beacon.changed() => if changed.is_err() { return },
                changed = self.connected.changed() => if changed.is_err() { return },
                () = any_changed(&mut self.servers) => {}
                () = async { sleep_until(wake.unwrap_or(silent_at)).await }, if wake.is_some() => {}
            }
        }
    }

    fn tell(&self, reason: Option<String>, heard: Instant) {
        self.hub.set_stale(reason.map(|reason| Stale {
            reason,
            last_seen_at: wall_clock(heard),
        }));
    }
}

fn wall_clock(at: Instant) -> Timestamp {
    let ago = i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX);
    now().plus_millis(ago.saturating_neg())
}

fn sentence(server: &PrivateServer) -> String {
    let why = server.last_end.as_deref().unwrap_or("it ended");
    format!("the private {} is started again: {why}", server.name)
}

/// Pends for ever where there are none, or their keeper is gone.
async fn any_changed(servers: &mut Servers) {
    let changes = servers.iter_mut().map(|server| Box::pin(server.changed()));
    let changes: Vec<_> = changes.collect();
    if changes.is_empty() {
        return std::future::pending().await;
    }
    let (changed, ..) = select_all(changes).await;
    if changed.is_err() {
        std::future::pending::<()>().await;
    }
}
