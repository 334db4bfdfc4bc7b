//! The private nats-server under `phaseline up`: one that ended is started
//! again, and so is one that runs and answers no publish although its disk has
//! room. nats-server 2.15 writes nothing more after its disk was full once,
//! until it is started again.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::NatsServer;
use crate::supervise::{Server, ended};

/// A slow disk may keep it from answering for a moment, also after a start.
const SILENT_FOR: Duration = Duration::from_secs(5);
/// While the disk is full it is looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What it must be able to write before a start makes sense, bytes: two of its largest messages.
const ROOM: u64 = 16 * 1024 * 1024;

/// The server and the agent's word on it.
pub(crate) struct KeptNats {
    server: NatsServer,
    dir: PathBuf,
    silent: watch::Receiver<bool>,
}

impl KeptNats {
    pub(crate) fn new(server: NatsServer, silent: watch::Receiver<bool>) -> Self {
        let dir = server.dir().to_owned();
        Self {
            server,
            dir,
            silent,
        }
    }

    /// Returns when it has been silent for a while and could write.
    async fn silent_without_need(silent: &mut watch::Receiver<bool>, dir: &std::path::Path) {
        loop {
            if silent.wait_for(|silent| *silent).await.is_err() {
                // No agent, so nobody misses an answer.
                return std::future::pending().await;
            }
            sleep(SILENT_FOR).await;
            while *silent.borrow() {
                let found = rustix::fs::statvfs(dir);
                if found.is_ok_and(|found| found.f_bavail * found.f_frsize >= ROOM) {
                    return;
                }
                sleep(LOOK_EVERY).await;
            }
        }
    }
}

impl Server for KeptNats {
    const NAME: &'static str = "nats-server";
    async fn wait(&mut self) -> Result<String> {
        tokio::select! {
            status = self.server.wait() => status.map(ended),
            () = Self::silent_without_need(&mut self.silent, &self.dir) => {
                Ok("it took no events although its disk has room".to_owned())
            }
        }
    }
    async fn restart(&mut self) -> Result<()> {
        self.server.restart().await
    }
    async fn stop(&mut self) -> Result<()> {
        self.server.stop().await
    }
}
