//! Starting a private Postgres: its data directory, its arguments, and how to
//! know that it is ready.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::PostgresServer;
use crate::account;
use crate::child::{self, Account, Process, Spec};
use crate::postgres_bin::BinDir;
use crate::private_dir::create_private_dir;
use crate::ready;
use crate::secret::{Secret, write_private};

/// Replaying the log of a large crash takes a while; beyond this something is wrong.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// A Unix socket's path has at most 107 bytes; some libraries stop at 100.
const SOCKET_PATH_BYTES: usize = 100;
/// Part of the socket's file name; with a TCP port it is that port.
pub(super) const SOCKET_PORT: u16 = 5432;

/// Major version of the existing data.
pub(super) fn data_version(dir: &Path) -> Result<Option<u32>> {
    let path = dir.join("data/PG_VERSION");
    if !dir.join("data").exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    let Ok(major) = text.trim().parse() else {
        bail!("{} names no version: {:?}", path.display(), text.trim());
    };
    Ok(Some(major))
}

/// Creates the data directory: in `data.new` first, so that an interrupted start leaves no half data directory.
pub(super) async fn init(
    dir: &Path,
    bin: &BinDir,
    account: Option<Account>,
    admin_password: &Secret,
) -> Result<()> {
    tracing::info!(data.dir = %dir.display(), "creating the private Postgres");
    let fresh = dir.join("data.new");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh)
            .with_context(|| format!("failed to remove {}", fresh.display()))?;
    }
    create_private_dir(&fresh)?;
    account::give(&fresh, account)?;
    // A copy that the account may read; the original stays with us.
    let password_file = dir.join("initdb.password");
    write_private(&password_file, admin_password.reveal())?;
    account::give(&password_file, account)?;
    let result = child::run_to_end(&Spec {
        program: bin.dir.join("initdb"),
        args: vec![
            "--pgdata=data.new".into(),
            format!("--username={}", PostgresServer::ADMIN).into(),
            "--pwfile=initdb.password".into(),
            "--auth=scram-sha-256".into(),
            "--encoding=UTF8".into(),
            "--locale=C".into(),
            "--data-checksums".into(),
        ],
        directory: dir.to_owned(),
        log: dir.join("initdb.log"),
        death_signal: "TERM",
        account,
    })
    .await;
    let removed = std::fs::remove_file(&password_file);
    result?;
    removed.with_context(|| format!("failed to remove {}", password_file.display()))?;
    std::fs::rename(&fresh, dir.join("data")).context("failed to rename data.new to data")
}

/// Fails with advice when clients could not name the socket.
pub(super) fn check_socket_path(dir: &Path, tcp_port: Option<u16>) -> Result<()> {
    let port = tcp_port.unwrap_or(SOCKET_PORT);
    let socket = dir.join("run").join(format!(".s.PGSQL.{port}"));
    let bytes = socket.as_os_str().len();
    if bytes > SOCKET_PATH_BYTES {
        bail!(
            "the path of the Postgres socket, {}, has {bytes} bytes and may have {SOCKET_PATH_BYTES}: choose a shorter --state-dir",
            socket.display()
        );
    }
    Ok(())
}

/// Starts the server and waits until it accepts connections.
pub(super) async fn launch(
    dir: &Path,
    bin: &BinDir,
    account: Option<Account>,
    tcp_port: Option<u16>,
) -> Result<Process> {
    let socket_dir = dir.join("run");
    let port = tcp_port.unwrap_or(SOCKET_PORT);
    let data = dir.join("data");
    ready::until_leftovers_end("postgres", &data).await?;
    // Whoever the old lock files name has ended; its number may by now belong to
    // another process, which Postgres would take for a server on this data.
    let pid_file = data.join("postmaster.pid");
    let gone = |result: std::io::Result<()>, path: &Path| match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", path.display()))
        }
        _ => Ok(()),
    };
    gone(std::fs::remove_file(&pid_file), &pid_file)?;
    gone(std::fs::remove_dir_all(&socket_dir), &socket_dir)?;
    create_private_dir(&socket_dir)?;
    account::give(&socket_dir, account)?;
    let mut process = Process::spawn(&Spec {
        program: bin.dir.join("postgres"),
        args: server_args(&data, &socket_dir, port, tcp_port.is_some()),
        directory: dir.to_owned(),
        log: dir.join("postgres.log"),
        death_signal: "INT",
        account,
    })
    .await?;
    let ready = ready::until_found(&data, || {
        std::fs::read_to_string(&pid_file)
            .ok()
            .filter(|text| says_ready(text))
    });
    tokio::select! {
        found = ready => found.map(|_| process),
        status = process.wait() => bail!(
            "Postgres ended at its start with {}: {}",
            status?,
            process.last_words()
        ),
        () = tokio::time::sleep(READY_LIMIT) => bail!(
            "Postgres is not ready after {} s: {}",
            READY_LIMIT.as_secs(),
            process.last_words()
        ),
    }
}

/// The eighth line of `postmaster.pid` is the server's state.
fn says_ready(pid_file: &str) -> bool {
    pid_file
        .lines()
        .nth(7)
        .is_some_and(|state| state.trim() == "ready")
}

/// Settings on the command line, so that a new version of this program changes them for existing data too.
fn server_args(data: &Path, socket_dir: &Path, port: u16, tcp: bool) -> Vec<OsString> {
    let socket_dir = socket_dir.to_string_lossy().replace('"', "\"\"");
    let settings = [
        (
            "listen_addresses",
            if tcp { "127.0.0.1" } else { "" }.to_owned(),
        ),
        ("port", port.to_string()),
        ("unix_socket_directories", format!("\"{socket_dir}\"")),
        ("unix_socket_permissions", "0700".to_owned()),
        ("cluster_name", PostgresServer::NAME.to_owned()),
        // A desktop's share: the working set is the builds of some weeks.
        ("shared_buffers", "64MB".to_owned()),
        // What a crash leaves to be replayed: seconds of work.
        ("max_wal_size", "256MB".to_owned()),
        ("checkpoint_timeout", "5min".to_owned()),
        // Queries here are short; compiling them costs more than it saves.
        ("jit", "off".to_owned()),
        ("huge_pages", "off".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("log_destination", "stderr".to_owned()),
        ("logging_collector", "off".to_owned()),
        ("log_checkpoints", "off".to_owned()),
    ];
    let mut args: Vec<OsString> = vec!["-D".into(), data.into()];
    for (name, value) in settings {
        args.push("-c".into());
        args.push(format!("{name}={value}").into());
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_the_eighth_line() {
        let starting = "71\n/data\n1795169297\n5432\n/run\n\n  5432 3\nstarting\n";
        assert!(!says_ready(starting));
        assert!(says_ready(&starting.replace("starting", "ready   ")));
        assert!(!says_ready(""));
    }

    #[test]
    fn without_a_tcp_port_nothing_listens_but_the_socket() {
        let args = server_args(Path::new("/d"), Path::new("/a \"b\"/run"), 5432, false);
        let args: Vec<_> = args.iter().map(|a| a.to_string_lossy()).collect();
        assert!(args.contains(&"listen_addresses=".into()), "{args:?}");
        let socket = r#"unix_socket_directories="/a ""b""/run""#;
        assert!(args.contains(&socket.into()), "{args:?}");
    }

    #[test]
    fn data_of_an_unreadable_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(data_version(dir.path()).unwrap(), None);
        std::fs::create_dir(dir.path().join("data")).unwrap();
        assert!(data_version(dir.path()).is_err());
        std::fs::write(dir.path().join("data/PG_VERSION"), "15\n").unwrap();
        assert_eq!(data_version(dir.path()).unwrap(), Some(15));
    }
}
