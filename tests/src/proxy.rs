//! A TCP proxy that breaks the network on purpose, between any two parts:
//! passes, delays, swallows what goes in one direction or in both, or closes
//! and refuses.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ports;

/// Bytes that move at once.
const CHUNK: usize = 64 * 1024;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Everything passes.
    Up,
    /// Everything passes, each piece so much later.
    Slow(Duration),
    /// Connections stay open and no byte passes: a pulled cable.
    Stalled,
    /// What clients send stays on the way; answers pass.
    NoRequests,
    /// What the server sends stays on the way; requests pass.
    NoAnswers,
    /// Every connection is closed and new ones are closed at once.
    Cut,
}

/// Where bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

impl Network {
    fn lets_through(self, direction: Direction) -> bool {
        match self {
            Self::Up | Self::Slow(_) => true,
            Self::Stalled | Self::Cut => false,
            Self::NoRequests => direction == Direction::ToClient,
            Self::NoAnswers => direction == Direction::ToServer,
        }
    }
}

/// A proxy on a port of its own; ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    network: watch::Sender<Network>,
    accepted: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Before `target`, e.g. `127.0.0.1:4222`, or the path of a Unix socket.
    ///
    /// # Panics
    /// When its port is taken.
    pub async fn start(target: &str) -> Self {
        let port = ports::free();
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .expect("a free port");
        let (network, state) = watch::channel(Network::Up);
        let target: Arc<str> = target.into();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                while connections.try_join_next().is_some() {}
                connections.spawn(carry(client, Arc::clone(&target), state.clone()));
            }
        });
        Self {
            port,
            network,
            accepted,
            _tasks: tasks,
        }
    }

    /// Its address, e.g. `127.0.0.1:19001`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes the network.
    pub fn set(&self, network: Network) {
        self.network.send_replace(network);
    }

    /// Connections that were ever made: one more says that a client gave the last one up.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

async fn carry(client: TcpStream, target: Arc<str>, mut state: watch::Receiver<Network>) {
    let mut gate = state.clone();
    let work = async {
        // A connection that is made while nothing passes is made to a black hole.
        let passes = |network: &Network| network.lets_through(Direction::ToServer);
        if gate.wait_for(passes).await.is_err() {
            return;
        }
        if target.starts_with('/') {
            if let Ok(server) = UnixStream::connect(Path::new(&*target)).await {
                both(client.into_split(), server.into_split(), &gate).await;
            }
        } else if let Ok(server) = TcpStream::connect(&*target).await {
            both(client.into_split(), server.into_split(), &gate).await;
        }
    };
    tokio::select! {
        () = work => {}
        _ = state.wait_for(|network| *network == Network::Cut) => {}
    }
}

async fn both(
    client: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    server: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    gate: &watch::Receiver<Network>,
) {
    tokio::select! {
        () = pump(client.0, server.1, Direction::ToServer, gate.clone()) => {}
        () = pump(server.0, client.1, Direction::ToClient, gate.clone()) => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
    mut gate: watch::Receiver<Network>,
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        let open = gate.wait_for(|network| network.lets_through(direction));
        let network = match open.await {
            Ok(network) => *network,
            Err(_) => return,
        };
        if let Network::Slow(by) = network {
            tokio::time::sleep(by).await;
        }
        if to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
    }
}
