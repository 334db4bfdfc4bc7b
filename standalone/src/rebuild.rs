//! `phaseline rebuild`: the private Postgres without anything else, all stored
//! events folded anew, and its end. For an upgrade that reads old events better.

use std::io::Write;

use anyhow::{Context as _, Result, bail};
use tokio_util::sync::CancellationToken;

use crate::lock::DirLock;
use crate::settings::{BadSetting, UpConfig};
use crate::{PostgresOptions, PostgresServer, up};

/// Rebuilds the data in the state directory, and writes one line of what came out.
///
/// # Errors
/// When there is no data, `phaseline up` uses it, or Postgres cannot be used.
/// What was rebuilt until then, or until `stop`, stays; to do it again is safe.
pub async fn run(config: UpConfig, mut out: impl Write, stop: CancellationToken) -> Result<()> {
    let dir = config.state_dir.join("postgres");
    if !dir.join("data").exists() {
        let problem = format!("{:?} holds no data", config.state_dir);
        let expected = "a directory in which `phaseline up` ran";
        return Err(BadSetting::new("PHASELINE_STATE_DIR", problem, expected).into());
    }
    let _lock = DirLock::take(&config.state_dir)
        .context("failed to take the state directory; stop `phaseline up` first")?;
    let mut options = PostgresOptions::new(dir);
    options.bin_dir = config.postgres_bin;
    let Some(started) = stop
        .run_until_cancelled(PostgresServer::start(options))
        .await
    else {
        return Ok(());
    };
    let mut postgres = started?;
    let database = up::database(&postgres);
    let rebuilt = stop
        .run_until_cancelled(aggregator::rebuild(&database))
        .await;
    let stopped = postgres.stop().await;
    match rebuilt {
        Some(rebuilt) => writeln!(out, "{}", rebuilt?)?,
        None => bail!("the rebuild was stopped; do it once more"),
    }
    stopped
}
