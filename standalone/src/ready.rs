//! Waiting for what cannot be asked: a file that a starting server writes, and
//! the end of servers that a killed launcher left behind.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use rustix::process::Pid;
use tokio::sync::Notify;

/// Where the file system gives no events (some network and container mounts), the file is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Waits until `look` finds what it wants; it is called again after each change in `directory`.
pub(crate) async fn until_found<T>(
    directory: &Path,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T> {
    let changed = Arc::new(Notify::new());
    let seen = Arc::clone(&changed);
    let mut watcher: Option<RecommendedWatcher> =
        notify::recommended_watcher(move |_| seen.notify_one()).ok();
    if let Some(inotify) = &mut watcher
        && inotify
            .watch(directory, RecursiveMode::NonRecursive)
            .is_err()
    {
        watcher = None;
    }
    if watcher.is_none() {
        tracing::debug!(directory = %directory.display(), "no file events here, looking every 250 ms");
    }
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        // The result does not matter: either there was a change or it is time to look again.
        let _ = tokio::time::timeout(LOOK_AGAIN, changed.notified()).await;
    }
}

/// A leftover has been told to end by the kernel; a busy Postgres takes a second or two.
const LEFTOVER_GRACE: Duration = Duration::from_secs(10);

/// Waits for the end of every process called `name` that works in `directory`:
/// what a launcher killed a moment ago has left. Two servers on one directory would destroy it.
pub(crate) async fn until_leftovers_end(name: &str, directory: &Path) -> Result<()> {
    for pid in processes_in(name, directory)? {
        tracing::info!(
            process.id = pid.as_raw_nonzero().get(),
            "waiting for a {name} that an earlier launcher left behind"
        );
        if tokio::time::timeout(LEFTOVER_GRACE, ended(pid))
            .await
            .is_err()
        {
            bail!(
                "{name} with process id {} still runs in {}: stop it first",
                pid.as_raw_nonzero(),
                directory.display()
            );
        }
    }
    Ok(())
}

/// It is not our child, so nobody tells us of its end. A zombie counts as ended.
async fn ended(pid: Pid) {
    let status = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let mut pause = Duration::from_millis(2);
    while std::fs::read_to_string(&status).is_ok_and(|stat| !is_zombie(&stat)) {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_AGAIN);
    }
}

/// The state follows the name, which is in parentheses and may hold any character.
fn is_zombie(stat: &str) -> bool {
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('Z'))
}

fn processes_in(name: &str, directory: &Path) -> Result<Vec<Pid>> {
    let directory = directory
        .canonicalize()
        .with_context(|| format!("failed to find {}", directory.display()))?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("failed to list /proc")? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|text| text.parse().ok())
            .and_then(Pid::from_raw)
        else {
            continue;
        };
        let path = entry.path();
        let is_named =
            std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name);
        if is_named && std::fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd == directory) {
            found.push(pid);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_written_later_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ports");
        let write = async {
            tokio::task::yield_now().await;
            std::fs::write(&path, "4222").unwrap();
        };
        let look = until_found(dir.path(), || {
            std::fs::read_to_string(&path)
                .ok()
                .filter(|text| !text.is_empty())
        });
        let (found, ()) = tokio::join!(look, write);
        assert_eq!(found.unwrap(), "4222");
    }

    #[tokio::test]
    async fn a_leftover_is_recognised_by_name_and_directory_and_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = tokio::process::Command::new("sleep")
            .arg("30")
            .current_dir(dir.path())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        assert!(processes_in("nats-server", dir.path()).unwrap().is_empty());
        assert!(processes_in("sleep", Path::new("/")).unwrap().is_empty());
        let look = || {
            processes_in("sleep", dir.path())
                .ok()
                .filter(|found| found.len() == 1)
        };
        until_found(dir.path(), look).await.unwrap();
        child.start_kill().unwrap();
        until_leftovers_end("sleep", dir.path()).await.unwrap();
    }
}
