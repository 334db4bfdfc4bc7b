//! A TCP proxy that cuts and restores the network on purpose, between any two
//! parts: passes, holds back every byte, or closes and refuses.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
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
    /// Connections stay open and no byte passes: a pulled cable.
    Stalled,
    /// Every connection is closed and new ones are closed at once.
    Cut,
}

/// A proxy on a port of its own; ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    network: watch::Sender<Network>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Before `target`, e.g. `127.0.0.1:4222`.
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
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, Arc::clone(&target), state.clone()));
            }
        });
        Self {
            port,
            network,
            _tasks: tasks,
        }
    }

    /// Its address, e.g. `127.0.0.1:19001`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Changes the network.
    pub fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

async fn carry(client: TcpStream, target: Arc<str>, mut state: watch::Receiver<Network>) {
    let mut gate = state.clone();
    let work = async {
        if gate
            .wait_for(|network| *network == Network::Up)
            .await
            .is_err()
        {
            return;
        }
        let Ok(server) = TcpStream::connect(&*target).await else {
            return;
        };
        let (client_in, client_out) = client.into_split();
        let (server_in, server_out) = server.into_split();
        tokio::select! {
            () = pump(client_in, server_out, gate.clone()) => {}
            () = pump(server_in, client_out, gate) => {}
        }
    };
    tokio::select! {
        () = work => {}
        _ = state.wait_for(|network| *network == Network::Cut) => {}
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut gate: watch::Receiver<Network>,
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        if gate
            .wait_for(|network| *network == Network::Up)
            .await
            .is_err()
        {
            return;
        }
        if to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
    }
}
