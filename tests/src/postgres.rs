//! A private Postgres, the very one that `phaseline up` runs. One is shared by
//! all tests of a process, each with its own database; a test that kills
//! Postgres starts its own.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use standalone::{PostgresOptions, PostgresServer};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config, Error, NoTls};

use crate::{background, scratch};

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

    /// `kill -9` of its first process; the others end by themselves.
    ///
    /// # Panics
    /// When the operating system does not tell its end.
    pub async fn kill(&mut self) {
        self.server.kill().await.expect("Postgres is gone");
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
