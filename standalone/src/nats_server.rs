//! A private nats-server as a child process: JetStream in a directory of its
//! own, a port on the loopback interface, one password per role. It keeps its
//! port over restarts, so that clients find it again.

mod binary;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::Deserialize;

use crate::child::{Process, Spec};
use crate::private_dir::{ServerDir, create_private_dir};
use crate::ready;
use crate::secret::{Secret, write_private};
pub(crate) use binary::find;

/// A stream of several GiB is checked at start; beyond this something is wrong.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// It closes its files in milliseconds.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// Room for the stream, whose own limit is lower. Said here because the
/// server's default depends on the disk that happens to be free.
const JETSTREAM_FILE_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Where and how to run it.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// Its directory, for it alone; created if missing.
    pub dir: PathBuf,
    /// The binary; `None`: on `PATH`, else in `.tools/bin` beside the repository that this program was built in.
    pub binary: Option<PathBuf>,
    /// The port on 127.0.0.1; `None`: a free one, kept over restarts.
    pub port: Option<u16>,
}

impl NatsOptions {
    /// The usual: found binary, free port.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            binary: None,
            port: None,
        }
    }
}

/// A running nats-server. Dropping it kills it.
#[derive(Debug)]
pub struct NatsServer {
    dir: ServerDir,
    binary: PathBuf,
    port: u16,
    aggregator_password: Secret,
    agent_password: Secret,
    process: Process,
}

impl NatsServer {
    /// User that may do everything.
    pub const AGGREGATOR_USER: &'static str = "aggregator";
    /// User that may publish events and presences, and nothing else.
    pub const AGENT_USER: &'static str = "agent";

    /// Starts it and waits until clients can connect.
    ///
    /// # Errors
    /// When no suitable binary is found, the directory is in use, or it does not start.
    pub async fn start(options: NatsOptions) -> Result<Self> {
        let NatsOptions { dir, binary, port } = options;
        let dir = ServerDir::take(&dir)?;
        let binary = find(binary).await?;
        let path = dir.path();
        let aggregator_password = Secret::read_or_create(&path.join("aggregator.password"))?;
        let agent_password = Secret::read_or_create(&path.join("agent.password"))?;
        let (process, port) =
            launch(path, &binary, port, &aggregator_password, &agent_password).await?;
        Ok(Self {
            dir,
            binary,
            port,
            aggregator_password,
            agent_password,
            process,
        })
    }

    /// `nats://127.0.0.1:<port>`, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its port on 127.0.0.1; the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Password of [`Self::AGGREGATOR_USER`].
    #[must_use]
    pub fn aggregator_password(&self) -> &Secret {
        &self.aggregator_password
    }

    /// Password of [`Self::AGENT_USER`].
    #[must_use]
    pub fn agent_password(&self) -> &Secret {
        &self.agent_password
    }

    /// File with the password of [`Self::AGENT_USER`], mode 0600.
    #[must_use]
    pub fn agent_password_file(&self) -> PathBuf {
        self.dir().join("agent.password")
    }

    /// Its process id; `None` once its end was seen.
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

    /// Ends it in order; it is killed if that takes too long.
    ///
    /// # Errors
    /// When the operating system does not tell its end.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.stop(Signal::TERM, STOP_GRACE).await?;
        Ok(())
    }

    /// SIGKILL, and the wait for its end.
    ///
    /// # Errors
    /// When the operating system does not tell its end.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await?;
        Ok(())
    }

    /// Starts it again on the same port and data, after ending it in order if it still runs.
    ///
    /// # Errors
    /// When it does not start; it may be called again.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        let (process, _) = launch(
            self.dir.path(),
            &self.binary,
            Some(self.port),
            &self.aggregator_password,
            &self.agent_password,
        )
        .await?;
        self.process = process;
        Ok(())
    }
}

async fn launch(
    dir: &Path,
    binary: &Path,
    port: Option<u16>,
    aggregator: &Secret,
    agent: &Secret,
) -> Result<(Process, u16)> {
    let name = binary.file_name().unwrap_or_default().to_string_lossy();
    ready::until_leftovers_end(&name, dir).await?;
    let ports_dir = dir.join("ports");
    if ports_dir.exists() {
        std::fs::remove_dir_all(&ports_dir)
            .with_context(|| format!("failed to empty {}", ports_dir.display()))?;
    }
    create_private_dir(&ports_dir)?;
    let config = dir.join("nats-server.conf");
    write_private(&config, &config_text(dir, port, aggregator, agent))?;
    let mut process = Process::spawn(&Spec {
        program: binary.to_owned(),
        args: vec!["--config".into(), config.into()],
        directory: dir.to_owned(),
        log: dir.join("nats-server.log"),
        death_signal: "TERM",
        account: None,
    })
    .await?;
    let ports = ready::until_found(&ports_dir, || read_ports(&ports_dir));
    tokio::select! {
        port = ports => Ok((process, port?)),
        status = process.wait() => bail!(
            "nats-server ended at its start with {}: {}",
            status?,
            process.last_words()
        ),
        () = tokio::time::sleep(READY_LIMIT) => bail!(
            "nats-server is not ready after {} s: {}",
            READY_LIMIT.as_secs(),
            process.last_words()
        ),
    }
}

/// The configuration, with the values that every nats-server of Phaseline has
/// (deploy/nats-server.conf has the same for compose): a message is on disk before
/// it is acknowledged, and a lost peer is noticed within ten seconds.
fn config_text(dir: &Path, port: Option<u16>, aggregator: &Secret, agent: &Secret) -> String {
    let quoted = |path: PathBuf| serde_json::Value::from(path.to_string_lossy()).to_string();
    format!(
        r#"# Written by phaseline at every start.
server_name: phaseline
listen: "127.0.0.1:{port}"
ports_file_dir: {ports_dir}
jetstream {{
  store_dir: {store_dir}
  sync_interval: always
  max_memory_store: 0
  max_file_store: {JETSTREAM_FILE_BYTES}
}}
max_payload: {max_payload}
ping_interval: "5s"
ping_max: 2
write_deadline: "5s"
authorization {{
  users: [
    {{ user: {aggregator_user}, password: "{aggregator}" }}
    {{
      user: {agent_user}, password: "{agent}"
      permissions: {{
        publish: ["phaseline.v1.event.>", "phaseline.v1.log.>", "phaseline.v1.presence.*"]
        subscribe: ["_INBOX.>"]
      }}
    }}
  ]
}}
"#,
        port = port.map_or("-1".to_owned(), |port| port.to_string()),
        ports_dir = quoted(dir.join("ports")),
        store_dir = quoted(dir.join("jetstream")),
        max_payload = protocol::event::MAX_EVENT_BYTES,
        aggregator_user = NatsServer::AGGREGATOR_USER,
        agent_user = NatsServer::AGENT_USER,
        aggregator = aggregator.reveal(),
        agent = agent.reveal(),
    )
}

#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
}

/// The port of the only ports file, once it is written completely.
fn read_ports(dir: &Path) -> Option<u16> {
    let entry = std::fs::read_dir(dir).ok()?.next()?.ok()?;
    parse_ports(&std::fs::read(entry.path()).ok()?)
}

fn parse_ports(json: &[u8]) -> Option<u16> {
    let ports: Ports = serde_json::from_slice(json).ok()?;
    let (_, port) = ports.nats.first()?.rsplit_once(':')?;
    port.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_only_from_a_complete_file() {
        let json = br#"{"nats": ["nats://127.0.0.1:38123"]}"#;
        assert_eq!(parse_ports(json), Some(38123));
        assert_eq!(parse_ports(&json[..20]), None);
        assert_eq!(parse_ports(b""), None);
        assert_eq!(parse_ports(br#"{"nats": []}"#), None);
    }

    #[test]
    fn the_configuration_syncs_always_and_limits_the_agent() {
        let (aggregator, agent) = (Secret::random(), Secret::random());
        let text = config_text(Path::new("/a \"b\"/nats"), None, &aggregator, &agent);
        assert!(text.contains("sync_interval: always"), "{text}");
        assert!(text.contains(r#"listen: "127.0.0.1:-1""#), "{text}");
        assert!(
            text.contains(r#"store_dir: "/a \"b\"/nats/jetstream""#),
            "{text}"
        );
        assert!(text.contains("max_payload: 8388608"), "{text}");
        assert!(text.contains(agent.reveal()));
        let fixed = config_text(Path::new("/n"), Some(4222), &aggregator, &agent);
        assert!(fixed.contains(r#"listen: "127.0.0.1:4222""#), "{fixed}");
    }

    #[test]
    fn compose_runs_nats_with_the_same_values() {
        let lines = |text: &str| -> std::collections::BTreeSet<String> {
            let wanted = [
                "sync_interval",
                "max_",
                "ping_",
                "write_",
                "publish",
                "subscribe",
            ];
            text.lines()
                .map(|line| line.trim().to_owned())
                .filter(|line| wanted.iter().any(|key| line.starts_with(key)))
                .collect()
        };
        let ours = config_text(Path::new("/n"), None, &Secret::random(), &Secret::random());
        let compose = lines(include_str!("../../deploy/nats-server.conf"));
        assert_eq!(compose.len(), 9, "{compose:?}");
        assert_eq!(lines(&ours), compose);
    }
}
