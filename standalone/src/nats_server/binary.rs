//! Which nats-server is run: the named one, or the first suitable one that is found.

use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};

use crate::version::{self, Version};

/// Older ones lack `sync_interval: always` and per-message features that the stream relies on.
const OLDEST_VERSION: Version = Version {
    major: 2,
    minor: 15,
};

/// The given binary, when it is suitable; else one that is found.
pub(crate) async fn find(given: Option<PathBuf>) -> Result<PathBuf> {
    match given {
        Some(binary) => checked(binary).await,
        None => search().await,
    }
}

/// The first suitable binary on `PATH`, else in `.tools/bin` above this program (`make` puts it there).
async fn search() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = std::env::current_exe().unwrap_or_default();
    let candidates = std::env::split_paths(&path)
        .chain(program.ancestors().map(|dir| dir.join(".tools/bin")))
        .map(|dir| dir.join("nats-server"))
        .filter(|binary| binary.is_file());
    let mut refused = Vec::new();
    for candidate in candidates {
        match checked(candidate).await {
            Ok(binary) => return Ok(binary),
            Err(error) => refused.push(format!("{error:#}")),
        }
    }
    let found = if refused.is_empty() {
        "none was found".to_owned()
    } else {
        refused.join("; ")
    };
    Err(anyhow!(
        "failed to find nats-server {OLDEST_VERSION} or newer: {found}. `make up` fetches one, or name yours with --nats-server (PHASELINE_NATS_SERVER)"
    ))
}

async fn checked(binary: PathBuf) -> Result<PathBuf> {
    let version = version::of(&binary).await?;
    if version < OLDEST_VERSION {
        bail!(
            "{} is {version}, and {OLDEST_VERSION} or newer is needed",
            binary.display()
        );
    }
    Ok(binary)
}
