//! A private Postgres, the very one that `phaseline up` runs. One is shared by
//! all tests of a process, each with its own database; a test that kills
//! Postgres starts its own.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use standalone::{PostgresOptions, PostgresServer};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config, Error, NoTls};

use crate::{background, scratch, wait};

/// A running Postgres; killed when dropped.
#[derive(Debug)]
pub struct Postgres {
    server: PostgresServer,
    password_file: PathBuf,
}

static SHARED: OnceCell<Postgres> = OnceCell::const_new();
static NEXT_DATABASE: AtomicUsize = AtomicUsize::new(1);

impl Postgres {
    /// The one that all tests of this process share.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start).await
    }

    /// One's own, to be killed and measured.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start() -> Self {
        Self::start_in(&scratch::directory("pg")).await
    }

    /// The same with its data in this directory.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start_in(dir: &Path) -> Self {
        let dir = dir.join("server");
        let server = PostgresServer::start(PostgresOptions::new(&dir)).await;
        Self {
            server: server.expect("Postgres starts"),
            password_file: dir.join("phaseline.password"),
        }
    }

    /// Starts it again on its data after a kill.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn up(&mut self) {
        self.server.restart().await.expect("Postgres starts again");
    }

    /// Asks it to end ("fast": open transactions are rolled back), and waits until it has done so
    /// by itself; how it ended.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn stop(&mut self) -> ExitStatus {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::INT);
        }
        let ended = tokio::time::timeout(wait::DEADLINE, self.server.wait()).await;
        let status = ended.expect("Postgres ends by itself");
        status.expect("the operating system tells how it ended")
    }

    /// `kill -9` of its first process; the others end by themselves.
    ///
    /// # Panics
    /// When the operating system does not tell its end.
    pub async fn kill(&mut self) {
        self.server.kill().await.expect("Postgres is gone");
    }

    /// `kill -9` of one of the processes that serve a connection of Phaseline.
    /// Postgres then ends all of them and recovers by itself.
    ///
    /// # Errors
    /// When there is none just now.
    pub async fn kill_backend(&self, database: &Database) -> Result<(), String> {
        let pid = database
            .number(
                "SELECT pid::bigint FROM pg_stat_activity WHERE application_name LIKE 'phaseline%' \
                 AND datname = current_database() ORDER BY random() LIMIT 1",
            )
            .await?;
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        kill_process(pid.ok_or("no process id")?, Signal::KILL).map_err(|e| e.to_string())
    }

    /// Process id of its first process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Its Unix socket, as a target of a proxy.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.server.socket_dir().join(".s.PGSQL.5432")
    }

    /// A new, empty database, owned by the role that the aggregator uses.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn database(&self) -> Database {
        let number = NEXT_DATABASE.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        let admin = connect(
            &self.server.admin_url(),
            self.server.admin_password().reveal(),
        )
        .await
        .expect("Postgres is up");
        admin
            .batch_execute(&format!(
                "CREATE DATABASE {name} OWNER {}",
                PostgresServer::NAME
            ))
            .await
            .expect("a new database");
        let url = self.server.url();
        let usual = format!("dbname={}", PostgresServer::NAME);
        Database {
            url: url.replace(&usual, &format!("dbname={name}")),
            password: self.server.password().reveal().to_owned(),
            password_file: self.password_file.clone(),
        }
    }
}

/// A database of a test.
#[derive(Clone)]
pub struct Database {
    url: String,
    password: String,
    password_file: PathBuf,
}

impl Database {
    /// For `PHASELINE_DATABASE_URL`; without the password.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// The same over TCP on this port of 127.0.0.1: that of a proxy before the socket.
    ///
    /// # Panics
    /// When the address has no socket directory.
    #[must_use]
    pub fn url_over_tcp(&self, port: u16) -> String {
        let mut parts = self.url.split(' ');
        let rest = parts.by_ref().filter(|part| !part.starts_with("host="));
        let rest: Vec<&str> = rest.filter(|part| !part.starts_with("port=")).collect();
        format!("host=127.0.0.1 port={port} {}", rest.join(" "))
    }

    /// For `PHASELINE_DATABASE_PASSWORD_FILE`.
    #[must_use]
    pub fn password_file(&self) -> PathBuf {
        self.password_file.clone()
    }

    /// A connection.
    ///
    /// # Errors
    /// When Postgres is down.
    pub async fn connect(&self) -> Result<Client, Error> {
        connect(&self.url, &self.password).await
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.url)
    }
}

async fn connect(url: &str, password: &str) -> Result<Client, Error> {
    let mut config = Config::from_str(url)?;
    config.password(password);
    let (client, connection) = config.connect(NoTls).await?;
    // Ends when the client is dropped.
    background::run(async move {
        let _ = connection.await;
    });
    Ok(client)
}
