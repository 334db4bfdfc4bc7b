//! Keeps a private server alive: one that ends by itself is started again,
//! with growing pauses when that does not help, and the pages say so.

use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use protocol::Timestamp;
use protocol::page::PrivateServer;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::PostgresServer;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Long enough for a log that can be read, short enough for somebody who just freed the disk.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server that lived this long has come up properly; its next end is a new story.
const STABLE: Duration = Duration::from_secs(30);

/// What is kept alive.
pub(crate) trait Server {
    /// For the log.
    const NAME: &'static str;
    /// Waits until it has to be started again; why, for people.
    async fn wait(&mut self) -> Result<String>;
    /// Starts it again, after ending it in order if it still runs.
    async fn restart(&mut self) -> Result<()>;
    /// Ends it in order.
    async fn stop(&mut self) -> Result<()>;
}

impl Server for PostgresServer {
    const NAME: &'static str = "Postgres";
    async fn wait(&mut self) -> Result<String> {
        self.wait().await.map(ended)
    }
    async fn restart(&mut self) -> Result<()> {
        self.restart().await
    }
    async fn stop(&mut self) -> Result<()> {
        self.stop().await
    }
}

/// What an end is to people.
pub(crate) fn ended(status: ExitStatus) -> String {
    format!("it ended with {status}")
}

/// What the pages say of a server that was just started.
pub(crate) fn started<S: Server>() -> watch::Sender<PrivateServer> {
    watch::Sender::new(PrivateServer {
        name: S::NAME.to_owned(),
        running: true,
        restarts: 0,
        last_end: None,
        last_end_at: None,
    })
}

/// Runs until told to stop, then ends the server in order.
pub(crate) async fn supervise<S: Server>(
    mut server: S,
    told: watch::Sender<PrivateServer>,
    stop: CancellationToken,
) -> Result<()> {
    // Dropping the work in the middle of a start kills the half-started server.
    stop.run_until_cancelled(keep_alive(&mut server, &told))
        .await;
    server.stop().await
}

fn tell_end(told: &watch::Sender<PrivateServer>, why: String) {
    told.send_modify(|server| {
        server.running = false;
        server.last_end = Some(why);
        server.last_end_at = Some(Timestamp::from_system_time(SystemTime::now()));
    });
}

async fn keep_alive<S: Server>(server: &mut S, told: &watch::Sender<PrivateServer>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let since = Instant::now();
        match server.wait().await {
            Ok(why) => {
                tracing::warn!("the private {} is started again: {why}", S::NAME);
                tell_end(told, why);
            }
            Err(error) => {
                tracing::error!("{error:#}");
                tell_end(told, format!("{error:#}"));
            }
        }
        if since.elapsed() > STABLE {
            pause = FIRST_PAUSE;
        }
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            match server.restart().await {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!(
                        retry_in_ms = pause.as_millis(),
                        "failed to restart the private {}: {error:#}",
                        S::NAME
                    );
                    tell_end(told, format!("failed to start: {error:#}"));
                }
            }
        }
        told.send_modify(|server| {
            server.running = true;
            server.restarts += 1;
        });
        tracing::info!("the private {} runs again", S::NAME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::os::unix::process::ExitStatusExt;

    struct Fake<'a> {
        calls: &'a Cell<(u32, bool)>,
        lives: u32,
        stop: CancellationToken,
    }

    impl Server for Fake<'_> {
        const NAME: &'static str = "fake";
        async fn wait(&mut self) -> Result<String> {
            if self.lives == 0 {
                self.stop.cancel();
                std::future::pending::<()>().await;
            }
            self.lives -= 1;
            Ok(ended(ExitStatus::from_raw(9)))
        }
        async fn restart(&mut self) -> Result<()> {
            let (restarts, stopped) = self.calls.get();
            self.calls.set((restarts + 1, stopped));
            anyhow::ensure!(restarts != 1, "failed to start");
            Ok(())
        }
        async fn stop(&mut self) -> Result<()> {
            self.calls.set((self.calls.get().0, true));
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_server_that_ends_is_started_again_until_the_stop() {
        let calls = Cell::new((0, false));
        let stop = CancellationToken::new();
        let fake = Fake {
            calls: &calls,
            lives: 2,
            stop: stop.clone(),
        };
        let told = started::<Fake<'_>>();
        let page = told.subscribe();
        supervise(fake, told, stop).await.unwrap();
        // Two ends, and one restart that failed first.
        assert_eq!(calls.get(), (3, true));
        let page = page.borrow();
        assert_eq!((page.running, page.restarts), (true, 2));
        let end = page.last_end.as_deref().unwrap_or_default();
        assert!(end.starts_with("failed to start"), "{end}");
    }
}
