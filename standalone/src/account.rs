//! The account that Postgres runs as: it refuses to run as root.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, anyhow, bail};

use crate::child::Account;
use crate::settings::BadSetting;

/// Tried in this order when the launcher is root and there is no data yet.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// Whom Postgres with its files in `dir` runs as; `None`: as ourselves. Data
/// that exists already keeps its owner.
pub(crate) async fn choose(dir: &Path) -> Result<Option<Account>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    if let Ok(data) = dir.join("data").metadata()
        && data.uid() != 0
    {
        return Ok(Some(Account {
            uid: data.uid(),
            gid: data.gid(),
        }));
    }
    for name in UNPRIVILEGED {
        if let (Some(uid), Some(gid)) = (id("-u", name).await, id("-g", name).await) {
            return Ok(Some(Account { uid, gid }));
        }
    }
    bail!(
        "Postgres refuses to run as root, and there is no user named {}",
        UNPRIVILEGED.join(" or ")
    )
}

async fn id(flag: &str, name: &str) -> Option<u32> {
    let output = tokio::process::Command::new("id")
        .args([flag, name])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// Gives a file or directory to the account.
pub(crate) fn give(path: &Path, account: Option<Account>) -> Result<()> {
    let Some(account) = account else {
        return Ok(());
    };
    chown(path, Some(account.uid), Some(account.gid))
        .with_context(|| format!("failed to change the owner of {}", path.display()))
}

/// Lets the account pass through our directory to its own directories in it,
/// without listing or writing ours. Fails with advice when it cannot come that
/// far, e.g. beneath `/root`.
pub(crate) async fn let_through(dir: &Path, account: Option<Account>) -> Result<()> {
    let Some(account) = account else {
        return Ok(());
    };
    std::fs::set_permissions(dir, Permissions::from_mode(0o711))
        .with_context(|| format!("failed to change the mode of {}", dir.display()))?;
    if enters(dir, account).await? {
        return Ok(());
    }
    Err(anyhow!(
        "{} cannot be entered by the user (id {}) that Postgres runs as: choose a state directory (--state-dir) outside of private directories, e.g. /var/lib/phaseline",
        dir.display(),
        account.uid
    ))
}

/// Whether the account can come as far as this directory, which is not made
/// yet. Looks only: a start that is refused leaves nothing behind.
///
/// # Errors
/// When it cannot; a bad setting.
pub(crate) async fn check_way(dir: &Path, account: Option<Account>) -> Result<()> {
    let Some(account) = account else {
        return Ok(());
    };
    let nearest = dir.ancestors().find(|above| above.exists());
    let nearest = nearest.unwrap_or(Path::new("/"));
    if enters(nearest, account).await? {
        return Ok(());
    }
    let problem = format!(
        "{} cannot be entered by the user that Postgres runs as (id {})",
        nearest.display(),
        account.uid
    );
    let expected = "a directory outside of private ones, such as /var/lib/phaseline";
    Err(BadSetting::new("PHASELINE_STATE_DIR", problem, expected).into())
}

async fn enters(dir: &Path, account: Account) -> Result<bool> {
    let status = tokio::process::Command::new("setpriv")
        .args([
            format!("--reuid={}", account.uid),
            format!("--regid={}", account.gid),
        ])
        .args(["--clear-groups", "--", "test", "-x"])
        .arg(dir)
        .current_dir("/")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .context("failed to run setpriv (package util-linux)")?;
    Ok(status.success())
}
