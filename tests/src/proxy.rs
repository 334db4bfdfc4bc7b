//! A TCP proxy that breaks the network on purpose, between any two parts:
//! passes, delays, swallows what goes in one direction or in both, or closes
//! and refuses.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ports;

/// Bytes that move at once.
const CHUNK: usize = 64 * 1024;
/// How often a client of whom nothing is read is looked at for its end.
const LOOK: Duration = Duration::from_millis(50);

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

/// What the network does, and with which connections: those with a number below this.
#[derive(Debug, Clone, Copy)]
struct State {
    network: Network,
    below: usize,
}

impl State {
    fn of(&self, number: usize) -> Network {
        if number < self.below {
            self.network
        } else {
            Network::Up
        }
    }
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

/// The numbers of the connections that neither end has closed.
#[derive(Debug, Default, Clone)]
struct Held(Arc<Mutex<BTreeSet<usize>>>);

impl Held {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, number: usize) -> Hold {
        self.lock().insert(number);
        Hold(self.clone(), number)
    }
}

/// One of them; given up when dropped.
struct Hold(Held, usize);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

/// A proxy on a port of its own; ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: watch::Sender<State>,
    accepted: Arc<AtomicUsize>,
    held: Held,
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
        let (sender, state) = watch::channel(State {
            network: Network::Up,
            below: usize::MAX,
        });
        let target: Arc<str> = target.into();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, held) = (Arc::clone(&accepted), Held::default());
        let holds = held.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let hold = holds.note(count.fetch_add(1, Ordering::Relaxed));
                while connections.try_join_next().is_some() {}
                connections.spawn(carry(client, Arc::clone(&target), state.clone(), hold));
            }
        });
        Self {
            port,
            state: sender,
            accepted,
            held,
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
        let below = usize::MAX;
        self.state.send_replace(State { network, below });
    }

    /// Does that with the connections that there are; new ones pass. The numbers of those that it is done with.
    #[must_use]
    pub fn strand(&self, network: Network) -> BTreeSet<usize> {
        let below = self.accepted();
        self.state.send_replace(State { network, below });
        let mut stranded = self.held();
        stranded.retain(|number| *number < below);
        stranded
    }

    /// Connections that were ever made: one more says that a client gave the last one up.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// The numbers of the connections that no end has closed; each has a number of its own.
    #[must_use]
    pub fn held(&self) -> BTreeSet<usize> {
        self.held.lock().clone()
    }
}

/// The client's end of a connection once more, to be looked at.
fn twin(client: &TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(client.as_fd().try_clone_to_owned()?.into())
}

/// Ends when the client has closed its end, also while nothing of what it sent is read. It is
/// looked at and not waited for: whoever waits would take the readiness from who reads.
async fn hung_up(client: &TcpStream) {
    while let Ok(ready) = client.ready(Interest::READABLE).await
        && !ready.is_read_closed()
    {
        tokio::time::sleep(LOOK).await;
    }
}

/// What one connection waits for.
#[derive(Clone)]
struct Gate {
    state: watch::Receiver<State>,
    number: usize,
}

impl Gate {
    /// Waits until the network lets through what goes there; none when the proxy is gone.
    async fn opens(&mut self, direction: Direction) -> Option<Network> {
        let number = self.number;
        let open = self
            .state
            .wait_for(|state| state.of(number).lets_through(direction));
        open.await.ok().map(|state| state.of(number))
    }
}

async fn carry(client: TcpStream, target: Arc<str>, mut state: watch::Receiver<State>, hold: Hold) {
    let number = hold.1;
    let mut gate = Gate {
        state: state.clone(),
        number,
    };
    let Ok(twin) = twin(&client) else { return };
    // Nothing is closed by that: the network that swallows what a client sends swallows its end too.
    let given_up = async {
        hung_up(&twin).await;
        drop(hold);
        std::future::pending::<()>().await;
    };
    let work = async {
        // A connection that is made while nothing passes is made to a black hole.
        if gate.opens(Direction::ToServer).await.is_none() {
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
        () = given_up => {}
        _ = state.wait_for(|state| state.of(number) == Network::Cut) => {}
    }
}

async fn both(
    client: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    server: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    gate: &Gate,
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
    mut gate: Gate,
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        let Some(network) = gate.opens(direction).await else {
            return;
        };
        if let Network::Slow(by) = network {
            tokio::time::sleep(by).await;
        }
        if to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
    }
}
