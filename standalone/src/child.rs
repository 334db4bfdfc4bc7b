//! Child processes that end with the launcher, even when it is killed with
//! SIGKILL: each is started through `setpriv --pdeathsig` in a process group
//! of its own (a Ctrl-C in the terminal reaches only the launcher, which then
//! stops its children in order), and killed when its handle is dropped.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

/// The unprivileged account that a child runs as when the launcher is root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What to start, and how it is told to end when the launcher is gone.
pub(crate) struct Spec {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// Working directory; by it a leftover of a killed launcher is recognised.
    pub(crate) directory: PathBuf,
    /// Gets standard output and standard error.
    pub(crate) log: PathBuf,
    /// `setpriv` name of the signal that asks it to end, e.g. `INT`.
    pub(crate) death_signal: &'static str,
    pub(crate) account: Option<Account>,
}

/// Ends at once when the launcher died before the death signal was set: the
/// kernel sends it only for a parent that dies afterwards.
const GUARD: &str = r#"[ "$PPID" = "$1" ] || exit 70; shift; exec "$@""#;

/// Variables that a child keeps; all others (PGDATA, PGPORT, proxies, ...) could change what it does.
const KEPT_VARIABLES: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "TMPDIR"];

/// A started child. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the child.
    pub(crate) async fn spawn(spec: &Spec) -> Result<Self> {
        let log = open_log(&spec.log)
            .with_context(|| format!("failed to open the log {}", spec.log.display()))?;
        let mut command = command(spec);
        command.stdout(log.try_clone()?).stderr(log);
        let child = spawn_for_life(command).await.map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                anyhow!("failed to run setpriv (package util-linux): {error}")
            } else {
                anyhow!("failed to start {}: {error}", spec.program.display())
            }
        })?;
        Ok(Self {
            child,
            log: spec.log.clone(),
        })
    }

    /// Its process id, until its end was seen by [`Self::wait`].
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end. May be called again and after it was cancelled.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus> {
        self.child
            .wait()
            .await
            .context("failed to wait for a child process")
    }

    /// Asks it to end; after `grace` it is killed.
    pub(crate) async fn stop(&mut self, signal: Signal, grace: Duration) -> Result<ExitStatus> {
        if let Some(pid) = self.signal_target() {
            // It may have ended just now; the wait below tells.
            let _ = kill_process(pid, signal);
        }
        match tokio::time::timeout(grace, self.child.wait()).await {
            Ok(status) => status.context("failed to wait for a child process"),
            Err(_) => {
                tracing::warn!(
                    process.id = self.pid(),
                    "a child process did not end in time and is killed"
                );
                self.kill().await
            }
        }
    }

    /// SIGKILL, and the wait for its end.
    pub(crate) async fn kill(&mut self) -> Result<ExitStatus> {
        if let Some(pid) = self.signal_target() {
            let _ = kill_process(pid, Signal::KILL);
        }
        self.wait().await
    }

    fn signal_target(&self) -> Option<Pid> {
        self.pid()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw)
    }

    /// The last lines that it wrote, for an error message.
    pub(crate) fn last_words(&self) -> String {
        last_lines(&self.log)
    }
}

/// Runs a tool to its end; its last lines are in the error if it fails.
pub(crate) async fn run_to_end(spec: &Spec) -> Result<()> {
    let mut process = Process::spawn(spec).await?;
    let status = process.wait().await?;
    if !status.success() {
        bail!(
            "{} ended with {status}: {}",
            spec.program.display(),
            process.last_words()
        );
    }
    Ok(())
}

fn command(spec: &Spec) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(setpriv_args(spec, std::process::id()))
        .current_dir(&spec.directory)
        .env_clear()
        .env("HOME", &spec.directory)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    for name in KEPT_VARIABLES {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

fn setpriv_args(spec: &Spec, launcher: u32) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec![
        "--no-new-privs".into(),
        "--pdeathsig".into(),
        spec.death_signal.into(),
    ];
    if let Some(account) = spec.account {
        args.push(format!("--reuid={}", account.uid).into());
        args.push(format!("--regid={}", account.gid).into());
        args.push("--clear-groups".into());
    }
    args.extend(["--", "/bin/sh", "-c", GUARD, "sh"].map(OsString::from));
    args.push(launcher.to_string().into());
    args.push(spec.program.clone().into());
    args.extend(spec.args.iter().cloned());
    args
}

struct Job {
    command: Command,
    runtime: tokio::runtime::Handle,
    reply: oneshot::Sender<std::io::Result<Child>>,
}

/// One job at a time is plenty: an installation has two servers.
const JOBS_WAITING: usize = 1;

/// The death signal fires when the *thread* that started the child ends, and
/// the threads of a runtime come and go. This one lives as long as the process.
static SPAWNER: LazyLock<std::io::Result<SyncSender<Job>>> = LazyLock::new(|| {
    let (sender, jobs) = sync_channel::<Job>(JOBS_WAITING);
    std::thread::Builder::new()
        .name("children".to_owned())
        .spawn(move || {
            for mut job in jobs {
                let _inside = job.runtime.enter();
                // A caller that went away drops the child, which kills it.
                let _ = job.reply.send(job.command.spawn());
            }
        })?;
    Ok(sender)
});

async fn spawn_for_life(command: Command) -> std::io::Result<Child> {
    let (reply, answer) = oneshot::channel();
    let job = Job {
        command,
        runtime: tokio::runtime::Handle::current(),
        reply,
    };
    let spawner = SPAWNER
        .as_ref()
        .map_err(|error| std::io::Error::new(error.kind(), error.to_string()))?;
    let gone = || std::io::Error::other("the thread that starts children is gone");
    spawner.send(job).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

/// Starts a new log and keeps one older beside it, so that restarts do not let it grow.
fn open_log(path: &Path) -> std::io::Result<File> {
    if path.exists() {
        std::fs::rename(path, path.with_extension("log.old"))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// Enough for the reason why a server did not start.
const LAST_WORDS_BYTES: u64 = 2_000;

fn last_lines(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    match read() {
        Ok(text) if text.is_empty() => format!("it said nothing ({})", path.display()),
        Ok(text) => text,
        Err(_) => format!("see {}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(dir: &Path, script: &str) -> Spec {
        Spec {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            directory: dir.to_owned(),
            log: dir.join("child.log"),
            death_signal: "TERM",
            account: None,
        }
    }

    #[test]
    fn arguments_drop_to_the_account_and_end_with_the_program() {
        let mut spec = spec(Path::new("/tmp"), "true");
        spec.account = Some(Account { uid: 101, gid: 103 });
        let args = setpriv_args(&spec, 42);
        let text: Vec<_> = args.iter().map(|a| a.to_string_lossy()).collect();
        assert_eq!(
            &text[..6],
            [
                "--no-new-privs",
                "--pdeathsig",
                "TERM",
                "--reuid=101",
                "--regid=103",
                "--clear-groups"
            ]
        );
        assert_eq!(&text[11..], ["42", "/bin/sh", "-c", "true"]);
    }

    #[tokio::test]
    async fn a_child_outlives_the_worker_thread_that_asked_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let spec = spec(dir.path(), "echo started; exec cat /dev/zero >/dev/null");
        let handle = tokio::runtime::Handle::current();
        let mut process = std::thread::spawn(move || handle.block_on(Process::spawn(&spec)))
            .join()
            .unwrap()
            .unwrap();
        let soon = tokio::time::timeout(Duration::from_millis(300), process.wait()).await;
        assert!(soon.is_err(), "ended with {soon:?}");
        process.kill().await.unwrap();
        assert_eq!(process.pid(), None);
    }

    #[tokio::test]
    async fn a_failing_tool_is_quoted_in_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = run_to_end(&spec(dir.path(), "echo no such luck >&2; exit 3"))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("no such luck"), "{error}");
    }

    #[tokio::test]
    async fn a_child_that_ignores_the_request_is_killed_after_the_grace_time() {
        let dir = tempfile::tempdir().unwrap();
        let spec = spec(dir.path(), "trap '' TERM; while :; do sleep 1; done");
        let mut process = Process::spawn(&spec).await.unwrap();
        let status = process
            .stop(Signal::TERM, Duration::from_millis(100))
            .await
            .unwrap();
        assert!(!status.success());
    }
}
