//! The accept loop of whoever serves HTTP. Each connection is a task of the
//! caller's, reads its headers within a time limit, and is asked to finish when
//! the program stops.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A request's headers must have come by then, the next request's too: whoever is slower may connect anew.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);
/// Headers of one request, bytes: browsers stay far below.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// What the kernel keeps for a connection whose other side does not read, bytes (it takes
/// twice this). Left to itself it is 4 MiB, 20 GiB for all streams; this fills a fast line half around the world.
const SEND_BUFFER: usize = 256 * 1024;
/// What a connection has to finish its answer when we stop.
const FINISH_WITHIN: Duration = Duration::from_secs(3);
/// After a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves until `stop`, then lets the connections in `tasks` finish. At most
/// `connections` at a time; more wait in the kernel's queue. One that became a
/// WebSocket does not count here.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections: usize,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(connections));
    loop {
        let next = async {
            let permit = Arc::clone(&slots).acquire_owned().await;
            (permit, listener.accept().await)
        };
        match stop.run_until_cancelled(next).await {
            None | Some((Err(_), _)) => return,
            Some((Ok(permit), Ok((stream, peer)))) => {
                let router = router.clone().layer(Extension(ConnectInfo(peer)));
                tasks.spawn(connection(stream, router, permit, stop.clone()));
            }
            Some((_, Err(error))) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    _permit: OwnedSemaphorePermit,
    stop: CancellationToken,
) {
    // A small frame must not wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to set TCP_NODELAY");
    }
    if let Err(error) = set_socket_send_buffer_size(&stream, SEND_BUFFER) {
        tracing::debug!(%error, "failed to set SO_SNDBUF");
    }
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            tokio::time::timeout(FINISH_WITHIN, serving).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}
