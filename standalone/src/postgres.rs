//! A private Postgres as a child process: data and a Unix socket in a
//! directory of its own, no TCP port unless asked for, a random password.
//! As root it runs as another user.

mod start;

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::account;
use crate::child::{Account, Process};
use crate::postgres_bin::{self, BinDir};
use crate::private_dir::ServerDir;
use crate::secret::Secret;
use start::{SOCKET_PORT, check_socket_path, data_version, init, launch};

/// A fast shutdown writes a checkpoint: milliseconds, or seconds on a slow disk.
/// Killed after that it loses nothing; its next start replays the log.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// Where and how to run it.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Its directory, for it alone; created if missing.
    pub dir: PathBuf,
    /// Directory of `postgres` and `initdb`; `None`: searched.
    pub bin_dir: Option<PathBuf>,
    /// Listens on 127.0.0.1 with this port too; `None`: on its Unix socket only.
    pub tcp_port: Option<u16>,
}

impl PostgresOptions {
    /// The usual: found binaries, no TCP.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            bin_dir: None,
            tcp_port: None,
        }
    }
}

/// A running Postgres. Dropping it kills it (it loses nothing by that).
#[derive(Debug)]
pub struct PostgresServer {
    dir: ServerDir,
    bin: BinDir,
    tcp_port: Option<u16>,
    account: Option<Account>,
    admin_password: Secret,
    password: Secret,
    process: Process,
}

impl PostgresServer {
    /// Role and database of Phaseline; the role owns the database and is no superuser.
    pub const NAME: &'static str = "phaseline";
    /// The superuser.
    pub const ADMIN: &'static str = "admin";

    /// Creates the data directory at the first start, and waits until the
    /// server answers and has the role and the database of Phaseline.
    ///
    /// # Errors
    /// When no suitable binaries are found, the directory is in use, belongs
    /// to another version, cannot be entered, or the server does not start.
    pub async fn start(options: PostgresOptions) -> Result<Self> {
        let PostgresOptions {
            dir,
            bin_dir,
            tcp_port,
        } = options;
        let dir = ServerDir::take(&dir)?;
        let path = dir.path();
        check_socket_path(path, tcp_port)?;
        let account = account::choose(path).await?;
        account::let_through(path, account).await?;
        let bin = postgres_bin::find(bin_dir.as_deref(), data_version(path)?).await?;
        let admin_password = Secret::read_or_create(&path.join("admin.password"))?;
        let password = Secret::read_or_create(&path.join("phaseline.password"))?;
        if !path.join("data").exists() {
            init(path, &bin, account, &admin_password).await?;
        }
        let process = launch(path, &bin, account, tcp_port).await?;
        let server = Self {
            dir,
            bin,
            tcp_port,
            account,
            admin_password,
            password,
            process,
        };
        server.ensure_database().await?;
        Ok(server)
    }

    /// Connection string of [`Self::NAME`] over the Unix socket, without the password.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(Self::NAME, Self::NAME)
    }

    /// Password of [`Self::NAME`].
    #[must_use]
    pub fn password(&self) -> &Secret {
        &self.password
    }

    /// Connection string of [`Self::ADMIN`] to the database `postgres`, without the password.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.url_of(Self::ADMIN, "postgres")
    }

    /// Password of [`Self::ADMIN`].
    #[must_use]
    pub fn admin_password(&self) -> &Secret {
        &self.admin_password
    }

    /// Directory of the Unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// Process id of the postmaster; `None` once its end was seen.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Waits for its end, whoever caused it.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        self.process.wait().await
    }

    /// Ends it in order ("fast": open transactions are rolled back); it is killed if that takes too long.
    ///
    /// # Errors
    /// When the operating system does not tell its end.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.stop(Signal::INT, STOP_GRACE).await?;
        Ok(())
    }

    /// SIGKILL to the postmaster, and the wait for its end.
    ///
    /// # Errors
    /// When the operating system does not tell its end.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await?;
        Ok(())
    }

    /// Starts it again on the same data, after ending it in order if it still runs.
    ///
    /// # Errors
    /// When it does not start; it may be called again.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.process = launch(self.dir.path(), &self.bin, self.account, self.tcp_port).await?;
        Ok(())
    }

    fn url_of(&self, user: &str, database: &str) -> String {
        let host = quoted(&self.socket_dir().to_string_lossy());
        let port = self.tcp_port.unwrap_or(SOCKET_PORT);
        format!("host={host} port={port} user={user} dbname={database}")
    }

    /// The role and the database, made at the first start; the password is set each time, so that its file rules.
    async fn ensure_database(&self) -> Result<()> {
        let mut config: tokio_postgres::Config = self.admin_url().parse()?;
        config.password(self.admin_password.reveal());
        let (client, connection) = config
            .connect(tokio_postgres::NoTls)
            .await
            .context("failed to connect to the private Postgres")?;
        let name = Self::NAME;
        let work = async {
            let role = format!(
                "DO $$ BEGIN CREATE ROLE {name}; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
                 ALTER ROLE {name} LOGIN PASSWORD '{}'",
                self.password.reveal().replace('\'', "''")
            );
            client.batch_execute(&role).await?;
            let known = client
                .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])
                .await?;
            if known.is_none() {
                client
                    .batch_execute(&format!("CREATE DATABASE {name} OWNER {name}"))
                    .await?;
            }
            drop(client);
            Ok::<_, tokio_postgres::Error>(())
        };
        let (done, _) = tokio::join!(work, connection);
        done.context("failed to create the role and the database in the private Postgres")
    }
}

/// A value of a connection string.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_the_connection_string() {
        let url = format!("host={}", quoted(r"/a b/it's\run"));
        let config: tokio_postgres::Config = url.parse().unwrap();
        let expected = tokio_postgres::config::Host::Unix(r"/a b/it's\run".into());
        assert_eq!(config.get_hosts(), [expected]);
    }
}
