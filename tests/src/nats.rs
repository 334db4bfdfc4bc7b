//! A private nats-server, the very one that `phaseline up` runs: with its
//! configuration, its two users and their rights.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use standalone::{NatsOptions, NatsServer};

use crate::{ports, scratch, wait};

/// A running nats-server; killed when dropped.
#[derive(Debug)]
pub struct Nats {
    server: NatsServer,
    dir: PathBuf,
}

impl Nats {
    /// Starts one on a free port with an empty store.
    ///
    /// # Panics
    /// When nats-server is missing or does not come up.
    pub async fn start() -> Self {
        Self::start_in(&scratch::directory("nats")).await
    }

    /// The same with its store in this directory.
    ///
    /// # Panics
    /// When nats-server is missing or does not come up.
    pub async fn start_in(dir: &Path) -> Self {
        let dir = dir.join("server");
        let mut options = NatsOptions::new(&dir);
        options.port = Some(ports::free());
        options.binary = std::env::var_os("PHASELINE_NATS_SERVER").map(PathBuf::from);
        let server = NatsServer::start(options).await;
        Self {
            server: server.expect("nats-server starts"),
            dir,
        }
    }

    /// Starts it again on its port and store after a kill.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn up(&mut self) {
        self.server
            .restart()
            .await
            .expect("nats-server starts again");
    }

    /// Asks it to end, and waits until it has done so by itself; how it ended.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let ended = tokio::time::timeout(wait::DEADLINE, self.server.wait()).await;
        let status = ended.expect("nats-server ends by itself");
        status.expect("the operating system tells how it ended")
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// When the operating system does not tell its end.
    pub async fn kill(&mut self) {
        self.server.kill().await.expect("nats-server is gone");
    }

    /// Freezes it: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.server.pid().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Its address, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// A file with the password of the user `agent`.
    #[must_use]
    pub fn agent_password_file(&self) -> PathBuf {
        self.server.agent_password_file()
    }

    /// A file with the password of the user `aggregator`.
    #[must_use]
    pub fn aggregator_password_file(&self) -> PathBuf {
        self.dir.join("aggregator.password")
    }

    /// A connection with all rights.
    ///
    /// # Panics
    /// When there is none to be had.
    pub async fn client(&self) -> async_nats::Client {
        self.connector().connect().await
    }

    /// Opens connections with all rights elsewhere, e.g. on another runtime.
    #[must_use]
    pub fn connector(&self) -> Connector {
        Connector {
            url: self.url(),
            user: NatsServer::AGGREGATOR_USER,
            password: self.server.aggregator_password().reveal().to_owned(),
        }
    }

    /// A connection with an agent's rights.
    ///
    /// # Panics
    /// When there is none to be had.
    pub async fn agent_client(&self) -> async_nats::Client {
        let connector = Connector {
            url: self.url(),
            user: NatsServer::AGENT_USER,
            password: self.server.agent_password().reveal().to_owned(),
        };
        connector.connect().await
    }
}

/// Address and credentials of a user.
pub struct Connector {
    url: String,
    user: &'static str,
    password: String,
}

impl Connector {
    /// A connection.
    ///
    /// # Panics
    /// When there is none to be had.
    pub async fn connect(&self) -> async_nats::Client {
        async_nats::ConnectOptions::with_user_and_password(
            self.user.to_owned(),
            self.password.clone(),
        )
        .connect(&self.url)
        .await
        .expect("nats-server takes its users")
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.join("nats-server.log"));
            eprintln!("--- output of nats-server ---\n{}", log.unwrap_or_default());
        }
    }
}
