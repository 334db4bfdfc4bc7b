//! Proof that what we send arrives: a message of our own that comes back. The
//! client's keep-alive does not prove it: anything that arrives puts it off, and a
//! connection may be dead in one direction only.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Nats;

/// Between two proofs. With the wait for the echo, a dead connection is given up within 9 s.
const PROVE_EVERY: Duration = Duration::from_secs(4);
/// A broker that has so much to do is not better on a new connection.
const ECHO_WITHIN: Duration = Duration::from_secs(5);

impl Nats {
    /// Whether the broker carries a message of ours back in time. It then knows all our subscriptions of before.
    pub(crate) async fn echoes(&self, within: Duration) -> bool {
        let echo = async {
            let inbox = self.client.new_inbox();
            let mut own = self.client.subscribe(inbox.clone()).await.ok()?;
            self.client.publish(inbox, Bytes::new()).await.ok()?;
            own.next().await
        };
        timeout(within, echo).await.is_ok_and(|back| back.is_some())
    }
}

/// Makes the connection anew when it does not carry messages any more; until `stop`.
pub(crate) async fn keep_proving(nats: Nats, stop: CancellationToken) {
    while stop.run_until_cancelled(sleep(PROVE_EVERY)).await.is_some() {
        let losses = *nats.losses.borrow();
        if !nats.is_connected() || nats.echoes(ECHO_WITHIN).await {
            continue;
        }
        if nats.is_connected() && *nats.losses.borrow() == losses && !stop.is_cancelled() {
            tracing::warn!("NATS does not carry messages on this connection, making it anew");
            // An error only says that the client was closed.
            let _ = nats.client.force_reconnect().await;
        }
    }
}
